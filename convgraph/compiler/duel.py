"""Whether two graphs with the same inputs and outputs give the same bits on whole numbers."""

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto

import numpy as np

from convgraph.analysis.infer import at_sizes
from convgraph.errors import InvalidModel, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.contained import run_each_contained
from convgraph.numerics.evaluate import evaluate
from convgraph.numerics.session import Unverifiable

Feeds = Mapping[str, Array]
Outputs = Mapping[str, Array]

APART = 1e-9
"""Relative to an output's largest value: float64 rounds by far less, and a fault that matters is far more."""

_UNIT = 1.0  # what numbers of a twin are about, where an output happens to be zero

_NAME = re.compile(r"[^\W\d]\w*")
_BATCHES = (2, 1, 1)
_EXTENTS = ((11, 9, 7, 13), (34, 33, 32, 31), (64, 96, 64, 80))
_SEEDS = (0, 1)
_FAR = 4  # times as large are the numbers of later feeds: beyond what a clip lets through


class Outcome(Enum):
    """What the runs of two graphs show."""

    SAME = auto()
    """The same bits, everywhere."""
    FAULT = auto()
    """Different numbers, also in float64: not the same function."""
    ROUNDED = auto()
    """Different bits, in float64 the same numbers."""
    UNTOLD = auto()
    """Different bits, and nothing computes both in float64."""
    BLIND = auto()
    """The same bits, but an output that is one number throughout."""


def duel(before: Graph, after: Graph, *, largest: int) -> tuple[Outcome, Sequence[Feeds]]:
    """Whether two graphs give the same bits in onnxruntime on whole numbers up to ``largest``.

    Also returns the feeds. Raises Unverifiable when onnxruntime does not run ``before`` on any size tried.
    """
    feeds, expected = _reference(before, largest=largest)
    try:
        found = _in_runtime(after, feeds)
    except Unverifiable:
        return Outcome.UNTOLD, feeds
    if not all(
        _equal(old[name], new[name]) for old, new in zip(expected, found, strict=True) for name in old
    ):
        return Outcome.UNTOLD, feeds
    shows = {name for outputs in expected for name, array in outputs.items() if _shows(array)}
    return (Outcome.SAME if not before.inputs or len(shows) == len(before.outputs) else Outcome.BLIND), feeds


def settled(before: Graph, after: Graph, feeds: Sequence[Feeds]) -> Outcome:
    """Whether two graphs whose bits differ are the same function in float64.

    Untold where ``before`` is no legal model at these sizes, whatever onnxruntime makes of it (nothing, of a
    window larger than what it slides over).
    """
    try:
        expected = [evaluate(before, fed) for fed in feeds]
    except (InvalidModel, UnsupportedOp):
        return Outcome.UNTOLD
    try:
        pairs = list(zip(expected, [evaluate(after, fed) for fed in feeds], strict=True))
    except UnsupportedOp:
        return Outcome.UNTOLD
    except InvalidModel:
        return Outcome.FAULT
    near = all(_near(old[name], new[name]) for old, new in pairs for name in old)
    return Outcome.ROUNDED if near else Outcome.FAULT


def _reference(graph: Graph, *, largest: int) -> tuple[Sequence[Feeds], Sequence[Outputs]]:
    """Feeds that the graph runs on, and its outputs: sizes that are left open are tried until some fit."""
    for attempt in range(len(_EXTENTS)):
        sizes = _sizes(graph, attempt=attempt)
        seeds = _SEEDS if graph.inputs else _SEEDS[:1]
        feeds = [_feeds(graph, sizes, largest=largest, seed=seed) for seed in seeds]
        is_last = not sizes or attempt + 1 == len(_EXTENTS)
        if not is_last and not all(array.size for array in feeds[0].values()):
            continue  # of no elements nothing can be seen
        try:
            return feeds, _in_runtime(graph, feeds)
        except Unverifiable:
            if is_last:
                raise
    raise AssertionError("the last attempt returns or raises")


def _sizes(graph: Graph, *, attempt: int) -> dict[str, int]:
    """A number for each name in the types of the inputs."""
    sizes: dict[str, int] = {}
    for value in graph.inputs:
        for axis, dim in enumerate(graph.type(value).shape or ()):
            for name in _NAME.findall(dim) if isinstance(dim, str) else ():
                extents = _EXTENTS[attempt]
                number = extents[len(sizes) % len(extents)] if axis else _BATCHES[attempt]
                sizes.setdefault(name, number)
    return sizes


def _feeds(graph: Graph, sizes: Mapping[str, int], *, largest: int, seed: int) -> Feeds:
    """Whole numbers: none is zero with the first seed, so that every element counts, and later many are."""
    rng = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for value in graph.inputs:
        kind = at_sizes(graph, value, sizes)
        if kind.static_shape is None:
            found = f"an input of type {kind}"
            raise Unverifiable(graph.value_name(value), found=found, expected="a shape")
        if kind.dtype.is_float:
            drawn = rng.integers(1, largest + 1, kind.static_shape) * rng.choice((-1, 1), kind.static_shape)
            drawn = drawn if seed == 0 else _FAR * drawn * rng.integers(0, 2, kind.static_shape)
        else:
            drawn = rng.integers(0, 2, kind.static_shape)
        feeds[graph.value_name(value)] = np.asarray(drawn).astype(kind.dtype.numpy)
    return feeds


def _in_runtime(graph: Graph, feeds: Sequence[Feeds]) -> Sequence[Outputs]:
    return run_each_contained(to_onnx(graph), feeds)


def _equal(expected: Array, found: Array) -> bool:
    """The same bits, −0 and 0 aside."""
    floats = DataType.of(expected.dtype).is_float
    return expected.dtype == found.dtype and np.array_equal(expected, found, equal_nan=floats)


def _near(expected: Array, found: Array) -> bool:
    if expected.shape != found.shape:
        return False
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=_UNIT)
    return bool(np.allclose(found, expected, rtol=0.0, atol=APART * float(scale), equal_nan=True))


def _shows(array: Array) -> bool:
    """Whether a fault could be seen: there are elements, and they are not all the same number."""
    return array.size == 1 or (array.size > 1 and bool(np.any(array != array.flat[0])))
