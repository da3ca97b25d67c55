"""Append channels of zeros to those between convolutions, until they come in fours.

    conv(f(conv(x, W, b)), V, c)  ->  conv(f(conv(x, [W; 0], [b; 0])), [V, 0], c)

f works on each channel alone (activations, pools, depthwise convolutions). onnxruntime computes a convolution
in blocks of channels only where those it reads come in fours, and rounds up to whole blocks what it writes:
the few channels more cost next to nothing. Networks whose channels were chosen by a search or by pruning have
such numbers. Exact for finite inputs: whatever f makes of a zero meets zeros.

Source: onnxruntime's NchwcTransformer; Li et al., Pruning Filters for Efficient ConvNets (2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Activation, Conv, GlobalPool, Op, Pool
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.fusion.channelwise_ops import has_no_channels, is_channelwise
from convgraph.passes.rewrite import requirement
from convgraph.passes.timed import TimedRewrite

_FOURS = 4
_LONGEST = 32  # operations passed through
_FINITE_OF_ZERO = (Activation, Pool, GlobalPool, Conv)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaggedChannels:
    """A convolution, what its channels pass through, the convolutions that read them, and how many lack."""

    conv: int
    passed: tuple[int, ...]
    readers: tuple[int, ...]
    missing: int

    @property
    def end(self) -> Value:
        """The value that the readers read."""
        return Value(self.passed[-1] if self.passed else self.conv, 0)


@dataclass(frozen=True, kw_only=True)
class AppendChannelsToConv(TimedRewrite[RaggedChannels]):
    """Append channels of zeros to those between convolutions, until they come in fours."""

    name: ClassVar[str] = "append-channels-to-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> RaggedChannels | None:
        """A convolution of one group to channels that are not in fours, and convolutions of these."""
        op, weight = convolution(graph, node), graph.operand(node, 1)
        assert weight is not None
        count = graph.type(weight).dim(0)
        if not isinstance(count, int) or count % _FOURS == 0 or not self.can_be_judged:
            return None
        if op.group > 1 or not has_no_channels(graph, node):
            return None
        passed = _passed(graph, node)
        readers = _dense_readers(graph, Value(passed[-1] if passed else node, 0))
        found = RaggedChannels(conv=node, passed=passed, readers=readers, missing=-count % _FOURS)
        return found if readers else None

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: RaggedChannels) -> bool:
        """Weight and bias of the first convolution are constants that no caller can override."""
        return all(graph.constant(v) is not None for v in graph.operands(m.conv)[1:3] if v is not None)

    @requirement
    def the_weights_of_the_readers_are_constant(self, graph: Graph, m: RaggedChannels) -> bool:
        """The weight of each convolution that reads them is a constant that no caller can override."""
        return all(graph.constant(graph.operand(reader, 1)) is not None for reader in m.readers)

    @requirement
    def only_convolutions_read_the_channels(self, graph: Graph, m: RaggedChannels) -> bool:
        """All that reads them, after what they pass through, are convolutions of one group."""
        return len(graph.readers(m.end)) == len(m.readers) and not graph.is_output(m.end)

    def replaces(self, graph: Graph, match: RaggedChannels) -> tuple[int, ...]:
        """The convolutions, and what is between them."""
        del graph
        return (match.conv, *match.passed, *match.readers)

    def apply(self, edit: Edit, m: RaggedChannels) -> None:
        """Put convolutions that make and read more channels in the place of those there are."""
        graph, (x, *made) = edit.graph, edit.graph.operands(m.conv)
        more = [*(_appended(edit, value, by=m.missing, axis=0) for value in made[:2]), *made[2:]]
        x = edit.add(graph.op(m.conv), x, *more, like=m.conv)
        for node in m.passed:
            x = _widened(edit, node, x, by=m.missing)
        for reader in m.readers:
            _, weight, *rest = graph.operands(reader)
            wide = _appended(edit, weight, by=m.missing, axis=1)
            edit.replace(Value(reader, 0), edit.add(graph.op(reader), x, wide, *rest, like=reader))


def _passed(graph: Graph, conv: int) -> tuple[int, ...]:
    """What a convolution's channels pass through, each read by the next alone, that makes no number of 0."""
    passed: list[int] = []
    value = Value(conv, 0)
    while (use := graph.sole_reader(value)) is not None and use.slot == 0 and len(passed) < _LONGEST:
        op = graph.op(use.node)
        if not isinstance(op, _FINITE_OF_ZERO) or not is_channelwise(graph, use.node):
            break
        passed.append(use.node)
        value = Value(use.node, 0)
    return tuple(passed)


def _dense_readers(graph: Graph, value: Value) -> tuple[int, ...]:
    """The convolutions of one group that read the channels of a value."""
    found = ((use.node, graph.op(use.node)) for use in graph.readers(value) if use.slot == 0)
    return tuple(sorted(node for node, op in found if isinstance(op, Conv) and op.group == 1))


def _widened(edit: Edit, node: int, x: Value, *, by: int) -> Value:
    """A channelwise node's work on x, which has so many channels more."""
    graph, op = edit.graph, edit.graph.op(node)
    _, *rest = graph.operands(node)
    if isinstance(op, Conv):
        op = replace(op, group=op.group + by)
        rest = [*(_appended(edit, value, by=by, axis=0) for value in rest[:2]), *rest[2:]]
    return edit.add(op, x, *rest, name=graph.value_name(Value(node, 0)), like=node)


def _appended(edit: Edit, parameter: Value | None, *, by: int, axis: int) -> Value | None:
    """The constant with so many zeros more along an axis; None for None."""
    tensor = edit.graph.constant(parameter)
    if tensor is None:
        return None
    sides: Sequence[tuple[int, int]] = [(0, by if place == axis else 0) for place in range(len(tensor.shape))]
    return edit.constant(np.pad(tensor.numpy(), sides), like=parameter)
