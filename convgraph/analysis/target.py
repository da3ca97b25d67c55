"""What a graph is to be fast on, and what it says of the cost of a graph.

Whether a rewrite pays is asked here and nowhere else.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from convgraph.analysis.cost import NOTHING, Cost, graph_cost, node_cost
from convgraph.errors import UnsupportedOp
from convgraph.ir.graph import Graph

_WIDE, _WORTH_GROUPS = 64, 3_000_000  # channels, MACs
_BLOCKED, _FOURS, _IMAGE, _WORTH_A_MAP = 16, 4, 2, 18  # channels, channels, axes, MACs an element


class Target(ABC):
    """A device or runtime.

    ``judges`` says that its costs predict time well enough to choose between two ways of computing the same,
    when one does more of something and less of something else. A rewrite that needs such a judge stays off on
    a target that is none.
    """

    name: ClassVar[str]
    judges: ClassVar[bool]

    def cost(self, graph: Graph, nodes: Iterable[int] | None = None) -> Cost:
        """What running the graph, or these of its nodes, costs: MACs, then bytes of memory traffic."""
        if nodes is None:
            return graph_cost(graph)
        return sum((node_cost(graph, node) for node in nodes), NOTHING)

    @abstractmethod
    def prefers(self, after: Cost, *, before: Cost) -> bool:
        """Whether a change of cost from ``before`` to ``after`` is a gain here."""

    def runs(self, op_type: str) -> bool:
        """Whether the target has this ONNX operator."""
        return True

    def is_faster_in_groups(self, *, channels: int, saved: int) -> bool:
        """Whether a convolution gains by falling into groups of channels.

        ``channels`` is how many it has on the side that has fewer, ``saved`` the MACs that it is spared.
        """
        return saved > 0

    def is_faster_with_a_map(self, *, channels: int, rest: int, taps: int, axes: int) -> bool:
        """Whether a convolution gains by adding a constant map in place of its constant channels.

        It has so many ``channels`` as it is and ``rest`` without them, ``taps`` and spatial ``axes``.
        """
        return rest < channels


class GenericTarget(Target):
    """Any machine: fewer MACs are better, and at equal MACs fewer bytes."""

    name: ClassVar[str] = "generic"
    judges: ClassVar[bool] = True

    def prefers(self, after: Cost, *, before: Cost) -> bool:
        """Whether MACs go down, or stay and bytes go down."""
        return after < before


class OnnxruntimeCpu(Target):
    """onnxruntime on a CPU, as yet without a cost model of its own.

    Counts do not say what is faster there (a convolution with fewer MACs may well be the slower one), so only
    a change that no count speaks against is taken for a gain.
    """

    name: ClassVar[str] = "onnxruntime-cpu"
    judges: ClassVar[bool] = False

    def prefers(self, after: Cost, *, before: Cost) -> bool:
        """Whether MACs or bytes go down and neither goes up."""
        return after != before and after.macs <= before.macs and after.bytes <= before.bytes

    def is_faster_in_groups(self, *, channels: int, saved: int) -> bool:
        """Whether it has 64 channels on either side and is spared three million MACs.

        Measured with onnxruntime 1.31, one thread, between pointwise convolutions: from there on 1.0 to 5
        times as fast at any number of groups, even where the channels have to change places before and after;
        below, 0.7 to 2 times.
        """
        return channels >= _WIDE and saved >= _WORTH_GROUPS

    def is_faster_with_a_map(self, *, channels: int, rest: int, taps: int, axes: int) -> bool:
        """Whether channels of images are 16 or more in fours without the constant ones, and not with them.

        Only in fours do they stay in the blocked layout. Where 18 MACs an element are spared as well this was
        1.1 to 1.8 times as fast, measured likewise; elsewhere, 0.8 to 1.3 times.
        """
        blocked = axes == _IMAGE and rest >= _BLOCKED and rest % _FOURS == 0 and channels % _FOURS != 0
        return blocked and (channels - rest) * taps >= _WORTH_A_MAP


TARGETS: tuple[type[Target], ...] = (OnnxruntimeCpu, GenericTarget)


def target_named(name: str) -> Target:
    """The target with this name. Raises UnsupportedOp, which lists the names there are, for any other."""
    for target in TARGETS:
        if target.name == name:
            return target()
    known = ", ".join(target.name for target in TARGETS)
    raise UnsupportedOp(f"target {name!r}", found="no target of this name", expected=f"one of {known}")
