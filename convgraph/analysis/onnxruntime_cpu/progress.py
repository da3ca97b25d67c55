"""What is known while a plan is made: of the nodes seen so far, where their values lie and what fused."""

from dataclasses import dataclass, field

from convgraph.analysis.cost import Types
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Transpose

TO_CHANNELS_LAST, TO_CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(slots=True, kw_only=True)
class Progress:
    """What is known of the nodes seen so far, in topological order.

    ``maker`` has, for each value that a product's last step makes, the product's node; ``inside`` the values
    that lie in blocks, ``loaded`` the nodes computed when the model is loaded. ``entered`` and ``left`` are
    ordered sets.
    """

    graph: Graph
    types: Types
    block: int
    loaded: frozenset[int]
    fused: dict[int, int] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    entered: dict[Value, None] = field(default_factory=dict)
    left: dict[Value, None] = field(default_factory=dict)
    maker: dict[Value, int] = field(default_factory=dict)
    inside: set[Value] = field(default_factory=set)
    activated: set[int] = field(default_factory=set)
    summed: set[int] = field(default_factory=set)
    scaling: set[int] = field(default_factory=set)
    apart: set[int] = field(default_factory=set)
    same: dict[Value, Value] = field(default_factory=dict)
    steps: dict[int, list[int]] = field(default_factory=dict)
    weights: set[Value] = field(default_factory=set)

    # ---- what rules are made of ----

    def is_constant(self, value: Value | None) -> bool:
        """Whether a value is the same in each run."""
        return value is not None and (value.node in self.loaded or self.graph.constant(value) is not None)

    def values(self, node: int) -> list[Value]:
        """The operands of a node that it has, each as the value it is at run time."""
        return [self.same.get(v, v) for v in self.graph.operands(node) if v is not None]

    def shape(self, value: Value) -> tuple[int, ...] | None:
        """The sizes of a value; None where they are not known."""
        return self.types[value].static_shape

    def read_plainly(self, *values: Value) -> None:
        """Somebody reads these values as they lie outside of blocks."""
        self.left.update(dict.fromkeys(v for v in values if v in self.inside))

    def read_blocked(self, value: Value) -> None:
        """Somebody reads this value in blocks."""
        if value in self.inside:
            return
        if self.turns(value, TO_CHANNELS_FIRST) and self.graph.sole_reader(value) is not None:
            self.fused[value.node] = value.node  # the reordering reads through the transposition
        self.entered[value] = None

    def read_weight(self, node: int) -> None:
        """A product reads its second operand, which may be a constant."""
        weight = self.values(node)[1]
        if self.is_constant(weight):
            self.weights.add(weight)

    def run_blocked(self, node: int) -> None:
        """The node computes on blocks and makes some."""
        self.blocked.add(node)
        self.inside.add(self.graph.results(node)[0])

    def scale(self, node: int) -> None:
        """The node multiplies channels by constants, in blocks: a convolution of one channel each."""
        self.run_blocked(node)
        self.scaling.add(node)
        self.maker[self.graph.results(node)[0]] = node

    def open_product(self, value: Value) -> int | None:
        """The product that ends in this value, read once, without an activation as yet; None otherwise."""
        made = self.maker.get(value)
        is_open = made is not None and made not in self.activated
        return made if is_open and self.graph.sole_reader(value) is not None else None

    def fuse(self, node: int, into: int) -> None:
        """The node becomes the last step of a product."""
        result = self.graph.results(node)[0]
        last = self.graph.results(into)[0]
        self.fused[node] = into
        self.steps.setdefault(into, []).append(node)
        self.maker[result] = into
        if last in self.inside:
            self.inside.add(result)

    def turns(self, value: Value, perm: tuple[int, ...]) -> bool:
        """Whether a value is made by turning the axes of another in this way."""
        op = self.graph.producer(value)
        return isinstance(op, Transpose) and op.perm == perm
