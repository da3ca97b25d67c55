"""Store the taps that kernels are sums of, and leave the sums to whoever loads the model.

    conv(x, V₁), …, conv(x, Vₙ)  ->  conv(x, Σ₁W), …, conv(x, ΣₙW)        Σ of zeros and ones, W smaller

The kernels of a convolution that meets an image enlarged by repeated pixels
(``convgraph.passes.algebra.repeated``) are sums of neighbouring taps: 4 × 4, or four times 2 × 2, of 3 × 3.
Those are read off them again and stored; the sums are operations on constants, which runtimes compute once,
when they load the model, and cost nothing in any run. For a transposed convolution, whose kernel is W moved
over as many ones as its stride, and for the convolutions that make its phases one by one. Floating point
differs by the rounding of the sums: that of each is at most a few roundings of what it adds up. Three taps
can always be told so; of more, the inner ones may be lost beside large ones, and the kernels stay.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby, product
from typing import ClassVar, NamedTuple

import numpy as np

from convgraph.analysis.cost import parameters
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, ConvTranspose, MatMul, Op, Reshape, Split
from convgraph.ir.tensor import Array, DataType, Tensor
from convgraph.passes.algebra.constant_weight import convolution, seen_once, weight_at, weight_tensor
from convgraph.passes.algebra.transposed import MOST_PARTS
from convgraph.passes.rewrite import Measure, Rewrite, requirement

_MOST_TIMES = 4  # phases along one axis
_MOST_READERS = 64  # of a value: phases are looked for among all of them
_ROUNDINGS = 16  # that a sum may differ by, of what it adds up: taps are told by differences of rounded sums
_SAMPLE = 64  # filters' channels that are looked at first
_WORTH = 1 << 10  # bytes: what is less is not worth an operation
_PRECISE = (DataType.FLOAT, DataType.DOUBLE)  # in half precision runtimes may round otherwise


class Sums(NamedTuple):
    """Which neighbouring taps each element of a kernel adds up along one axis: from the first, to before."""

    intervals: tuple[tuple[int, int], ...]
    taps: int

    @property
    def matrix(self) -> Array:
        """The same as zeros and ones: (elements, taps)."""
        places = np.arange(self.taps)
        return np.array([(begin <= places) & (places < end) for begin, end in self.intervals], dtype=float)

    def taps_of(self, elements: Array) -> Array | None:
        """The taps, from the elements on the last axis, in float64; None where some cannot be told.

        A tap is what is left of a sum whose other taps are known: of the sum where these are smallest.
        """
        known: dict[int, Array] = {}
        while len(known) < self.taps:
            found: dict[int, list[tuple[Array, Array]]] = {}
            for number, (begin, end) in enumerate(self.intervals):
                unknown = [tap for tap in range(begin, end) if tap not in known]
                if len(unknown) == 1:
                    others = [known[tap] for tap in range(begin, end) if tap in known]
                    left = elements[..., number] - sum(others)
                    found.setdefault(unknown[0], []).append((left, sum(map(np.abs, others)) + 0 * left))
            if not found:
                return None
            known |= {tap: _surest(options) for tap, options in found.items()}
        return np.stack([known[tap] for tap in range(self.taps)], axis=-1)


Axes = tuple[tuple[Sums, ...], ...]
"""The sums along each spatial axis, by phase; a transposed convolution has all phases in one kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummedKernels:
    """Convolutions, one for each phase of the axes, the last axis' phases next to each other."""

    convs: tuple[int, ...]
    axes: Axes

    @property
    def taps(self) -> int:
        """How many taps all elements are sums of."""
        return math.prod(phases[0].taps for phases in self.axes)

    @property
    def matrix(self) -> Array:
        """Which taps each element adds up, one convolution's after the other's: (elements, taps)."""
        return np.concatenate([reduce(np.kron, [s.matrix for s in sums]) for sums in product(*self.axes)])


@dataclass(frozen=True, kw_only=True)
class SumKernelsAtLoad(Rewrite[SummedKernels]):
    """Store the taps that kernels are sums of, and leave the sums to whoever loads the model."""

    name: ClassVar[str] = "sum-kernels-at-load"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv, ConvTranspose)
    after: ClassVar[tuple[str, ...]] = (
        "fold-nearest-resize-into-conv",
        "fold-nearest-resize-through-concat-into-conv",
        "fold-scale-into-conv",
        "split-conv-transpose-into-phases",
        "transform-conv-into-winograd",
        "transform-conv-transpose-into-winograd",
    )
    makes: ClassVar[tuple[type[Op], ...]] = (MatMul, Reshape, Split)
    measure: ClassVar[Measure] = staticmethod(parameters)

    def find(self, graph: Graph, node: int) -> SummedKernels | None:
        """A transposed convolution, or the first of as many convolutions of a value as there are phases."""
        op, weight = convolution(graph, node), weight_tensor(graph, node)
        if weight is None or not weight.size or weight.dtype not in _PRECISE:
            return None
        options = _transposed(op, node, weight) if isinstance(op, ConvTranspose) else _phases(graph, node)
        for _, ways in groupby(options, key=lambda m: m.convs):
            found = [(m, taps) for m in ways if m.taps > 1 and (taps := _size(graph, m)) is not None]
            if found:
                return min(found, key=lambda pair: pair[1])[0]
        return None

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: SummedKernels) -> bool:
        """The weights are constants that no caller can override."""
        return all(graph.constant(value) is not None for value in _weights(graph, m))

    @requirement
    def it_takes_less_room(self, graph: Graph, m: SummedKernels) -> bool:
        """The taps and the sums take at least a kibibyte less than the kernels do."""
        kernels = _elements(graph, m)
        stored = m.taps * math.prod(kernels[0].shape[:2]) + m.matrix.size
        return (sum(kernel.size for kernel in kernels) - stored) * kernels[0].itemsize >= _WORTH

    @requirement
    def every_kernel_adds_up(self, graph: Graph, m: SummedKernels) -> bool:
        """Every element of every kernel is the sum of its taps, up to a few roundings."""
        return _taps(graph, m) is not None

    def apply(self, edit: Edit, m: SummedKernels) -> None:
        """Make the weights of the taps, with what they add up."""
        graph, taps = edit.graph, _taps(edit.graph, m)
        assert taps is not None
        old = _weights(graph, m)
        shapes = [graph.type(value).static_shape or () for value in old]
        stored = edit.constant(taps, like=old[0])
        matrix = edit.constant(m.matrix.T.astype(taps.dtype), name="sums")
        made = edit.add_all(MatMul(), stored, matrix)
        if len(old) > 1:
            sizes = edit.constant(np.array([math.prod(shape[2:]) for shape in shapes]), name="sizes")
            made = edit.add_all(Split(axis=2), *made, sizes, outputs=len(old))
        for value, shape, kernel in zip(old, shapes, made, strict=True):
            size = edit.constant(np.array(shape), name="shape")
            edit.replace(value, edit.add(Reshape(), kernel, size))


@seen_once
def taps_moved(weight: Tensor, times: Sequence[int]) -> tuple[Array, Array] | None:
    """The taps (…, …, taps) that a kernel is, moved over so many ones along each axis, and which it adds up.

    The second is of zeros and ones: (elements, taps). None where it is no such kernel, or nothing is saved.
    """
    found = _over_ones(weight.shape[2:], times)
    if found is None or found.taps == 1 or weight.dtype not in _PRECISE:
        return None
    kernel = weight.numpy()
    if _of_kernels([kernel[:_SAMPLE, :_SAMPLE]], found) is None:
        return None
    taps = _of_kernels([kernel], found)
    return None if taps is None else (taps, found.matrix)


def _transposed(op: ConvTranspose, node: int, weight: Tensor) -> Iterator[SummedKernels]:
    """A kernel that is moved over as many ones as the stride."""
    found = _over_ones(weight.shape[2:], op.strides)
    if found is not None:
        yield replace(found, convs=(node,))


def _over_ones(sizes: Sequence[int], times: Sequence[int]) -> SummedKernels | None:
    """A kernel of such sizes as one that is moved over so many ones along each axis."""
    taps = [size - ones + 1 for size, ones in zip(sizes, times, strict=True)]
    if max(times) == 1 or min(taps) < 1:
        return None
    sums = (_moved(k, ones) for k, ones in zip(taps, times, strict=True))
    return SummedKernels(convs=(), axes=tuple((along,) for along in sums))


def _moved(taps: int, times: int) -> Sums:
    """Element t adds up the taps from t − times + 1 to t, as far as there are such."""
    sizes = range(taps + times - 1)
    return Sums(tuple((max(0, t - times + 1), min(t + 1, taps)) for t in sizes), taps)


def _phases(graph: Graph, node: int) -> Iterator[SummedKernels]:
    """The phases that a convolution and the next ones of the same value could be, as many as there can be."""
    x, rank = graph.operand(node, 0), convolution(graph, node).spatial_rank
    if x is None or len(graph.readers(x)) > _MOST_READERS:
        return
    alike = _alike(graph, node, x)
    factors = product(range(1, _MOST_TIMES + 1), repeat=rank)
    for times in sorted(factors, key=math.prod, reverse=True):
        if 1 < math.prod(times) <= min(MOST_PARTS, len(alike)):
            convs = tuple(alike[: math.prod(times)])
            kernels = [(graph.type(_weight(graph, conv)).static_shape or ())[2:] for conv in convs]
            yield from (SummedKernels(convs=convs, axes=axes) for axes in _axes(kernels, times))


def _alike(graph: Graph, node: int, x: Value) -> list[int]:
    """A convolution of x and those listed after it that differ in nothing but their kernels and pads."""
    places = {use.node: (graph.info(use.node).order, use.node) for use in graph.readers(x) if use.slot == 0}
    like = _apart_from_kernel(graph, node)
    found = (n for n in places if places[n] >= places[node] and _apart_from_kernel(graph, n) == like)
    by_kernel = {_weight(graph, n): n for n in sorted(found, key=places.__getitem__, reverse=True)}
    return list(reversed(by_kernel.values()))


def _apart_from_kernel(graph: Graph, node: int) -> object:
    """What phases have in common; None for no convolution."""
    op = graph.op(node)
    weight = weight_tensor(graph, node) if isinstance(op, Conv) else None
    if not isinstance(op, Conv) or weight is None:
        return None
    return op.strides, op.dilations, op.group, weight.shape[:2], weight.dtype


def _axes(kernels: Sequence[Sequence[int]], times: Sequence[int]) -> Iterator[Axes]:
    """What phases of an image ``times`` as large could add up, whose kernels have these sizes."""
    places = list(np.ndindex(*times))
    options = []
    for axis, count in enumerate(times):
        sizes = {(place[axis], kernel[axis]) for place, kernel in zip(places, kernels, strict=True)}
        options.append(list(_along([size for _, size in sorted(sizes)])) if len(sizes) == count else [])
    yield from product(*options)


def _along(sizes: Sequence[int]) -> Iterator[tuple[Sums, ...]]:
    """The sums of each phase along one axis, whose kernels have these sizes, for any padding.

    Tap t of output q, counted from where the padding begins, meets the pixel numbered (q + t) // times.
    """
    times = len(sizes)
    for taps, shift in product(range(1, times * max(sizes) + 1), range(times)):
        phases = tuple(_grouped(taps, times, (q + shift) % times) for q in range(times))
        if [len(phase.intervals) for phase in phases] == list(sizes):
            yield phases


def _grouped(taps: int, times: int, begin: int) -> Sums:
    """As many taps at a time as there are copies of a pixel, ``begin`` of the first one's not met."""
    ends = [min(taps, times * (number + 1) - begin) for number in range((begin + taps - 1) // times + 1)]
    return Sums(tuple(zip([0, *ends[:-1]], ends, strict=True)), taps)


def _weight(graph: Graph, conv: int) -> Value:
    value = graph.operand(conv, 1)
    assert value is not None
    return value


def _weights(graph: Graph, m: SummedKernels) -> list[Value]:
    return [_weight(graph, conv) for conv in m.convs]


def _elements(graph: Graph, m: SummedKernels) -> list[Array]:
    """The kernels' elements."""
    return [weight for conv in m.convs if (weight := weight_at(graph, conv)) is not None]


def _taps(graph: Graph, m: SummedKernels, *, first: int | None = None) -> Array | None:
    """The taps (…, …, taps) that the elements of the ``first`` channels are sums of; None where of none."""
    return _of_kernels([array[:first, :first] for array in _elements(graph, m)], m)


def _of_kernels(kernels: Sequence[Array], m: SummedKernels) -> Array | None:
    """The same of kernels that are at hand."""
    taps = _solved([kernel.astype(np.float64) for kernel in kernels], m.axes)
    if taps is None:
        return None
    elements = np.concatenate([k.reshape(*k.shape[:2], -1) for k in kernels], axis=2)
    with np.errstate(invalid="ignore", over="ignore"):
        stored, matrix = taps.astype(elements.dtype), m.matrix.T
        off = np.abs(stored @ matrix - elements)
        allowed = _ROUNDINGS * np.finfo(stored.dtype).eps / 2 * (np.abs(stored) @ matrix)
        return stored if np.all(off <= allowed) and np.all(np.isfinite(stored)) else None


def _size(graph: Graph, m: SummedKernels) -> float | None:
    """How large the taps are all together, of a sample: the smallest are those that nothing cancels in."""
    taps = _taps(graph, m, first=_SAMPLE)
    return None if taps is None else float(np.abs(taps.astype(np.float64)).sum())


def _solved(kernels: Sequence[Array], axes: Axes) -> Array | None:
    """The taps that the kernels' elements are sums of, one axis after the other; None where of none."""
    ends = [np.cumsum([0, *(len(sums.intervals) for sums in phases)]) for phases in axes]
    whole = np.empty((*kernels[0].shape[:2], *(end[-1] for end in ends)))
    for place, kernel in zip(np.ndindex(*map(len, axes)), kernels, strict=True):
        part = (slice(end[q], end[q + 1]) for end, q in zip(ends, place, strict=True))
        whole[:, :, *part] = kernel
    for axis, phases in enumerate(axes, start=2):
        joined = Sums(tuple(i for sums in phases for i in sums.intervals), phases[0].taps)
        taps = joined.taps_of(np.moveaxis(whole, axis, -1))
        if taps is None:
            return None
        whole = np.moveaxis(taps, -1, axis)
    return whole.reshape(*whole.shape[:2], -1)


def _surest(options: Sequence[tuple[Array, Array]]) -> Array:
    """Of several values of a tap, element by element, the one that the least was taken away for."""
    value, cost = options[0]
    for other, more in options[1:]:
        value, cost = np.where(more < cost, other, value), np.minimum(more, cost)
    return value
