"""A wrong rewrite is found, named, cut out and dropped; what all others gained is kept."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import onnx
import pytest

import convgraph as cg
from convgraph.compiler import culprit
from convgraph.compiler.comparison import Comparison
from convgraph.compiler.culprit import CulpritSearch
from convgraph.exporters.staged import serialised
from convgraph.ir.ops import Add, BatchNormalization, Conv, GlobalAveragePool, Op, Relu
from convgraph.ir.tensor import Array
from convgraph.passes import APPROXIMATE, DEFAULT, Drop, Pipeline
from convgraph.passes.rewrite import SAME_RESULTS

CHANNELS = 6
EPSILON = 1e-5


@pytest.fixture(autouse=True)
def every_rewrite_is_right() -> None:
    """Not here."""


def deep(blocks: int = 40) -> cg.Graph:
    """Residual blocks of five operations: convolution, normalisation, Relu, 1 x 1 convolution, sum."""
    rng = np.random.default_rng(3)

    def drawn(*shape: int) -> Array:
        scale = np.sqrt(np.prod(shape[1:]))
        return (rng.standard_normal(shape) / scale).astype(np.float32)

    b = cg.GraphBuilder("deep", opset=17)
    x = b.input("x", shape=("N", CHANNELS, 9, 7))
    for block in range(blocks):
        y = b.add(Conv.of(2, pads=1), x, drawn(CHANNELS, CHANNELS, 3, 3), node=f"conv_{block}")
        vectors = (rng.uniform(0.5, 1.5, CHANNELS).astype(np.float32) for _ in range(4))
        y = b.add(BatchNormalization(epsilon=EPSILON), y, *vectors, node=f"norm_{block}")
        y = b.add(Relu(), y, node=f"relu_{block}")
        y = b.add(Conv.of(2), y, 0.3 * drawn(CHANNELS, CHANNELS, 1, 1), node=f"narrow_{block}")
        x = b.add(Add(), x, y, node=f"sum_{block}")
    b.output(b.add(GlobalAveragePool(), x), name="y")
    return b.build()


@dataclass(frozen=True, kw_only=True)
class Wrong(cg.Rewrite[int]):
    """Puts another operation in the place of those whose node is among ``at``; none named: of all."""

    at: tuple[str, ...] = ()

    def find(self, graph: cg.Graph, node: int) -> int | None:
        """A node of one of the names that is as it was."""
        return node if self.at in ((), (graph.info(node).name,)) and self.is_untouched(graph, node) else None

    def is_untouched(self, graph: cg.Graph, node: int) -> bool:
        """Whether the rewrite was not yet here."""
        raise NotImplementedError

    def put(self, edit: cg.Edit, node: int, op: Op, weight: cg.Value | None) -> None:
        """Write the operation, with another weight if there is one."""
        operands = list(edit.graph.operands(node))
        if weight is not None:
            operands[1] = weight
        edit.replace(cg.Value(node, 0), edit.add(op, *operands, like=node))


@dataclass(frozen=True, kw_only=True)
class OtherEpsilon(Wrong):
    """A normalisation with an epsilon that another framework has."""

    name: ClassVar[str] = "other-epsilon"
    roots: ClassVar[tuple[type[Op], ...]] = (BatchNormalization,)

    def is_untouched(self, graph: cg.Graph, node: int) -> bool:
        op = graph.op(node)
        return isinstance(op, BatchNormalization) and op.epsilon == EPSILON

    def apply(self, edit: cg.Edit, match: int) -> None:
        """The variance counts for less."""
        op = edit.graph.op(match)
        assert isinstance(op, BatchNormalization)
        self.put(edit, match, replace(op, epsilon=1e-3), None)


@dataclass(frozen=True, kw_only=True)
class OtherSide(Wrong):
    """A convolution padded above instead of below."""

    name: ClassVar[str] = "other-side"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    def is_untouched(self, graph: cg.Graph, node: int) -> bool:
        op = graph.op(node)
        return isinstance(op, Conv) and op.pads == (1, 1, 1, 1)

    def apply(self, edit: cg.Edit, match: int) -> None:
        """One row of the padding goes to the other side."""
        op = edit.graph.op(match)
        assert isinstance(op, Conv)
        self.put(edit, match, replace(op, pads=(2, 1, 0, 1)), None)


@dataclass(frozen=True, kw_only=True)
class SwappedChannels(Wrong):
    """A convolution two of whose filters change places."""

    name: ClassVar[str] = "swapped-channels"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    def is_untouched(self, graph: cg.Graph, node: int) -> bool:
        weight = graph.operand(node, 1)
        return weight is not None and not graph.value_name(weight).startswith("swapped")

    def apply(self, edit: cg.Edit, match: int) -> None:
        """The first two filters."""
        weight = edit.graph.constant(edit.graph.operand(match, 1))
        assert weight is not None
        data = weight.numpy()[[1, 0, *range(2, CHANNELS)]]
        self.put(edit, match, edit.graph.op(match), edit.constant(data, name="swapped"))


FAULTS: dict[str, Wrong] = {
    "another epsilon": OtherEpsilon(at=("norm_23",)),
    "padding on the other side": OtherSide(at=("conv_31",)),
    "two channels swapped": SwappedChannels(at=("narrow_7",)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_wrong_rewrite_in_a_deep_network(fault: Wrong) -> None:
    graph = deep()
    assert sum(1 for _ in graph.compute_nodes()) > 200
    start = time.monotonic()
    result = cg.optimize(graph, passes=[fault, *DEFAULT])
    assert time.monotonic() - start < 120

    (found,) = result.culprits
    assert (found.rewrite, (found.at,)) == (fault.name, fault.at), "named"
    assert found.disagreement.at == "y"
    assert "off at" in found.disagreement.found
    assert result.verification is not None
    assert result.verification.equal
    right = cg.optimize(graph, verify=False)
    assert serialised(result.proto) == serialised(right.proto), "dropped, and the rest of the gain kept"
    assert Drop(fault.name).refusal(fault.name, found.at) in result.trace.refusals

    assert len(list(found.before.compute_nodes())) <= 3, "cut out"
    assert cg.verify(found.before, found.after).status == "different"
    whole = cg.optimize(graph, passes=[fault, *DEFAULT], stop_after=found.index)
    assert whole.verification is not None
    assert whole.verification.status == "different"
    assert not whole.culprits, "a run that is to stop somewhere is left as it is"


def test_two_wrong_rewrites_at_once() -> None:
    faults = [OtherSide(at=("conv_2",)), SwappedChannels(at=("narrow_5",))]
    graph = deep(8)
    result = cg.optimize(graph, passes=[*DEFAULT, *faults])
    assert {(found.rewrite, found.at) for found in result.culprits} == {
        ("other-side", "conv_2"),
        ("swapped-channels", "narrow_5"),
    }
    assert result.verification is not None
    assert result.verification.equal
    assert serialised(result.proto) == serialised(cg.optimize(graph, verify=False).proto)


def test_a_rewrite_found_wrong_again_and_again_is_dropped_altogether() -> None:
    graph = deep(6)
    result = cg.optimize(graph, passes=[OtherSide(), *DEFAULT])
    assert [found.rewrite for found in result.culprits] == ["other-side"] * culprit.ENOUGH
    assert result.verification is not None
    assert result.verification.equal
    refused = [r.at for r in result.trace.refusals if r.requirement == SAME_RESULTS]
    assert refused == [f"conv_{block}" for block in range(6)]


def test_after_so_many_culprits_a_run_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(culprit, "MOST", 2)
    result = cg.optimize(deep(4), passes=[OtherSide()])
    assert len(result.culprits) == 2
    assert result.verification is not None
    assert result.verification.status == "different"


def compared(original: cg.Graph, *, timeout: float | None = None) -> Comparison:
    """What compares results with a graph."""
    model = cg.to_onnx(original)
    return Comparison(
        graph=original,
        before=lambda: nullcontext(model),
        trials=2,
        feeds=None,
        rtol=None,
        atol=None,
        timeout=timeout,
    )


def test_what_is_wrong_before_any_rewrite_is_no_rewrites_fault() -> None:
    graph = deep(2)
    wrong, _ = Pipeline([SwappedChannels(at=("conv_0",))]).run(graph)
    search = CulpritSearch(graph=wrong, pipeline=Pipeline(DEFAULT), comparison=compared(graph))
    assert not search.find(applications=4, verified_in=0.1)
    assert search.dropped == ()


def test_nobody_is_blamed_for_a_result_that_is_right() -> None:
    graph = deep(2)
    search = CulpritSearch(graph=graph, pipeline=Pipeline(DEFAULT), comparison=compared(graph))
    assert not search.find(applications=4, verified_in=0.1)
    assert search.dropped == ()


def test_a_search_ends_with_its_time() -> None:
    graph = deep(2)
    pipeline = Pipeline([OtherSide(), *DEFAULT])
    hasty = CulpritSearch(graph=graph, pipeline=pipeline, comparison=compared(graph, timeout=1e-3))
    assert not hasty.find(applications=6, verified_in=0.1)
    patient = CulpritSearch(graph=graph, pipeline=pipeline, comparison=compared(graph, timeout=60.0))
    assert patient.find(applications=6, verified_in=0.1)
    assert patient.dropped == (Drop("other-side", "conv_0"),)


def test_a_fault_that_only_the_last_inputs_show() -> None:
    shape = (2, CHANNELS, 9, 7)
    signal = np.random.default_rng(8).standard_normal(shape).astype(np.float32)
    feeds = [{"x": data} for data in (np.zeros(shape, np.float32), signal[:, :, ::-1] * 0, signal)]
    result = cg.optimize(deep(3), passes=[OtherSide(at=("conv_0",)), *DEFAULT], feeds=feeds)
    assert [found.at for found in result.culprits] == ["conv_0"]
    assert result.verification is not None
    assert result.verification.equal


def test_a_culprit_among_approximations() -> None:
    fault = SwappedChannels(at=("conv_1",))
    passes = [fault, *DEFAULT, *APPROXIMATE]
    result = cg.optimize(deep(3), passes=passes, target="generic", max_error=0.3, trials=1)
    assert [(found.rewrite, found.at) for found in result.culprits] == [(fault.name, "conv_1")]
    assert result.approximated is not None
    assert result.approximated.steps
    assert result.verification is not None
    assert result.verification.equal


@dataclass(frozen=True, kw_only=True)
class NewerRelu(Wrong):
    """A right rewrite that asks for a newer opset."""

    name: ClassVar[str] = "newer-relu"
    roots: ClassVar[tuple[type[Op], ...]] = (Relu,)

    def is_untouched(self, graph: cg.Graph, node: int) -> bool:
        return graph.model.opset < 13

    def apply(self, edit: cg.Edit, match: int) -> None:
        """The same again."""
        edit.require_opset(13)
        self.put(edit, match, Relu(), None)


def test_stages_are_compared_in_the_opset_that_rewrites_ask_for() -> None:
    """TopK has had its number as an operand since opset 10, which does not make a newer opset wrong."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 9]>
        g (float[2, 6, 5, 7] x) => (float[2, 6, 5, 7] y, float[2, 2, 5, 7] z) {
            relu = Relu (x)
            [conv] y = Conv (relu, w)
            z, places = TopK <axis = 1, k = 2> (relu)
        }""")
    weight = np.random.default_rng(5).standard_normal((6, 6, 1, 1)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    result = cg.optimize(model, passes=[NewerRelu(), SwappedChannels(at=("conv",))])
    (found,) = result.culprits
    assert (found.rewrite, found.index) == ("swapped-channels", 2)
    assert result.proto.opset_import[0].version == 13
    assert cg.verify(found.before, found.after).status == "different"
