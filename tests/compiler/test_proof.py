"""Applications are proven on dyadic twins: what is below every tolerance is seen, and what rounds is said."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import convgraph as cg
from convgraph.compiler import proof as module
from convgraph.compiler.duel import Outcome, settled
from convgraph.compiler.proof import Proof, prove
from convgraph.compiler.twin import EPSILON, MANNERS, Manner, twin_of
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    AveragePool,
    BatchNormalization,
    Constant,
    Conv,
    Exp,
    Identity,
    LeakyRelu,
    Neg,
    Op,
    Reciprocal,
    Relu,
    Reshape,
    Sigmoid,
)
from convgraph.ir.tensor import Array, DataType
from convgraph.passes import CLEAN, EXACT, AnyRewrite, Pipeline, Repeat, Rewrite
from convgraph.passes.algebra.compose_average_pool_into_conv import ComposeAveragePoolIntoConv


@pytest.fixture(autouse=True)
def every_rewrite_is_right() -> None:
    """Not here."""


def drawn(*shape: int, seed: int = 0) -> Array:
    """Real numbers, as weights are."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def padded(*, blocks: int = 1, dtype: type = np.float32) -> Graph:
    """Blocks of a convolution with pads, an Identity and a Relu; all sizes but the channels are open."""
    b = cg.GraphBuilder("padded", opset=17)
    y = b.input("x", shape=("N", 4, "H", "W"), dtype=DataType.of(np.dtype(dtype)))
    for block in range(blocks):
        weight, bias = drawn(4, 4, 3, 2, seed=block).astype(dtype), drawn(4, seed=block + 9).astype(dtype)
        y = b.add(Conv.of(2, pads=(1, 0, 1, 1)), y, weight, bias, name=f"c{block}", node=f"conv{block}")
        y = b.add(Relu(), b.add(Identity(), y, name=f"i{block}"), name=f"r{block}")
    b.output(y, name="y")
    return b.build()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A convolution and the copy of its result."""

    conv: int
    copy: int


def unchanged(array: Array) -> Array:
    """The same."""
    return array


@dataclass(frozen=True, kw_only=True)
class LeaveOutCopy(Rewrite[Copied]):
    """Leave out the copy of a convolution's result, and change the convolution while at it."""

    name: ClassVar[str] = "leave-out-copy"
    roots: ClassVar[tuple[type[Op], ...]] = (Identity,)
    weight: Callable[[Array], Array] = field(default=unchanged)
    bias: Callable[[Array], Array] = field(default=unchanged)
    pads: tuple[int, ...] = (1, 0, 1, 1)

    def find(self, graph: Graph, node: int) -> Copied | None:
        """An Identity of a convolution."""
        (x,) = graph.operands(node)
        is_conv = x is not None and isinstance(graph.producer(x), Conv)
        return Copied(conv=x.node, copy=node) if x is not None and is_conv else None

    def apply(self, edit: Edit, m: Copied) -> None:
        """Put a convolution in the place of both."""
        graph, op = edit.graph, edit.graph.op(m.conv)
        x, weight, bias = graph.operands(m.conv)
        old = [graph.constant(weight), graph.constant(bias)]
        assert old[0] is not None
        assert old[1] is not None
        assert isinstance(op, Conv)
        new = [edit.constant(self.weight(old[0].numpy())), edit.constant(self.bias(old[1].numpy()))]
        edit.replace(Value(m.copy, 0), edit.add(replace(op, pads=self.pads), x, *new, like=m.conv))


def moved(array: Array, axis: int) -> Array:
    """Everything one further along an axis."""
    return np.roll(array, 1, axis=axis)


def scaled(array: Array) -> Array:
    """Larger by a unit in the last place, which no tolerance can tell from rounding."""
    return (array * np.float32(1 + 1.2e-7)).astype(array.dtype)


WRONG = {
    "a weight scaled by 1 + 1.2e-7": LeaveOutCopy(weight=scaled),
    "a bias scaled by 1 + 1.2e-7": LeaveOutCopy(bias=scaled),
    "output channels": LeaveOutCopy(weight=lambda w: moved(w, 0)),
    "input channels": LeaveOutCopy(weight=lambda w: moved(w, 1)),
    "taps": LeaveOutCopy(weight=lambda w: moved(w, 3)),
    "the bias": LeaveOutCopy(bias=lambda b: moved(b, 0)),
    "no bias": LeaveOutCopy(bias=np.zeros_like),
    "a border": LeaveOutCopy(pads=(1, 1, 1, 0)),
}


def proven(graph: Graph, *rewrites: AnyRewrite | Repeat, seconds: float | None = 60.0) -> Proof:
    """The proof of a run."""
    pipeline = Pipeline(rewrites)
    _, trace = pipeline.run(graph)
    return prove(pipeline, graph, applications=trace.applications, seconds=seconds)


def normalised(weight: Array, *, dtype: type = np.float32) -> Graph:
    """A convolution and a normalisation, of 4 channels."""
    b = cg.GraphBuilder("normalised", opset=17)
    x = b.input("x", shape=("N", weight.shape[1], "H", 5), dtype=DataType.of(np.dtype(dtype)))
    y = b.add(Conv.of(2, strides=(2, 1)), x, weight.astype(dtype), name="c")
    statistics = [np.abs(drawn(len(weight), seed=s)).astype(dtype) for s in range(4)]
    b.output(b.add(LeakyRelu(), b.add(BatchNormalization(), y, *statistics)), name="y")
    return b.build()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_a_run_is_proven(dtype: type) -> None:
    proof = proven(normalised(drawn(4, 3, 3, 2), dtype=dtype), *EXACT)
    assert (proof.applications, proof.proven) == (2, 2)
    assert str(proof) == "2 of 2 rewrites were proven, bit for bit on dyadic numbers"


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_rewrite_is_refuted(wrong: str) -> None:
    (refuted,) = proven(padded(), WRONG[wrong]).refuted
    assert (refuted.rewrite, refuted.at) == ("leave-out-copy", "i0")
    assert [graph.op(graph.outputs[0].node).label for graph in (refuted.before, refuted.after)] == [
        "Identity",
        "Conv",
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_rewrite_without_the_fault_is_proven(dtype: type) -> None:
    proof = proven(padded(dtype=dtype), LeaveOutCopy())
    assert (proof.applications, proof.proven) == (1, 1)


def test_a_fault_below_every_tolerance_is_dropped_and_the_rest_kept() -> None:
    graph = padded(blocks=2)
    result = cg.optimize(graph, passes=[LeaveOutCopy(weight=scaled), *CLEAN], power="off")
    assert [culprit.rewrite for culprit in result.culprits] == ["leave-out-copy"] * 2
    assert "on dyadic numbers" in str(result.culprits[0])
    assert result.verification is not None
    assert result.verification.equal
    assert [node.op_type for node in result.proto.graph.node] == ["Conv", "Relu"] * 2
    numbers = [t for t in result.proto.graph.initializer if t.dims == [4, 4, 3, 2]]
    assert {t.raw_data for t in numbers} == {drawn(4, 4, 3, 2, seed=s).tobytes() for s in range(2)}


def test_without_another_run_the_models_are_called_different() -> None:
    result = cg.optimize(padded(), passes=[LeaveOutCopy(weight=scaled)], stop_after=1, power="off")
    assert result.verification is not None
    assert result.verification.status == "different"
    assert result.verification.reason == "i0: another function (leave-out-copy); the same, on dyadic numbers"


@dataclass(frozen=True, kw_only=True)
class SpellSigmoid(Rewrite[int]):
    """Spell a Sigmoid with an exponential."""

    name: ClassVar[str] = "spell-sigmoid"
    roots: ClassVar[tuple[type[Op], ...]] = (Sigmoid,)

    def find(self, graph: Graph, node: int) -> int | None:
        """Any Sigmoid."""
        return node

    def apply(self, edit: Edit, match: int) -> None:
        """Write 1 / (1 + exp(-x))."""
        (x,) = edit.graph.operands(match)
        assert x is not None
        one = np.ones((), dtype=edit.graph.type(x).dtype.numpy)
        total = edit.add(Add(), edit.constant(one), edit.add(Exp(), edit.add(Neg(), x)))
        edit.replace(Value(match, 0), edit.add(Reciprocal(), total))


def test_a_function_that_rounds_is_not_proven() -> None:
    b = cg.GraphBuilder("gate", opset=17)
    b.output(b.add(Sigmoid(), b.input("x", shape=("N", 5))), name="y")
    proof = proven(b.build(), SpellSigmoid())
    assert not proof.refuted
    (one,) = proof.not_proven
    assert "rounds" in one.reason
    assert (one.index, one.rewrite, one.at) == (1, "spell-sigmoid", "y")


def test_an_average_over_9_rounds_and_over_8_does_not() -> None:
    reasons = []
    for kernel in ((3, 3), (2, 4)):
        b = cg.GraphBuilder("averaged", opset=19)
        y = b.add(Conv.of(2), b.input("x", shape=("N", 4, 14, 12)), drawn(5, 4, 3, 2))
        b.output(b.add(AveragePool.of(kernel, strides=kernel), y), name="y")
        proof = proven(b.build(), ComposeAveragePoolIntoConv())
        assert (proof.applications, len(proof.refuted)) == (1, 0)
        reasons += [one.reason for one in proof.not_proven]
    assert reasons == ["it rounds also on dyadic numbers; in float64 both are the same"]


def test_sizes_that_the_model_computes_belong_to_the_region() -> None:
    b = cg.GraphBuilder("reshaped", opset=17)
    x = b.input("x", shape=("N", 4, 6, 5))
    y = b.add(Reshape(), b.add(Conv.of(2), x, drawn(8, 4, 3, 2)), np.array([0, 2, 4, -1]))
    b.output(b.add(Identity(), y), name="y")
    assert proven(b.build(), *EXACT).proven == 1


def test_no_time_no_proof() -> None:
    proof = proven(padded(blocks=2), LeaveOutCopy(), seconds=0.0)
    assert (proof.applications, proof.proven) == (2, 0)
    assert {one.reason for one in proof.not_proven} == {"no time was left"}


def test_without_memory_there_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "duel", short)
    (one,) = proven(padded(), LeaveOutCopy()).not_proven
    assert one.reason == "not enough memory"


@pytest.mark.parametrize(("seconds", "expected"), [(60.0, 1), (None, 3)])
def test_one_proof_serves_all_that_are_alike(
    seconds: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    duels = []
    whole = module.duel

    def counted(*graphs: Graph, largest: int) -> object:
        duels.append(largest)
        return whole(*graphs, largest=largest)

    monkeypatch.setattr(module, "duel", counted)
    assert proven(padded(blocks=3), LeaveOutCopy(), seconds=seconds).proven == 3
    assert len(duels) == expected


@dataclass(frozen=True, kw_only=True)
class LeaveOutListed(LeaveOutCopy):
    """The same, with an option that has no hash."""

    listed: list[str] = field(default_factory=list)


def test_a_rewrite_without_a_hash_is_proven() -> None:
    assert proven(padded(), LeaveOutListed()).proven == 1


def test_what_stands_in_a_body_is_proven() -> None:
    inner = "a = Conv <pads = [1, 1, 1, 1]> (x, w) t = BatchNormalization (a, s, s, s, s)"
    then = f"then_branch = f () => (float[A, B, C, D] t) {{ {inner} }}"
    other = "else_branch = g () => (float[A, B, C, D] u) { u = Relu (x) }"
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N, 4, 7, 6] i, bool c) => (float[A, B, C, D] y)'
        f"{{ x = Relu (i) y = If (c) <{then}, {other}> }}"
    )
    arrays = {"w": drawn(4, 4, 3, 3), "s": np.abs(drawn(4))}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    proof = proven(from_onnx(proto), *EXACT)
    assert proof.applications == proof.proven == 1


def test_what_shows_nothing_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = {"x": np.zeros((1, 4, 5, 6), np.float32)}
    monkeypatch.setattr("convgraph.compiler.duel._feeds", lambda *_, **__: feeds)
    b = cg.GraphBuilder("unbiased", opset=17)
    y = b.add(Conv.of(2), b.input("x", shape=(1, 4, 5, 6)), drawn(4, 4, 3, 2), np.zeros(4, np.float32))
    b.output(b.add(Identity(), y), name="y")
    (one,) = proven(b.build(), replace(WRONG["taps"], pads=(0, 0, 0, 0))).not_proven
    assert one.reason == "the twin's result is one number throughout"


# ---- twins ----


def constants(graph: Graph, manner: Manner) -> list[Array]:
    """The constants of a twin, in order."""
    twin, _ = twin_of(graph, manner=manner)
    return [op.tensor.numpy() for node in twin.nodes() if isinstance(op := twin.op(node), Constant)]


@pytest.mark.parametrize("manner", MANNERS[:2])
def test_a_twin_keeps_zeros_signs_and_equal_elements(manner: Manner) -> None:
    weight = drawn(4, 3, 3, 2)
    weight[0, 1], weight[2] = 0.0, weight[1]
    weight[:, 2] = -weight[:, 0]
    twin = next(c for c in constants(normalised(weight), manner) if c.shape == weight.shape)
    np.testing.assert_array_equal(np.sign(twin), np.sign(weight))
    np.testing.assert_array_equal(twin[2], twin[1])
    np.testing.assert_array_equal(twin[:, 2], -twin[:, 0])
    assert set(np.abs(twin).flat) == {0.0, *(manner.levels or ())}


def test_a_twin_of_rank_one() -> None:
    twin = constants(normalised(drawn(4, 3, 3, 2)), MANNERS[2])[0].reshape(4 * 3, 3 * 2)
    assert np.linalg.matrix_rank(twin) == 1
    assert np.all(twin % 1 == 0)


def test_a_twin_normalises_without_rounding() -> None:
    graph = normalised(drawn(4, 3, 3, 2))
    twin, nodes = twin_of(graph, manner=MANNERS[0])
    norm = next(node for node in graph.nodes() if isinstance(graph.op(node), BatchNormalization))
    op = twin.op(nodes[norm])
    assert isinstance(op, BatchNormalization)
    assert op.epsilon == EPSILON
    scale, _, _, variance = (twin.constant(value) for value in twin.operands(nodes[norm])[1:])
    assert scale is not None
    assert variance is not None
    assert set(np.log2(np.abs(scale.numpy()))) <= {-1.0, 0.0, 1.0, 2.0}
    assert set(np.log2(variance.numpy() + EPSILON)) <= {0.0, 2.0, 4.0}


def test_a_twin_keeps_what_is_dyadic() -> None:
    mask = np.array([[[[0.0, 1.0, 0.25], [1.0, -0.5, 0.0]]]] * 4, np.float32)
    assert any(np.array_equal(c, mask) for c in constants(normalised(mask), MANNERS[0]))


def slid_over(*windows: int) -> Graph:
    """Average pools over whatever comes in."""
    b = cg.GraphBuilder("slid")
    y = b.input("x", shape=(1, 2, "H", "W"))
    for window in windows:
        y = b.add(AveragePool.of((window, window)), y)
    b.output(y, name="y")
    return b.build()


def test_sizes_at_which_the_original_is_no_legal_model_tell_nothing() -> None:
    feeds = [{"x": drawn(1, 2, 5, 3)}]
    assert settled(slid_over(4), slid_over(2, 3), feeds) is Outcome.UNTOLD


def test_a_result_that_is_no_legal_model_where_the_original_is_one_is_at_fault() -> None:
    feeds = [{"x": drawn(1, 2, 5, 3)}]
    assert settled(slid_over(3), slid_over(4), feeds) is Outcome.FAULT
    assert settled(slid_over(1), slid_over(1), feeds) is Outcome.ROUNDED
