"""What shows that a channel between convolutions could go: it is one number, unread, or another one again."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from convgraph.analysis.cost import weight
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Convolution, ConvTranspose, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_channels import ConstantChannels, Flags, is_unpadded, through
from convgraph.passes.algebra.constant_weight import weight_at
from convgraph.passes.fusion.channelwise_ops import is_channelwise

_LONGEST = 32  # operations passed through; each of a chain of thousands may start a path of its own


class Path(NamedTuple):
    """What a convolution's channels pass through, each read by the next alone, and the convolutions then."""

    passed: tuple[int, ...]
    readers: tuple[int, ...]

    def end(self, conv: int) -> Value:
        """The value that the readers read."""
        return Value(self.passed[-1] if self.passed else conv, 0)


class Survey(NamedTuple):
    """For each channel the first that is the same, itself when it is new, -1 when it is not needed at all.

    One that is not needed is ``numbers`` everywhere at the path's end, as far as anything reads it.
    """

    first: list[int]
    numbers: list[float]


def path_from(graph: Graph, conv: int) -> Path:
    """The path from a convolution to the convolutions of one group that read its channels."""
    passed: list[int] = []
    value = Value(conv, 0)
    while (use := graph.sole_reader(value)) is not None and use.slot == 0 and is_channelwise(graph, use.node):
        if getattr(graph.op(use.node), "activation", None) is not None or len(passed) == _LONGEST:
            break
        passed.append(use.node)
        value = Value(use.node, 0)
    readers = (use.node for use in graph.readers(value) if use.slot == 0 and _is_dense(graph.op(use.node)))
    return Path(tuple(passed), tuple(sorted(readers)))


def _is_dense(op: Op) -> bool:
    return isinstance(op, Convolution) and op.group == 1


def survey(graph: Graph, conv: int, path: Path) -> Survey | None:
    """What the weights say of each channel; None when the convolution's own is not known."""
    array = weight_at(graph, conv)
    if array is None:
        return None
    filters = np.moveaxis(array, 1, 0) if isinstance(graph.op(conv), ConvTranspose) else array
    count, bias = len(filters), _stored(graph, graph.operand(conv, 2))
    shifts = np.zeros(count) if bias is None else bias
    constants = ConstantChannels(known=_all_zero(filters), numbers=shifts.astype(np.float64))
    marks = [filters, shifts]
    for node in path.passed:
        constants = through(graph, node, constants)
        marks += _own_parameters(graph, node)
    unread = np.all([_unread(graph, reader, count=count) for reader in path.readers], axis=0)
    silent = unread | (constants.known if _a_bias_can_take_it(graph, path.readers) else constants.zero)
    return Survey(_first_alike(marks, silent=silent), np.where(unread, 0.0, constants.numbers).tolist())


def _stored(graph: Graph, value: Value | None) -> Array | None:
    tensor = None if value is None else weight(graph, value)
    return None if tensor is None else tensor.numpy()


def _own_parameters(graph: Graph, node: int) -> Iterator[Array]:
    """The constants of a depthwise convolution, one entry a channel; nothing for other operations."""
    values = graph.operands(node)[1:3] if isinstance(graph.op(node), Convolution) else ()
    tensors = (graph.constant(value) for value in values)
    return (tensor.numpy() for tensor in tensors if tensor is not None)


def _unread(graph: Graph, conv: int, *, count: int) -> Flags:
    """Which of so many input channels a convolution of one group has only zeros for."""
    array = weight_at(graph, conv)
    if array is None:
        return np.zeros(count, bool)
    by_input = array if isinstance(graph.op(conv), ConvTranspose) else np.moveaxis(array, 1, 0)
    return _all_zero(by_input)


def _all_zero(channels: Array) -> Flags:
    """Which entries along the first axis hold zeros only."""
    zero: Flags = ~np.any(channels, axis=tuple(range(1, channels.ndim)))
    return zero


def _a_bias_can_take_it(graph: Graph, readers: Sequence[int]) -> bool:
    """Whether a number that a channel holds everywhere adds the same to each pixel, and to a known bias."""
    for reader in readers:
        op, bias = graph.op(reader), graph.operand(reader, 2)
        if not isinstance(op, Conv) or not is_unpadded(op):
            return False
        if bias is not None and graph.constant(bias) is None:
            return False
    return True


def _first_alike(marks: Sequence[Array], *, silent: Flags) -> list[int]:
    """For each channel the first with the same marks that is not silent; -1 for one that is."""
    first: dict[bytes, int] = {}
    alike = []
    tables = [(mark.tobytes(), mark[:1].nbytes) for mark in marks]
    for channel, quiet in enumerate(silent.tolist()):
        key = b"".join([table[channel * width : (channel + 1) * width] for table, width in tables])
        alike.append(-1 if quiet else first.setdefault(key, channel))
    return alike
