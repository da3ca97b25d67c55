"""Pipelines: order, numbering, the trace, and cost that grows with the graph."""

import itertools
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from convgraph.errors import PassFailed
from convgraph.ir.build import GraphBuilder
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Abs, BatchNormalization, Conv, Identity, Neg, Op, Relu, Reshape
from convgraph.passes import ALL, DEFAULT, Pipeline, Repeat, Rewrite
from convgraph.passes.cleanup.remove_identity import RemoveIdentity
from convgraph.passes.fusion.fold_batchnorm_into_conv import FoldBatchnormIntoConv
from convgraph.passes.fusion.fuse_activation_into_conv import FuseActivationIntoConv
from convgraph.passes.rewrite import PRICE


def chain(blocks: int, *, channels: int = 4) -> Graph:
    """Blocks of convolution, batch normalisation, Identity and Relu, one after another."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("chain", opset=17)
    x = b.input("x", shape=("N", channels, 6, 7))
    for index in range(blocks):
        weight = rng.normal(size=(channels, channels, 3, 3)).astype(np.float32)
        vectors = [rng.uniform(0.5, 2, channels).astype(np.float32) for _ in range(4)]
        y = b.add(Conv.of(2, pads=1), x, weight, node=f"conv{index}")
        y = b.add(BatchNormalization(), y, *vectors, node=f"norm{index}")
        x = b.add(Relu(), b.add(Identity(), y), node=f"relu{index}")
    b.output(x, name="y")
    return b.build()


def labels(graph: Graph) -> list[str]:
    """What the graph computes, in order."""
    return [graph.op(node).label for node in graph.compute_nodes()]


def test_the_default_pipeline_leaves_one_operation_a_block() -> None:
    graph, trace = Pipeline(DEFAULT).run(chain(3))
    assert labels(graph) == ["Conv"] * 3
    assert [a.index for a in trace.applications] == list(range(1, 10))
    refused = {(refusal.rewrite, refusal.requirement) for refusal in trace.refusals}
    assert refused == {("transform-conv-into-winograd", PRICE)}


def test_names_of_nodes_and_the_interface_survive() -> None:
    graph, _ = Pipeline(DEFAULT).run(chain(2))
    assert [graph.info(node).name for node in graph.compute_nodes()] == ["conv0", "conv1"]
    assert [graph.value_name(v) for v in (*graph.inputs, *graph.outputs)] == ["x", "y"]


def test_stop_after_replays_a_run() -> None:
    graph = chain(2)
    _, whole = Pipeline(DEFAULT).run(graph)
    for count in range(len(whole.applications) + 1):
        _, part = Pipeline(DEFAULT).run(graph, stop_after=count)
        assert part.applications == whole.applications[:count]


def test_an_application_states_the_costs_of_what_it_replaced() -> None:
    _, trace = Pipeline(DEFAULT).run(chain(1))
    folded = next(a for a in trace.applications if a.rewrite == "fold-batchnorm-into-conv")
    assert folded.before.macs == folded.after.macs > 0
    assert folded.before.bytes > folded.after.bytes


def test_a_refusal_names_the_place_and_the_reason() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(1, 2, 5, 5))
    y = b.add(Conv.of(2), x, np.ones((2, 2, 3, 3), np.float32))
    b.output(b.add(Relu(), y, node="rectify"), name="y")
    b.output(b.add(Abs(), y), name="z")
    _, trace = Pipeline([FuseActivationIntoConv()]).run(b.build())
    assert [(r.rewrite, r.at, r.requirement) for r in trace.refusals] == [
        ("fuse-activation-into-conv", "rectify", "nothing_else_reads_the_convolution")
    ]
    assert trace.refusals[0].reason == (
        "Only this operation reads the convolution's result, and the graph does not return it."
    )


@dataclass(frozen=True, kw_only=True)
class Looks(Rewrite[Value]):
    """Finds nothing, and remembers where it was asked."""

    name: ClassVar[str] = "looks"
    roots: ClassVar[tuple[type[Op], ...]] = (Relu,)
    asked: list[int] = field(default_factory=list)

    def find(self, graph: Graph, node: int) -> Value | None:
        """Nothing."""
        assert node in graph
        self.asked.append(node)
        return None

    def apply(self, edit: Edit, match: Value) -> None:
        """Never called."""
        raise NotImplementedError


def test_what_came_to_rest_is_asked_again_only_once_something_has_applied() -> None:
    idle, busy = Looks(), Looks()
    Pipeline([idle, Repeat(idle, FuseActivationIntoConv())]).run(chain(2))
    assert len(idle.asked) == 2
    Pipeline([busy, Repeat(busy, RemoveIdentity())]).run(chain(2))
    assert len(busy.asked) > 2 * 2


def test_a_pipeline_in_the_wrong_order_is_refused() -> None:
    with pytest.raises(PassFailed, match="fuse-activation-into-conv: before fold-batchnorm-into-conv"):
        Pipeline([FuseActivationIntoConv(), FoldBatchnormIntoConv()])


def test_narrowing_keeps_the_order() -> None:
    pipeline = Pipeline(DEFAULT)
    kept = pipeline.only(["fuse-activation-into-conv", "remove-identity"])
    assert list(dict.fromkeys(r.name for r in kept)) == ["remove-identity", "fuse-activation-into-conv"]
    every, rest = {r.name for r in pipeline}, {r.name for r in pipeline.without(["remove-identity"])}
    assert every - rest == {"remove-identity"}


@dataclass(frozen=True, kw_only=True)
class BreakTypes(Rewrite[Value]):
    """A rewrite at fault: it replaces a value by one of another shape."""

    name: ClassVar[str] = "break-types"
    roots: ClassVar[tuple[type[Op], ...]] = (Neg,)

    def find(self, graph: Graph, node: int) -> Value | None:
        """Any negation."""
        del graph
        return Value(node, 0)

    def apply(self, edit: Edit, match: Value) -> None:
        """Put a reshaped value in its place."""
        shape = edit.constant(np.array([6]))
        edit.replace(match, edit.add(Reshape(), edit.graph.value("x"), shape))


def test_a_rewrite_at_fault_is_named() -> None:
    b = GraphBuilder()
    b.output(b.add(Abs(), b.add(Neg(), b.input("x", shape=(2, 3)), node="minus")), name="y")
    with pytest.raises(PassFailed, match=r"break-types at minus: .*a replacement of type") as caught:
        Pipeline([BreakTypes()]).run(b.build())
    assert caught.value.__cause__ is not None


@dataclass(frozen=True, kw_only=True)
class Overflows(Rewrite[Value]):
    """A rewrite that looks at a number out of range."""

    name: ClassVar[str] = "overflows"
    roots: ClassVar[tuple[type[Op], ...]] = (Neg,)

    def find(self, graph: Graph, node: int) -> Value | None:
        """A negation, if a number were finite."""
        del graph
        return Value(node, 0) if np.isfinite(np.float32(3e38) * np.float32(node + 10)) else None

    def apply(self, edit: Edit, match: Value) -> None:
        """Never called."""
        raise NotImplementedError


@pytest.mark.filterwarnings("error")
def test_what_numpy_says_of_a_number_out_of_range_is_nobodys_business() -> None:
    b = GraphBuilder()
    b.output(b.add(Neg(), b.input("x", shape=(2, 3))), name="y")
    assert not Pipeline([Overflows()]).run(b.build())[1].applications


def test_work_grows_with_the_graph_not_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    visits = itertools.count()
    find = RemoveIdentity.find

    def counted(self: RemoveIdentity, graph: Graph, node: int) -> object:
        """Count how often the rewrite looks."""
        next(visits)
        return find(self, graph, node)

    monkeypatch.setattr(RemoveIdentity, "find", counted)
    counts = []
    for blocks in (20, 80):
        start = next(visits)
        Pipeline([Repeat(*ALL)]).run(chain(blocks))
        counts.append(next(visits) - start)
    assert counts[1] <= 4.5 * counts[0]
