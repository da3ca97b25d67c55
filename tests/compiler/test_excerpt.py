"""What differs between two stages of a run, cut out of both."""

from collections.abc import Iterable

import numpy as np
import pytest

import convgraph as cg
from convgraph.compiler.excerpt import excerpts
from convgraph.ir.ops import Add, Concat, Conv, Identity, Mul, Relu, Sigmoid, Split
from convgraph.ir.wellformed import check

SHAPE = ("N", 4, 5, 7)


def labels(graph: cg.Graph) -> list[str]:
    return [graph.op(node).label for node in graph.compute_nodes()]


def names(graph: cg.Graph, values: Iterable[cg.Value]) -> list[str]:
    return [graph.value_name(value) for value in values]


def assert_exchangeable(before: cg.Graph, after: cg.Graph, *, inputs: list[str], outputs: list[str]) -> None:
    for graph in (before, after):
        check(graph)
        assert names(graph, graph.inputs) == inputs
        assert names(graph, graph.outputs) == outputs
    cg.verify(before, after).raise_if_different()


def test_a_node_in_the_middle() -> None:
    b = cg.GraphBuilder("g", opset=17)
    y = b.add(Relu(), b.input("x", shape=SHAPE), name="first")
    y = b.add(Relu(), y, name="again")
    y = b.add(Sigmoid(), y, name="gate")
    b.output(b.add(Mul(), y, y), name="y")
    before = b.build()
    after = before.copy()
    edit = cg.Edit(after)
    edit.replace(after.value("again"), after.value("first"))
    edit.sweep()

    old, new = excerpts(before, after)
    assert labels(old) == ["Relu", "Sigmoid"], "what read the node goes with it: it reads another value now"
    assert labels(new) == ["Sigmoid"]
    assert new.op(new.outputs[0].node) is old.op(old.outputs[0].node)
    assert (names(old, old.inputs), names(old, old.outputs)) == (["first"], ["gate"])


def test_a_node_whose_result_is_returned() -> None:
    b = cg.GraphBuilder("g", opset=17)
    weight = np.random.default_rng(4).standard_normal((3, 4, 2, 1)).astype(np.float32)
    y = b.add(Conv.of(2), b.add(Sigmoid(), b.input("x", shape=SHAPE), name="s"), weight, name="c")
    b.output(b.add(Identity(), y), name="y")
    before = b.build()
    after = before.copy()
    edit = cg.Edit(after)
    edit.replace(after.value("y"), after.value("c"))
    edit.sweep()

    old, new = excerpts(before, after)
    assert (labels(old), labels(new)) == (["Conv", "Identity"], ["Conv"]), "the convolution has another name"
    assert_exchangeable(old, new, inputs=["s"], outputs=["y"])


def test_what_reads_further_up_is_cut_out_with_what_lies_between() -> None:
    """One part reads x, the other what two nodes make of x: alone, they would take these for unrelated."""
    b = cg.GraphBuilder("g", opset=17)
    x = b.add(Sigmoid(), b.input("in", shape=SHAPE), name="x")
    doubled = b.add(Add(), x, x, name="doubled")
    active = b.add(Relu(), doubled, name="active")
    other = b.add(Sigmoid(), doubled, name="other")
    y = b.add(Mul(), active, np.float32(0.5), name="halved")
    b.output(b.add(Concat(axis=1), y, other), name="y")
    b.output(b.add(Mul(), active, active), name="z")
    before = b.build()
    after = before.copy()
    edit = cg.Edit(after)
    edit.replace(after.value("halved"), edit.add(Relu(), after.value("x")))
    edit.sweep()

    old, new = excerpts(before, after)
    assert labels(old) == ["Add", "Relu", "Mul"]
    assert labels(new) == ["Add", "Relu", "Relu"]
    assert_exchangeable(old, new, inputs=["x"], outputs=["doubled", "active", "halved"])


def test_what_only_one_of_them_reads_is_an_input_of_both() -> None:
    b = cg.GraphBuilder("g", opset=17)
    x = b.add(Sigmoid(), b.input("x", shape=SHAPE), name="x1")
    zero = b.add(Relu(), b.input("z", shape=SHAPE), name="z1")
    b.output(b.add(Relu(), b.add(Add(), x, zero, name="sum")), name="y")
    b.output(zero)
    before = b.build()
    after = before.copy()
    edit = cg.Edit(after)
    edit.replace(after.value("sum"), edit.add(Identity(), after.value("x1")))
    edit.sweep()

    old, new = excerpts(before, after)
    assert (labels(old), labels(new)) == (["Add"], ["Identity"]), "alone"
    assert names(old, old.inputs) == names(new, new.inputs) == ["x1", "z1"]
    assert cg.verify(old, new).status == "different"


def test_one_result_of_several() -> None:
    b = cg.GraphBuilder("g", opset=18)
    pieces = b.add_all(
        Split(axis=1, num_outputs=2), b.input("x", shape=(2, 4, 5, 7)), names=("left", "right")
    )
    y = b.add(Relu(), b.add(Relu(), pieces[1], name="once"), name="twice")
    b.output(b.add(Add(), y, pieces[0]), name="y")
    before = b.build()
    after = before.copy()
    edit = cg.Edit(after)
    edit.replace(after.value("twice"), edit.add(Relu(), after.value("right")))
    edit.sweep()

    old, new = excerpts(before, after)
    assert (labels(old), labels(new)) == (["Relu", "Relu"], ["Relu"])
    assert_exchangeable(old, new, inputs=["right"], outputs=["twice"])


@pytest.mark.parametrize("change", ["nothing", "everything"])
def test_stages_that_cannot_be_told_apart_or_have_nothing_in_common_are_given_whole(change: str) -> None:
    b = cg.GraphBuilder("g", opset=17)
    b.output(b.add(Relu(), b.input("x", shape=SHAPE)), name="y")
    before = b.build()
    b = cg.GraphBuilder("g", opset=17)
    b.output(b.add(Sigmoid(), b.input("x", shape=SHAPE)), name="z")
    after = before.copy() if change == "nothing" else b.build()
    assert excerpts(before, after) == (before, after)
