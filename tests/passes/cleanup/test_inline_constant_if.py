"""Tables for inline-constant-if."""

from collections.abc import Callable

import onnx
import pytest
from laws.draw import Draw
from laws.meaning import in_onnxruntime

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Squeeze
from convgraph.ir.tensor import Array
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.inline_constant_if import InlineConstantIf


def model(
    body: str,
    *,
    outputs: str = "float[N, 5] y",
    condition: str = "bool c = {1}",
    inputs: str = "float[N, 5] x",
) -> Callable[[Draw], Graph]:
    """A graph with a condition, from ``x``, written in ONNX's text form."""
    text = f'<ir_version: 8, opset_import: ["" : 17]> g ({inputs}) => ({outputs}) <{condition}> {{ {body} }}'
    return lambda _: from_onnx(onnx.parser.parse_model(text))


def choice(
    then: str = "t = Neg(x)", otherwise: str = "e = Abs(x)", *, kind: str = "float[N, 5]", name: str = "y"
) -> str:
    """An If, its branches making ``t`` and ``e``."""
    return (
        f"{name} = If (c) <then_branch = a () => ({kind} t) {{ {then} }}, "
        f"else_branch = b () => ({kind} e) {{ {otherwise} }}>"
    )


NESTED = (
    choice("t = Neg(x)", "e = Relu(x)", name="t").replace("= a ()", "= a2 ()").replace("= b ()", "= b2 ()")
)

EXAMPLES = {
    "taken": model(choice()),
    "not taken": model(choice(), condition="bool c = {0}"),
    "a vector of one": model(choice(), condition="bool[1] c = {1}"),
    "several operations and a constant": model(
        choice("k = Constant <value_float = 2.0> () n = Neg(x) m = Mul(n, k) t = Add(m, x)")
    ),
    "names used again in both and around": model(
        f"r = Relu(x) {choice('z = Neg(r) t = Abs(z)', 'z = Abs(x) e = Neg(z)')}"
    ),
    "another If with the same names": model(
        f"{choice()} {choice(name='z')}", outputs="float[N, 5] y, float[N, 5] z"
    ),
    "it hands on what it captures": model(f"r = Relu(x) {choice('t = Identity(r)')}"),
    "it hands on an input": model(choice("t = Identity(x)")),
    "a Range reads the vector of one that it makes": model(
        "n = Shape <end = 1> (x) zero = Constant <value_int = 0> () one = Constant <value_int = 1> ()"
        + choice("t = Identity(n)", "e = Squeeze(n)", kind="int64[]", name="z")
        + "y = Range(zero, z, one)",
        outputs="int64[k] y",
    ),
    "in the branch of another": model(choice(NESTED)),
    "in the branch that a caller chooses": model(
        choice(NESTED).replace("y = If (c)", "y = If (d)"), inputs="float[N, 5] x, bool d"
    ),
    "two results, one unread": model(
        "y, u = If (c) <then_branch = a () => (float[N, 5] t, float[N, 5] s) { t = Neg(x) s = Relu(x) }, "
        "else_branch = b () => (float[N, 5] e, float[N, 5] f) { e = Abs(x) f = Relu(x) }>"
    ),
    "one value twice": model(
        "y, z = If (c) <then_branch = a () => (float[N, 5] t, float[N, 5] s) { t = Neg(x) s = Identity(t) }, "
        "else_branch = b () => (float[N, 5] e, float[N, 5] f) { e = Abs(x) f = Relu(x) }>",
        outputs="float[N, 5] y, float[N, 5] z",
    ),
}

NEAR_MISSES = {
    "the_results_have_the_types_it_states": [
        model(
            choice("t = Reshape(x, wide)", "e = Relu(x)", kind="float"),
            condition="bool c = {1}, int64[2] wide = {5, 2}",
            outputs="float[2, 5] y",
            inputs="float[2, 5] x",
        )
    ]
}


@pytest.mark.parametrize("inputs", ["float[N, 5] x, bool c", "float[N, 5] x, bool c = {1}"])
def test_a_condition_that_a_caller_can_choose_is_left(inputs: str) -> None:
    graph = model(choice(), inputs=inputs, condition="bool d = {1}")(Draw(dyadic=True))
    assert not Pipeline([InlineConstantIf()]).run(graph)[1].applications


def test_values_get_names_that_no_other_body_uses() -> None:
    """The first choice falls away; the value z of the second must not come to hide one around it."""
    kept = choice("z = Relu(x) t = Neg(z)", "e = Abs(x)", name="w").replace("(c)", "(d)")
    taken = choice("z = Neg(x) t = Abs(z)")
    graph = model(f"{taken} {kept}", inputs="float[N, 5] x, bool d", outputs="float[N, 5] y, float[N, 5] w")(
        Draw(dyadic=True)
    )
    result, _ = Pipeline([InlineConstantIf()]).run(graph)
    names = [result.value_name(value) for node in result.nodes() for value in result.results(node)]
    assert "z" not in names
    feeds: dict[str, Array] = {
        "x": Draw(dyadic=True).weight(2, 5),
        "d": Draw(dyadic=True).factor().astype(bool),
    }
    before, after = in_onnxruntime(graph, feeds), in_onnxruntime(result, feeds)
    assert all((before[name] == after[name]).all() for name in before)


def test_a_range_that_reads_a_vector_of_one_is_given_a_scalar() -> None:
    graph = EXAMPLES["a Range reads the vector of one that it makes"](Draw(dyadic=True))
    result, _ = Pipeline([InlineConstantIf()]).run(graph)
    (made,) = (node for node in result.compute_nodes() if result.op(node).label == "Range")
    assert [result.type(v).rank for v in result.operands(made) if v is not None] == [0, 0, 0]


def test_a_range_that_reads_a_vector_of_none_is_as_broken_as_before() -> None:
    numbers = "zero = Constant <value_int = 0> () one = Constant <value_int = 1> ()"
    chosen = choice("t = Identity(n)", "e = Squeeze(n)", kind="int64[]", name="z")
    graph = model(
        f"n = Shape <start = 1, end = 1> (x) {numbers} {chosen} y = Range(zero, z, one)", outputs="int64[k] y"
    )(Draw(dyadic=True))
    result, trace = Pipeline([InlineConstantIf()]).run(graph)
    assert trace.applications
    assert not any(isinstance(result.op(node), Squeeze) for node in result.compute_nodes())
