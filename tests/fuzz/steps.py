"""Steps of a random network: each adds one operation of any setting to a value."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from fuzz.drawn import Network

from convgraph.ir.build import Operand
from convgraph.ir.graph import Value
from convgraph.ir.ops import (
    Add,
    AveragePool,
    BatchNormalization,
    Clip,
    Conv,
    ConvTranspose,
    Div,
    Elu,
    GlobalAveragePool,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Max,
    MaxPool,
    Mul,
    Neg,
    Pad,
    PRelu,
    ReduceMean,
    Relu,
    Resize,
    Sigmoid,
    Softplus,
    Sub,
    Swish,
    Tanh,
)
from convgraph.ir.tensor import Array

_TRANSFORMS = (
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "asymmetric",
    "half_pixel_symmetric",
)


def convolve(net: Network, x: Value) -> Value:
    """A Conv of any setting."""
    channels = net.channels(x)
    divisors = [g for g in range(1, channels + 1) if channels % g == 0]
    group = net.number(1, 1, 1, channels, *divisors)
    out = group * net.number(1, 2, 3) if group > 1 else net.number(1, 2, 4, 6, 8)
    kernel = net.per_axis(1, 1, 2, 3, 3, 4, 5)
    plain = net.chance(0.5)
    dilations = (1,) * net.rank if plain else net.per_axis(1, 1, 2, 3)
    strides = (1,) * net.rank if plain else net.per_axis(1, 1, 2, 3)
    pads = tuple(k // 2 for k in kernel) * 2 if plain else net.per_axis(0, 0, 1, 2) + net.per_axis(0, 1, 2)
    auto = str(net.pick("NOTSET", *(["NOTSET"] * 8), "SAME_UPPER", "SAME_LOWER", "VALID"))
    op = Conv(
        strides=strides,
        pads=pads if auto == "NOTSET" else (0,) * (2 * net.rank),
        dilations=dilations,
        group=group,
        auto_pad=auto,
    )
    bias = [net.array(out)] if net.chance(0.5) else []
    return net.add(op, x, net.weight(out, channels // group, *kernel), *bias)


def pointwise(net: Network, x: Value) -> Value:
    """A 1x1 Conv, now and then with a stride."""
    channels = net.channels(x)
    out = net.number(1, 2, 3, 4, 6, 8)
    op = Conv.of(net.rank, strides=net.number(1, 1, 1, 2))
    bias = [net.array(out)] if net.chance(0.5) else []
    return net.add(op, x, net.weight(out, channels, *[1] * net.rank), *bias)


def transpose_convolve(net: Network, x: Value) -> Value:
    """A ConvTranspose of any setting."""
    channels = net.channels(x)
    group = net.number(1, 1, channels, *(g for g in range(1, channels + 1) if channels % g == 0))
    out = net.number(1, 2, 3)
    strides = net.per_axis(1, 2, 2, 3)
    dilations = (1,) * net.rank if net.chance(0.7) else net.per_axis(1, 2)
    kernel = net.per_axis(1, 2, 3, 4, 4, 5)
    limits = [max(1, s if s > d else d) for s, d in zip(strides, dilations, strict=True)]
    extra = tuple(int(net.rng.integers(limit)) for limit in limits) if net.chance(0.3) else ()
    if net.chance(0.15):
        kernel = tuple(2 * s for s in strides)
    op = ConvTranspose(
        strides=strides,
        pads=net.per_axis(0, 1, 1, 2) + net.per_axis(0, 1, 1, 2),
        dilations=dilations,
        group=group,
        output_padding=extra,
    )
    weight = net.weight(channels, out, *kernel)
    if net.chance(0.3):
        weight = divisible(net, channels, out, kernel, strides)
    elif net.chance(0.15) and kernel == tuple(2 * s for s in strides):
        weight = tents(net, channels, out, strides)
    bias = [net.array(out * group)] if net.chance(0.5) else []
    return net.add(op, x, weight, *bias)


def divisible(net: Network, rows: int, columns: int, kernel: Sequence[int], strides: Sequence[int]) -> Array:
    """A kernel that is a box of ones convolved with a smaller kernel, where there is one."""
    full = net.rng.integers(-3, 4, (rows, columns, *kernel)).astype(np.float64)
    for axis, (size, stride) in enumerate(zip(kernel, strides, strict=True), 2):
        if size >= stride:
            small = np.moveaxis(full, axis, 0)[: size - stride + 1]
            spread = np.zeros((size, *small.shape[1:]))
            for shift in range(stride):
                spread[shift : shift + len(small)] += small
            full = np.moveaxis(spread, 0, axis)
    return np.asarray(full / 4, dtype=net.dtype.numpy)


def tents(net: Network, rows: int, columns: int, strides: Sequence[int]) -> Array:
    """The kernel of a linear interpolation, from each channel to its own."""
    full = np.ones((rows, columns, *[1] * len(strides)))
    if columns > 1:
        full[...] = np.eye(rows, columns).reshape(full.shape)
    for axis, stride in enumerate(strides, 2):
        line = 1 - np.abs(np.arange(2 * stride) - stride + 0.5) / stride
        full = full * line.reshape([-1 if i == axis else 1 for i in range(full.ndim)])
    return np.asarray(full, dtype=net.dtype.numpy)


def normalise(net: Network, x: Value) -> Value:
    """A batch normalisation."""
    channels = net.channels(x)
    statistics = [net.array(channels), net.array(channels), net.array(channels), net.positive(channels)]
    return net.add(BatchNormalization(epsilon=float(np.float32(1e-3))), x, *statistics)


def arithmetic(net: Network, x: Value) -> Value:
    """A sum, difference, product or quotient with a constant of any shape that broadcasts, on either side."""
    shape = [d if isinstance(d, int) else 1 for d in net.shape(x)]
    channels, ones = shape[1], [1] * net.rank
    shapes = [[], [1], [channels, *ones], [channels, *ones], [1, channels, *ones], [shape[-1]]]
    shapes += [[1, *shape[2:]], [1, 1, *shape[2:]], [channels, *shape[2:]], [1] * (net.rank + 2)]
    op = net.pick(Add(), Add(), Sub(), Mul(), Mul(), Div())
    chosen = shapes[net.number(*range(len(shapes)))]
    constant = net.positive(*chosen) if isinstance(op, Div) else net.array(*chosen)
    operands = [x, net.given(constant)]
    if net.chance(0.4) and not isinstance(op, Div):
        operands.reverse()
    return net.add(op, *operands)


def activate(net: Network, x: Value) -> Value:
    """An activation."""
    channels = net.channels(x)
    kind = net.number(*range(11))
    if kind == 0:
        slopes = [[channels, *[1] * net.rank], [1], [channels, *[1] * net.rank]]
        slope = net.array(*slopes[net.number(0, 1, 2)])
        return net.add(PRelu(), x, slope if net.chance(0.6) else np.full_like(slope, 0.25))
    if kind == 1:
        return net.add(Clip(), x, *([0.0, 6.0] if net.chance(0.6) else [-0.5, 0.75]))
    if kind == 2:
        scaled = net.add(Mul(), x, float(net.pick(0.1, 0.25, 1.5)))
        return net.add(Max(), *([x, scaled] if net.chance(0.5) else [scaled, x]))
    if kind == 3:
        return net.add(Mul(), x, net.add(Sigmoid(), x))
    plain = (
        Relu(),
        Relu(),
        LeakyRelu(alpha=0.25),
        Sigmoid(),
        Tanh(),
        HardSigmoid(alpha=0.25),
        HardSwish(),
        Elu(),
        Softplus(),
        Neg(),
        Swish(),
    )
    return net.add(plain[net.number(*range(10))], x)


def pool(net: Network, x: Value) -> Value:
    """A pool of any setting, local or global."""
    if net.chance(0.15):
        everywhere = net.ints(range(2, net.rank + 2))
        op = net.pick(GlobalAveragePool(), GlobalMaxPool(), ReduceMean())
        return net.add(op, x, *([everywhere] if isinstance(op, ReduceMean) else []))
    kernel = net.per_axis(1, 2, 2, 3)
    pads = tuple(net.number(0, 0, min(1, k - 1)) for k in kernel * 2)
    kind = net.pick(MaxPool, AveragePool)
    dilates = net.chance(0.2) and (kind is MaxPool or net.opset >= 19)
    op = kind.of(
        kernel,
        strides=net.per_axis(1, 2, 2, 3),
        pads=pads,
        dilations=net.per_axis(1, 2) if dilates else 1,
        ceil_mode=net.number(0, 0, 1),
    )
    return net.add(replace(op, count_include_pad=1) if kind is AveragePool and net.chance(0.5) else op, x)


def pad(net: Network, x: Value) -> Value:
    """A Pad of any mode, now and then with negative amounts."""
    lowest = -1 if net.chance(0.3) else 0
    spatial = [[int(n) for n in net.rng.integers(lowest, 3, net.rank)] for _ in range(2)]
    modes = ("constant",) * 6 + ("reflect", "edge") + (("wrap",) if net.opset >= 19 else ())
    mode = str(net.pick(*modes))
    if mode in ("wrap", "reflect"):
        spatial = [[max(0, n) for n in ends] for ends in spatial]
    values: list[Operand] = [0.0, 0.0, 1.5, float("-inf")] if mode == "constant" else []
    filled = [values[net.number(0, 0, 1, 2, 3)]] if values else []
    if filled == [float("-inf")]:
        padded = net.add(Pad(), x, net.ints([0, 0, *spatial[0], 0, 0, *spatial[1]]), float("-inf"))
        return net.add(MaxPool.of([3] * net.rank, strides=net.number(1, 2)), padded)
    return net.add(Pad(mode=mode), x, net.ints([0, 0, *spatial[0], 0, 0, *spatial[1]]), *filled)


def resize(net: Network, x: Value) -> Value:
    """A Resize of any mode."""
    mode = str(net.pick("nearest", "nearest", "nearest", "linear", "cubic"))
    if mode == "cubic" and net.rank != 2:
        mode = "linear"
    transforms = _TRANSFORMS if net.opset >= 19 else _TRANSFORMS[:-1]
    op = Resize(
        mode=mode,
        coordinate_transformation_mode=str(net.pick(*transforms)),
        nearest_mode=str(net.pick("floor", "round_prefer_floor", "round_prefer_ceil", "ceil")),
    )
    scale = net.per_axis(2, 2, 3, 1) if net.chance(0.85) else (0.5,) * net.rank
    return net.add(op, x, None, np.asarray([1, 1, *scale], dtype=np.float32))
