"""Tables for inline-local-function."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from laws.draw import Draw
from laws.meaning import in_onnxruntime
from onnx import ModelProto, NodeProto

from convgraph.compiler.functions import FunctionBodies
from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Opaque, Relu
from convgraph.passes import Pipeline, RemoveIdentity, Repeat
from convgraph.passes.cleanup.drop_unread_values import DropUnreadValues
from convgraph.passes.cleanup.inline_local_function import InlineLocalFunction

OPTIONS = {"size_limit": 700, "bodies": FunctionBodies()}


def parsed(
    body: str,
    *functions: str,
    inputs: str = "float[N, 3, 5] x",
    outputs: str = "float[N, 3, 5] y",
    opsets: str = '"" : 17, "own" : 1',
) -> ModelProto:
    """A model in ONNX's text form: its graph's nodes, and functions of the domain ``own`` or of another."""
    text = [f"<ir_version: 8, opset_import: [{opsets}]> g ({inputs}) => ({outputs}) {{ {body} }}"]
    for function in functions:
        header = "" if function.startswith("<") else '<domain: "own", opset_import: ["" : 17, "own" : 1]> '
        text.append(header + function)
    model: ModelProto = onnx.parser.parse_model("\n".join(text))
    return model


def model(body: str, *functions: str, **told: str) -> Callable[[Draw], Graph]:
    """A graph of these; see ``parsed``."""
    return lambda _: from_onnx(parsed(body, *functions, **told))


def omitting(draw: Draw) -> Graph:
    """A call that gives neither of two bounds, and one that gives the second."""
    del draw
    clip = "clip (x, low, high) => (y) { y = Clip(x, low, high) }"
    given = parsed("h = Constant <value_float = 2.0> () z = own.clip(x) y = own.clip(z, h, h)", clip)
    given.graph.node[2].input[1] = ""
    return from_onnx(given)


def overloaded(draw: Draw) -> Graph:
    """Two functions of one name."""
    del draw
    given = parsed("z = own.f(x) y = own.f(z)", "f (x) => (y) { y = Neg(x) }", "f (x) => (y) { y = Abs(x) }")
    given.ir_version = 10
    given.functions[1].overload = given.graph.node[0].overload = "other"
    return from_onnx(given)


def without_onnx(draw: Draw) -> Graph:
    """A model that imports ONNX's operators in its function only."""
    del draw
    given = parsed("y = own.f(x)", "f (x) => (y) { y = Neg(x) }")
    del given.opset_import[0]
    return from_onnx(given)


CHOOSING = """choose (x, c) => (y) {
    y = If (c) <then_branch = a () => (t) { n = Neg(x) t = Abs(n) },
                else_branch = b () => (e) { n = Relu(x) e = Neg(n) }> }"""

EXAMPLES = {
    "one call": model("y = own.f(x)", "f (x) => (y) { t = Neg(x) y = Abs(t) }"),
    "two calls, values of the same names around": model(
        "t = own.f(x) n = own.f(t) y = Add(t, n)", "f (x) => (y) { t = Relu(x) n = Neg(t) y = Sub(n, x) }"
    ),
    "functions that call others": model(
        "z = own.f(x) y = own.g(z)",
        "f (x) => (y) { a = own.g(x) b = own.g(a) y = Add(a, b) }",
        "g (x) => (y) { t = Neg(x) y = Relu(t) }",
    ),
    "functions that call others, of another version of their own domain": model(
        "y = own.f(x)",
        '<domain: "own", opset_import: ["" : 17, "own" : 2]> f (x) => (y) { t = own.g(x) y = Neg(t) }',
        "g (x) => (y) { y = Relu(x) }",
    ),
    "attributes given, left out, and by default": model(
        "z = own.f <a = 0.5, axis = 1> (x) y = own.f(z)",
        '<domain: "own", opset_import: ["" : 17]> f <axis> (x) => (y) '
        "{ t = Softmax <axis: int = @axis> (x) y = Neg(t) }".replace("<axis>", "<axis, a>"),
    ),
    "an attribute for a node in a body": model(
        "y = own.f <k = 2.0> (x)",
        "f <k> (x) => (y) { c = Constant <value = bool {1}> () "
        "y = If (c) <then_branch = a () => (t) { s = Constant <value_float: float = @k> () t = Mul(x, s) }, "
        "else_branch = b () => (e) { e = Neg(x) }> }",
    ),
    "a default": model(
        "z = own.f <k = 0.5> (x) y = own.f(z)",
        "f <k: float = 0.25> (x) => (y) { y = LeakyRelu <alpha: float = @k> (x) }",
    ),
    "operands left out": omitting,
    "two of one name": overloaded,
    "an operand handed on": model("y = own.f(x)", "f (x) => (y) { y = Identity(x) }"),
    "results unread": model("y, u, w = own.f(x)", "f (x) => (y, z, v) { y = Neg(x) z = Relu(x) v = Abs(x) }"),
    "control flow inside": model(
        "n = Neg(x) z = own.choose(n, c) y = own.choose(z, c)", CHOOSING, inputs="float[N, 3, 5] x, bool c"
    ),
    "called from a branch": model(
        "y = If (c) <then_branch = a () => (float[N, 3, 5] t) { t = own.f(x) }, "
        "else_branch = b () => (float[N, 3, 5] e) { n = own.f(x) e = own.f(n) }>",
        "f (x) => (y) { n = Neg(x) y = Relu(n) }",
        inputs="float[N, 3, 5] x, bool c",
    ),
    "an older opset": model(
        "y = own.f(x)",
        '<domain: "own", opset_import: ["" : 13]> f (x) => (y) '
        "{ t = LeakyRelu <alpha = 0.5> (x) s = Shape(t) y = Reshape(t, s) }",
    ),
    "an operator set that the model has not": model(
        "y = own.f(x)",
        '<domain: "own", opset_import: ["" : 17, "com.microsoft" : 1]> f (x) => (y) '
        "{ t = com.microsoft.QuickGelu <alpha = 1.0> (x) y = Neg(t) }",
    ),
    "a model without operators of ONNX's": without_onnx,
    "sizes that it is given": model(
        "s = Constant <value = int64[2] {-1, 15}> () y = own.f(x, s)",
        "f (x, s) => (y) { t = Reshape(x, s) y = Relu(t) }",
        outputs="float[N, 15] y",
    ),
    "the only call of a long one": model(
        "y = own.f(x)",
        f"f (x) => (y) {{ {' '.join(f't{i + 1} = Neg(t{i})' for i in range(40))} y = Abs(t40) }}".replace(
            "(t0)", "(x)"
        ),
    ),
}


def doubling(count: int) -> tuple[str, ...]:
    """Functions that each call the next one twice."""
    last = f"f{count} (x) => (y) {{ y = Neg(x) }}"
    return (*(f"f{i} (x) => (y) {{ a = own.f{i + 1}(x) y = own.f{i + 1}(a) }}" for i in range(count)), last)


def calling_itself(draw: Draw) -> Graph:
    """A function that calls itself when it is given a negative number."""
    del draw
    return from_onnx(
        parsed("y = own.f(x)", "f (x) => (y) { a = own.g(x) y = Neg(a) }", "g (x) => (y) { y = own.f(x) }")
    )


LONG = ", ".join(map(str, range(200)))

NEAR_MISSES = {
    "it_comes_to_an_end": [calling_itself],
    "the_model_grows_within_the_limit": [
        model(
            "z = own.f(x) y = own.f(z)",
            f"f (x) => (y) {{ k = Constant <value = float[1, 1, 200] {{{LONG}}}> () m = ReduceMax(k) "
            "y = Mul(x, m) }",
        ),
    ],
    "its_body_can_be_read": [
        model("y = own.f(x)", '<domain: "own", opset_import: ["" : 18]> f (x) => (y) { y = Abs(x) }'),
    ],
    "the_operator_sets_agree": [
        model(
            'y = own.f(x) z = ai.onnx.ml.LabelEncoder <classes_strings = ["a", "b"]> (s)',
            '<domain: "own", opset_import: ["" : 17, "ai.onnx.ml" : 2]> f (x) => (y) '
            "{ y = ai.onnx.ml.Binarizer <threshold = 0.5> (x) }",
            inputs="float[N, 3, 5] x, string[2] s",
            outputs="float[N, 3, 5] y, int64[2] z",
            opsets='"" : 17, "own" : 1, "ai.onnx.ml" : 1',
        )
    ],
    "the_results_have_the_types_it_states": [
        model(
            "s = Constant <value = int64[2] {5, 2}> () y = own.f(x, s)",
            "f (x, s) => (y) { y = Reshape(x, s) }",
            inputs="float[2, 5] x",
            outputs="float[2, 5] y",
        ),
    ],
}


def inlined(graph: Graph) -> ModelProto:
    """What is left of a model."""
    return to_onnx(Pipeline([InlineLocalFunction(bodies=FunctionBodies())]).run(graph)[0])


def names(message: ModelProto) -> list[str]:
    return [function.name for function in message.functions]


def test_without_a_reader_calls_stay() -> None:
    graph = EXAMPLES["one call"](Draw(dyadic=True))
    _, trace = Pipeline([InlineLocalFunction()]).run(graph)
    assert [refusal.requirement for refusal in trace.refusals] == ["its_body_can_be_read"]


def test_operators_of_an_older_opset_are_said_as_the_model_says_them() -> None:
    older = """<domain: "own", opset_import: ["" : 11]> f (x) => (y) {
        t = ReduceSum <axes = [1]> (x) y = Softmax <axis = 1> (t) }"""
    given = parsed("y = own.f(x)", older, inputs="float[2, 3, 5] x", outputs="float[2, 1, 5] y")
    result = inlined(from_onnx(given))
    assert not names(result)
    x = Draw(dyadic=False).weight(2, 3, 5)
    total = np.exp(x.sum(axis=1, keepdims=True))
    (found,) = in_onnxruntime(from_onnx(result), {"x": x}).values()
    np.testing.assert_allclose(found, total / total.sum(axis=(1, 2), keepdims=True), rtol=1e-5)


def test_fewer_results_than_the_function_has() -> None:
    given = parsed("y = own.f(x)", "f (x) => (y, z) { y = Neg(x) z = Relu(x) }")
    assert [node.op_type for node in inlined(from_onnx(given)).graph.node] == ["Neg"]


def test_a_result_that_is_an_operand_left_out_is_refused() -> None:
    given = parsed("t, u = own.f(x) y = Neg(t)", "f (x, z) => (y, z) { y = Neg(x) }")
    assert names(inlined(from_onnx(given))) == ["f"]


def test_a_call_that_is_given_a_body_is_refused() -> None:
    given = parsed("y = own.f(x)", "f <b> (x) => (y) { y = Neg(x) }")
    body = onnx.helper.make_graph([], "b", [], [])
    given.graph.node[0].attribute.append(onnx.helper.make_attribute("b", body))
    assert names(inlined(from_onnx(given))) == ["f"]


def test_doubling_on_and_on_stays() -> None:
    given = from_onnx(parsed("z = own.f0(x) y = own.f0(z)", *doubling(16)))
    assert len(names(inlined(given))) == 17


def test_of_doubling_what_fits_is_inlined() -> None:
    """Only the call that is alone: what it stands for is not, and stays."""
    assert names(inlined(from_onnx(parsed("y = own.f0(x)", *doubling(16))))) == [
        f"f{i}" for i in range(1, 17)
    ]


def test_functions_that_were_never_called_stay() -> None:
    result = inlined(
        from_onnx(parsed("y = own.f(x)", "f (x) => (y) { y = Neg(x) }", "g (x) => (y) { y = Abs(x) }"))
    )
    assert names(result) == ["g"]
    assert [entry.domain for entry in result.opset_import] == ["", "own"]


def test_functions_that_others_call_stay() -> None:
    """The call of g in a function that stays is one."""
    newer = '<domain: "own", opset_import: ["" : 18, "own" : 1]> f (x) => (y) { y = own.g(x) }'
    result = inlined(from_onnx(parsed("z = own.f(x) y = own.g(z)", newer, "g (x) => (y) { y = Abs(x) }")))
    assert names(result) == ["f", "g"]


def test_functions_go_with_the_last_call_though_it_was_in_vain() -> None:
    graph = from_onnx(
        parsed(
            "c = Constant <value = bool {1}> () y = Neg(x) u = own.f(x)",
            "f (x) => (y) { y = own.g(x) }",
            "g (x) => (y) { y = Abs(x) }",
        )
    )
    assert not names(to_onnx(Pipeline([DropUnreadValues()]).run(graph)[0]))
    assert names(to_onnx(Pipeline([]).run(graph)[0])) == ["f", "g"]


def test_nodes_are_called_after_the_call() -> None:
    given = parsed("y = own.f(x)", "f (x) => (y) { y = Relu(x) }")
    given.graph.node[0].name, given.functions[0].node[0].name = "block", "act"
    given.graph.node[0].metadata_props.add(key="from", value="here")
    node = inlined(from_onnx(given)).graph.node[0]
    assert (node.name, [(entry.key, entry.value) for entry in node.metadata_props]) == (
        "block/act",
        [("from", "here")],
    )


def test_bodies_inside_hide_no_name_around() -> None:
    """Both branches make n and one reads x; so is a value called around the call."""
    graph = model(
        "n = Neg(x) t = own.choose(n, c) y = Add(t, n)", CHOOSING, inputs="float[N, 3, 5] x, bool c"
    )(Draw(dyadic=True))
    result = inlined(graph)
    outer = {name for node in result.graph.node for name in node.output}
    assert not outer.intersection(name for node in _inner(result) for name in node.output)


def _inner(message: ModelProto) -> list[NodeProto]:
    bodies = [attribute.g for node in message.graph.node for attribute in node.attribute]
    return [node for body in bodies for node in body.node]


def test_the_same_body_is_read_once_a_type() -> None:
    count = 12
    chain = " ".join(f"t{i + 1} = own.f(t{i})" for i in range(count)).replace("(t0)", "(x)")
    result = inlined(from_onnx(parsed(f"{chain} y = Neg(t{count})", "f (x) => (y) { y = Relu(x) }")))
    assert [node.op_type for node in result.graph.node] == [*["Relu"] * count, "Neg"]


@pytest.mark.parametrize("operator", ["Relu", "Nonesuch"])
def test_a_function_may_be_called_as_an_operator_is(operator: str) -> None:
    """A model may define an operator of ONNX's own anew, or one that ONNX has not."""
    given = parsed(
        f"y = {operator}(x)", f'<domain: "", opset_import: ["" : 17]> {operator} (x) => (y) {{ y = Neg(x) }}'
    )
    graph = from_onnx(given)
    assert not any(isinstance(graph.op(node), Relu) for node in graph.nodes())
    assert [node.op_type for node in inlined(graph).graph.node] == ["Neg"]
    assert any(isinstance(graph.op(node), Opaque) for node in graph.nodes())


BLOCK = """block (x, w, s, t, m, v) => (y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, w) n = BatchNormalization (c, s, t, m, v) y = Relu(n) }"""


def test_a_normalisation_in_a_function_is_folded_and_found_equal() -> None:
    """Roundings inside of functions count, and noise in the weights that these are given is noise."""
    given = parsed(
        "y = own.block(x, w, s, t, m, v)", BLOCK, inputs="float[N, 4, 9, 7] x", outputs="float[A, B, C, D] y"
    )
    rng = np.random.default_rng(0)
    for name, shape in {"w": (6, 4, 3, 3), **dict.fromkeys("stmv", (6,))}.items():
        array = rng.uniform(0.5, 2.0, shape).astype(np.float32)
        given.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    result = optimize(given, level="clean", power="off")
    assert result.verification is not None
    assert result.verification.equal
    assert not result.culprits
    assert [node.op_type for node in result.proto.graph.node] == ["Conv", "Relu"]
    assert not result.proto.functions


def test_a_round_trip_leaves_functions_as_they_are() -> None:
    given = to_onnx(EXAMPLES["functions that call others"](Draw(dyadic=True)))
    result = optimize(given, passes=["none"], power="off")
    assert list(result.proto.functions) == list(given.functions)
    assert list(result.proto.graph.node) == list(given.graph.node)


def test_a_long_function_does_not_try_the_patience_of_a_run() -> None:
    """There is far more to do than the two nodes of the graph let expect."""
    count = 300
    chain = " ".join(f"t{i + 1} = Identity(t{i})" for i in range(count)).replace("(t0)", "(x)")
    graph = from_onnx(parsed("y = own.f(x)", f"f (x) => (y) {{ {chain} y = Neg(t{count}) }}"))
    rewrites = InlineLocalFunction(bodies=FunctionBodies()), RemoveIdentity()
    result, trace = Pipeline([Repeat(*rewrites)]).run(graph)
    assert len(trace.applications) == count + 1
    assert [node.op_type for node in to_onnx(result).graph.node] == ["Neg"]
