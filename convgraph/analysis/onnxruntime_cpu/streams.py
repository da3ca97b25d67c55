"""How long what moves or maps elements takes: arithmetic, pools, Resize, Concat, Transpose and the like.

``maps``, ``windows``, ``movement`` and ``others`` count what each operation does, and say for which rates;
``work`` has the formula. Every operation takes ``call`` seconds before it does anything.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from convgraph.analysis.cost import Types
from convgraph.analysis.onnxruntime_cpu import maps, movement, others, windows
from convgraph.analysis.onnxruntime_cpu.plan import Plan
from convgraph.analysis.onnxruntime_cpu.rates import Rates
from convgraph.analysis.onnxruntime_cpu.work import Call, Work, elements, seconds_of
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Activation,
    AveragePool,
    BatchNormalization,
    Binary,
    Cast,
    Comparison,
    Concat,
    DepthToSpace,
    Div,
    Dropout,
    Expand,
    Flatten,
    Gather,
    GlobalPool,
    GroupNormalization,
    Identity,
    Input,
    InstanceNormalization,
    MaxPool,
    MaxUnpool,
    Op,
    Opaque,
    Pad,
    Pow,
    Reduction,
    Reshape,
    Resize,
    Slice,
    SpaceToDepth,
    Split,
    Squeeze,
    TrailingNormalization,
    Transpose,
    Unary,
    Unsqueeze,
    Variadic,
    Where,
)
from convgraph.ir.ops.reduce import AxisNormalization
from convgraph.ir.tensor import TensorType

Account = Callable[[Call], tuple[Work, ...]]

ACCOUNTS: Mapping[type[Op], Account] = MappingProxyType(
    {
        Activation: maps.mapped,
        AveragePool: windows.pooled,
        AxisNormalization: maps.softmax,
        BatchNormalization: maps.scaled,
        Binary: maps.combined,
        Cast: maps.converted,
        Comparison: maps.combined,
        Concat: movement.joined,
        DepthToSpace: movement.rearranged,
        Div: maps.divided,
        Dropout: movement.renamed,
        Expand: movement.spread_out,
        Flatten: movement.renamed,
        Gather: movement.gathered,
        GlobalPool: windows.pooled_whole,
        GroupNormalization: maps.normalised_by_group,
        Identity: movement.renamed,
        InstanceNormalization: maps.normalised_by_channel,
        MaxPool: windows.pooled,
        MaxUnpool: windows.unpooled,
        Opaque: others.counted,
        Pad: movement.padded,
        Pow: maps.raised,
        Reduction: maps.reduced,
        Reshape: movement.renamed,
        Resize: windows.resized,
        Slice: movement.sliced,
        SpaceToDepth: movement.rearranged,
        Split: movement.cut,
        Squeeze: movement.renamed,
        TrailingNormalization: maps.normalised_by_row,
        Transpose: movement.turned,
        Unary: maps.mapped,
        Unsqueeze: movement.renamed,
        Variadic: maps.accumulated,
        Where: maps.chosen,
    }
)
"""What counts the work of a class of operations; the nearest class has it, else ``movement.copied``."""


def seconds(graph: Graph, node: int, *, types: Types, plan: Plan, rates: Rates) -> float:
    """How long an operation that multiplies nothing takes, in seconds."""
    call = Call(
        op=graph.op(node),
        operands=tuple([None if v is None else types[v] for v in graph.operands(node)]),
        results=tuple([types[v] for v in graph.results(node)]),
        block=rates.block if node in plan.blocked else 1,
        several=any(_is_used(graph, v) for v in graph.results(node)[1:]),
        boundary=_is_at_the_boundary(graph, node),
        opset=graph.model.opset,
    )
    return call_seconds(call, rates=rates)


def call_seconds(call: Call, *, rates: Rates) -> float:
    """How long one run of one operation takes, in seconds."""
    return rates["call"] + seconds_of(work_of(call), rates=rates)


def work_of(call: Call) -> tuple[Work, ...]:
    """What an operation does, counted; its bytes alone where not even the number of axes is known."""
    if any(type_ is not None and type_.shape is None for type_ in (*call.operands, *call.results)):
        return movement.copied(call)
    account = next((ACCOUNTS[kind] for kind in type(call.op).__mro__ if kind in ACCOUNTS), movement.copied)
    return account(call)


def reorder_seconds(type_: TensorType, *, rates: Rates) -> float:
    """How long it takes to bring a value of this type into the blocked layout, or out of it, in seconds.

    ``reorder.element`` seconds an element.
    """
    plain, blocked = elements(type_), elements(type_, block=rates.block)
    work = Work(bytes=(plain + blocked) * type_.dtype.bits / 8, counts=(("reorder.element", blocked),))
    return rates["call"] + seconds_of((work,), rates=rates)


def _is_used(graph: Graph, value: Value) -> bool:
    return bool(graph.readers(value)) or graph.is_output(value)


def _is_at_the_boundary(graph: Graph, node: int) -> bool:
    """Whether what the operation reads first is a caller's, or what it makes first goes to one."""
    first = next(iter(graph.operands(node)), None)
    given = first is not None and isinstance(graph.producer(first), Input)
    return given or graph.is_output(graph.results(node)[0])
