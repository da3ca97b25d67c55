"""What onnxruntime's CPU provider makes of a graph: what it fuses, and which values it keeps blocked.

With all optimisations on, activations and additions after a convolution become part of it, and values that
only convolutions and their kin touch stay in NCHWc: blocks of channels side by side. Each value that comes
into this layout, or leaves it, is reordered, a pass of its own. The rules are those of onnxruntime 1.31, read
off the graphs that it writes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from convgraph.analysis.at_load import computed_at_load
from convgraph.analysis.cost import Types
from convgraph.analysis.onnxruntime_cpu.progress import TO_CHANNELS_LAST, Progress
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Activation,
    Add,
    AveragePool,
    BatchNormalization,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dropout,
    Gelu,
    Gemm,
    GlobalAveragePool,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    MatMul,
    MaxPool,
    Mul,
    Op,
    Pad,
    Relu,
    Resize,
    Sigmoid,
    Sum,
    Swish,
    Tanh,
    Transpose,
)
from convgraph.ir.tensor import DataType, Known

_FOURS, _IMAGE = 4, 4  # channels that fill registers of four; axes of a batch of images
_FUSED = (Relu, LeakyRelu, Clip, Sigmoid, Tanh, HardSigmoid)  # become part of any convolution
_NOT_AFTER_A_SUM = (LeakyRelu, Clip)  # nor after what only blocks make a convolution
_BLOCKED = (Relu, Sigmoid, Tanh, HardSigmoid, HardSwish, Gelu, Swish)  # run on blocks as on anything
_LINEAR = ("half_pixel", "align_corners", "asymmetric")  # how a blocked linear Resize may count


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a graph runs.

    ``fused`` has, for each node that costs nothing of its own, the node it became part of: itself, where it
    is computed once for all when the model is loaded. ``blocked`` are the nodes that compute on blocks of
    channels. ``reordered`` are the values that change their layout, once for
    each time they do. ``apart`` are the convolutions whose own activation the runtime runs as a pass of its
    own, and ``summed`` those that add another value, of the size of their result, as they write. ``scaling``
    are blocked multiplications by constants and normalisations: the runtime makes convolutions of one channel
    each of them. ``steps`` has what became part of each product, in order. ``weights`` are the bytes of
    constants that products read.
    """

    fused: Mapping[int, int]
    blocked: frozenset[int]
    reordered: tuple[Value, ...]
    apart: frozenset[int] = frozenset()
    summed: frozenset[int] = frozenset()
    scaling: frozenset[int] = frozenset()
    steps: Mapping[int, Sequence[int]] = field(default_factory=dict)
    weights: int = 0


def planned(graph: Graph, types: Types, *, block: int) -> Plan:
    """The plan of a graph, ``types`` being those of its values at the sizes to count with.

    ``block`` is how many channels a block has, 1 where the runtime has no blocks. What control flow runs is
    not looked into.
    """
    planner = _Planner(graph=graph, types=types, block=block, loaded=computed_at_load(graph))
    for node in graph.compute_nodes():
        if node in planner.loaded:
            planner.fused[node] = node
        else:
            _RULES.get(type(graph.op(node)), _Planner.plainly)(planner, node)
    planner.read_plainly(*graph.outputs)
    return Plan(
        fused=planner.fused,
        blocked=frozenset(planner.blocked),
        reordered=(*planner.entered, *planner.left),
        apart=frozenset(planner.apart),
        summed=frozenset(planner.summed),
        scaling=frozenset(planner.scaling),
        steps=planner.steps,
        weights=sum(types[value].nbytes or 0 for value in planner.weights),
    )


def takes_plain_input(channels: int, *, group: int, block: int) -> bool:
    """Whether a blocked convolution of this many input channels reads them as they lie, not in blocks."""
    return group == 1 and channels < block


class _Planner(Progress):
    """What each kind of operation becomes, asked of all nodes in topological order."""

    __slots__ = ()

    def plainly(self, node: int) -> None:
        """Anything else reads plain values."""
        self.read_plainly(*self.values(node))

    def convolution(self, node: int) -> None:
        """Blocked where the channels allow, and with its own activation where the runtime fuses that."""
        op = self.graph.op(node)
        assert isinstance(op, Conv)
        x, result = self.values(node)[0], self.graph.results(node)[0]
        channels = (self.shape(self.values(node)[1]) or (0, 0))[1] * op.group
        is_blocked = self._is_blocked(node, op)
        if not is_blocked or takes_plain_input(channels, group=op.group, block=self.block):
            self.read_plainly(x)
        else:
            self.read_blocked(x)
        if is_blocked:
            self.run_blocked(node)
        self.maker[result] = node
        self.read_weight(node)
        if op.activation is not None:
            self._own_activation(node, op.activation)

    def _is_blocked(self, node: int, op: Conv) -> bool:
        """Whether element type, rank and channels let a convolution run on blocks."""
        operands = self.graph.operands(node)
        if self.block == 1 or not all(self.is_constant(v) for v in operands[1:3] if v is not None):
            return False
        weight = self.types[self.values(node)[1]]
        if weight.dtype is not DataType.FLOAT or weight.rank != _IMAGE or weight.static_shape is None:
            return False
        out, channels = weight.static_shape[:2]
        if op.group == 1:
            return channels < self.block or channels % _FOURS == 0
        if channels == 1 and out == op.group:
            return out % _FOURS == 0
        return channels % self.block == 0 and (out // op.group) % self.block == 0

    def _own_activation(self, node: int, activation: Activation) -> None:
        """The activation in the same node: a step of the convolution, or a pass after it, blocked or not."""
        result = self.graph.results(node)[0]
        self.activated.add(node)
        if isinstance(activation, _FUSED) or self._is_hard_swish(activation, result):
            return
        self.apart.add(node)
        del self.maker[result]
        if result in self.inside and not isinstance(activation, _BLOCKED):
            self.left[result] = None
            self.inside.discard(result)

    def _is_hard_swish(self, op: Op, result: Value) -> bool:
        """A HardSwish that becomes part of a blocked convolution: one that the graph does not return."""
        return isinstance(op, HardSwish) and result in self.inside and not self.graph.is_output(result)

    def product(self, node: int) -> None:
        """ConvTranspose, Gemm and MatMul read plain values; a Gemm takes an activation in."""
        self.plainly(node)
        self.read_weight(node)
        if isinstance(self.graph.op(node), (Gemm, MatMul)):
            self.maker[self.graph.results(node)[0]] = node
        if getattr(self.graph.op(node), "activation", None) is not None:
            self.apart.add(node)

    def activation(self, node: int) -> None:
        """A step of the product before it, a pass over blocks, or a plain pass."""
        op, x, result = self.graph.op(node), self.values(node)[0], self.graph.results(node)[0]
        made = self.open_product(x)
        if made is not None and self._takes(made, op, x, result):
            self.activated.add(made)
            self.fuse(node, made)
        elif x in self.inside and isinstance(op, _BLOCKED):
            self.run_blocked(node)
        else:
            self.plainly(node)

    def _takes(self, made: int, op: Op, x: Value, result: Value) -> bool:
        """Whether this product, ending in x so far, takes an activation in."""
        if isinstance(self.graph.op(made), (Gemm, MatMul)):
            return isinstance(op, _FUSED) and not isinstance(op, Clip) and len(self.shape(x) or ()) == 2
        if made in self.summed and made not in self.blocked:
            return isinstance(op, Relu)
        if (made in self.summed or made in self.scaling) and isinstance(op, _NOT_AFTER_A_SUM):
            return False
        hard_swish = isinstance(op, HardSwish) and x in self.inside and not self.graph.is_output(result)
        return isinstance(op, _FUSED) or hard_swish

    def normalization(self, node: int) -> None:
        """A step of the convolution before it, else a pointwise convolution of one channel each on blocks."""
        x = self.values(node)[0]
        made = self.open_product(x)
        constant = all(self.is_constant(v) for v in self.graph.operands(node)[1:])
        if made is None and isinstance(self.graph.producer(x), ConvTranspose) and x.node not in self.apart:
            made = x.node if self.graph.sole_reader(x) is not None else None
        if made is not None and made not in self.summed and made not in self.scaling and constant:
            self.fuse(node, made)
        elif x in self.inside and constant:
            self.scale(node)
        else:
            self.plainly(node)

    def binary(self, node: int) -> None:
        """Add and Mul: with a constant a step of the product before, else as all arithmetic."""
        x, *others = self.values(node)
        by_constant = [v for v in (x, *others) if self.is_constant(v)]
        if len(by_constant) != 1 or len(others) != 1:
            self.arithmetic(node)
            return
        other = x if others == by_constant else others[0]
        made = self.open_product(other)
        if made is not None and others == by_constant and self._folds(made, node, by_constant[0]):
            self.fuse(node, made)
        elif other in self.inside and self._scales(node, by_constant[0]):
            self.scale(node)
        else:
            self.plainly(node)

    def _folds(self, made: int, node: int, constant: Value) -> bool:
        """Whether the product before takes an addition of a constant, or a multiplication by it, in."""
        if made in self.summed:
            return False
        if isinstance(self.graph.op(made), MatMul):
            return isinstance(self.graph.op(node), Add) and len(self.shape(constant) or ()) == 1
        single = isinstance(self.graph.op(node), Mul) and self.types[constant].size == 1
        return isinstance(self.graph.op(made), Conv) and (single or self._is_channels(constant))

    def _scales(self, node: int, constant: Value) -> bool:
        return isinstance(self.graph.op(node), Mul) and self._is_channels(constant)

    def _is_channels(self, constant: Value) -> bool:
        """Whether a constant has one number for each of several channels of images."""
        shape = self.shape(constant) or ()
        rest = (*shape[:-3], *shape[-2:])
        return len(shape) in (_IMAGE - 1, _IMAGE) and shape[-3] > 1 and all(size == 1 for size in rest)

    def arithmetic(self, node: int) -> None:
        """Add, Sum and Mul of blocked values stay blocked; an Add becomes part of an open convolution."""
        values = self.values(node)
        shapes = [self.shape(v) for v in values]
        alike = None not in shapes and len(set(shapes)) == 1
        adds = not isinstance(self.graph.op(node), Mul)
        if all(v in self.inside for v in values) and (alike or (adds and self._same_channels(values))):
            made = self._adder(values, blocked=True) if adds and alike else None
            self._add(node, made) if made is not None else self.run_blocked(node)
            return
        self.plainly(node)
        made = self._adder(values, blocked=False) if isinstance(self.graph.op(node), Add) and alike else None
        if made is not None:
            self._add(node, made)

    def _adder(self, values: list[Value], *, blocked: bool) -> int | None:
        """The convolution that adds the other of two values as it writes; None where none does."""
        if len(values) != 2 or values[0] == values[1]:
            return None
        for value in values:
            made = self.open_product(value)
            if made is None or made in self.summed:
                continue
            if made not in self.scaling and not isinstance(self.graph.op(made), Conv):
                continue
            if (made in self.blocked) == blocked:
                return made
        return None

    def _add(self, node: int, made: int) -> None:
        self.summed.add(made)
        self.fuse(node, made)

    def _same_channels(self, values: list[Value]) -> bool:
        return len({(self.shape(v) or (0, 0))[1] for v in values}) == 1

    def concatenation(self, node: int) -> None:
        """Whole blocks stay blocked."""
        op, values = self.graph.op(node), self.values(node)
        assert isinstance(op, Concat)
        whole = all(v in self.inside and (self.shape(v) or (0, 1))[1] % self.block == 0 for v in values)
        self.run_blocked(node) if op.axis == 1 and whole else self.plainly(node)

    def pool(self, node: int) -> None:
        """Images of whole blocks are pooled in blocks."""
        x = self.values(node)[0]
        shape, results = self.shape(x), self.graph.results(node)
        pooled = self.types[x].dtype is DataType.FLOAT and shape is not None and len(shape) == _IMAGE
        whole = pooled and shape is not None and shape[1] % self.block == 0 and self.block > 1
        if whole and self._one_result(results):
            self.read_blocked(x)
            self.run_blocked(node)
        else:
            self.plainly(node)

    def _one_result(self, results: tuple[Value, ...]) -> bool:
        return not any(self.graph.readers(v) or self.graph.is_output(v) for v in results[1:])

    def resize(self, node: int) -> None:
        """Blocked values are resized in blocks by whole scales, in some modes."""
        op, x = self.graph.op(node), self.values(node)[0]
        assert isinstance(op, Resize)
        counts, before = op.coordinate_transformation_mode, self.shape(x)
        after = self.shape(self.graph.results(node)[0])
        nearest = op.mode == "nearest" and counts == "asymmetric" and op.nearest_mode == "floor"
        simple = nearest or (op.mode == "linear" and counts in _LINEAR)
        known = op.axes is None and all(self.is_constant(v) for v in self.values(node)[1:])
        if x in self.inside and known and simple and _is_enlarged(before, after):
            self.run_blocked(node)
        else:
            self.plainly(node)

    def transposition(self, node: int) -> None:
        """Blocked values that turn to channels last are reordered at once."""
        x = self.values(node)[0]
        self.read_plainly(x)
        if x in self.inside and self.turns(self.graph.results(node)[0], TO_CHANNELS_LAST):
            self.fused[node] = x.node

    def nothing(self, node: int) -> None:
        """What does nothing is not there at run time."""
        result, x = self.graph.results(node)[0], self.values(node)[0]
        self.same[result] = x
        self.fused[node] = x.node

    def padding(self, node: int) -> None:
        """Zeros around images become pads of the one convolution that reads them."""
        use = self.graph.sole_reader(self.graph.results(node)[0])
        if use is not None and use.slot == 0 and self._adds_zeros(node, self.graph.op(use.node)):
            self.nothing(node)
            self.fused[node] = use.node
        else:
            self.plainly(node)

    def _adds_zeros(self, node: int, reader: Op) -> bool:
        """Whether a Pad puts zeros, on spatial axes only, before a convolution that says its own pads."""
        op = self.graph.op(node)
        pads, fill = self._elements(self.graph.operand(node, 1)), self.graph.operand(node, 2)
        simple = isinstance(op, Pad) and op.mode == "constant" and self.graph.operand(node, 3) is None
        takes = isinstance(reader, Conv) and reader.auto_pad == "NOTSET"
        if not simple or not takes or pads is None or (fill is not None and self._elements(fill) != (0,)):
            return False
        half = len(pads) // 2
        return min(pads) >= 0 and not any([*pads[:2], *pads[half : half + 2]])

    def _elements(self, value: Value | None) -> Known | None:
        """The elements of a small constant."""
        tensor = self.graph.constant(value)
        return None if tensor is None else tensor.type.known


def _is_enlarged(before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> bool:
    """Whether images grow by whole factors, their batch and channels staying."""
    if before is None or after is None or len(before) != _IMAGE or before[:2] != after[:2]:
        return False
    return all(b > 0 and a >= b and a % b == 0 for b, a in zip(before[2:], after[2:], strict=True))


_RULES: Mapping[type[Op], Callable[[_Planner, int], None]] = {
    Conv: _Planner.convolution,
    **dict.fromkeys((ConvTranspose, Gemm, MatMul), _Planner.product),
    **dict.fromkeys((*_FUSED, *_BLOCKED), _Planner.activation),
    **dict.fromkeys((Add, Mul), _Planner.binary),
    **dict.fromkeys((MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool), _Planner.pool),
    **dict.fromkeys((Identity, Dropout), _Planner.nothing),
    BatchNormalization: _Planner.normalization,
    Sum: _Planner.arithmetic,
    Concat: _Planner.concatenation,
    Resize: _Planner.resize,
    Transpose: _Planner.transposition,
    Pad: _Planner.padding,
}
