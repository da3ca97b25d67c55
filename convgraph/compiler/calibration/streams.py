"""The rates of what moves and maps elements, from a small graph for each.

A probe is a graph whose predicted time depends on one rate more than on any other. All are timed, then each
rate in turn is set so that its probe is predicted to take what it took, again and again until those of probes
that share rates agree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from onnx.helper import make_attribute

from convgraph.analysis.onnxruntime_cpu.predict import seconds
from convgraph.analysis.onnxruntime_cpu.rates import Rates
from convgraph.analysis.onnxruntime_cpu.work import LEVELS, level_name
from convgraph.compiler.calibration.timer import Timer
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Abs,
    Add,
    AveragePool,
    Cast,
    Concat,
    DepthToSpace,
    Div,
    Elu,
    Erf,
    Exp,
    Floor,
    Gather,
    Gelu,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNormalization,
    HardSigmoid,
    HardSwish,
    InstanceNormalization,
    LayerNormalization,
    LeakyRelu,
    Log,
    MaxPool,
    MaxUnpool,
    Mish,
    Op,
    Opaque,
    Pad,
    Pow,
    PRelu,
    Reciprocal,
    ReduceL2,
    ReduceMean,
    Resize,
    Sigmoid,
    Sign,
    Sin,
    Slice,
    Softmax,
    Softplus,
    SpaceToDepth,
    Sqrt,
    Tanh,
    Transpose,
    Where,
)
from convgraph.ir.tensor import Array, DataType, TensorType

_OPSET = 18  # the last one whose AveragePool has a fast kernel outside of blocks
_BLOCK = 16  # any: probes have 64 channels, whole blocks everywhere, or 63, none anywhere
_CHAIN = 32
_SWEEPS, _HALVINGS = 5, 30
_SLOWEST = 1e-6  # seconds of any unit
_MIB, _PAIR = 2**20, 8  # bytes; of an element that is read and written
_NETWORK = 32  # MiB

_IMAGE = (1, 63, 56, 56)
_WIDE = (1, 63, 112, 112)
_BLOCKS = (1, 64, 56, 56)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A graph, and the name of the rate that its time tells."""

    rate: str
    graph: Graph


def measured(timer: Timer) -> dict[str, float]:
    """All rates that ``streams`` counts with, in seconds, from some eighty probes.

    A probe runs again and again on what caches still hold; what a byte takes in a network is measured last.
    """
    one, chain = (timer(_chained(length)) for length in (1, 1 + _CHAIN))
    call = max(0.0, (chain - one) / _CHAIN)
    probes, network = tuple(all_probes()), tuple(_passed_on(level) for level in LEVELS)
    times = {probe.graph.name: timer(probe.graph) - one + call for probe in (*probes, *network)}
    table = {**dict.fromkeys((probe.rate for probe in probes), 0.0), "call": call}
    for probe in (*_SWEEPS * probes, *network):
        table[probe.rate] = _solved(probe, times[probe.graph.name], table)
    return table


def _solved(probe: Probe, taken: float, table: Mapping[str, float]) -> float:
    """The rate at which the probe is predicted to take what it took; 0 where the rest alone takes more."""
    low, high = 0.0, _SLOWEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        predicted = seconds(probe.graph, Rates(block=_BLOCK, table={**table, probe.rate: middle}))
        low, high = (middle, high) if predicted < taken else (low, middle)
    return low


def _chained(length: int) -> Graph:
    """So many operations that do next to nothing."""
    builder = GraphBuilder(f"call.{length}", opset=_OPSET)
    value = builder.input("x", shape=(1, 1))
    for _ in range(length):
        value = builder.add(Softplus(), value)
    builder.output(value)
    return builder.build()


Given = tuple[int, ...] | TensorType | Array | None  # an input's shape or type, or a constant


def alone(rate: str, op: Op, *operands: Given, opset: int = _OPSET) -> Probe:
    """An operation by itself, between the graph's inputs and its output."""
    builder = GraphBuilder(rate, opset=opset)
    values = [_given(builder, f"x{i}", operand) for i, operand in enumerate(operands)]
    builder.output(builder.add(op, *values))
    return Probe(rate=rate, graph=builder.build())


def in_blocks(rate: str, op: Op, *operands: Given) -> Probe:
    """An operation on what a pool has made, in blocks."""
    builder = GraphBuilder(rate, opset=_OPSET)
    x = builder.add(MaxPool.of((2, 2), strides=2), builder.input("x", shape=_BLOCKS))
    builder.output(builder.add(op, x, *[_given(builder, f"x{i}", o) for i, o in enumerate(operands)]))
    return Probe(rate=rate, graph=builder.build())


def _given(builder: GraphBuilder, name: str, operand: Given) -> Value | Array | None:
    if isinstance(operand, tuple):
        return builder.input(name, shape=operand)
    if isinstance(operand, TensorType):
        return builder.input(name, shape=operand.shape, dtype=operand.dtype)
    return operand


def all_probes() -> Iterable[Probe]:
    """One for each rate but ``call``."""
    for level in LEVELS:
        yield alone(level_name(level), Abs(), (level * _MIB // _PAIR,))
    yield from _map_probes()
    yield from _arithmetic_probes()
    yield from _row_probes()
    yield from _movement_probes()
    yield from _pool_probes()
    yield from _resize_probes()
    yield from _other_probes()


def _passed_on(level: int) -> Probe:
    """Bytes as a network meets them: what is read was just written, where it is written to was not.

    Operations that do next to nothing, one after the other, each with ``level`` MiB to read and write and a
    result that stays, so many that no cache of one core holds all of them.
    """
    builder = GraphBuilder(f"network.{level}", opset=_OPSET)
    value = builder.input("x", shape=(level * _MIB // _PAIR,))
    for _ in range(max(2, _NETWORK // level)):
        value = builder.add(Abs(), value)
        builder.output(value)
    return Probe(rate=level_name(level), graph=builder.build())


def _map_probes() -> Iterable[Probe]:
    ops = (
        *(Elu(), Erf(), Exp(), Floor(), Gelu(), HardSigmoid(), HardSwish(), LeakyRelu(), Log(), Mish()),
        *(Reciprocal(), Sigmoid(), Sign(), Sin(), Softplus(), Sqrt(), Tanh()),
    )
    for op in ops:
        yield alone(f"map.{op.label.lower()}", op, _IMAGE)
    yield alone("map.prelu", PRelu(), _IMAGE, np.full((63, 1, 1), 0.25, np.float32))
    yield alone("map.integer", Cast(to=DataType.INT64), _IMAGE)


def _arithmetic_probes() -> Iterable[Probe]:
    yield alone("arithmetic.element", Add(), _IMAGE, _IMAGE)
    yield alone("arithmetic.quotient", Div(), _IMAGE, _IMAGE)
    yield alone("arithmetic.power", Pow(), _IMAGE, _IMAGE)
    yield alone("arithmetic.run", Add(), (1, 250, 14, 14), (1, 1, 1, 14))
    yield alone("arithmetic.choice", Where(), TensorType(DataType.BOOL, shape=_IMAGE), _IMAGE, _IMAGE)


def _row_probes() -> Iterable[Probe]:
    scale = np.ones(1024, np.float32)
    yield alone("normal.element", InstanceNormalization(), _WIDE, scale[:63], scale[:63])
    yield alone("normal.group", InstanceNormalization(), (1, 1023, 4, 4), scale[:1023], scale[:1023])
    yield alone("rows.element", LayerNormalization(), (196, 768), scale[:768], scale[:768])
    yield alone("rows.row", LayerNormalization(), (8192, 8), scale[:8], scale[:8])
    yield alone("softmax.element", Softmax(), (196, 768))
    yield alone("softmax.row", Softmax(), (8192, 8))
    yield alone("reduce.last", ReduceMean(), (1, 255, 20, 20), _ints(2, 3))
    yield alone("reduce.row", ReduceMean(), (1, 63, 112, 14), _ints(3))
    yield alone("reduce.group", ReduceMean(), (1, 1023, 4, 4), _ints(2))
    yield alone("reduce.across", ReduceMean(), _IMAGE, _ints(1))
    yield alone("reduce.other", ReduceL2(), _IMAGE, _ints(2, 3))


def _movement_probes() -> Iterable[Probe]:
    narrow = (1, 63, 56, 14)
    yield alone("copy.run", Concat(axis=3), narrow, narrow)
    yield alone("copy.cut", Slice(), narrow, _ints(1), _ints(13), _ints(3))
    yield alone("copy.stride", Slice(), _IMAGE, _ints(0), _ints(56), _ints(3), _ints(2))
    yield alone("copy.far", Gather(axis=3), _IMAGE, np.arange(56)[::-1].copy())
    for mode in ("constant", "reflect", "edge", "wrap"):
        yield alone(f"pad.{mode}", Pad(mode=mode), (1, 63, 28, 28), _ints(0, 0, 1, 1, 0, 0, 1, 1))
    yield alone("turn.plane", Transpose(perm=(0, 2, 3, 1)), _IMAGE)
    yield alone("turn.element", Transpose(perm=(0, 3, 2, 1)), _IMAGE)
    yield alone("turn.depthtospace", DepthToSpace(blocksize=2), (1, 64, 56, 56))
    yield alone("turn.spacetodepth", SpaceToDepth(blocksize=2), (1, 63, 56, 56))
    yield alone("reorder.element", GlobalAveragePool(), _BLOCKS)


def _pool_probes() -> Iterable[Probe]:
    yield alone("pool.line", MaxPool.of((9, 9), pads=4), _IMAGE)
    yield alone("pool.output", MaxPool.of((3, 3), pads=1), _IMAGE)
    yield alone("pool.stride", MaxPool.of((3, 3), strides=2, pads=1), _WIDE)
    yield alone("pool.row", MaxPool.of((3, 3), pads=1), (1, 1023, 7, 7))
    yield alone("pool.general", MaxPool.of((3, 3), pads=2, dilations=2), (1, 63, 28, 28))
    yield alone("pool.mean", AveragePool.of((3, 3), pads=1), (1, 63, 28, 28), opset=_OPSET + 1)
    yield alone("pool.globalaverage", GlobalAveragePool(), _IMAGE)
    yield alone("pool.globalmax", GlobalMaxPool(), _IMAGE)
    where = TensorType(DataType.INT64, shape=(1, 63, 28, 28))
    unpool = MaxUnpool(kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))
    yield alone("pool.unpool", unpool, (1, 63, 28, 28), where)
    yield alone("pool.tap", MaxPool.of((7, 7), pads=3), _BLOCKS)
    yield alone("pool.block", MaxPool.of((3, 3), pads=1), _BLOCKS)


def _resize_probes() -> Iterable[Probe]:
    x, twice = (1, 63, 28, 28), np.array([1, 1, 2, 2], np.float32)
    yield alone("resize.nearest", Resize(), x, None, twice)
    yield alone("resize.linear", Resize(mode="linear"), x, None, twice)
    yield alone("resize.cubic", Resize(mode="cubic"), (1, 63, 14, 14), None, twice)
    yield alone("resize.antialias", Resize(mode="linear", antialias=1), x, None, twice)
    solid = np.array([1, 1, 2, 2, 2], np.float32)
    yield alone("resize.linear.solid", Resize(mode="linear"), (1, 15, 8, 16, 16), None, solid)
    yield in_blocks("resize.linear.block", Resize(mode="linear"), None, twice)


def _other_probes() -> Iterable[Probe]:
    scale, grid = np.ones(64, np.float32), (1, 56, 56, 2)
    yield _named("other.lrn", "LRN", _IMAGE, attributes={"size": 5})
    yield _named("other.gridsample", "GridSample", _IMAGE, grid, attributes={})
    yield _newest("other.groupnormalization", GroupNormalization(num_groups=8), _BLOCKS, scale, scale)


def _named(rate: str, name: str, *operands: Given, attributes: Mapping[str, int]) -> Probe:
    """An operator that has no class, whose result is like its first operand."""
    encoded = {key: make_attribute(key, value).SerializeToString() for key, value in attributes.items()}
    return _newest(rate, Opaque(op_type=name, encoded=encoded, arity=len(operands)), *operands)


def _newest(rate: str, op: Op, *operands: Given) -> Probe:
    """An operation that old opsets lack, whose result is like its first operand."""
    builder = GraphBuilder(rate, opset=21)
    values = [_given(builder, f"x{i}", operand) for i, operand in enumerate(operands)]
    first = values[0]
    assert isinstance(first, Value)
    builder.output(builder.add_all(op, *values, types=[builder.type(first)])[0])
    return Probe(rate=rate, graph=builder.build())


def _ints(*numbers: int) -> Array:
    return np.array(numbers, np.int64)
