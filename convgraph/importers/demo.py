"""The built-in demo models: well-known kinds of convolutional network, built here and seeded by name.

They look the way models come out of training frameworks, with what a compiler is there to find:
normalisations, scales and shifts after convolutions, identities, inference-time dropout, arithmetic on
constants, values nobody reads. Weights are random, but scaled so that signals keep their size through the
network.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from convgraph.errors import InvalidModel
from convgraph.importers.demo_classifiers import CLASSIFIERS
from convgraph.importers.demo_layers import LINEAR_GAIN, RELU_GAIN, Net
from convgraph.importers.demo_maps import MAPS
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    Clip,
    Concat,
    Conv,
    Div,
    Exp,
    Flatten,
    Identity,
    Log,
    MatMul,
    MaxPool,
    Mul,
    ReduceSum,
    Relu,
    Reshape,
    Sigmoid,
    Sub,
    Sum,
    Transpose,
)


def demo_names() -> tuple[str, ...]:
    """The names of the built-in models."""
    return tuple(_MODELS)


def demo(name: str) -> Graph:
    """Build a demo model: the same graph, to the bit, each time. Raises InvalidModel for an unknown name."""
    if name not in _MODELS:
        expected = f"one of {', '.join(_MODELS)}"
        raise InvalidModel(f"demo:{name}", found="no demo model of this name", expected=expected)
    net = Net(name)
    _MODELS[name](net)
    return net.builder.build()


# ---- resnet: He et al., Deep Residual Learning for Image Recognition (2016), the 18-layer form ----


def _resnet(net: Net) -> None:
    x = _standardised(net, net.image(1, 3, 224, 224))
    x = net.norm(net.conv(x, 64, size=7, stride=2, name="stem.conv"), name="stem.norm")
    x = net.add(Relu(), x, name="stem.relu")
    x = net.add(MaxPool.of((3, 3), strides=2, pads=1), x, name="stem.pool")
    for stage, out in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            stride = 2 if stage > 1 and block == 0 else 1
            x = _residual_block(net, x, out, stride=stride, name=f"layer{stage}.{block}")
        x = net.add(Identity(), x, name=f"layer{stage}.out")
    net.conv(x, 8, size=1, bias=True, name="auxiliary")  # a head from training that nobody reads any more
    net.classifier(x, 1000, name="head")


def _standardised(net: Net, image: Value) -> Value:
    """(image * 255 - mean) / std, the constants still as frameworks export them: per channel, in 0…255."""
    mean = net.per_channel(np.array([0.485, 0.456, 0.406]), name="input.mean")
    std = net.per_channel(np.array([0.229, 0.224, 0.225]), name="input.std")
    wide_mean = net.add(Mul(), mean, 255.0, name="input.mean255")
    wide_std = net.add(Mul(), std, 255.0, name="input.std255")
    pixels = net.add(Mul(), image, 255.0, name="input.pixels")
    return net.add(
        Div(), net.add(Sub(), pixels, wide_mean, name="input.centred"), wide_std, name="input.standard"
    )


def _residual_block(net: Net, x: Value, out: int, *, stride: int, name: str) -> Value:
    inner = net.norm(net.conv(x, out, stride=stride, name=f"{name}.conv1"), name=f"{name}.norm1")
    inner = net.add(Relu(), inner, name=f"{name}.relu1")
    inner = net.norm(net.conv(inner, out, gain=0.5, name=f"{name}.conv2"), name=f"{name}.norm2")
    if stride != 1:
        short = net.conv(x, out, size=1, stride=stride, gain=LINEAR_GAIN, name=f"{name}.down")
        x = net.norm(short, name=f"{name}.downnorm")
    return net.add(Relu(), net.add(Add(), inner, x, name=f"{name}.sum"), name=f"{name}.relu2")


# ---- unet: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation (2015) ----


def _unet(net: Net) -> None:
    x = net.image("N", 3, 256, 192)
    skips = []
    for level, out in enumerate((16, 32, 64, 128)):
        skips.append(_double_conv(net, x, out, name=f"down{level}"))
        x = net.add(MaxPool.of((2, 2), strides=2), skips[-1], name=f"down{level}.pool")
    x = net.dropout(_double_conv(net, x, 256, name="bottom"), name="bottom.dropout")
    for level, skip in reversed(list(enumerate(skips))):
        name = f"up{level}"
        x = net.norm(net.doubled(x, net.channels(skip), name=f"{name}.conv"), name=f"{name}.norm")
        x = net.add(Relu(), x, name=f"{name}.relu")
        x = net.add(Concat(axis=1), skip, x, name=f"{name}.concat")
        x = _double_conv(net, x, net.channels(skip), name=name)
    _deep_supervision(net, skips[-1])
    mask = net.conv(x, 2, size=1, bias=True, name="head.conv")
    scaled = net.add(Div(), mask, 1.5, name="head.temperature")
    prior = net.per_channel(np.array([0.3, -0.3]), name="head.prior")
    net.builder.output(net.add(Sub(), scaled, prior, name="mask"))


def _double_conv(net: Net, x: Value, out: int, *, name: str) -> Value:
    for number in (1, 2):
        x = net.conv(x, out, bias=number == 2, name=f"{name}.conv{number}")
        x = net.norm(x, name=f"{name}.norm{number}")
        x = net.add(Relu(), x, name=f"{name}.relu{number}")
    return x


def _deep_supervision(net: Net, x: Value) -> None:
    """Side outputs that only training used: nothing reads them."""
    side = net.norm(net.conv(x, 2, size=1, name="side.conv"), name="side.norm")
    net.add(Sigmoid(), side, name="side.mask")


# ---- mobilenet: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks (2018) ----

_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _mobilenet(net: Net) -> None:
    x = _clipped_conv(net, net.image("N", 3, 224, 224), 32, stride=2, name="stem")
    for stage, (expansion, out, blocks, first_stride) in enumerate(_STAGES):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            name = f"stage{stage}.{block}"
            x = _inverted_residual(net, x, out, expansion=expansion, stride=stride, name=name)
    x = _clipped_conv(net, x, 1280, size=1, name="last")
    net.classifier(net.add(Identity(), x, name="features"), 1000, name="head")


def _clipped_conv(
    net: Net, x: Value, out: int, *, name: str, size: int = 3, stride: int = 1, group: int = 1
) -> Value:
    """Convolution, normalisation and ReLU6, the last as the Clip that frameworks export."""
    x = net.conv(x, out, size=size, stride=stride, group=group, name=f"{name}.conv")
    return net.add(Clip(), net.norm(x, name=f"{name}.norm"), 0.0, 6.0, name=f"{name}.relu6")


def _inverted_residual(net: Net, x: Value, out: int, *, expansion: int, stride: int, name: str) -> Value:
    channels = net.channels(x)
    wide, inner = channels * expansion, x
    if expansion != 1:
        inner = _clipped_conv(net, inner, wide, size=1, name=f"{name}.expand")
    inner = _clipped_conv(net, inner, wide, stride=stride, group=wide, name=f"{name}.depthwise")
    inner = net.conv(inner, out, size=1, gain=LINEAR_GAIN, name=f"{name}.project")
    inner = net.norm(inner, name=f"{name}.norm")
    residual = stride == 1 and channels == out
    return net.add(Add(), x, inner, name=f"{name}.sum") if residual else inner


# ---- pixelcnn: van den Oord et al., Pixel Recurrent Neural Networks (2016) ----


def _pixelcnn(net: Net) -> None:
    image = net.image("N", 1, 28, 28)
    centred = net.add(Sub(), net.add(Mul(), image, 2.0, name="input.doubled"), 1.0, name="input.centred")
    x = _masked_conv(net, centred, 128, size=7, sees_itself=False, name="first")
    for block in range(6):
        name = f"block{block}"
        inner = net.conv(_before(net, x, name=f"{name}.relu1"), 64, size=1, bias=True, name=f"{name}.in")
        inner = _before(net, inner, name=f"{name}.relu2")
        inner = _masked_conv(net, inner, 64, size=3, sees_itself=True, name=f"{name}.masked")
        inner = _before(net, inner, name=f"{name}.relu3")
        inner = net.conv(inner, 128, size=1, bias=True, gain=0.5, name=f"{name}.out")
        inner = net.add(Mul(), inner, np.array([0.7], np.float32), name=f"{name}.scale")
        x = net.add(Add(), x, inner, name=f"{name}.sum")
    x = net.conv(_before(net, x, name="head.relu1"), 128, size=1, bias=True, name="head.conv1")
    x = net.conv(_before(net, x, name="head.relu2"), 256, size=1, bias=True, name="head.conv2")
    net.builder.output(net.add(Identity(), x, name="logits"))


def _before(net: Net, x: Value, *, name: str) -> Value:
    """The activation, which stands before each convolution here."""
    return net.add(Relu(), x, name=name)


def _masked_conv(net: Net, x: Value, out: int, *, size: int, sees_itself: bool, name: str) -> Value:
    """A convolution that sees only pixels before its own in reading order, weight and mask still apart."""
    channels = net.channels(x)
    mask = np.zeros((out, channels, size, size))
    mask.reshape(out, channels, -1)[..., : size * size // 2 + sees_itself] = 1
    weight = net.kernel(out, channels, size, gain=2 * RELU_GAIN)  # the mask leaves about half of the taps
    operands = net.weight(weight, name=f"{name}.weight"), net.weight(mask, name=f"{name}.mask")
    masked = net.add(Mul(), *operands, name=f"{name}.masked_weight")
    bias = net.weight(net.normal(out, scale=0.1), name=f"{name}.bias")
    return net.add(Conv.of(2, pads=size // 2), x, masked, bias, name=name)


# ---- glow: Kingma and Dhariwal, Glow: Generative Flow with Invertible 1x1 Convolutions (2018) ----


_SIGMOID_OF_2 = 0.8807970779778823  # dividing by it makes a coupling that says 0 the identity


def _glow(net: Net) -> None:
    x = net.image("N", 3, 32, 32)
    latents, terms = [], []
    for level in range(3):
        x = _squeezed(net, x, name=f"level{level}.squeeze")
        for step in range(4):
            x, log_scales = _flow_step(net, x, name=f"level{level}.step{step}")
            terms.append(log_scales)
        if level < 2:
            half = net.channels(x) // 2
            x, latent = net.split(x, (half, half), name=f"level{level}.split")
            latents.append(latent)
    for level, latent in enumerate((*latents, x)):
        net.builder.output(net.add(Flatten(), latent, name=f"latent{level}"))
    net.builder.output(net.add(Sum(), *terms, name="log_determinant"))


def _squeezed(net: Net, x: Value, *, name: str) -> Value:
    """Space to depth by 2, (N, C, H, W) -> (N, 4C, H/2, W/2), as flows write it."""
    channels, height, width = (net.size(x, axis) for axis in (1, 2, 3))
    apart = np.array([0, channels, height // 2, 2, width // 2, 2])  # 0: the batch, whatever it is
    together = np.array([0, 4 * channels, height // 2, width // 2])
    x = net.add(Reshape(), x, apart, name=f"{name}.apart")
    x = net.add(Transpose(perm=(0, 1, 3, 5, 2, 4)), x, name=f"{name}.transpose")
    return net.add(Reshape(), x, together, name=f"{name}.together")


def _flow_step(net: Net, x: Value, *, name: str) -> tuple[Value, Value]:
    """ActNorm, invertible 1x1 convolution, affine coupling; also what it adds to the log determinant."""
    channels = net.channels(x)
    scale = net.per_channel(net.uniform(channels, low=0.7, high=1.3), name=f"{name}.actnorm.scale")
    shift = net.per_channel(net.normal(channels, scale=0.1), name=f"{name}.actnorm.shift")
    x = net.add(Mul(), x, scale, name=f"{name}.actnorm.scaled")
    x = net.add(Add(), x, shift, name=f"{name}.actnorm")
    x = net.add(Conv.of(2), x, _invertible_weight(net, channels, name=f"{name}.mix"), name=f"{name}.mix")
    return _coupling(net, x, name=f"{name}.coupling")


def _invertible_weight(net: Net, channels: int, *, name: str) -> Value:
    """P · L · (U + diag(sign · exp(log s))) as a weight (C, C, 1, 1): its factors are what was trained."""
    below = np.tril(net.normal(channels, channels, scale=0.3 / np.sqrt(channels)), -1) + np.eye(channels)
    above = np.triu(net.normal(channels, channels, scale=0.3 / np.sqrt(channels)), 1)
    sign = np.where(net.uniform(channels, low=0, high=1) < 0.5, -1, 1)
    log_s = net.weight(net.normal(channels, scale=0.1), name=f"{name}.log_s")
    s = net.add(
        Mul(),
        net.weight(sign, name=f"{name}.sign"),
        net.add(Exp(), log_s, name=f"{name}.abs_s"),
        name=f"{name}.s",
    )
    diagonal = net.add(Mul(), net.weight(np.eye(channels), name=f"{name}.eye"), s, name=f"{name}.diagonal")
    upper = net.add(Add(), net.weight(above, name=f"{name}.u"), diagonal, name=f"{name}.upper")
    lower = net.add(MatMul(), net.weight(below, name=f"{name}.l"), upper, name=f"{name}.lu")
    matrix = net.add(
        MatMul(), net.weight(net.permutation(channels), name=f"{name}.p"), lower, name=f"{name}.plu"
    )
    return net.add(Reshape(), matrix, np.array([channels, channels, 1, 1]), name=f"{name}.weight")


def _coupling(net: Net, x: Value, *, name: str) -> tuple[Value, Value]:
    """One half scales and shifts the other: y = (x2 + t(x1)) · sigmoid(s(x1) + 2) / sigmoid(2)."""
    half = net.channels(x) // 2
    kept, changed = net.split(x, (half, half), name=f"{name}.halves")
    inner = net.add(Relu(), net.conv(kept, 128, bias=True, name=f"{name}.conv1"), name=f"{name}.relu1")
    inner = net.add(
        Relu(), net.conv(inner, 128, size=1, bias=True, name=f"{name}.conv2"), name=f"{name}.relu2"
    )
    inner = net.conv(inner, 2 * half, bias=True, gain=0.05, name=f"{name}.conv3")
    logs = net.per_channel(net.normal(2 * half, scale=0.1), name=f"{name}.logs")
    factor = net.add(Exp(), net.add(Mul(), logs, 3.0, name=f"{name}.logs3"), name=f"{name}.factor")
    shift, raw = net.split(
        net.add(Mul(), inner, factor, name=f"{name}.out"), (half, half), name=f"{name}.split"
    )
    gate = net.add(Sigmoid(), net.add(Add(), raw, 2.0, name=f"{name}.raw2"), name=f"{name}.gate")
    scale = net.add(Div(), gate, _SIGMOID_OF_2, name=f"{name}.scale")
    moved = net.add(Mul(), net.add(Add(), changed, shift, name=f"{name}.moved"), scale, name=f"{name}.scaled")
    logarithm = net.add(Log(), scale, name=f"{name}.log")
    total = net.add(ReduceSum(keepdims=0), logarithm, np.array([1, 2, 3]), name=f"{name}.log_determinant")
    return net.add(Concat(axis=1), kept, moved, name=f"{name}.joined"), total


_MODELS: Mapping[str, Callable[[Net], None]] = MappingProxyType(
    {
        "resnet": _resnet,
        "unet": _unet,
        "mobilenet": _mobilenet,
        "pixelcnn": _pixelcnn,
        "glow": _glow,
        **CLASSIFIERS,
        **MAPS,
    }
)
