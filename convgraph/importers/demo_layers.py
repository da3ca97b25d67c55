"""Layers for the demo models: a GraphBuilder whose weights are drawn from a generator seeded by a name."""

import math
from collections.abc import Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Value
from convgraph.ir.ops import (
    BatchNormalization,
    Conv,
    ConvTranspose,
    Dropout,
    Flatten,
    Gemm,
    GlobalAveragePool,
    MaxPool,
    Op,
    Split,
)
from convgraph.ir.tensor import Array, Dim

OPSET, IR_VERSION = 17, 8

# How much larger a convolution makes a signal's variance, so that it is kept after a Relu, or without one.
RELU_GAIN, LINEAR_GAIN = 2.0, 1.0


class Net:
    """A GraphBuilder with layers, whose weights are drawn from a generator seeded by the model's name."""

    def __init__(self, name: str) -> None:
        self.builder = GraphBuilder(name, opset=OPSET, ir_version=IR_VERSION)
        self._random = np.random.default_rng(list(name.encode()))

    def image(self, *shape: Dim) -> Value:
        """The graph's input, an image or a batch of them: (N, C, H, W)."""
        return self.builder.input("image", shape=shape)

    def size(self, x: Value, axis: int) -> int:
        """The length of an axis that is known to be fixed."""
        dim = self.builder.type(x).dim(axis)
        assert isinstance(dim, int)
        return dim

    def channels(self, x: Value) -> int:
        """The length of axis 1."""
        return self.size(x, 1)

    def add(self, op: Op, *operands: Operand, name: str) -> Value:
        """Add an operation; the node and its result share the name."""
        return self.builder.add(op, *operands, name=name, node=name)

    def split(self, x: Value, sizes: Sequence[int], *, name: str) -> tuple[Value, ...]:
        """Parts of these lengths along axis 1."""
        names = [f"{name}.{part}" for part in range(len(sizes))]
        return self.builder.add_all(Split(axis=1), x, np.array(sizes), names=names, node=name)

    def weight(self, data: Array, *, name: str) -> Value:
        """A constant in float32."""
        return self.builder.constant(data.astype(np.float32), name=name)

    def normal(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> Array:
        """Draws from a normal distribution."""
        return self._random.normal(mean, scale, shape)

    def uniform(self, *shape: int, low: float, high: float) -> Array:
        """Draws from between two bounds."""
        return self._random.uniform(low, high, shape)

    def permutation(self, count: int) -> Array:
        """A random permutation matrix."""
        return self._random.permutation(np.eye(count))

    def kernel(self, out: int, per_group: int, size: int, *, gain: float) -> Array:
        """A weight (out, per_group, size, size) that multiplies a signal's variance by ``gain``."""
        return self.normal(out, per_group, size, size, scale=np.sqrt(gain / (per_group * size * size)))

    def conv(
        self,
        x: Value,
        out: int,
        *,
        name: str,
        size: int = 3,
        stride: int = 1,
        group: int = 1,
        bias: bool = False,
        gain: float = RELU_GAIN,
    ) -> Value:
        """A convolution with an odd window, padded so that stride 1 keeps the image's size."""
        weight = self.kernel(out, self.channels(x) // group, size, gain=gain)
        operands = [self.weight(weight, name=f"{name}.weight")]
        if bias:
            operands.append(self.weight(self.normal(out, scale=0.1), name=f"{name}.bias"))
        op = Conv.of(2, strides=stride, pads=size // 2, group=group)
        return self.add(op, x, *operands, name=name)

    def window(
        self, x: Value, out: int, kernel: Sequence[int], op: Conv, *, name: str, gain: float = RELU_GAIN
    ) -> Value:
        """A convolution with a window of any size over any number of axes, and a bias."""
        per_group = self.channels(x) // op.group
        scale = np.sqrt(gain / (per_group * math.prod(kernel)))
        weight = self.weight(self.normal(out, per_group, *kernel, scale=scale), name=f"{name}.weight")
        return self.add(
            op, x, weight, self.weight(self.normal(out, scale=0.1), name=f"{name}.bias"), name=name
        )

    def pooled(self, x: Value, *, name: str) -> Value:
        """The largest of every 3 by 3, at every second position."""
        return self.add(MaxPool.of((3, 3), strides=2), x, name=name)

    def doubled(self, x: Value, out: int, *, name: str) -> Value:
        """A transposed convolution to twice the height and width."""
        channels = self.channels(x)
        weight = self.normal(channels, out, 2, 2, scale=np.sqrt(RELU_GAIN / channels))
        return self.add(
            ConvTranspose.of(2, strides=2), x, self.weight(weight, name=f"{name}.weight"), name=name
        )

    def norm(self, x: Value, *, name: str) -> Value:
        """A batch normalisation as training leaves it: no statistic is trivial, some scales are negative."""
        count = self.channels(x)
        sign = np.where(self.uniform(count, low=0, high=1) < 0.1, -1, 1)
        statistics = {
            "weight": sign * self.uniform(count, low=0.6, high=1.4),
            "bias": self.normal(count, scale=0.2),
            "running_mean": self.normal(count, scale=0.2),
            "running_var": self.uniform(count, low=0.5, high=1.8),
        }
        operands = [self.weight(data, name=f"{name}.{role}") for role, data in statistics.items()]
        return self.add(BatchNormalization(), x, *operands, name=name)

    def per_channel(self, data: Array, *, name: str) -> Value:
        """A constant with a number for each channel, shaped to act on an image."""
        return self.weight(data.reshape(1, -1, 1, 1), name=name)

    def dropout(self, x: Value, *, name: str) -> Value:
        """Dropout in inference mode."""
        return self.add(Dropout(), x, 0.2, np.array(False), name=name)  # noqa: FBT003 - an element

    def classifier(self, x: Value, classes: int, *, name: str) -> None:
        """Global pooling, dropout and a fully connected layer to the output ``logits``."""
        pooled = self.add(GlobalAveragePool(), x, name=f"{name}.pool")
        flat = self.dropout(self.add(Flatten(), pooled, name=f"{name}.flatten"), name=f"{name}.dropout")
        features = self.channels(flat)
        weight = self.normal(classes, features, scale=1 / np.sqrt(features))
        operands = (
            self.weight(weight, name=f"{name}.weight"),
            self.weight(self.normal(classes, scale=0.1), name=f"{name}.bias"),
        )
        self.builder.output(self.add(Gemm(transB=1), flat, *operands, name="logits"))
