"""Which of the functions that a model brought along leave with it."""

from collections.abc import Iterable

from onnx import ModelProto

from convgraph.analysis.functions import called_by, function_of, nodes_within
from convgraph.ir.header import Function


def drop_uncalled(model: ModelProto, *, released: Iterable[Function]) -> None:
    """Take out functions that were ``released`` and have no call left, and the operator sets only they had.

    So do functions that they alone call. What no rewrite has touched stays, called or not.
    """
    bodies = {function_of(proto): set(map(called_by, nodes_within(proto.node))) for proto in model.functions}
    doubtful = _reached(released, bodies)
    if not doubtful:
        return
    graphs = [model.graph, *(g for t in model.training_info for g in (t.initialization, t.algorithm))]
    nodes = [node for graph in graphs for node in nodes_within(graph.node)]
    kept = _reached([*map(called_by, nodes), *(bodies.keys() - doubtful)], bodies)
    gone = doubtful - kept
    if not gone:
        return
    left = [proto for proto in model.functions if function_of(proto) in kept]
    del model.functions[:]
    model.functions.extend(left)
    domains = {domain for domain, *_ in kept.union(map(called_by, nodes), *(bodies[name] for name in kept))}
    imports = [
        o for o in model.opset_import if o.domain in domains | {""} or o.domain not in {g[0] for g in gone}
    ]
    del model.opset_import[:]
    model.opset_import.extend(imports)


def _reached(names: Iterable[Function], bodies: dict[Function, set[Function]]) -> set[Function]:
    """The functions among these names, and all that they call."""
    found: set[Function] = set()
    waiting = [name for name in names if name in bodies]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(other for other in bodies[name] if other in bodies)
    return found
