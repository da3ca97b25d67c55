"""Images in tiles: how many outputs at a time, and how an axis and a kernel fall into them.

Where an axis is turned, m outputs of r taps are computed at m + r − 1 points
(``convgraph.passes.algebra.cook_toom``). A kernel of more taps than these points allow falls into blocks of
r = m taps: each meets the same tiles, one tile further on than the block before it, so that the products are
sums over as many tiles as there are blocks, and nothing is turned twice:

    y = Aᵀ[Σ_b (G g_b) ⊙ (Bᵀ d_(t+b))]        for tile t, g_b the taps from m·b on

An axis that is not turned is one of blocks of a single tap.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import product
from typing import NamedTuple

import numpy as np

from convgraph.ir.tensor import Array
from convgraph.passes.algebra.cook_toom import POINTS, Matrices, matrices, points

Tile = tuple[int, int]
"""How many rows and columns of outputs are computed at a time; 1: that axis is convolved as before."""

_MOST_POINTS = max(POINTS)
_OUTPUTS = (6, 4, 2)  # at a time: the more, the fewer multiplications, and the more roundings
_MOST_COLUMNS = 4  # beside as many rows or more: 6 × 6 round more than 6 × 4, and are no faster
_ENLARGING, _ENLARGING_TAPS = 2, (4, 6)  # the stride of transposed convolutions, and their taps
_OF_PHASES = (4, 2)  # outputs of each phase at a time
_LEAST_TAPS = {1: 3, 2: 5}  # by stride, for which it pays to turn an axis


class Axis(NamedTuple):
    """One spatial axis of an image in tiles.

    Its size, the zeros at either end, how many taps there are and by how much they move, and how many outputs
    a tile has.
    """

    size: int
    begin: int
    end: int
    taps: int
    stride: int
    m: int

    @property
    def is_turned(self) -> bool:
        """Whether tiles are transformed along it."""
        return self.m > 1

    @property
    def block(self) -> int:
        """How many taps meet a tile at its points."""
        return block(self.taps, self.stride, self.m)

    @property
    def blocks(self) -> int:
        """How many such blocks of taps there are, the last perhaps not full."""
        return -(-self.taps // self.block)

    @property
    def points(self) -> int:
        """At how many points products are computed."""
        return points(self.m, taps=self.block, stride=self.stride) if self.is_turned else 1

    @property
    def matrices(self) -> Matrices:
        """What turns kernels and tiles along it."""
        return matrices(self.m, taps=self.block, stride=self.stride)

    @property
    def kernels(self) -> int:
        """How many kernels meet the same tiles."""
        return 1

    @property
    def out(self) -> int:
        """How many outputs there are."""
        return (self.size + self.begin + self.end - self.taps) // self.stride + 1

    @property
    def made(self) -> int:
        """How many outputs a tile makes."""
        return self.m

    @property
    def surplus(self) -> tuple[int, int]:
        """How many outputs of the tiles are not wanted at either end."""
        return 0, self.m * self.tiles - self.out

    @property
    def untouched(self) -> tuple[int, int, int]:
        """The stride and pads that are left to the convolution of the points."""
        return (1, 0, 0) if self.is_turned else (self.stride, self.begin, self.end)

    @property
    def tiles(self) -> int:
        """How many tiles of outputs, the last perhaps not full."""
        return -(-self.out // self.m)

    @property
    def step(self) -> int:
        """How far it is from one tile to the next."""
        return self.m * self.stride

    def pads(self, first: int, last: int) -> tuple[int, int]:
        """The zeros around the image where of each tile only the pixels from first to last are read.

        A pad below 0 says that what is read begins, or ends, so far inside.
        """
        met = self.tiles + self.blocks - 1
        return self.begin - first, self.step * (met - 1) + last + 1 - self.size - self.begin


class Enlarging(NamedTuple):
    """One spatial axis of a transposed convolution whose stride divides its kernel, in tiles of its image.

    Each phase of the output has t = taps / s taps of neighbouring pixels. What m outputs of each make of the
    same m + t − 1 pixels lies between what the others do: a tile makes s·m neighbouring outputs.

    Its size, how many outputs there are, how many taps, the stride s, how many outputs are cropped at the
    begin, and the outputs m of each phase at a time.
    """

    size: int
    out: int
    taps: int
    stride: int
    crop: int
    m: int

    @property
    def is_turned(self) -> bool:
        """Always: it is not convolved otherwise."""
        return True

    @property
    def block(self) -> int:
        """All taps meet the same tile."""
        return self.taps

    @property
    def blocks(self) -> int:
        """There is no other block of taps."""
        return 1

    @property
    def kernels(self) -> int:
        """How many kernels meet the same tiles: one for each phase."""
        return self.stride

    @property
    def points(self) -> int:
        """At how many points products are computed, of all phases together."""
        return self.stride * points(self.m, taps=self.taps // self.stride)

    @property
    def matrices(self) -> Matrices:
        """What turns kernels, phase by phase, and tiles, once for all phases, and interleaves the outputs."""
        number, one = self.stride, matrices(self.m, taps=self.taps // self.stride)
        n = len(one.kernel)
        kernel = np.zeros((number, n, self.taps))
        outputs = np.zeros((self.m, number, number, n))
        for phase in range(number):
            kernel[phase, :, phase::number] = one.kernel[:, ::-1]
            outputs[:, phase, phase] = one.outputs
        return Matrices(
            kernel=kernel.reshape(-1, self.taps),
            tile=one.tile,
            outputs=outputs.reshape(self.made, -1),
            ones=np.tile(one.ones, number),
        )

    @property
    def begin(self) -> int:
        """How many zeros before the image the first tile begins with."""
        return -(-(self.taps - self.crop - self.stride) // self.stride)

    @property
    def tiles(self) -> int:
        """How many tiles of outputs, the last perhaps not full."""
        return -(-(self.out + self.surplus[0]) // self.made)

    @property
    def step(self) -> int:
        """How far it is from one tile to the next."""
        return self.m

    @property
    def made(self) -> int:
        """How many outputs a tile makes."""
        return self.stride * self.m

    @property
    def surplus(self) -> tuple[int, int]:
        """How many outputs of the tiles are not wanted at either end."""
        before = self.stride * self.begin - (self.taps - self.crop - self.stride)
        tiles = -(-(self.out + before) // self.made)
        return before, tiles * self.made - self.out - before

    @property
    def untouched(self) -> tuple[int, int, int]:
        """The convolution of the points has neither stride nor pads."""
        return 1, 0, 0

    def pads(self, first: int, last: int) -> tuple[int, int]:
        """The zeros around the image where of each tile only the pixels from first to last are read."""
        return self.begin - first, self.step * (self.tiles - 1) + last + 1 - self.size - self.begin


Along = Axis | Enlarging
"""An axis in tiles."""


def block(taps: int, stride: int, outputs: int) -> int:
    """How many taps meet a tile of so many outputs: all, or where these are too many, one for each step."""
    if outputs == 1:
        return 1
    return taps if outputs - (-taps // stride) - 1 <= _MOST_POINTS else outputs * stride


def tiles(kernel: Sequence[int], strides: Sequence[int]) -> tuple[Tile, ...]:
    """Those that are weighed against each other, for a kernel of so many taps and strides along each axis."""
    rows, columns = (_outputs(taps, stride) for taps, stride in zip(kernel, strides, strict=True))
    if rows and columns:
        both = ((m, min(m, _MOST_COLUMNS)) for m in rows)
        return (*((m, 1) for m in rows[:-1]), *((m, n) for m, n in both if n in columns))
    return (*((m, 1) for m in rows), *((1, m) for m in columns))


def enlarging_tiles(kernel: Sequence[int], strides: Sequence[int]) -> tuple[Tile, ...]:
    """The same for a transposed convolution, of outputs of each phase."""
    if {*strides} != {_ENLARGING} or not all(taps in _ENLARGING_TAPS for taps in kernel):
        return ()
    return tuple((m, m) for m in _OF_PHASES)


def _outputs(taps: int, stride: int) -> tuple[int, ...]:
    """How many there may be at a time; none where it does not pay to turn an axis."""
    if taps < _LEAST_TAPS.get(stride, taps + 1):
        return ()
    return tuple(m for m in _OUTPUTS if m - (-block(taps, stride, m) // stride) - 1 <= _MOST_POINTS)


def kernel_transform(turned: Sequence[Along]) -> Array:
    """G, or G ⊗ G for points numbered (column, row) and taps numbered (row, column): (points, taps)."""
    turns = [axis.matrices.kernel for axis in turned]
    if len(turns) == 1:
        return turns[0]
    (rows, _), (columns, _) = (one.shape for one in turns)
    return np.kron(*turns).reshape(rows, columns, -1).swapaxes(0, 1).reshape(rows * columns, -1)


def spread_ones(turned: Sequence[Along]) -> Array:
    """What to multiply a bias with at each point, so that it is the bias at every output: v ⊗ v, Aᵀ v = 1."""
    return reduce(np.kron, [axis.matrices.ones for axis in reversed(turned)])


def by_tap(weight: Array, axes: Sequence[Along]) -> Array:
    """The weight (K, C, *taps) as (taps of a block, K·C·blocks), with zeros where the last is not full."""
    more = [axis.blocks * axis.block - axis.taps for axis in axes]
    full = np.pad(weight, [(0, 0), (0, 0), *((0, zeros) for zeros in more)])
    apart = full.reshape(*weight.shape[:2], *(n for axis in axes for n in (axis.blocks, axis.block)))
    first = apart.transpose(3, 5, 0, 1, 2, 4)
    return np.ascontiguousarray(first.reshape(axes[0].block * axes[1].block, -1))


def _transforms() -> Iterator[tuple[int, int]]:
    """The numbers of points and of taps along an axis that is turned."""
    most = max(_LEAST_TAPS) * _MOST_POINTS  # more taps fall into blocks
    for stride, least in _LEAST_TAPS.items():
        for taps in range(least, most + 1):
            for m in _outputs(taps, stride):
                axis = Axis(taps, 0, 0, taps, stride, m)
                yield axis.points, axis.block
    for taps in _ENLARGING_TAPS:
        for m in _OF_PHASES:
            number = _ENLARGING * points(m, taps=taps // _ENLARGING)
            yield number, taps
            yield number, taps - 1  # summed as they are turned


_ALONG = frozenset(_transforms())
TRANSFORMS = _ALONG | {(p * q, r * s) for (p, r), (q, s) in product(_ALONG, repeat=2)}
"""The shapes of what turns kernels along an axis or two: (points, taps)."""
