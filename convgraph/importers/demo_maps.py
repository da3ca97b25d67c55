"""Demo models that answer at every position: DeepLab, DCGAN, inpainting, a panorama and WaveNet."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from convgraph.importers.demo_layers import LINEAR_GAIN, RELU_GAIN, Net
from convgraph.ir.graph import Value
from convgraph.ir.ops import (
    Add,
    Concat,
    Conv,
    ConvTranspose,
    Elu,
    GlobalAveragePool,
    Mul,
    Pad,
    Relu,
    Resize,
    Sigmoid,
    Slice,
    Tanh,
)

# ---- deeplab: Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation (2017) ----


def _deeplab(net: Net) -> None:
    x = net.image("N", 3, 96, 128)
    for stage, out in enumerate((32, 64, 128)):
        x = net.norm(net.conv(x, out, stride=2, name=f"down{stage}"), name=f"down{stage}.norm")
        x = net.add(Relu(), x, name=f"down{stage}.relu")
    views = [_atrous(net, x, dilation=dilation) for dilation in (0, 2, 4, 6)]
    everywhere = net.add(GlobalAveragePool(), x, name="pooled")
    everywhere = net.add(
        Relu(), net.conv(everywhere, 64, size=1, bias=True, name="pooled.conv"), name="pooled.relu"
    )
    spread = np.array([1, 1, net.size(x, 2), net.size(x, 3)], np.float32)
    views.append(net.add(Resize(), everywhere, None, spread, name="pooled.spread"))
    x = net.conv(net.add(Concat(axis=1), *views, name="views"), 64, size=1, name="project")
    x = net.add(Relu(), net.norm(x, name="project.norm"), name="project.relu")
    x = net.conv(x, 5, size=1, bias=True, name="classes")
    eight = np.array([1, 1, 8, 8], np.float32)
    net.builder.output(net.add(Resize(mode="linear"), x, None, eight, name="scores"))


def _atrous(net: Net, x: Value, *, dilation: int) -> Value:
    """64 filters that keep the size; 1x1 where the dilation is 0."""
    name, kernel = f"view{dilation}", (3, 3) if dilation else (1, 1)
    op = Conv.of(2, pads=dilation, dilations=max(dilation, 1))
    x = net.norm(net.window(x, 64, kernel, op, name=name), name=f"{name}.norm")
    return net.add(Relu(), x, name=f"{name}.relu")


# ---- dcgan: Radford et al., Unsupervised Representation Learning with Deep Convolutional GANs (2016) ----


def _dcgan(net: Net) -> None:
    x = net.builder.input("noise", shape=("N", 64, 1, 1))
    for layer, out in enumerate((256, 128, 64)):
        x = net.norm(_grown(net, x, out, first=layer == 0, name=f"up{layer}"), name=f"up{layer}.norm")
        x = net.add(Relu(), x, name=f"up{layer}.relu")
    net.builder.output(net.add(Tanh(), _grown(net, x, 3, first=False, name="picture"), name="image"))


def _grown(net: Net, x: Value, out: int, *, first: bool, name: str) -> Value:
    """Windows of 4x4: from 1x1 to 4x4 at first, then to twice the size."""
    channels = net.channels(x)
    seen = channels if first else 4 * channels  # each output is reached by a quarter of the window
    weight = net.normal(channels, out, 4, 4, scale=np.sqrt(RELU_GAIN / seen))
    op = ConvTranspose.of(2) if first else ConvTranspose.of(2, strides=2, pads=1)
    return net.add(op, x, net.weight(weight, name=f"{name}.weight"), name=name)


# ---- inpainting: Yu et al., Free-Form Image Inpainting with Gated Convolution (2019) ----


def _inpainting(net: Net) -> None:
    """A picture with holes and the holes' mask; every feature has a gate of its own."""
    x = net.image("N", 4, 32, 48)
    for layer, (out, dilation) in enumerate(((48, 1), (96, 1), (96, 2), (96, 4), (48, 1))):
        op = Conv.of(2, pads=dilation, dilations=dilation)
        feature = net.window(x, out, (3, 3), op, name=f"layer{layer}.feature")
        gate = net.window(x, out, (3, 3), op, name=f"layer{layer}.gate", gain=LINEAR_GAIN)
        gate = net.add(Sigmoid(), gate, name=f"layer{layer}.open")
        x = net.add(Mul(), net.add(Elu(), feature, name=f"layer{layer}.elu"), gate, name=f"layer{layer}")
    net.builder.output(net.add(Tanh(), net.conv(x, 3, bias=True, name="picture"), name="filled"))


# ---- panorama: Liu et al., An Intriguing Failing of Convolutional Neural Networks and CoordConv (2018) ----


def _panorama(net: Net) -> None:
    """Left and right are neighbours; the row is told to every filter, as a channel from −1 to 1."""
    x = net.image(1, 3, 32, 96)
    for layer, out in enumerate((64, 128, 96)):
        name, height, width = f"layer{layer}", net.size(x, 2), net.size(x, 3)
        rows = np.broadcast_to(np.linspace(-1, 1, height)[:, None], (1, 1, height, width))
        x = net.add(Concat(axis=1), x, net.weight(rows, name=f"{name}.rows"), name=f"{name}.placed")
        left = net.add(Slice(), x, *(np.array([n]) for n in (-1, width, 3)), name=f"{name}.left")
        right = net.add(Slice(), x, *(np.array([n]) for n in (0, 1, 3)), name=f"{name}.right")
        x = net.add(Concat(axis=3), left, x, right, name=f"{name}.around")
        x = net.window(x, out, (3, 3), Conv.of(2, pads=(1, 0, 1, 0)), name=f"{name}.conv")
        x = net.add(Relu(), net.norm(x, name=f"{name}.norm"), name=f"{name}.relu")
    net.builder.output(net.conv(x, 4, size=1, bias=True, name="scores"))


# ---- wavenet: van den Oord et al., WaveNet: A Generative Model for Raw Audio (2016) ----


def _wavenet(net: Net) -> None:
    """Causal: a step sees itself and steps before it, twice as far back in each layer."""
    x = net.window(net.builder.input("sound", shape=("N", 1, 512)), 64, (1,), Conv.of(1), name="first")
    skips = []
    for layer in range(6):
        name, dilation = f"layer{layer}", 2**layer
        seen = net.add(Pad(), x, np.array([0, 0, dilation, 0, 0, 0]), name=f"{name}.pad")
        op = Conv.of(1, dilations=dilation)
        value, gate = (net.window(seen, 64, (2,), op, name=f"{name}.{part}") for part in ("value", "gate"))
        value = net.add(Tanh(), value, name=f"{name}.tanh")
        gated = net.add(Mul(), value, net.add(Sigmoid(), gate, name=f"{name}.open"), name=f"{name}.gated")
        skips.append(net.window(gated, 128, (1,), Conv.of(1), name=f"{name}.skip"))
        added = net.window(gated, 64, (1,), Conv.of(1), name=f"{name}.out", gain=LINEAR_GAIN)
        x = net.add(Add(), x, added, name=f"{name}.sum")
    total = skips[0]
    for layer, skip in enumerate(skips[1:], start=1):
        total = net.add(Add(), total, skip, name=f"skips{layer}")
    total = net.window(net.add(Relu(), total, name="head.relu"), 256, (1,), Conv.of(1), name="head.conv")
    net.builder.output(net.add(Sigmoid(), total, name="levels"))


MAPS: Mapping[str, Callable[[Net], None]] = MappingProxyType(
    {
        "deeplab": _deeplab,
        "dcgan": _dcgan,
        "inpainting": _inpainting,
        "panorama": _panorama,
        "wavenet": _wavenet,
    }
)
