"""Tables for share-equal-constants."""

from collections.abc import Callable

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.compiler.proof import prove
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Constant, Conv, ConvTranspose, Identity, Mul, Tanh
from convgraph.ir.tensor import Array, Tensor
from convgraph.passes.cleanup.share_equal_constants import Copies, ShareEqualConstants
from convgraph.passes.pipeline import Pipeline


def added(*constants: Callable[[Draw], Array]) -> Callable[[Draw], Graph]:
    """Constants added to x, one after the other."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 3, "H", "W"))
        for constant in constants:
            x = b.add(Add(), b.add(Tanh(), x), constant(draw))
        b.output(x, name="y")
        return b.build()

    return build


def repeated(draw: Draw) -> Graph:
    """A block three times over, with the same weights."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 3, "H", "W"))
    weight, bias = draw.weight(3, 3, 3, 3), draw.weight(3)
    for _ in range(3):
        x = b.add(Tanh(), b.add(Conv.of(2, pads=1), x, weight.copy(), bias.copy()))
    b.output(x, name="y")
    return b.build()


def returned(count: int) -> Callable[[Draw], Graph]:
    """Three equal constants, of which the last so many are returned."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x, data = b.input("x", shape=("N", 3)), draw.factor(3)
        constants = [b.constant(data.copy(), name=f"c{number}") for number in range(3)]
        for constant in constants:
            x = b.add(Mul(), b.add(Tanh(), x), constant)
        b.output(x, name="y")
        for constant in constants[3 - count :]:
            b.output(constant)
        return b.build()

    return build


def ones(draw: Draw) -> Array:
    """One number for each channel."""
    del draw
    return np.ones((3, 1, 1), np.float32)


def large(draw: Draw) -> Array:
    """More numbers than are read at once."""
    del draw
    return np.arange(4100, dtype=np.float32).reshape(4100, 1, 1, 1, 1) % 7


EXAMPLES = {
    "numbers": added(ones, ones, ones),
    "weights": repeated,
    "one is returned": returned(1),
    "two are returned": returned(2),
    "large ones": added(large, large),
}

NEAR_MISSES: dict[str, list[object]] = {}


def number(bits: int) -> Callable[[Draw], Array]:
    """A float32 by its bits."""
    return lambda _: np.array([bits], np.uint32).view(np.float32)


def overridable(draw: Draw) -> Graph:
    """Two initializers that a caller may override."""
    b = GraphBuilder("g", opset=17)
    x, data = b.input("x", shape=("N", 3)), draw.factor(3)
    for name in ("c", "d"):
        x = b.add(Mul(), x, b.overridable(name, data.copy()))
    b.output(x, name="y")
    return b.build()


def both_ways(draw: Draw) -> Graph:
    """A convolution and a transposed one that have the same numbers for their weights."""
    b = GraphBuilder("g", opset=17)
    x, weight = b.input("x", shape=("N", 3, "H", "W")), draw.weight(3, 3, 3, 3)
    for op in (Conv.of(2, pads=1), ConvTranspose.of(2, pads=1)):
        x = b.add(op, x, weight.copy())
    b.output(x, name="y")
    return b.build()


STAY = {
    "zeros of other signs": added(number(0), number(1 << 31)),
    "other payloads of what is no number": added(number(0x7FC00000), number(0x7FC00001)),
    "other shapes": added(ones, lambda d: ones(d).reshape(1, 3, 1, 1)),
    "other numbers": added(ones, lambda d: 2 * ones(d)),
    "large ones that differ in the middle": added(
        large, lambda d: np.where(np.arange(4100) == 2000, 0.5, large(d).T).T
    ),
    "overridable": overridable,
    "returned, all of them": returned(3),
    "both ways": both_ways,
}


@pytest.mark.parametrize("name", STAY)
def test_what_is_not_the_same_stays(name: str) -> None:
    _, trace = Pipeline([ShareEqualConstants()]).run(STAY[name](Draw(dyadic=True)))
    assert not trace.applications


def test_other_types_of_the_same_bytes_stay() -> None:
    b = GraphBuilder("g")
    for kind in (np.int32, np.float32):
        b.output(b.add(Identity(), b.constant(np.zeros((2, 3), kind))))
    _, trace = Pipeline([ShareEqualConstants()]).run(b.build())
    assert not trace.applications


def test_transposed_weights_are_shared_among_themselves() -> None:
    b, weight = GraphBuilder("g"), np.ones((3, 3, 2, 2), np.float32)
    x = b.input("x", shape=("N", 3, "H", "W"))
    for _ in range(2):
        x = b.add(ConvTranspose.of(2), x, weight.copy())
    b.output(x, name="y")
    graph, _ = Pipeline([ShareEqualConstants()]).run(b.build())
    assert sum(isinstance(graph.op(node), Constant) for node in graph.nodes()) == 1


def test_the_first_of_them_stays() -> None:
    b, data = GraphBuilder("g"), np.ones(3, np.float32)
    x = b.input("x", shape=("N", 3))
    for name in ("first", "second", "third"):
        x = b.add(Mul(), x, b.constant(data.copy(), name=name))
    b.output(x, name="y")
    graph, trace = Pipeline([ShareEqualConstants()]).run(b.build())
    assert len(trace.applications) == 1
    assert [name for name in ("first", "second", "third") if graph.has_value(name)] == ["first"]


def test_large_data_is_read_through_only_where_it_looks_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Tensor] = []
    whole = Tensor.digest

    def digest(self: Tensor) -> str:
        """Note what is read through."""
        read.append(self)
        return whole(self)

    monkeypatch.setattr(Tensor, "digest", digest)
    b = GraphBuilder("g")
    x = b.input("x", shape=(1, 8192))
    for first in (0, 1, 2, 2):
        data = np.zeros((1, 8192), np.float32)
        data[0, 0] = first
        x = b.add(Add(), x, b.constant(data))
    b.output(x, name="y")
    _, trace = Pipeline([ShareEqualConstants()]).run(b.build())
    assert len(trace.applications) == 1
    assert {float(tensor.numpy()[0, 0]) for tensor in read} == {2.0}


def test_it_is_evident_however_far_apart_they_are() -> None:
    b, data = GraphBuilder("g"), np.linspace(-1, 1, 9, dtype=np.float32).reshape(1, 1, 3, 3)
    x = b.add(Conv.of(2), b.input("x", shape=("N", 1, 40, 50)), data.copy())
    for _ in range(12):
        x = b.add(Tanh(), x)
    b.output(b.add(Conv.of(2), x, data.copy()), name="y")
    graph, pipeline = b.build(), Pipeline([ShareEqualConstants()])
    proof = prove(pipeline, graph, applications=pipeline.run(graph)[1].applications)
    assert (proof.applications, proof.proven) == (1, 1)


def test_what_differs_in_one_bit_is_not_evident() -> None:
    b = GraphBuilder("g")
    x = b.input("x", shape=("N", 3))
    values = [b.constant(np.array([1, 2, zero], np.float32)) for zero in (0.0, -0.0)]
    b.output(b.add(Mul(), b.add(Mul(), x, values[0]), values[1]), name="y")
    copies = Copies(pairs=((values[1], values[0]),))
    assert not ShareEqualConstants().is_evident(b.build(), copies)
