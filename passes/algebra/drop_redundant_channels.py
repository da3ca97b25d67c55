"""Drop channels between convolutions that say nothing, or what another one says.

    conv(f(conv(x, W, b)), V, c)  ->  conv(f(conv(x, W[κ], b[κ])), V′, c + Σᵢ vᵢ · Σ V[:, i])
    V′[:, j]  =  Σᵢ V[:, i] over the channels i that are the j-th of those kept, κ

f works on each channel alone (activations, pools, depthwise convolutions). A channel goes when no convolution
after f reads it; when its filter is zero, so that it is one number v everywhere after f (a number other than
0 only where all windows lie within the image, or the borders would show it); or when it repeats another: same
filter, same bias, same filters of depthwise convolutions in f. Runtimes compute channels several at a time:
as many are kept as make a multiple of ``multiple_of``. Exact for finite inputs; floating point differs by the
rounding of the sums.

Source: Hu et al., Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep
Architectures (2016), for channels that are 0 after their activation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution, ConvTranspose, Op
from convgraph.passes.algebra.constant_weight import (
    LooksIntoWeight,
    WeightedConv,
    constant_weight,
    convolution,
)
from convgraph.passes.algebra.redundant_channels import Path, path_from, survey
from convgraph.passes.fusion.channelwise_ops import carried
from convgraph.passes.fusion.ordered_weights import of_inputs, with_channels, with_outputs
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class RedundantChannels(WeightedConv):
    """A convolution, and the path of its channels to what reads them.

    Of its channels ``kept`` stay; channel i is the one numbered ``stands_for[i]`` among those, or, for -1,
    nothing but ``numbers[i]`` everywhere at the end of the path.
    """

    path: Path
    kept: tuple[int, ...]
    stands_for: tuple[int, ...]
    numbers: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class DropRedundantChannels(LooksIntoWeight[RedundantChannels]):
    """Drop channels between convolutions that say nothing, or what another one says."""

    name: ClassVar[str] = "drop-redundant-channels"
    roots: ClassVar[tuple[type[Op], ...]] = (Convolution,)

    multiple_of: int = 4

    def find(self, graph: Graph, node: int) -> RedundantChannels | None:
        """A convolution of one group some of whose channels could go, as its weight and its readers' tell."""
        op, path = convolution(graph, node), path_from(graph, node)
        if not path.readers or op.group > 1 or op.activation is not None:
            return None
        found = survey(graph, node, path)
        kept = () if found is None else self._kept(found.first)
        if found is None or len(kept) == len(found.first):
            return None
        place = {channel: number for number, channel in enumerate(kept)}
        stands_for = (place.get(own, place.get(first, -1)) for own, first in enumerate(found.first))
        return RedundantChannels(
            conv=node, path=path, kept=kept, stands_for=tuple(stands_for), numbers=tuple(found.numbers)
        )

    @requirement
    def the_bias_is_constant(self, graph: Graph, m: RedundantChannels) -> bool:
        """The convolution's bias is a constant that no caller can override."""
        bias = graph.operand(m.conv, 2)
        return bias is None or graph.constant(bias) is not None

    @requirement
    def only_convolutions_read_the_channels(self, graph: Graph, m: RedundantChannels) -> bool:
        """All that reads them, after what they pass through, are convolutions of one group."""
        last = m.path.end(m.conv)
        return len(graph.readers(last)) == len(m.path.readers) and not graph.is_output(last)

    @requirement
    def the_weights_of_the_readers_are_constant(self, graph: Graph, m: RedundantChannels) -> bool:
        """The weight of each convolution that reads them is a constant that no caller can override."""
        return all(graph.constant(graph.operand(reader, 1)) is not None for reader in m.path.readers)

    def apply(self, edit: Edit, m: RedundantChannels) -> None:
        """Put convolutions that make and read fewer channels in the place of those there are."""
        x, weight, *bias = edit.graph.operands(m.conv)
        op = convolution(edit.graph, m.conv)
        less = with_outputs(edit, op, weight, taken=m.kept)
        shifts = [with_channels(edit, value, taken=m.kept) for value in bias]
        y = edit.add(op, x, less, *shifts, like=m.conv)
        for node in m.path.passed:
            y = carried(edit, node, y, taken=m.kept)
        for reader in m.path.readers:
            edit.replace(Value(reader, 0), _read(edit, m, reader, y))

    def _kept(self, alike: Sequence[int]) -> tuple[int, ...]:
        """The channels that say something new, and as many others as make up the number."""
        new = [channel for channel, first in enumerate(alike) if channel == first]
        others = [channel for channel, first in enumerate(alike) if channel != first]
        missing = self.multiple_of - len(new) if not new else -len(new) % self.multiple_of
        return tuple(sorted(new + others[:missing]))


def _read(edit: Edit, m: RedundantChannels, reader: int, x: Value) -> Value:
    """A reader's result from the channels that are kept."""
    graph, op = edit.graph, convolution(edit.graph, reader)
    weight, array = constant_weight(graph, reader)
    heard = [channel for channel, place in enumerate(m.stands_for) if place >= 0]
    columns = np.take(array, heard, axis=0 if isinstance(op, ConvTranspose) else 1)
    less = of_inputs(op, columns, places=[m.stands_for[channel] for channel in heard], count=len(m.kept))
    parameters = (
        edit.constant(less, like=weight),
        _shifted_bias(edit, m, reader),
        *graph.operands(reader)[3:],
    )
    return edit.add(op, x, *parameters, like=reader)


def _shifted_bias(edit: Edit, m: RedundantChannels, reader: int) -> Value | None:
    """A reader's bias with what the silent channels add to every pixel."""
    (weight, array), bias = constant_weight(edit.graph, reader), edit.graph.operand(reader, 2)
    numbers = np.where(np.asarray(m.stands_for) < 0, m.numbers, 0.0)
    if not numbers.any():
        return bias
    tensor = edit.graph.constant(bias)
    before = 0.0 if tensor is None else tensor.numpy().astype(np.float64)
    sums = array.astype(np.float64).reshape(*array.shape[:2], -1).sum(axis=2)
    return edit.constant((before + sums @ numbers).astype(array.dtype), like=bias or weight)
