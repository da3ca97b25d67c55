"""What a graph is to be fast on, and what it says of the price of a graph.

Whether a rewrite pays is asked here and nowhere else.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import ClassVar

from convgraph.analysis.alike import once_for_alike
from convgraph.analysis.cost import (
    NOTHING,
    Cost,
    Types,
    graph_cost,
    node_cost,
    node_costs,
    types_at_assumed_sizes,
)
from convgraph.analysis.onnxruntime_cpu.predict import node_seconds, reorders
from convgraph.analysis.onnxruntime_cpu.rates import Rates, committed
from convgraph.errors import UnsupportedOp
from convgraph.ir.graph import Graph

Price = tuple[float, ...]
"""What a target charges: lower is better, compared from left to right; its unit is the target's own."""

Prices = Mapping[int, Price]
"""The price of each node of a graph."""

Stopwatch = Callable[[Graph, Graph], tuple[float, float] | None]
"""The seconds that two graphs take, run in turns on the target; None where that is not told."""

MARGIN = 0.02  # of the predicted time: two ways that are as close as this, a prediction cannot tell apart
_MICRO = 1e6
_SEEN, _MEASURED = (
    1,
    2,
)  # steps beyond what is replaced: layouts change between neighbours, and pass through some


class Target(ABC):
    """A device or runtime.

    ``nothing`` is its price for doing nothing; ``around`` is how many steps beyond some nodes it has to see
    to price them. ``is_timed`` says that its price is a time, so that it knows what more passes over memory
    cost where there are fewer multiplications. ``threads`` are how many a model is to run on, None where that
    is not said. ``stopwatch`` measures here what is otherwise predicted; None where nothing is measured.
    ``is_this_machine`` says that its prices, or what they are made of, were measured on the machine that the
    model is for: some rewrites pay on one processor and cost on another.
    """

    name: ClassVar[str]
    nothing: ClassVar[Price]
    around: int = 0
    is_timed: ClassVar[bool] = False
    threads: int | None = None
    stopwatch: Stopwatch | None = None

    @property
    def is_this_machine(self) -> bool:
        """Whether anything of its prices was measured on the machine that the model is for."""
        return self.stopwatch is not None

    def cost(self, graph: Graph, nodes: Iterable[int] | None = None) -> Cost:
        """What running the graph, or these of its nodes, counts: MACs, then bytes of memory traffic."""
        if nodes is None:
            return graph_cost(graph)
        return sum((node_cost(graph, node) for node in nodes), NOTHING)

    @abstractmethod
    def prices(self, graph: Graph) -> Prices:
        """The price of each node, at ``assumed_sizes`` where the graph leaves sizes open."""

    @abstractmethod
    def prefers(self, after: Price, *, before: Price) -> bool:
        """Whether it is a gain here to replace what costs ``before`` by what costs ``after``."""

    @abstractmethod
    def says(self, price: Price) -> str:
        """A price in words, with its unit."""

    def reorders(self, graph: Graph) -> int | None:
        """How many values change their layout in one run; None where the target tells of no layouts."""
        del graph
        return None

    def price(self, graph: Graph) -> Price:
        """The price of running the graph once: the sum of its nodes'."""
        return self.sum(self.prices(graph).values())

    def change(self, after: Prices, *, before: Prices) -> tuple[Price, Price]:
        """The prices before and after, each in all, of those nodes whose price is not the same in both."""
        kept = {node for node, price in before.items() if after.get(node) == price}
        old, new = ([p for n, p in prices.items() if n not in kept] for prices in (before, after))
        return self.sum(old), self.sum(new)

    def runs(self, op_type: str) -> bool:
        """Whether the target has this ONNX operator."""
        return True

    def sum(self, prices: Iterable[Price]) -> Price:
        """The price of several things together."""
        return tuple(map(sum, zip(self.nothing, *prices, strict=True)))


class GenericTarget(Target):
    """Any machine: fewer MACs are better, and at equal MACs fewer bytes."""

    name: ClassVar[str] = "generic"
    nothing: ClassVar[Price] = (0, 0)

    def prices(self, graph: Graph) -> Prices:
        """MACs and bytes of each node."""
        return _counted(graph)

    def prefers(self, after: Price, *, before: Price) -> bool:
        """Whether MACs go down, or stay and bytes go down."""
        return after < before

    def says(self, price: Price) -> str:
        """Its MACs and bytes."""
        macs, traffic = price
        return f"{macs:,.0f} MACs and {traffic:,.0f} bytes"


class OnnxruntimeCpu(Target):
    """onnxruntime on a CPU, whose time on one thread is predicted (``convgraph.analysis.onnxruntime_cpu``).

    What becomes of a node depends on those beside it: activations fuse, layouts change between neighbours.
    """

    name: ClassVar[str] = "onnxruntime-cpu"
    nothing: ClassVar[Price] = (0.0, 0, 0)
    is_timed: ClassVar[bool] = True

    def __init__(
        self,
        rates: Rates | None = None,
        *,
        threads: int | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._measured, self.threads, self.stopwatch = rates, threads, stopwatch
        self.around = _SEEN if stopwatch is None else _MEASURED
        self._prices = once_for_alike(self._predicted)

    @cached_property
    def rates(self) -> Rates:
        """How fast the machine is: as measured, or by the table that comes with convgraph."""
        return self._measured or committed()

    @property
    def is_this_machine(self) -> bool:
        """Whether there are rates of its own, or a stopwatch."""
        return self._measured is not None or super().is_this_machine

    def prices(self, graph: Graph) -> Prices:
        """The seconds that each node takes, its MACs and its bytes."""
        return self._prices(graph)

    def reorders(self, graph: Graph) -> int:
        """How many values come into blocks of channels, or out of them."""
        return reorders(graph, self.rates)

    def _predicted(self, graph: Graph) -> Prices:
        types, uncounted = types_at_assumed_sizes(graph), (0, 0)  # an input that is reordered takes time
        counts, times = _counts(graph, types), node_seconds(graph, self.rates, types=types)
        return {node: (time, *counts.get(node, uncounted)) for node, time in times.items()}

    def prefers(self, after: Price, *, before: Price) -> bool:
        """Whether the predicted time falls: by more than ``MARGIN``, or by less where no count rises."""
        (seconds, macs, traffic), (was, macs_before, traffic_before) = after, before
        no_count_rises = macs <= macs_before and traffic <= traffic_before
        return seconds < was * (1 if no_count_rises else 1 - MARGIN)

    def says(self, price: Price) -> str:
        """Its microseconds."""
        return f"{price[0] * _MICRO:,.1f} µs"


TARGETS: tuple[type[Target], ...] = (OnnxruntimeCpu, GenericTarget)


def target_named(
    name: str,
    *,
    rates: Rates | None = None,
    threads: int | None = None,
    stopwatch: Stopwatch | None = None,
) -> Target:
    """The target with this name; ``rates`` are those of a machine, None those that come with convgraph.

    ``threads`` are how many a model is to run on, ``stopwatch`` measures what else is predicted, where the
    target can make something of them.
    Raises UnsupportedOp, which lists the names there are, for any other name.
    """
    timed = OnnxruntimeCpu(rates, threads=threads, stopwatch=stopwatch)
    known: dict[str, Target] = {t.name: t for t in (timed, GenericTarget())}
    if name not in known:
        found, expected = "no target of this name", f"one of {', '.join(known)}"
        raise UnsupportedOp(f"target {name!r}", found=found, expected=expected)
    return known[name]


@once_for_alike
def _counted(graph: Graph) -> Prices:
    return _counts(graph, types_at_assumed_sizes(graph))


def _counts(graph: Graph, types: Types) -> dict[int, Price]:
    """The MACs and bytes of each node."""
    return {node: (cost.macs, cost.bytes) for node, cost in node_costs(graph, types=types).items()}
