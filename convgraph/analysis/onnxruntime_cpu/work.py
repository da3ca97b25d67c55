"""What a kernel does, counted, and how long that takes: the one formula behind every operation.

    seconds = (compute^4 + traffic^4)^(1/4)
    compute = Σ counts · rates                     elements, pieces, rows, taps, …
    traffic = bytes · seconds a byte(bytes)        slower the more bytes there are

A core computes while it waits for memory, so the longer of the two decides; where they are equal they get
into each other's way a little. How long a byte takes depends on the cache that all the bytes fit in.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from convgraph.analysis.onnxruntime_cpu.rates import Rates
from convgraph.ir.ops import Op
from convgraph.ir.tensor import TensorType

LEVELS = (2, 4, 16, 64)  # MiB
"""Amounts of traffic for which the table says how long a byte takes: ``memory.2`` and so on, in seconds."""

_MIB = 2.0**20
_OVERLAP = 4  # the power: 1 adds the two times up, infinity takes the longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One run of a node: its operation and the types, with sizes, of what it reads and makes.

    ``block`` is how many channels lie side by side, 1 where they do not: then channels are rounded up to it.
    ``several`` says that results after the first one are used, ``boundary`` that it reads what a caller gives
    or makes what a caller gets, ``opset`` the version of ONNX's operators.
    """

    op: Op
    operands: tuple[TensorType | None, ...]
    results: tuple[TensorType, ...]
    block: int = 1
    several: bool = False
    boundary: bool = False
    opset: int = 21

    @property
    def x(self) -> TensorType:
        """The first operand; the first result of an operation that reads nothing."""
        first = self.operands[0] if self.operands else None
        return self.results[0] if first is None else first

    @property
    def y(self) -> TensorType:
        """The first result."""
        return self.results[0]

    def operand(self, slot: int) -> TensorType | None:
        """The type of an operand; None where it is omitted."""
        return self.operands[slot] if slot < len(self.operands) else None

    def elements(self, type_: TensorType) -> int:
        """How many elements a value has as it lies in memory."""
        return elements(type_, block=self.block)

    def bytes(self, *types: TensorType | None) -> float:
        """How many bytes these values are."""
        return sum(self.elements(t) * t.dtype.bits / 8 for t in types if t is not None)

    @property
    def traffic(self) -> float:
        """Bytes of all operands and the first result."""
        return self.bytes(*self.operands, self.y)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done in one go: bytes read and written, and how often what else, by the names of the rates."""

    bytes: float
    counts: tuple[tuple[str, float], ...] = ()


def elements(type_: TensorType, *, block: int = 1) -> int:
    """The number of elements; what is not known counts 1, and channels are rounded up to whole blocks."""
    sizes = dims(type_)
    if block == 1 or len(sizes) < 2:
        return math.prod(sizes)
    return math.prod((*sizes[:1], -(-sizes[1] // block) * block, *sizes[2:]))


def dims(type_: TensorType) -> tuple[int, ...]:
    """The shape, 1 for every size that is not known."""
    return tuple([dim if isinstance(dim, int) else 1 for dim in type_.shape or ()])


def seconds_of(work: Iterable[Work], *, rates: Rates) -> float:
    """How long all this takes, one after the other, in seconds."""
    return sum(_overlapped(part, rates) for part in work)


def _overlapped(work: Work, rates: Rates) -> float:
    compute = sum(count * rates[name] for name, count in work.counts)
    traffic = work.bytes * _seconds_a_byte(work.bytes, rates)
    longer, shorter = max(compute, traffic), min(compute, traffic)
    return longer * (1 + (shorter / longer) ** _OVERLAP) ** (1 / _OVERLAP) if longer else 0.0


def _seconds_a_byte(size: float, rates: Rates) -> float:
    """Between two levels the time of a byte grows with the logarithm of the amount."""
    amount = min(max(size / _MIB, LEVELS[0]), LEVELS[-1])
    above = next(i for i, level in enumerate(LEVELS) if i and amount <= level)
    low, high = LEVELS[above - 1], LEVELS[above]
    part = math.log(amount / low) / math.log(high / low)
    return (1 - part) * rates[level_name(low)] + part * rates[level_name(high)]


def level_name(level: int) -> str:
    """What the table calls the seconds of a byte at this level."""
    return f"memory.{level}"
