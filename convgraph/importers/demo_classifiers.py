"""Demo models that answer with a class: AlexNet, Inception, ResNeXt, ShuffleNet, TextCNN; one for video."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from convgraph.importers.demo_layers import LINEAR_GAIN, Net
from convgraph.ir.graph import Value
from convgraph.ir.ops import Add, Concat, Conv, Gemm, Identity, MaxPool, ReduceMax, Relu, Reshape, Transpose


def _normed(
    net: Net, x: Value, out: int, *, name: str, size: int = 3, stride: int = 1, group: int = 1
) -> Value:
    """Convolution, normalisation, Relu."""
    x = net.conv(x, out, size=size, stride=stride, group=group, name=f"{name}.conv")
    return net.add(Relu(), net.norm(x, name=f"{name}.norm"), name=f"{name}.relu")


# ---- alexnet: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks (2012) ----


def _alexnet(net: Net) -> None:
    """Half as wide; the second, fourth and fifth layers see half of the channels each."""
    x = net.image("N", 3, 227, 227)
    x = net.window(x, 48, (11, 11), Conv.of(2, strides=4), name="conv1")
    x = net.pooled(net.add(Relu(), x, name="relu1"), name="pool1")
    x = net.add(Relu(), net.conv(x, 128, size=5, group=2, bias=True, name="conv2"), name="relu2")
    x = net.pooled(x, name="pool2")
    for number, (out, group) in enumerate(((192, 1), (192, 2), (128, 2)), start=3):
        x = net.conv(x, out, group=group, bias=True, name=f"conv{number}")
        x = net.add(Relu(), x, name=f"relu{number}")
    net.classifier(net.pooled(x, name="pool5"), 100, name="head")


# ---- inception: Szegedy et al., Going Deeper with Convolutions (2014), with batch normalisation ----

_BRANCHES = (((1, 64),), ((1, 96), (3, 128)), ((1, 16), (5, 32)))  # window and filters of each layer


def _inception(net: Net) -> None:
    x = net.pooled(_normed(net, net.image("N", 3, 96, 128), 64, size=7, stride=2, name="stem"), name="pool")
    for module in range(2):
        name = f"module{module}"
        branches = []
        for number, layers in enumerate(_BRANCHES):
            inner = x
            for depth, (size, out) in enumerate(layers):
                inner = _normed(net, inner, out, size=size, name=f"{name}.branch{number}.{depth}")
            branches.append(inner)
        around = net.add(MaxPool.of((3, 3), pads=1), x, name=f"{name}.pool")
        branches.append(_normed(net, around, 32, size=1, name=f"{name}.pooled"))
        x = net.add(Concat(axis=1), *branches, name=f"{name}.concat")
    net.classifier(net.add(Identity(), x, name="features"), 100, name="head")


# ---- resnext: Xie et al., Aggregated Residual Transformations for Deep Neural Networks (2017) ----


def _resnext(net: Net) -> None:
    x = net.pooled(_normed(net, net.image("N", 3, 96, 64), 64, size=7, stride=2, name="stem"), name="pool")
    for stage, wide in enumerate((128, 256)):
        for block in range(2):
            x = _aggregated(net, x, wide, stride=1 + (stage > 0 == block), name=f"stage{stage}.{block}")
    net.classifier(x, 100, name="head")


def _aggregated(net: Net, x: Value, wide: int, *, stride: int, name: str) -> Value:
    """A bottleneck whose middle is 32 small convolutions side by side."""
    inner = _normed(net, x, wide, size=1, name=f"{name}.reduce")
    inner = _normed(net, inner, wide, stride=stride, group=32, name=f"{name}.groups")
    inner = net.norm(net.conv(inner, 2 * wide, size=1, gain=0.5, name=f"{name}.expand"), name=f"{name}.norm")
    if net.channels(x) != 2 * wide:
        x = net.conv(x, 2 * wide, size=1, stride=stride, gain=LINEAR_GAIN, name=f"{name}.down")
        x = net.norm(x, name=f"{name}.downnorm")
    return net.add(Relu(), net.add(Add(), inner, x, name=f"{name}.sum"), name=f"{name}.relu")


# ---- shufflenet: Zhang et al., ShuffleNet: An Extremely Efficient Convolutional Neural Network (2018) ----

_GROUPS = 4


def _shufflenet(net: Net) -> None:
    x = net.pooled(_normed(net, net.image("N", 3, 96, 128), 272, stride=2, name="stem"), name="pool")
    for unit in range(4):
        x = _shuffle_unit(net, x, name=f"unit{unit}")
    net.classifier(x, 100, name="head")


def _shuffle_unit(net: Net, x: Value, *, name: str) -> Value:
    channels = net.channels(x)
    inner = _normed(net, x, channels // 4, size=1, group=_GROUPS, name=f"{name}.reduce")
    inner = _shuffled(net, inner, name=f"{name}.shuffle")
    inner = net.conv(inner, channels // 4, group=channels // 4, gain=LINEAR_GAIN, name=f"{name}.depthwise")
    inner = net.norm(inner, name=f"{name}.depthwise.norm")
    inner = net.conv(inner, channels, size=1, group=_GROUPS, gain=0.5, name=f"{name}.expand")
    inner = net.norm(inner, name=f"{name}.expand.norm")
    return net.add(Relu(), net.add(Add(), inner, x, name=f"{name}.sum"), name=f"{name}.relu")


def _shuffled(net: Net, x: Value, *, name: str) -> Value:
    """The channels dealt out, so that every group hears of every other."""
    channels, height, width = (net.size(x, axis) for axis in (1, 2, 3))
    apart = np.array([0, _GROUPS, channels // _GROUPS, height, width])  # 0: the batch, whatever it is
    x = net.add(
        Transpose(perm=(0, 2, 1, 3, 4)), net.add(Reshape(), x, apart, name=f"{name}.apart"), name=name
    )
    return net.add(Reshape(), x, np.array([0, channels, height, width]), name=f"{name}.together")


# ---- textcnn: Kim, Convolutional Neural Networks for Sentence Classification (2014) ----


def _textcnn(net: Net) -> None:
    words = net.builder.input("words", shape=("N", 128, 40))  # sentences, numbers for a word, words
    heard = []
    for width in (3, 4, 5):
        response = net.window(words, 100, (width,), Conv.of(1), name=f"conv{width}")
        response = net.add(Relu(), response, name=f"relu{width}")
        heard.append(net.add(ReduceMax(keepdims=0), response, np.array([2]), name=f"loudest{width}"))
    features = net.dropout(net.add(Concat(axis=1), *heard, name="features"), name="dropout")
    weight = net.weight(net.normal(5, 300, scale=300**-0.5), name="head.weight")
    bias = net.weight(net.normal(5, scale=0.1), name="head.bias")
    net.builder.output(net.add(Gemm(transB=1), features, weight, bias, name="logits"))


# ---- video: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition (2018) ----


def _video(net: Net) -> None:
    """Each 3-D convolution as one over space and one over time."""
    x = net.builder.input("frames", shape=("N", 3, 8, 56, 48))
    for stage, out in enumerate((32, 64, 96)):
        name, space = f"stage{stage}", Conv.of(3, strides=(1, 2, 2), pads=(0, 1, 1, 0, 1, 1))
        x = net.norm(net.window(x, out, (1, 3, 3), space, name=f"{name}.space"), name=f"{name}.space.norm")
        x = net.add(Relu(), x, name=f"{name}.space.relu")
        x = net.window(x, out, (3, 1, 1), Conv.of(3, pads=(1, 0, 0, 1, 0, 0)), name=f"{name}.time")
        x = net.add(Relu(), net.norm(x, name=f"{name}.time.norm"), name=f"{name}.time.relu")
    net.classifier(x, 20, name="head")


CLASSIFIERS: Mapping[str, Callable[[Net], None]] = MappingProxyType(
    {
        "alexnet": _alexnet,
        "inception": _inception,
        "resnext": _resnext,
        "shufflenet": _shufflenet,
        "textcnn": _textcnn,
        "video": _video,
    }
)
