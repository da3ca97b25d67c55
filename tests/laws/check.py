"""The laws, each a function that raises AssertionError with what broke it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph

from convgraph.errors import ConvgraphError, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Constant
from convgraph.ir.wellformed import check
from convgraph.passes import Pipeline, Refusal, Rewrite
from laws.draw import Draw
from laws.meaning import deployed_difference, difference
from laws.nearly import matches, meant, too_far

AnyRewrite = Rewrite[Any]
Example = Callable[[Draw], Graph]


def interface(graph: Graph) -> object:
    """Names, order and types of a graph's inputs and outputs."""
    return [[(graph.value_name(v), graph.type(v)) for v in side] for side in (graph.inputs, graph.outputs)]


def encoded(graph: Graph) -> bytes:
    """The graph as ONNX bytes: two graphs with the same are the same model."""
    return bytes(to_onnx(graph).SerializeToString(deterministic=True))


def constant_bytes(graph: Graph) -> int:
    """Bytes of all constants of a graph."""
    return sum(op.tensor.nbytes for n in graph.nodes() if isinstance(op := graph.op(n), Constant))


def rewrites_and_stays_well_formed(rewrite: AnyRewrite, graph: Graph) -> None:
    """Law 1: an example is rewritten; every step is well-formed and keeps the interface."""
    pipeline = Pipeline([rewrite])
    _, trace = pipeline.run(graph)
    assert trace.applications, f"never applied; refused: {trace.refusals}"
    for step in range(1, len(trace.applications) + 1):
        result, _ = pipeline.run(graph, stop_after=step)
        check(result)
        assert interface(result) == interface(graph)


def means_the_same(rewrite: AnyRewrite, graph: Graph, *, dyadic: bool, bound: float = 0.0) -> None:
    """Law 2: bit for bit on dyadic numbers, within the derived tolerance on real ones.

    So does every value inside that keeps its name: that says to a comparison that it is the same one.
    An approximation means the graph with the nearest weights in it, which are within its tolerance.
    """
    result, _ = Pipeline([rewrite]).run(graph)
    found = matches(rewrite, graph)
    assert not too_far(rewrite, graph, found)
    before, after = _showing_what_kept_its_name(meant(rewrite, graph, found), result)
    assert not difference(before, after, dyadic=dyadic, bound=bound)


def _showing_what_kept_its_name(before: Graph, after: Graph) -> tuple[Graph, Graph]:
    """Both graphs with the computed values that have the same name in both among their outputs."""
    twins = before.copy(), after.copy()
    computed = [{twin.value_name(v) for n in twin.compute_nodes() for v in twin.results(n)} for twin in twins]
    outputs = {before.value_name(value) for value in before.outputs}
    shared = sorted((computed[0] & computed[1]) - outputs - {""})
    for twin in twins:
        twin.outputs = (*twin.outputs, *map(twin.value, shared))
    return twins


def lowers_its_measure(rewrite: AnyRewrite, graph: Graph) -> None:
    """Law 3: every application lowers the measure the rewrite names."""
    pipeline = Pipeline([rewrite])
    _, trace = pipeline.run(graph)
    steps = [pipeline.run(graph, stop_after=step)[0] for step in range(len(trace.applications) + 1)]
    values = [rewrite.measure(step) for step in steps]
    assert all(later < earlier for earlier, later in pairwise(values)), values


def comes_to_rest(rewrite: AnyRewrite, graph: Graph) -> None:
    """Law 4: a second run changes nothing, and the input graph is untouched by either."""
    before = encoded(graph)
    result, _ = Pipeline([rewrite]).run(graph)
    again, trace = Pipeline([rewrite]).run(result)
    assert not trace.applications
    assert encoded(again) == encoded(result)
    assert encoded(graph) == before


def refuses_for(rewrite: AnyRewrite, graph: Graph, requirement: str) -> None:
    """Law 5: the near miss fails this requirement, those checked before it hold, nothing is applied."""
    result, trace = Pipeline([rewrite]).run(graph)
    assert not trace.applications
    assert requirement in {refusal.requirement for refusal in trace.refusals}, trace.refusals
    assert encoded(result) == encoded(graph)


def requirement_is_necessary(
    rewrite: AnyRewrite, near_miss: Example, requirement: str, *, bound: float = 0.0
) -> None:
    """Law 6: forced past it, the rewrite gives a wrong, invalid, unbuildable or costlier graph."""
    wrong = [_harm(rewrite, near_miss, requirement, dyadic=dyadic, bound=bound) for dyadic in (True, False)]
    assert any(wrong), f"{requirement} refuses a rewrite that would have been right"


def _harm(rewrite: AnyRewrite, near_miss: Example, requirement: str, *, dyadic: bool, bound: float) -> str:
    """What is wrong with the graph after the rewrite is forced; "" when nothing is.

    Parameters and feeds are of one character: real parameters round, and would differ on any feed.
    """
    graph = near_miss(Draw(dyadic=dyadic))
    match, node = _refused_match(rewrite, graph, requirement)
    forced = graph.copy()
    edit = Edit(forced, near=node)
    try:
        rewrite.apply(edit, match)
        edit.sweep()
        check(forced)
    except (ConvgraphError, AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"unbuildable or invalid: {error}"
    if interface(forced) != interface(graph):
        return "another interface"
    if not rewrite.measure(forced) < rewrite.measure(graph):
        return "no gain"
    limit = getattr(rewrite, "size_limit", None)
    if limit is not None and constant_bytes(forced) > constant_bytes(graph) + limit:
        return "the model grows past what the rewrite's own option allows"
    try:
        expected = meant(rewrite, graph, {node: match})
        return (
            too_far(rewrite, graph, {node: match})
            or difference(expected, forced, dyadic=dyadic, bound=bound)
            or deployed_difference(expected, forced, dyadic=dyadic, bound=bound)
        )
    except (Fail, InvalidArgument, InvalidGraph, UnsupportedOp) as error:
        assert not difference(graph, graph, dyadic=dyadic), "onnxruntime takes neither graph"
        return f"onnxruntime refuses it: {error}"


def _refused_match(rewrite: AnyRewrite, graph: Graph, requirement: str) -> tuple[Any, int]:
    for node in graph.nodes():
        match = rewrite.find(graph, node) if isinstance(graph.op(node), rewrite.roots) else None
        refusal: Refusal | None = None if match is None else rewrite.refusal(graph, match, at="")
        if refusal is not None and refusal.requirement == requirement:
            return match, node
    raise AssertionError(f"no match is refused for {requirement}")


def has_a_near_miss_each(rewrite: AnyRewrite, near_misses: Mapping[str, Sequence[Example]]) -> None:
    """Law 5, completeness: every requirement has a near miss, and no near miss is for anything else."""
    covered = {name for name, graphs in near_misses.items() if graphs}
    assert {fact.name for fact in rewrite.requirements()} == covered
