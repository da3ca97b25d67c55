"""How long what multiplies takes: Conv, ConvTranspose, Gemm, MatMul, by the way onnxruntime computes each.

``products`` counts what each kernel does. What is fused into a product, or what it carries as an activation,
is counted with it. Every product takes ``product.call`` seconds before it does anything. Other element types
than float32 are counted alike.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

from convgraph.analysis.cost import Types
from convgraph.analysis.onnxruntime_cpu import products
from convgraph.analysis.onnxruntime_cpu.plan import Plan, takes_plain_input
from convgraph.analysis.onnxruntime_cpu.products import Window
from convgraph.analysis.onnxruntime_cpu.rates import Rates
from convgraph.analysis.onnxruntime_cpu.streams import call_seconds
from convgraph.analysis.onnxruntime_cpu.work import Call, Work, dims, elements, seconds_of
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Activation,
    Clip,
    Conv,
    Convolution,
    ConvTranspose,
    Gemm,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    MatMul,
    Op,
    Sigmoid,
    Tanh,
)
from convgraph.ir.tensor import TensorType

MULTIPLYING = (Conv, ConvTranspose, Gemm, MatMul)

WITHIN: Mapping[type[Op], str] = MappingProxyType(
    {
        Clip: "product.clip",
        HardSigmoid: "map.hardsigmoid",
        HardSwish: "map.hardsigmoid",
        LeakyRelu: "map.leakyrelu",
        Sigmoid: "map.sigmoid",
        Tanh: "map.tanh",
    }
)
"""The rate of an element of an activation that became part of a product. A Relu there takes no time."""


def seconds(graph: Graph, node: int, *, types: Types, plan: Plan, rates: Rates) -> float:
    """How long one of them takes, in seconds, with all that is fused into it."""
    work = work_of(graph, node, types=types, plan=plan, block=rates.block)
    spent = rates["product.call"] + seconds_of(work, rates=rates)
    if node not in plan.apart:
        return spent
    result, block = types[graph.results(node)[0]], rates.block if node in plan.blocked else 1
    activation = _own_activation(graph, node)
    assert activation is not None
    own = Call(op=activation, operands=(result,), results=(result,), block=block)
    return spent + call_seconds(own, rates=rates)


def scaling_seconds(graph: Graph, node: int, *, types: Types, plan: Plan, rates: Rates) -> float:
    """How long a multiplication by constants takes that runs as a blocked convolution of one channel each."""
    result = types[graph.results(node)[0]]
    batch, channels, *sizes = dims(result)
    axes = tuple([products.Axis(size=size, out=size, kernel=1) for size in sizes])
    window = Window(batch=batch, groups=channels, channels=1, filters=1, axes=axes)
    more, cold = int(node in plan.summed), products.coldness(plan.weights)
    own = products.depthwise(window, block=rates.block, more=more, cold=cold)
    steps = _steps(graph, node, plan=plan, count=elements(result, block=rates.block))
    return rates["product.call"] + seconds_of((*own, steps), rates=rates)


def work_of(graph: Graph, node: int, *, types: Types, plan: Plan, block: int) -> tuple[Work, ...]:
    """What a product does, counted, and the activations that became part of it."""
    op = graph.op(node)
    left, right = [types[v] for v in graph.operands(node)[:2] if v is not None]
    result, cold = types[graph.results(node)[0]], products.coldness(plan.weights)
    steps = _steps(graph, node, plan=plan, count=elements(result, block=block))
    if isinstance(op, Conv):
        return (*_convolution(window_of(op, left, right, result), plan=plan, node=node, block=block), steps)
    if isinstance(op, ConvTranspose):
        return (*products.scattered(window_of(op, result, right, left), cold=cold), steps)
    packed = graph.constant(graph.operand(node, 1)) is not None
    return (*_product(op, left, right, result, packed=packed, cold=cold), steps)


def _steps(graph: Graph, node: int, *, plan: Plan, count: int) -> Work:
    """What activations compute within a product, where all that they read and write is at hand."""
    inside = [graph.op(step) for step in plan.steps.get(node, ())]
    own = None if node in plan.apart else _own_activation(graph, node)
    kinds = [type(op) for op in (own, *inside) if op is not None]
    names = [WITHIN[kind] for kind in kinds if kind in WITHIN]
    return Work(bytes=0, counts=tuple([(name, float(count)) for name in names]))


def _own_activation(graph: Graph, node: int) -> Activation | None:
    """The activation that a convolution carries, if any."""
    op = graph.op(node)
    return op.activation if isinstance(op, Convolution) else None


def window_of(op: Convolution, x: TensorType, weight: TensorType, result: TensorType) -> Window:
    """What a convolution computes, from the types of its operands and result.

    For a ConvTranspose x and the result change places: the window is that of the convolution it transposes.
    """
    rank = 2 + op.spatial_rank
    sizes, kernel, outs = ((*dims(t), *(1,) * rank)[:rank] for t in (x, weight, result))  # unknown: 1
    pads = op.padded_explicitly(x, weight) if isinstance(op, Conv) else None
    axes = products.axes_of(
        sizes[2:],
        outs[2:],
        kernel[2:],
        strides=op.strides,
        dilations=op.dilations,
        pads=op.pads if pads is None else pads,
    )
    filters = kernel[0] // op.group
    return Window(batch=sizes[0], groups=op.group, channels=kernel[1], filters=filters, axes=axes)


def _convolution(window: Window, *, plan: Plan, node: int, block: int) -> tuple[Work, ...]:
    more, cold = int(node in plan.summed), products.coldness(plan.weights)
    if node not in plan.blocked:
        return products.unfolded(window, more=more, cold=cold)
    if window.groups > 1 and window.channels == window.filters == 1:
        return products.depthwise(window, block=block, more=more, cold=cold)
    if takes_plain_input(window.channels, group=window.groups, block=block):
        return products.planar(window, block=block, more=more, cold=cold)
    kind = products.pointwise if window.is_pointwise else products.direct
    return kind(window, block=block, more=more, cold=cold)


def _product(
    op: Op, left: TensorType, right: TensorType, result: TensorType, *, packed: bool, cold: float
) -> tuple[Work, ...]:
    """A Gemm or MatMul: several products where the right operand has several matrices, else one."""
    inner = dims(left)[0 if isinstance(op, Gemm) and op.transA else -1] if dims(left) else 1
    out, second = dims(result), dims(right)
    columns = out[-1] if len(second) > 1 and out else 1
    times = math.prod(second[:-2])
    rows = math.prod(out) // max(1, columns * times)
    return products.matrices(rows=rows, inner=inner, columns=columns, times=times, packed=packed, cold=cold)
