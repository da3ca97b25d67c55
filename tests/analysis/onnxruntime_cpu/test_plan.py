"""The plan of a graph, held against the graph that onnxruntime itself makes of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from convgraph.analysis.cost import types_at_assumed_sizes
from convgraph.analysis.onnxruntime_cpu.plan import Plan, planned
from convgraph.compiler.calibration.calibrate import block_here
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Activation,
    Add,
    AveragePool,
    BatchNormalization,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Div,
    Elu,
    Flatten,
    Gelu,
    Gemm,
    GlobalAveragePool,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    MatMul,
    MaxPool,
    Mul,
    Pad,
    Relu,
    Resize,
    Sigmoid,
    Softmax,
    Sub,
    Sum,
    Swish,
    Tanh,
    Transpose,
)
from convgraph.ir.tensor import Array
from convgraph.numerics.session import Session

Net = Callable[[GraphBuilder, Value], Value]

BLOCK = block_here()
WIDE = 32  # channels: whole blocks of any size
RNG = np.random.default_rng(0)


def reals(*shape: int) -> Array:
    return RNG.uniform(0.5, 1.5, shape).astype(np.float32)


def conv(
    b: GraphBuilder,
    x: Value,
    channels: int = WIDE,
    *,
    kernel: int = 3,
    group: int = 1,
    activation: Activation | None = None,
    extra: tuple[Array, ...] = (),
) -> Value:
    inner = b.type(x).dim(1)
    assert isinstance(inner, int)
    op = replace(Conv.of(2, pads=kernel // 2, group=group), activation=activation)
    return b.add(op, x, reals(channels, inner // group, kernel, kernel), reals(channels), *extra)


def normalised(b: GraphBuilder, x: Value) -> Value:
    return b.add(BatchNormalization(), x, *[reals(WIDE) for _ in range(4)])


def between(activation: Activation, *extra: Array) -> Net:
    """An activation in a convolution, one after an addition, and one of a value that is read again."""

    def net(b: GraphBuilder, x: Value) -> Value:
        y = conv(b, conv(b, x, activation=activation, extra=extra))
        z = b.add(activation, b.add(Add(), y, conv(b, y)), *extra)
        return b.add(Add(), conv(b, z), conv(b, b.add(activation, z, *extra)))

    return net


def resized(**how: str) -> Net:
    scales = np.array([1, 1, 2, 2], np.float32)
    return lambda b, x: conv(b, b.add(Resize(**how), conv(b, x), None, scales))  # type: ignore[arg-type]


def gated(b: GraphBuilder, x: Value) -> Value:
    """Squeeze and excitation."""
    y = conv(b, x, activation=Relu())
    s = conv(b, b.add(GlobalAveragePool(), y), kernel=1, activation=Sigmoid())
    return conv(b, b.add(Mul(), y, s))


def residual(b: GraphBuilder, x: Value) -> Value:
    y = conv(b, x)
    return conv(b, b.add(Relu(), b.add(Add(), y, conv(b, conv(b, y, activation=Relu())))))


def dense(b: GraphBuilder, x: Value) -> Value:
    y = b.add(Concat(axis=1), conv(b, x), conv(b, x, 16))
    return b.add(MaxPool.of((2, 2), strides=2), b.add(Relu(), y))


def classified(b: GraphBuilder, x: Value) -> Value:
    y = b.add(Flatten(), b.add(GlobalAveragePool(), conv(b, x)))
    return b.add(Relu(), b.add(Add(), b.add(MatMul(), y, reals(WIDE, 10)), reals(10)))


def channels_last(b: GraphBuilder, x: Value) -> Value:
    turned = b.add(Elu(), b.add(Transpose(perm=(0, 2, 3, 1)), conv(b, x)))
    return conv(b, b.add(Transpose(perm=(0, 3, 1, 2)), turned))


def padded(b: GraphBuilder, x: Value) -> Value:
    return conv(b, b.add(Pad(), conv(b, x), np.array([0, 0, 1, 1, 0, 0, 1, 1])))


def folded(b: GraphBuilder, x: Value) -> Value:
    """Constants after a convolution, some of which become part of it, and a weight that is computed."""
    y = b.add(Add(), b.add(Mul(), conv(b, x), reals(1, WIDE, 1, 1)), reals(1, WIDE, 1, 1))
    y = b.add(Mul(), normalised(b, conv(b, y)), 2.0)
    weight = b.add(Mul(), b.constant(reals(WIDE, WIDE, 1, 1)), reals(WIDE, 1, 1, 1))
    return b.add(Conv.of(2), y, weight)


def scaled(b: GraphBuilder, x: Value) -> Value:
    """Constants that stay operations of their own, blocked or not."""
    y = b.add(Mul(), conv(b, x, activation=Relu()), reals(1, WIDE, 1, 1))
    y = normalised(b, conv(b, y, activation=Tanh()))
    return conv(b, b.add(Add(), conv(b, y, activation=Relu()), reals(1, WIDE, 1, 1)))


def activated_after_scaling(activation: Activation, *extra: Array) -> Net:
    """An activation after constants that only blocks make a convolution of."""

    def net(b: GraphBuilder, x: Value) -> Value:
        y = b.add(Relu(), b.add(Add(), x := conv(b, x), conv(b, x)))
        y = conv(b, b.add(activation, b.add(Mul(), y, reals(1, WIDE, 1, 1)), *extra))
        return conv(b, b.add(activation, normalised(b, b.add(Relu(), b.add(Add(), y, x))), *extra))

    return net


def added_after_scaling(b: GraphBuilder, x: Value) -> Value:
    """What is added to constants times a value, which is normalised again."""
    y = conv(b, x, activation=Relu())
    z = b.add(Relu(), b.add(Add(), b.add(Mul(), y, reals(WIDE, 1, 1)), conv(b, y, activation=Tanh())))
    return conv(b, normalised(b, b.add(Mul(), z, reals(WIDE, 1, 1))))


def arithmetic(b: GraphBuilder, x: Value) -> Value:
    y, z = conv(b, x), conv(b, x, activation=Sigmoid())
    together = b.add(Sum(), y, z, b.add(Mul(), y, z))
    return conv(b, b.add(Sub(), together, b.add(Div(), y, 3.0)))


def plain(b: GraphBuilder, x: Value) -> Value:
    """Channels that no block takes."""
    y = b.add(Add(), conv(b, conv(b, x, 34), 34, activation=LeakyRelu()), conv(b, x, 34))
    return b.add(Softmax(axis=1), b.add(Relu(), b.add(Add(), conv(b, y, 34), y)))


def grouped(b: GraphBuilder, x: Value) -> Value:
    y = conv(b, conv(b, x, group=WIDE), group=2)
    return conv(b, conv(b, y, group=16), 64, group=WIDE)


def narrow(b: GraphBuilder, x: Value) -> Value:
    """Three channels, read as they lie, in the middle of a network."""
    return conv(b, conv(b, conv(b, x, 3, activation=Tanh()), 20), 10)


def pooled(b: GraphBuilder, x: Value) -> Value:
    y = b.add(MaxPool.of((3, 3), strides=2), x)
    y = conv(b, b.add(AveragePool.of((2, 2)), y), 20)
    return b.add(MaxPool.of((2, 2)), b.add(Identity(), y))


def upsampled(b: GraphBuilder, x: Value) -> Value:
    y = b.add(ConvTranspose.of(2, strides=2), conv(b, x), reals(WIDE, WIDE, 2, 2))
    return conv(b, b.add(Relu(), normalised(b, y)))


def upsampled_and_activated(b: GraphBuilder, x: Value) -> Value:
    """Between a ConvTranspose and the normalisation is an activation: the two stay apart."""
    op = replace(ConvTranspose.of(2, strides=2), activation=Tanh())
    return conv(b, normalised(b, b.add(op, conv(b, x), reals(WIDE, WIDE, 2, 2))))


def returned(b: GraphBuilder, x: Value) -> Value:
    """A value that is read on and returned as well."""
    y = conv(b, x)
    b.output(y, name="early")
    return conv(b, b.add(Relu(), y), activation=HardSwish())


NETS: dict[str, Net] = {
    **{
        f"activation {type(a).__name__}": between(a)
        for a in (Relu(), LeakyRelu(), Sigmoid(), Tanh(), HardSigmoid(), HardSwish(), Swish(), Gelu(), Elu())
    },
    **{
        f"{type(a).__name__} after scaling": activated_after_scaling(a)
        for a in (Relu(), LeakyRelu(), Sigmoid(), HardSigmoid(), HardSwish(), Gelu(), Elu())
    },
    "Clip after scaling": activated_after_scaling(Clip(), np.array(0, np.float32), np.array(6, np.float32)),
    "activation Clip": between(Clip(), np.array(0, np.float32), np.array(6, np.float32)),
    "resized nearest": resized(coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "resized nearest at half pixels": resized(),
    "resized linear": resized(mode="linear"),
    "resized linear otherwise": resized(mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
    "resized cubic": resized(mode="cubic"),
    **{
        net.__name__: net
        for net in (
            added_after_scaling,
            arithmetic,
            channels_last,
            classified,
            dense,
            folded,
            gated,
            grouped,
            narrow,
            padded,
            plain,
            pooled,
            residual,
            returned,
            scaled,
            upsampled,
            upsampled_and_activated,
        )
    },
}


def graph_of(net: Net, *, channels: int = WIDE) -> Graph:
    builder = GraphBuilder("net", opset=20)
    builder.output(net(builder, builder.input("x", shape=(1, channels, 12, 10))), name="y")
    return builder.build()


def plan_of(graph: Graph, *, block: int = BLOCK) -> Plan:
    return planned(graph, types_at_assumed_sizes(graph), block=block)


def made_by_the_runtime(graph: Graph, folder: Path) -> Counter[str]:
    """How many nodes of each kind the runtime's own graph has, blocked ones of the same name apart."""
    Session(to_onnx(graph), optimized=True, kept=str(folder / "kept.onnx"))
    nodes = onnx.load(folder / "kept.onnx").graph.node
    return Counter(f"blocked {n.op_type}" if n.domain.endswith("nchwc") else n.op_type for n in nodes)


def predicted(graph: Graph, plan: Plan) -> dict[str, int]:
    """The same of the plan, as far as layout and fusion of convolutions go.

    The runtime says a blocked multiplication by constants and a normalisation as convolutions.
    """
    inside = plan.blocked | {step for node in plan.blocked for step in plan.steps.get(node, ())}
    left = len({value for value in plan.reordered if value.node in inside})
    blocked = [graph.op(node) for node in plan.blocked if not is_of_two_values(graph, node)]
    convs = [node for node in graph.compute_nodes() if isinstance(graph.op(node), Conv)]
    adds = [node for node in graph.compute_nodes() if isinstance(graph.op(node), Add)]
    return {
        "ReorderInput": len(plan.reordered) - left,
        "ReorderOutput": left,
        "blocked Conv": sum(isinstance(op, (Conv, Mul, BatchNormalization)) for op in blocked),
        "Conv": sum(node not in plan.blocked for node in convs),
        "Add": sum(node not in plan.fused for node in adds),
    }


def is_of_two_values(graph: Graph, node: int) -> bool:
    constants = [graph.constant(v) for v in graph.operands(node)]
    return isinstance(graph.op(node), Mul) and constants == [None, None]


@pytest.mark.parametrize("name", NETS)
def test_the_runtime_does_as_planned(name: str, tmp_path: Path) -> None:
    graph = graph_of(NETS[name])
    made = made_by_the_runtime(graph, tmp_path)
    assert predicted(graph, plan_of(graph)) == {
        "ReorderInput": made["blocked ReorderInput"] + made["ReorderInput"],
        "ReorderOutput": made["blocked ReorderOutput"] + made["ReorderOutput"],
        "blocked Conv": made["blocked Conv"],
        "Conv": made["Conv"] + made["FusedConv"],
        "Add": made["Add"],
    }


@pytest.mark.parametrize("channels", [1, 3, 4, 7, 9, 12, 16, 18, 20, 66])
def test_input_channels_decide_as_planned(channels: int, tmp_path: Path) -> None:
    graph = graph_of(conv, channels=channels)
    plan, made = plan_of(graph), made_by_the_runtime(graph, tmp_path)
    assert len(plan.blocked) == made["blocked Conv"]
    assert len(plan.reordered) == made["blocked ReorderInput"] + made["blocked ReorderOutput"]


def test_what_becomes_part_of_a_product_is_its_step() -> None:
    graph = graph_of(residual)
    plan = plan_of(graph)
    steps = [[graph.op(step).label for step in plan.steps[node]] for node in sorted(plan.steps)]
    assert steps == [["Add", "Relu"]]
    assert plan.summed == plan.steps.keys()
    assert plan.fused == {step: node for node, steps in plan.steps.items() for step in steps}


def test_an_activation_of_its_own_is_a_step_or_a_pass() -> None:
    graphs = [graph_of(lambda b, x, a=a: conv(b, x, activation=a)) for a in (Relu(), Swish(), Elu())]  # type: ignore[misc]
    apart = [plan_of(graph).apart for graph in graphs]
    assert [len(nodes) for nodes in apart] == [0, 1, 1]


def test_a_normalisation_becomes_part_of_a_transposed_convolution_without_an_activation_only() -> None:
    graphs = [graph_of(upsampled), graph_of(upsampled_and_activated)]
    norms = [[n for n in g.compute_nodes() if isinstance(g.op(n), BatchNormalization)] for g in graphs]
    fused = [[n in plan_of(g).fused for n in nodes] for g, nodes in zip(graphs, norms, strict=True)]
    assert fused == [[True], [False]]


def test_a_gemm_takes_an_activation_in() -> None:
    builder = GraphBuilder("gemm")
    y = builder.add(Gemm(), builder.input("x", shape=(4, 8)), reals(8, 5))
    builder.output(builder.add(Sigmoid(), y))
    graph = builder.build()
    assert [graph.op(node).label for node in plan_of(graph).fused] == ["Sigmoid"]


def test_without_blocks_nothing_is_blocked() -> None:
    plan = plan_of(graph_of(residual), block=1)
    assert not plan.blocked
    assert not plan.reordered
