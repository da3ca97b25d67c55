"""Bodies of control flow are rewritten like the graph around them, and never lose hold of it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from fuzz.networks import TARGETS, Subject, faults, ways
from fuzz.wrapped import Kind
from laws.meaning import in_onnxruntime
from onnx import ModelProto, TensorProto, numpy_helper

from convgraph import optimize
from convgraph.compiler.explain import explain
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Opaque
from convgraph.ir.tensor import Array
from convgraph.passes import ALL, DEFAULT, FoldConstants, Pipeline, Trace
from convgraph.passes.approximate.split_low_rank_conv import SplitLowRankConv

RNG = np.random.default_rng(11)
X: Array = RNG.normal(size=(2, 3, 7, 6)).astype(np.float32)


def weights(**shapes: Sequence[int]) -> list[TensorProto]:
    """Tensors by name: signed for weights, positive for what ends in a v."""
    drawn = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return [
        numpy_helper.from_array(np.abs(array) + 0.5 if name.endswith("v") else array, name)
        for name, array in drawn.items()
    ]


def model(
    text: str,
    *tensors: TensorProto,
    inputs: str = "float[N, 3, 7, 6] x, bool c",
    outputs: str = "float[A, B, C, D] y",
    opset: int = 17,
) -> ModelProto:
    """A model in ONNX's text form; ``tensors`` are initializers of the graph itself."""
    head = f'<ir_version: 8, opset_import: ["" : {opset}]>'
    proto = onnx.parser.parse_model(f"{head} g ({inputs}) => ({outputs}) {{ {text} }}")
    proto.graph.initializer.extend(tensors)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def branch(name: str, text: str, *, result: str = "t") -> str:
    """A body without inputs."""
    return f"{name} = {name}_graph () => (float[A{name}, B{name}, C{name}, D{name}] {result}) {{ {text} }}"


def convolved(tag: str, *, weight: str = "w") -> str:
    """A convolution, its normalisation and an activation, with parameters from around."""
    return (
        f"[conv_{tag}] c{tag} = Conv <pads = [1, 1, 1, 1]> (x, {weight}) "
        f"[bn_{tag}] n{tag} = BatchNormalization (c{tag}, {tag}s, {tag}b, {tag}m, {tag}v) "
        f"[relu_{tag}] o{tag} = Relu (n{tag})"
    )


def parameters(*tags: str) -> list[TensorProto]:
    """What ``convolved`` reads besides the weight."""
    return weights(**{f"{tag}{role}": (4,) for tag in tags for role in "sbmv"})


def two_branches() -> ModelProto:
    """Both branches normalise what the same captured weight makes."""
    bodies = (branch(f"{n}_branch", convolved(n[0]), result=f"o{n[0]}") for n in ("then", "else"))
    return model(
        f"x = Relu (i) [If_3] y = If (c) <{', '.join(bodies)}>",
        *weights(w=(4, 3, 3, 3)),
        *parameters("t", "e"),
        inputs="float[N, 3, 7, 6] i, bool c",
    )


def loop_of_choices() -> ModelProto:
    """A Loop whose body chooses, from its own condition, between a normalised convolution and nothing."""
    taken = branch("then_branch", convolved("t"), result="ot")
    left = branch("else_branch", "oe = Add (x, shift)", result="oe")
    body = (
        f"go_on = Identity (go) [deep] chosen = If (c) <{taken}, {left}> "
        "twice = Mul (chosen, two) next = Mul (twice, half)"
    )
    return model(
        "[steps] y = Loop (times, , x) <body = repeated (int64 i, bool go, float[N, 4, 7, 6] x) => "
        f"(bool go_on, float[N, 4, 7, 6] next) {{ {body} }}>",
        *weights(w=(4, 4, 3, 3), shift=(1, 4, 1, 1)),
        *parameters("t"),
        numpy_helper.from_array(np.int64(3), "times"),
        numpy_helper.from_array(np.float32(2), "two"),
        numpy_helper.from_array(np.float32(0.5), "half"),
        inputs="float[N, 4, 7, 6] x, bool c",
    )


def scanned_rows() -> ModelProto:
    """A Scan over images, each convolved, scaled and shifted, and added to the sum so far."""
    body = (
        "image = Unsqueeze (row, zero) c1 = Conv <pads = [1, 1, 1, 1]> (image, w) c2 = Mul (c1, k) "
        "c3 = Add (c2, shift) out = Squeeze (c3, zero) next = Add (total, out)"
    )
    return model(
        "[over] last, y = Scan <num_scan_inputs = 1, body = rows (float[4, 7, 6] total, float[3, 7, 6] row) "
        f"=> (float[4, 7, 6] next, float[4, 7, 6] out) {{ {body} }}> (begin, x)",
        *weights(w=(4, 3, 3, 3), k=(4, 1, 1), shift=(4, 1, 1), begin=(4, 7, 6)),
        numpy_helper.from_array(np.array([0]), "zero"),
        inputs="float[2, 3, 7, 6] x, bool c",
    )


MODELS = {"If": two_branches, "If in a Loop": loop_of_choices, "Scan": scanned_rows}


def run(graph: Graph, trace_to: int | None = None) -> tuple[Graph, Trace]:
    """What the default pipeline makes of a graph, and how."""
    return Pipeline(DEFAULT).run(graph, stop_after=trace_to)


def body(graph: Graph, *path: str) -> Graph:
    """The body at the end of node names and attribute names."""
    for node, attribute in zip(path[::2], path[1::2], strict=True):
        (op,) = [graph.op(n) for n in graph.compute_nodes() if graph.info(n).name == node]
        assert isinstance(op, Opaque)
        graph = op.subgraphs[attribute]
    return graph


def labels(graph: Graph) -> list[str]:
    """What the graph computes, in order."""
    return [graph.op(node).label for node in graph.compute_nodes()]


def encoded(graph: Graph) -> bytes:
    """The graph as ONNX bytes."""
    return bytes(to_onnx(graph).SerializeToString(deterministic=True))


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("condition", [True, False])
def test_the_function_stays_and_a_second_run_changes_nothing(kind: str, condition: bool) -> None:
    proto = MODELS[kind]()
    graph = from_onnx(proto)
    before = encoded(graph)
    result, trace = run(graph)
    assert trace.applications
    assert encoded(graph) == before
    data = X if kind != "If in a Loop" else np.concatenate([X, X[:, :1]], axis=1)
    feeds: dict[str, Array] = {"i" if kind == "If" else "x": data, "c": np.array(condition)}
    feeds = {name: array for name, array in feeds.items() if name in {i.name for i in proto.graph.input}}
    wanted, found = in_onnxruntime(graph, feeds), in_onnxruntime(result, feeds)
    np.testing.assert_allclose(found["y"], wanted["y"], rtol=1e-5, atol=1e-5 * np.abs(wanted["y"]).max())
    written = to_onnx(result)
    onnx.checker.check_model(written, full_check=True)
    again, more = run(from_onnx(written))
    assert encoded(again) == encoded(result)
    assert all(a.rewrite.startswith("fuse-") for a in more.applications)


@pytest.mark.parametrize("kind", MODELS)
def test_every_step_of_a_run_can_be_replayed(kind: str) -> None:
    graph = from_onnx(MODELS[kind]())
    _, whole = run(graph)
    assert [a.index for a in whole.applications] == list(range(1, len(whole.applications) + 1))
    for count in range(len(whole.applications) + 1):
        part, trace = run(graph, trace_to=count)
        assert trace.applications == whole.applications[:count]
        onnx.checker.check_model(to_onnx(part), full_check=True)


def test_captured_weights_fold_and_go_once_no_body_reads_them() -> None:
    result, trace = run(from_onnx(two_branches()))
    assert {a.at for a in trace.applications} == {
        f"If_3/{name}_branch/{stem}_{name[0]}" for name in ("then", "else") for stem in ("bn", "relu")
    }
    folded = [a for a in trace.applications if a.rewrite == "fold-batchnorm-into-conv"]
    assert all(a.before.macs == a.after.macs > 0 for a in folded)
    assert (
        labels(body(result, "If_3", "then_branch")) == labels(body(result, "If_3", "else_branch")) == ["Conv"]
    )
    assert [result.value_name(v) for n in result.nodes() for v in result.results(n)] == ["i", "c", "x", "y"]
    assert [t.name for t in to_onnx(result).graph.initializer] == []


def test_what_no_rewrite_touches_stays_captured() -> None:
    text = (
        branch("then_branch", "[a] p = Conv (x, w) [b] t = Neg (p)")
        + ", "
        + branch("else_branch", "[d] q = Conv (x, w) [e] r = Dropout (q) [f] t = Abs (r)")
    )
    graph = from_onnx(model(f"[If_1] y = If (c) <{text}>", *weights(w=(4, 3, 3, 3))))
    result, trace = run(graph)
    assert [(a.rewrite, a.at) for a in trace.applications] == [("remove-dropout", "If_1/else_branch/e")]
    assert [t.name for t in to_onnx(result).graph.initializer] == ["w"]
    inner = body(result, "If_1", "else_branch")
    assert [inner.value_name(value) for value in inner.captures] == ["x", "w"]


def test_a_body_that_captures_what_an_outer_rewrite_replaces() -> None:
    parts = parameters("o")
    text = branch("then_branch", "t = Neg (n)") + ", " + branch("else_branch", "t = Abs (z)")
    graph = from_onnx(
        model(
            "p = Conv (x, w) n = BatchNormalization (p, os, ob, om, ov) "
            f"z = Identity (n) [pick] y = If (c) <{text}>",
            *weights(w=(4, 3, 3, 3)),
            *parts,
        )
    )
    result, _ = run(graph)
    assert labels(result) == ["Conv", "If"]
    for condition in (True, False):
        feeds = {"x": X, "c": np.array(condition)}
        wanted, found = in_onnxruntime(graph, feeds)["y"], in_onnxruntime(result, feeds)["y"]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_what_a_body_lets_go_of_is_dropped_outside() -> None:
    """The convolution around is read by nothing but an operation of the branch that nothing reads."""
    text = branch("then_branch", "dead = Neg (p) t = Abs (x)") + ", " + branch("else_branch", "t = Neg (x)")
    graph = from_onnx(model(f"p = Conv (x, w) [pick] y = If (c) <{text}>", *weights(w=(4, 3, 3, 3))))
    result, trace = run(graph)
    assert labels(result) == ["If"]
    assert [a.rewrite for a in trace.applications] == ["drop-unread-values"] * 2
    assert [result.value_name(value) for value in result.operands(next(result.compute_nodes()))] == [
        "c",
        "x",
        "x",
    ]


def test_new_names_hide_nothing_around_and_nothing_around_hides_them() -> None:
    """The weight folded in the branch would be called what two values around are called already."""
    text = (
        branch("then_branch", convolved("t"), result="ot")
        + ", "
        + branch("else_branch", "oe = Add (w_folded, q)", result="oe")
    )
    graph = from_onnx(
        model(
            f"w_folded = Conv (x, w) q = Neg (w_folded) x_folded = Relu (q) [pick] y = If (c) <{text}> "
            "late = Neg (ot_conv)",
            *weights(w=(4, 3, 1, 1), ot_conv=(4,)),
            *parameters("t"),
            outputs="float[A, B, C, D] y, float[A, B, C, D] x_folded, float[4] late",
        )
    )
    result, trace = run(graph)
    assert trace.applications
    inner = body(result, "pick", "then_branch")
    made = {inner.value_name(v) for n in inner.nodes() for v in inner.results(n)} - {
        inner.value_name(v) for v in inner.captures
    }
    around = {result.value_name(v) for n in result.nodes() for v in result.results(n)}
    assert not made & around
    onnx.checker.check_model(to_onnx(result), full_check=True)
    feeds = {"x": X, "c": np.array(True)}
    wanted, found = in_onnxruntime(graph, feeds), in_onnxruntime(result, feeds)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5)
    assert all(result.has_name(name) for name in made)


def test_a_refusal_inside_names_its_place() -> None:
    text = branch("then_branch", "[a] p = Conv (x, w) [r] t = Relu (p) [o] u = Neg (p)", result="t").replace(
        "Dthen_branch] t)", "Dthen_branch] t, float[E, F, G, H] u)"
    )
    other = branch("else_branch", "t = Abs (x) u = Neg (x)").replace("] t)", "] t, float[I, J, K, L] u)")
    graph = from_onnx(
        model(
            f"[pick] y, z = If (c) <{text}, {other}>",
            *weights(w=(3, 3, 1, 1)),
            outputs="float[A, B, C, D] y, float[A, B, C, D] z",
        )
    )
    _, trace = run(graph)
    assert [(r.at, r.requirement) for r in trace.refusals] == [
        ("pick/then_branch/r", "nothing_else_reads_the_convolution")
    ]
    told = explain(to_onnx(graph))
    assert told.at("pick/then_branch/t").label == "Relu"
    assert [refusal.rewrite for refusal in told.at("pick/then_branch/r").refusals] == [
        "fuse-activation-into-conv"
    ]
    assert [account.at for account in told.nearby("pick/then_branch/a")] == ["pick/then_branch/r"]


def test_a_branch_that_cannot_run_is_left_as_it_is() -> None:
    """Only computing the sizes shows that x cannot be expanded to them; the dropout beside it goes anyway."""
    text = branch(
        "then_branch",
        "size = Mul (two, none) e = Expand (x, size) d = Dropout (x) s = Neg (d) t = Add (e, s)",
    )
    text += ", " + branch("else_branch", "d = Dropout (x) t = Neg (d)")
    numbers = [numpy_helper.from_array(np.array([n]), name) for n, name in ((2, "two"), (0, "none"))]
    graph = from_onnx(model(f"[pick] y = If (c) <{text}>", *numbers, inputs="float[2, 3, 7, 6] x, bool c"))
    result, trace = run(graph)
    assert labels(body(result, "pick", "then_branch")) == ["Mul", "Expand", "Neg", "Add"]
    assert labels(body(result, "pick", "else_branch")) == ["Neg"]
    assert [a.index for a in trace.applications] == [1, 2]
    assert "what_follows_can_run" in {r.requirement for r in trace.refusals}
    for count in range(3):
        assert run(graph, trace_to=count)[1].applications == trace.applications[:count]


def test_bodies_are_rewritten_however_deep_they_lie() -> None:
    text, depth = "d0 = Dropout (x) t0 = Neg (d0)", 20
    for level in range(1, depth):
        inner = branch("then_branch", text, result=f"t{level - 1}")
        other = branch("else_branch", f"e{level} = Abs (x)", result=f"e{level}")
        text = f"d{level} = Dropout (x) u{level} = Neg (d{level}) t{level} = If (c) <{inner}, {other}>"
    graph = from_onnx(model(f"{text} y = Identity (t{depth - 1})"))
    result, trace = run(graph)
    assert [a.rewrite for a in trace.applications].count("remove-dropout") + [
        a.rewrite for a in trace.applications
    ].count("drop-unread-values") >= depth
    assert max(a.at.count("/then_branch/") for a in trace.applications) == depth - 1
    assert b"Dropout" not in encoded(result)


def test_a_captured_weight_is_not_copied_into_every_branch_beyond_the_limit() -> None:
    text = ", ".join(
        branch(f"{name}_branch", "turned = Transpose <perm = [1, 0]> (w) t = MatMul (x, turned)")
        for name in ("then", "else")
    )
    graph = from_onnx(model(f"[pick] y = If (c) <{text}>", *weights(w=(5, 6))))
    result, trace = Pipeline([FoldConstants(size_limit=119)]).run(graph)
    assert not trace.applications
    assert encoded(result) == encoded(graph)
    assert len(Pipeline([FoldConstants(size_limit=120)]).run(graph)[1].applications) == 2


def test_a_body_asks_for_the_opset_of_the_whole_model() -> None:
    """Half-pixel coordinates, which the interpolation in the branch is spelled with, are new in opset 11."""
    tent = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 16
    kernel = np.zeros((3, 3, 4, 4), np.float32)
    kernel[range(3), range(3)] = tent
    up = "[up] t = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)"
    text = branch("then_branch", up) + ", " + branch("else_branch", f"{up.replace('t =', 'u =')} t = Neg (u)")
    proto = model(f"[pick] y = If (c) <{text}>", numpy_helper.from_array(kernel, "w"), opset=10)
    result = optimize(proto, without=["ConvTranspose"])
    assert labels(body(result.graph, "pick", "then_branch")) == ["Pad", "Resize", "Slice"]
    assert result.graph.model.opset == 11
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason


def test_approximations_are_made_in_the_graph_itself_only() -> None:
    text = branch("then_branch", "t = Conv (x, w)") + ", " + branch("else_branch", "t = Conv (x, w)")
    graph = from_onnx(model(f"[pick] y = If (c) <{text}>", *weights(w=(4, 3, 1, 1))))
    assert not Pipeline([SplitLowRankConv(tolerance=10.0)]).run(graph)[1].applications


@pytest.mark.parametrize("kind", MODELS)
def test_a_run_of_every_exact_rewrite_is_verified(kind: str) -> None:
    proto = MODELS[kind]()
    result = optimize(proto, passes=[rewrite.name for rewrite in ALL if rewrite.exact and not rewrite.lowers])
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert result.trace.applications


@pytest.mark.parametrize("first", range(0, 12, 6))
@pytest.mark.parametrize("kind", ["If", "Loop"])
def test_random_networks_inside_stay_the_same_function(kind: Kind, first: int) -> None:
    """A few of those that ``tests/fuzz/networks.py`` makes by the thousand."""
    counts: Counter[str] = Counter()
    chosen = [(way, pipeline) for way, pipeline in ways() if way in TARGETS]
    for seed in range(first, first + 6):
        subject = Subject(seed, inside=kind)
        for way, pipeline in chosen:
            assert not list(faults(subject, way, pipeline, run=way == "generic", counts=counts)), (seed, way)
    assert len(counts) > 4
