"""A value's name is not given to another value later, so that the same name in both models is the same value.

A rewrite that removed ``y_conv`` and one that made a value near ``y`` left a ``y_conv`` that was another
tensor: a comparison by names took it for wrong.
"""

import numpy as np

from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, ConvTranspose, Identity, Mul, Relu, Resize, Sigmoid
from convgraph.numerics.compare import verify_models
from convgraph.passes import Pipeline
from convgraph.passes.algebra.move_pointwise_conv_before_resize import MovePointwiseConvBeforeResize
from convgraph.passes.cleanup.remove_identity import RemoveIdentity
from convgraph.passes.fusion.fuse_activation_into_conv import FuseActivationIntoConv
from convgraph.passes.fusion.fuse_sigmoid_mul_into_swish import FuseSigmoidMulIntoSwish
from convgraph.passes.lowering.lower_conv_transpose_to_sub_pixel import LowerConvTransposeToSubPixel


def enlarged() -> Graph:
    """A resize and a pointwise convolution whose results have names that a rewrite would choose."""
    b = GraphBuilder("enlarged", opset=18)
    weight = np.random.default_rng(2).normal(size=(6, 4, 1, 1)).astype(np.float32)
    x = b.input("x", shape=(1, 4, 5, 3))
    up = b.add(Resize(mode="nearest"), x, None, np.float32([1, 1, 2, 2]), name="up")
    y = b.add(Conv.of(2), b.add(Identity(), up, name="y_conv"), weight, name="y")
    b.output(b.add(Relu(), y), name="z")
    return b.build()


def test_a_name_of_the_model_goes_to_no_other_value() -> None:
    graph = from_onnx(to_onnx(enlarged()))
    result, trace = Pipeline([RemoveIdentity(), MovePointwiseConvBeforeResize()]).run(graph)
    assert len(trace.applications) == 2
    verdict = verify_models(to_onnx(graph), to_onnx(result), names_are_kept=True)
    assert verdict.equal, verdict.reason


def test_what_lay_within_an_activation_is_another_value_before_the_phases_are_spread() -> None:
    b = GraphBuilder("g", opset=17)
    weight = np.random.default_rng(3).normal(size=(4, 4, 4, 4)).astype(np.float32)
    y = b.add(ConvTranspose.of(2, strides=2, pads=1), b.input("x", shape=(1, 4, 6, 5)), weight, name="y")
    b.output(b.add(Mul(), y, b.add(Sigmoid(), y, name="gate"), name="z"))
    graph = from_onnx(to_onnx(b.build()))
    rewrites = FuseSigmoidMulIntoSwish(), FuseActivationIntoConv(), LowerConvTransposeToSubPixel()
    result, trace = Pipeline(rewrites).run(graph)
    assert len(trace.applications) == len(rewrites)
    assert not any(result.has_value(name) for name in ("y", "gate"))
    verdict = verify_models(to_onnx(graph), to_onnx(result), names_are_kept=True)
    assert verdict.equal, verdict.reason
