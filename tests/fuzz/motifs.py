"""Motifs of a random network: several operations in a pattern that some rewrite looks for."""

from dataclasses import replace

import numpy as np
from fuzz.drawn import Network
from fuzz.steps import activate, arithmetic, convolve, normalise, pad, pointwise

from convgraph.ir.build import Operand
from convgraph.ir.graph import Value
from convgraph.ir.ops import (
    Add,
    AveragePool,
    BatchNormalization,
    Cast,
    Clip,
    Concat,
    Conv,
    DepthToSpace,
    Div,
    Dropout,
    Flatten,
    Gather,
    Gemm,
    GlobalAveragePool,
    Identity,
    MatMul,
    Max,
    MaxPool,
    Min,
    Mul,
    Op,
    Pad,
    Relu,
    Reshape,
    Resize,
    Sigmoid,
    Slice,
    SpaceToDepth,
    Split,
    Sub,
    Tanh,
    Transpose,
)
from convgraph.ir.tensor import DataType


def upsampled(net: Network, x: Value) -> Value:
    """A map enlarged, perhaps joined with another, then convolved."""
    op = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    if net.chance(0.3):
        op = Resize(mode="linear")
    scale = net.number(2, 2, 3)
    large = net.add(op, x, None, np.asarray([1, 1, *[scale] * net.rank], dtype=np.float32))
    if net.chance(0.4):
        large = net.add(Concat(axis=1), large, *([net.add(Relu(), large)] if net.chance(0.5) else [large]))
    size = net.number(1, 3, 3, 5)
    op_ = Conv.of(net.rank, pads=size // 2)
    bias = [net.array(4)] if net.chance(0.5) else []
    return net.add(op_, large, net.weight(4, net.channels(large), *[size] * net.rank), *bias)


def branches(net: Network, x: Value) -> Value:
    """Branches of one value that are added, as in RepVGG: each linear, of one size."""
    channels = net.channels(x)
    out = channels if net.chance(0.6) else net.number(2, 4)
    stride = net.number(1, 1, 2)
    group = channels if out == channels and net.chance(0.3) else 1
    parts = []
    for _ in range(net.number(2, 2, 3)):
        kernel = tuple(net.number(1, 3, 3, 5) for _ in range(net.rank))
        op = Conv.of(net.rank, strides=stride, pads=[k // 2 for k in kernel] * 2, group=group)
        bias = [net.array(out)] if net.chance(0.5) else []
        y = net.add(op, x, net.weight(out, channels // group, *kernel), *bias)
        parts.append(normalise(net, y) if net.chance(0.4) else y)
    if out == channels and stride == 1 and net.chance(0.5):
        window = AveragePool.of([3] * net.rank, pads=1)
        pooled = net.add(replace(window, count_include_pad=net.number(0, 1)), x)
        parts.append(x if net.chance(0.5) else pooled)
    total = parts[0]
    for part in parts[1:]:
        total = net.add(
            Sub() if net.chance(0.1) else Add(), *([part, total] if net.chance(0.5) else [total, part])
        )
    return total


def siblings(net: Network, x: Value) -> Value:
    """Convolutions that read one value, joined, added or multiplied."""
    kernel = net.per_axis(1, 3)
    op = Conv.of(net.rank, pads=[k // 2 for k in kernel] * 2)
    outs = [4, 4] if net.chance(0.6) else [2, 6]
    found = [
        net.add(
            op, x, net.weight(out, net.channels(x), *kernel), *([net.array(out)] if net.chance(0.5) else [])
        )
        for out in outs
    ]
    if outs[0] == outs[1] and net.chance(0.6):
        gate = net.add(Sigmoid(), found[1])
        return net.add(Mul(), net.add(Tanh(), found[0]), gate)
    return net.add(Concat(axis=1), *found)


def chain(net: Network, x: Value) -> Value:
    """Convolutions and poolings in a row, with nothing between."""
    for _ in range(net.number(2, 2, 3)):
        kernel = net.per_axis(1, 1, 2, 3)
        op = Conv.of(
            net.rank, strides=net.number(1, 1, 2), pads=net.per_axis(0, 0, 1) + net.per_axis(0, 0, 1)
        )
        out = net.number(1, 2, 4, 8)
        bias = [net.array(out)] if net.chance(0.5) else []
        x = net.add(op, x, net.weight(out, net.channels(x), *kernel), *bias)
        if net.chance(0.2):
            x = net.add(AveragePool.of([2] * net.rank, strides=net.number(1, 2)), x)
    return x


def split(net: Network, x: Value) -> Value:
    """Channels taken apart, treated, and put together in some order."""
    channels = net.channels(x)
    first = int(net.rng.integers(1, max(2, channels)))
    sizes = [first, channels - first]
    parts = list(net.builder.add_all(Split(axis=1), x, net.ints(sizes), names=("", "")))
    for place in range(2):
        if net.chance(0.5):
            step = net.pick(pointwise, activate, arithmetic, normalise)
            assert callable(step)
            parts[place] = step(net, parts[place])
    if net.chance(0.5):
        parts.reverse()
    if net.chance(0.2) and sizes[0] == sizes[1]:
        return net.add(Mul(), parts[0], net.add(Sigmoid(), parts[1]))
    return net.add(Concat(axis=1), *parts) if net.chance(0.9) else parts[0]


def shuffle(net: Network, x: Value) -> Value:
    """Channels in another order: a Gather, or two Reshapes around a Transpose."""
    channels = net.channels(x)
    if net.chance(0.5):
        order = net.rng.permutation(channels) if net.chance(0.7) else net.rng.integers(0, channels, channels)
        return net.add(Gather(axis=1), x, net.ints([int(n) for n in order]))
    group = net.number(*(g for g in range(1, channels + 1) if channels % g == 0))
    spatial = [d if isinstance(d, int) else 0 for d in net.shape(x)[2:]]
    if 0 in spatial:
        return net.add(Gather(axis=1), x, net.ints(range(channels - 1, -1, -1)))
    apart = net.add(Reshape(), x, net.ints([0, group, channels // group, *spatial]))
    turned = net.add(Transpose(perm=(0, 2, 1, *range(3, 3 + net.rank))), apart)
    return net.add(Reshape(), turned, net.ints([0, channels, *spatial]))


def cut(net: Network, x: Value) -> Value:
    """A Slice of channels or pixels."""
    axis = net.number(1, *range(2, net.rank + 2))
    start = net.number(0, 0, 1)
    end = (1 << 62) if net.chance(0.6) else -1
    step = net.number(1, 1, 2)
    return net.add(Slice(), x, *(net.ints([n]) for n in (start, end, axis, step)))


def rearrange(net: Network, x: Value) -> Value:
    """Pixels traded for channels or back, then convolved as often as not; in rank 2 only."""
    if net.rank != 2:
        return shuffle(net, x)
    kind = net.number(0, 1, 2)
    if kind == 0:
        mode = "CRD" if net.chance(0.5) and net.opset >= 11 else "DCR"
        x = net.add(DepthToSpace(blocksize=2, mode=mode), x)
    elif kind == 1:
        x = net.add(SpaceToDepth(blocksize=2), x)
    else:
        corners = [(0, 0), (1, 0), (0, 1), (1, 1)]
        ends, axes, steps = net.ints([1 << 62] * 2), net.ints([2, 3]), net.ints([2, 2])
        parts = [net.add(Slice(), x, net.ints(corner), ends, axes, steps) for corner in corners]
        x = net.add(Concat(axis=1), *parts)
    return pointwise(net, x) if net.chance(0.3) else convolve(net, x)


def coordinates(net: Network, x: Value) -> Value:
    """Constant maps joined to the channels, then a convolution."""
    shape = net.shape(x)
    batch = shape[0] if isinstance(shape[0], int) else 1
    maps = net.array(batch, 2, *(int(str(d)) for d in shape[2:] if isinstance(d, int)))
    parts: list[Operand] = [x, net.builder.constant(maps)]
    if net.chance(0.3):
        parts.reverse()
    return convolve(net, net.add(Concat(axis=1), *parts))


def matrix(net: Network, x: Value) -> Value:
    """A product of the channels with a matrix, as MatMul between Transposes, or two."""
    order = (0, *range(2, net.rank + 2), 1)
    back = (0, net.rank + 1, *range(1, net.rank + 1))
    y = net.add(Transpose(perm=order), x)
    for _ in range(net.number(1, 1, 2)):
        y = net.add(MatMul(), y, net.array(net.builder.type(y).dim(net.rank + 1), 4) / 2)  # type: ignore[arg-type]
        y = net.add(Add(), y, net.array(4)) if net.chance(0.5) else y
    return net.add(Transpose(perm=back), y)


def squeeze_and_excite(net: Network, x: Value) -> Value:
    """A factor for each channel, from the means."""
    pooled = net.add(GlobalAveragePool(), x)
    low = net.add(Relu(), pointwise(net, pooled))
    gate = net.add(Conv.of(net.rank), low, net.weight(net.channels(x), net.channels(low), *[1] * net.rank))
    return net.add(Mul(), x, net.add(Sigmoid(), gate))


def join(net: Network, x: Value) -> Value:
    """The sum, product or concatenation with another value."""
    alike = [value for value in net.values if net.shape(value) == net.shape(x)]
    y = alike[net.number(*range(len(alike)))]
    if net.chance(0.6):
        return net.add(Mul() if net.chance(0.2) else Add(), x, y)
    other = [value for value in net.values if net.shape(value)[2:] == net.shape(x)[2:]]
    return net.add(Concat(axis=1), x, other[net.number(*range(len(other)))])


def idle(net: Network, x: Value) -> Value:
    """An operation that does nothing."""
    return net.add(Dropout() if net.chance(0.5) else Identity(), x)


def spelled_out(net: Network, x: Value) -> Value:
    """An activation, a circular padding or a gated map in more operations than it takes."""
    kind = net.number(*range(8))
    if kind == 0:
        low, high = (net.add(Max(), x, 0.0), net.add(Min(), x, 6.0))
        return net.add(Min(), low, 6.0) if net.chance(0.5) else net.add(Max(), high, -1.0)
    if kind == 1:
        clipped = net.add(Clip(), net.add(Add(), x, 3.0), 0.0, 6.0)
        y = net.add(Mul(), x, clipped) if net.chance(0.5) else clipped
        return net.add(Div(), y, 6.0) if net.chance(0.5) else net.add(Mul(), y, 1 / 6)
    if kind == 2:
        axis = net.number(*range(2, net.rank + 2))
        begin, end = (net.ints([n]) for n in (-net.number(1, 2), 1 << 62))
        tail = net.add(Slice(), x, begin, end, net.ints([axis]))
        front = net.add(Slice(), x, net.ints([0]), net.ints([1]), net.ints([axis]))
        parts = [tail, x, front][net.number(0, 0, 1) :]
        return convolve(net, net.add(Concat(axis=axis), *parts))
    if kind == 3:
        padded = net.add(
            Pad(), pad(net, x) if net.chance(0.4) else x, net.ints([0, 0, *[1] * net.rank] * 2), 0.0
        )
        pooled = AveragePool.of([2] * net.rank, strides=net.number(1, 2))
        return net.add(replace(pooled, count_include_pad=net.number(0, 1)), padded)
    if kind == 4:
        y = convolve(net, x)
        half = net.channels(y) // 2
        parts = net.builder.add_all(
            Split(axis=1), y, net.ints([half, net.channels(y) - half]), names=("", "")
        )
        return net.add(Concat(axis=1), net.add(Relu(), parts[0]), net.add(Tanh(), parts[1]))
    if kind == 5:
        return net.add(MaxPool.of([2] * net.rank, strides=2), activate(net, x))
    if kind == 6:
        y, places = net.builder.add_all(MaxPool.of([2] * net.rank, strides=2), x, names=("", ""))
        seen = net.add(Mul(), net.add(Cast(to=net.dtype), places), 1 / 1024)
        return net.add(Concat(axis=1), y, seen) if net.dtype is not DataType.FLOAT16 else y
    order = (1, 0, *range(2, net.rank + 2))
    turned = net.add(
        Gather(axis=0), net.add(Transpose(perm=order), x), net.ints(net.rng.permutation(net.channels(x)))
    )
    return net.add(Transpose(perm=order), turned)


def head(net: Network, x: Value) -> Value:
    """A classifier: means, a matrix and what follows it; back among the maps at the end."""
    flat = net.add(Flatten(), net.add(GlobalAveragePool(), x))
    for _ in range(net.number(1, 2)):
        width = net.builder.type(flat).dim(1)
        assert isinstance(width, int)
        if net.chance(0.5):
            turned = net.number(0, 1)
            weight = net.array(*((6, width) if turned else (width, 6)))
            alpha, beta = (1.0, 1.0) if net.chance(0.6) else (0.5, 2.0)
            bias = [net.array(6)] if net.chance(0.6) else []
            flat = net.add(Gemm(alpha=alpha, beta=beta, transB=turned), flat, weight, *bias)
        else:
            flat = net.add(MatMul(), flat, net.array(width, 6))
        if net.chance(0.6):
            op = net.pick(Add(), Mul(), Sub())
            assert isinstance(op, Op)
            flat = net.add(op, flat, net.array(*([6] if net.chance(0.7) else [1, 6])))
        if net.chance(0.3):
            flat = net.add(BatchNormalization(), flat, *(net.array(6) for _ in range(3)), net.positive(6))
    return net.add(Reshape(), flat, net.ints([0, 6, *[1] * net.rank]))
