"""Which value of one graph is which of another."""

import numpy as np

from convgraph.analysis.correspondence import corresponding
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Conv, Relu, Sigmoid, Split
from convgraph.ir.tensor import Array


def weight(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((3, 3, 1, 1)).astype(np.float32)


def pairs(before: Graph, after: Graph) -> dict[str, str]:
    found = corresponding(before, after)
    return {before.value_name(value): after.value_name(other) for value, other in found.items()}


def twins(*names: str, seeds: tuple[int, int] = (1, 2), bias: bool = False) -> Graph:
    """Two convolutions of the same input, and their sum."""
    b = GraphBuilder("twins")
    x = b.input("x", shape=(1, 3, 5, 7))
    added = [np.zeros(3, np.float32)] if bias else []
    first = b.add(Conv.of(2), x, weight(seeds[0]), *added, name=names[0])
    second = b.add(Conv.of(2), x, weight(seeds[1]), name=names[1])
    b.output(b.add(Add(), first, second, name="sum"))
    return b.build()


def test_by_name() -> None:
    assert pairs(twins("a", "b"), twins("b", "a")) == {"x": "x", "a": "a", "b": "b", "sum": "sum"}


def test_alike_nodes_are_told_apart_by_their_weights() -> None:
    assert pairs(twins("a", "b"), twins("c", "d", seeds=(2, 1))) == {
        "x": "x",
        "a": "d",
        "b": "c",
        "sum": "sum",
    }


def test_nodes_that_nothing_tells_apart_have_no_partner() -> None:
    assert pairs(twins("a", "b"), twins("c", "d", seeds=(3, 4))) == {"x": "x", "sum": "sum"}
    assert pairs(twins("a", "b", seeds=(1, 1)), twins("c", "d", seeds=(1, 1))) == {"x": "x", "sum": "sum"}


def test_what_has_a_partner_by_name_is_nobody_elses() -> None:
    assert pairs(twins("a", "b"), twins("a", "d", seeds=(3, 4))) == {
        "x": "x",
        "a": "a",
        "b": "d",
        "sum": "sum",
    }


def chain(*names: str, bias: bool = False, shape: tuple[int, ...] = (1, 3, 5, 7)) -> Graph:
    """A convolution cut in two, one half activated."""
    b = GraphBuilder("chain")
    added = [np.ones(3, np.float32)] if bias else []
    y = b.add(Conv.of(2), b.input("x", shape=shape), weight(1), *added, name=names[0])
    left, right = b.add_all(Split(axis=2, num_outputs=2), y, names=names[1:3])
    b.output(b.add(Relu(), left, name="y"))
    b.output(b.add(Sigmoid(), right, name="z"))
    return b.build()


def test_all_results_of_a_node_and_whatever_constants_it_reads() -> None:
    found = pairs(chain("a", "b", "c"), chain("d", "e", "f", bias=True))
    assert found == {"x": "x", "a": "d", "b": "e", "c": "f", "y": "y", "z": "z"}


def test_a_name_for_another_type_is_another_value_unless_it_is_returned() -> None:
    found = pairs(chain("a", "b", "c"), chain("a", "b", "c", shape=(1, 3, 9, 7)))
    assert found == {"y": "y", "z": "z"}
