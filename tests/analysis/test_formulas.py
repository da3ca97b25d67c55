"""Each formula says what is so: both sides are computed and compared with the types and the cost."""

import math
import re

import numpy as np
import pytest

from convgraph.analysis.cost import graph_cost, parameters, types_at_assumed_sizes
from convgraph.analysis.formulas import formulas
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import AveragePool, Conv, ConvTranspose, MaxPool, Op, Relu
from convgraph.ir.tensor import Dim

LAYERS: dict[str, tuple[Op, tuple[Dim, ...], tuple[int, ...], bool]] = {
    "plain": (Conv.of(2), (1, 3, 9, 7), (4, 3, 3, 2), True),
    "stride and pads": (Conv.of(2, strides=(2, 3), pads=(1, 2, 1, 2)), (2, 3, 10, 7), (4, 3, 3, 3), False),
    "uneven pads": (Conv.of(2, strides=2, pads=(0, 1, 1, 2)), (1, 3, 8, 9), (4, 3, 3, 3), True),
    "dilation": (Conv.of(2, dilations=(2, 3)), (1, 3, 12, 13), (4, 3, 3, 3), True),
    "groups": (Conv.of(1, group=3, pads=1), (1, 6, 11), (9, 2, 3), True),
    "3-D": (Conv.of(3), (1, 2, 5, 6, 7), (3, 2, 1, 2, 3), False),
    "open sizes": (Conv.of(2), ("N", 3, "H", 7), (4, 3, 3, 3), True),
    "transposed": (ConvTranspose.of(2, strides=2, pads=(1, 0, 1, 1)), (1, 4, 5, 3), (4, 3, 4, 3), True),
    "transposed in groups": (
        ConvTranspose.of(1, strides=3, group=2, dilations=2),
        (2, 4, 5),
        (4, 3, 3),
        False,
    ),
    "output padding": (
        ConvTranspose(
            strides=(2, 2), pads=(1,) * 4, dilations=(1, 1), output_padding=(1, 0), activation=None
        ),
        (1, 2, 4, 5),
        (2, 3, 3, 3),
        False,
    ),
    "pool": (MaxPool.of((2, 3), strides=2), (1, 3, 8, 11), (), False),
    "pool rounded up": (AveragePool.of((3, 3), strides=2, ceil_mode=1), (1, 3, 8, 10), (), False),
}


def graph_of(op: Op, image: tuple[Dim, ...], weight: tuple[int, ...], *, biased: bool) -> Graph:
    b = GraphBuilder("layer")
    operands = [np.ones(weight, np.float32)] if weight else []
    filters = weight[0] if isinstance(op, Conv) else weight[1] if weight else 0
    if biased:
        operands.append(np.ones(filters, np.float32))
    b.output(b.add(op, b.input("x", shape=image), *operands), name="y")
    return b.build()


def lines(graph: Graph) -> tuple[str, ...]:
    (node,) = graph.compute_nodes()
    return formulas(graph, node, types=types_at_assumed_sizes(graph))


def value(text: str) -> int:
    python = text.replace("·", "*").replace("−", "-").replace(",", "")
    assert re.fullmatch(r"(floor|ceil|[\d()+*/ -])+", python)
    number = eval(python, {"floor": math.floor, "ceil": math.ceil})  # noqa: S307 - checked above
    assert number == int(number)
    return int(number)


@pytest.mark.parametrize("name", LAYERS)
def test_both_sides_are_equal(name: str) -> None:
    op, image, weight, biased = LAYERS[name]
    graph = graph_of(op, image, weight, biased=biased)
    told = {}
    for line in lines(graph):
        what, left, right = line.split(" = ")
        assert value(left) == value(right), line
        told[what] = value(right)
    (result,) = graph.outputs
    shape = types_at_assumed_sizes(graph)[result].static_shape
    assert shape is not None
    sizes = dict(zip([f"{axis}2" for axis in "DHW"[-len(shape) + 2 :]], shape[2:], strict=True))
    work = {"parameters": parameters(graph), "operations": graph_cost(graph).macs} if weight else {}
    assert told == {**sizes, **work}


def test_in_the_words_of_the_textbooks() -> None:
    graph = graph_of(Conv.of(2, strides=4), (1, 3, 227, 227), (96, 3, 11, 11), biased=True)
    assert lines(graph) == (
        "H2 = (227 − 11 + 2·0)/4 + 1 = 55",
        "W2 = (227 − 11 + 2·0)/4 + 1 = 55",
        "parameters = (3·11·11)·96 + 96 = 34,944",
        "operations = 55·55·96·11·11·3 = 105,415,200",
    )
    graph = graph_of(Conv.of(2, pads=1), (1, 64, 28, 28), (16, 64, 3, 3), biased=False)
    assert lines(graph)[-1] == "operations = 28·28·16·3·3·64 = 7,225,344"


def test_nothing_to_say() -> None:
    assert lines(graph_of(Relu(), (1, 3), (), biased=False)) == ()
    same = Conv(strides=(2,), pads=(0, 0), dilations=(1,), auto_pad="SAME_UPPER")
    assert lines(graph_of(same, (1, 3, 8), (4, 3, 3), biased=False)) == ()
