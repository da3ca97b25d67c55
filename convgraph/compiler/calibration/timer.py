"""How long a graph takes in onnxruntime here, on one thread, with all its optimisations on."""

from collections.abc import Callable

from convgraph.analysis.infer import assumed_sizes, at_sizes
from convgraph.compiler.measure import clock_of, interleaved
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Input
from convgraph.ir.tensor import Array
from convgraph.numerics.feeds import Manner, make_feeds
from convgraph.numerics.session import Session

Timer = Callable[[Graph], float]

_SEED = 0
_INDICES = Manner(ceiling=1)  # an integer may well be an index: 0 is one of everything
_BUDGET = 0.1  # seconds for all readings of a graph, where it is fast enough
_GRAPH = "graph"


def timer() -> Timer:
    """What tells the seconds of one run of a graph.

    Inputs are random, outputs lie in memory of their own. The time is the processor's for this thread, so
    that other programs count only by the caches and the bandwidth that they take. That makes a run longer and
    never shorter, so it is the least of several readings. What a call costs beside the graph's nodes, about 2
    microseconds, is included. It raises Unverifiable for a graph that onnxruntime does not run.
    """
    return seconds


def seconds(graph: Graph) -> float:
    """The seconds of one run of a graph, at ``assumed_sizes`` where it leaves sizes open."""
    run = Session(to_onnx(graph), optimized=True, at=graph.name).prepared(random_feeds(graph))
    found = interleaved({_GRAPH: run}, clock=clock_of(1), seconds=_BUDGET)
    return min(found.rounds[_GRAPH])


def random_feeds(graph: Graph) -> dict[str, Array]:
    """An array for each input that has no default: normal floats, and zeros where integers are asked for."""
    sizes = assumed_sizes(graph)
    types = {graph.value_name(value): at_sizes(graph, value, sizes) for value in _supplied(graph)}
    shapes = {name: type_.static_shape or () for name, type_ in types.items()}
    return make_feeds(types, shapes=shapes, sizes={}, seed=_SEED, manner=_INDICES)


def _supplied(graph: Graph) -> list[Value]:
    """The inputs that a caller has to give."""
    ops = ((value, graph.producer(value)) for value in graph.inputs)
    return [value for value, op in ops if isinstance(op, Input) and op.default is None]
