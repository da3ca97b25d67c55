"""Operators of ONNX that convgraph has no class for, by name."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from convgraph.analysis.onnxruntime_cpu.movement import copied
from convgraph.analysis.onnxruntime_cpu.work import Call, Work, dims
from convgraph.ir.ops import Opaque


def counted(call: Call) -> tuple[Work, ...]:
    """An operator by its name; what is not known here copies what it reads and makes, once."""
    assert isinstance(call.op, Opaque)
    own = not call.op.domain
    return _BY_NAME.get(call.op.op_type if own else "", copied)(call)


def _led(call: Call) -> tuple[Work, ...]:
    """Control flow: what its bodies do is counted where they are looked into."""
    del call
    return ()


def _described(call: Call) -> tuple[Work, ...]:
    """Looks at no element."""
    return (Work(bytes=call.bytes(call.y)),)


def _indexed(call: Call) -> tuple[Work, ...]:
    """GatherND and ScatterND: ``copy.far`` for each place that the indices spell, along their last axis."""
    indices = call.operand(1)
    places = 1 if indices is None else math.prod(dims(indices)[:-1])
    return (Work(bytes=2 * call.bytes(call.y), counts=(("copy.far", places),)),)


def _each(call: Call) -> tuple[Work, ...]:
    """GatherElements and ScatterElements: ``copy.far`` for each index."""
    indices = call.operand(1)
    count = math.prod(dims(indices)) if indices is not None else 1
    return (Work(bytes=2 * call.bytes(call.y), counts=(("copy.far", count),)),)


def _tiled(call: Call) -> tuple[Work, ...]:
    """Tile: ``copy.run`` for each run of the input, as often as it is repeated."""
    before, after = dims(call.x), dims(call.y)
    last = max((i for i, (b, a) in enumerate(zip(before, after, strict=False)) if a != b), default=0)
    pieces = call.elements(call.y) / max(1, math.prod(before[last:]))
    return (Work(bytes=call.bytes(call.x, call.y), counts=(("copy.run", pieces),)),)


def _mapped(rate: str) -> Callable[[Call], tuple[Work, ...]]:
    """So many seconds an element of the result."""

    def count(call: Call) -> tuple[Work, ...]:
        return (Work(bytes=call.traffic, counts=((rate, call.elements(call.y)),)),)

    return count


_BY_NAME: Mapping[str, Callable[[Call], tuple[Work, ...]]] = MappingProxyType(
    {
        "ConstantOfShape": _described,
        "GatherElements": _each,
        "GatherND": _indexed,
        "GridSample": _mapped("other.gridsample"),
        "If": _led,
        "LRN": _mapped("other.lrn"),
        "Loop": _led,
        "Range": _described,
        "Scan": _led,
        "ScatterElements": _each,
        "ScatterND": _indexed,
        "Shape": _described,
        "Size": _described,
        "Tile": _tiled,
    }
)
