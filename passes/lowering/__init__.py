"""Operations spelled with others, for devices that lack them: applied only on request."""

from convgraph.passes.lowering.lower_batchnorm_to_mul_and_add import LowerBatchnormToMulAndAdd
from convgraph.passes.lowering.lower_conv_transpose_to_sub_pixel import LowerConvTransposeToSubPixel
from convgraph.passes.lowering.lower_depth_to_space_to_transpose import LowerDepthToSpaceToTranspose
from convgraph.passes.lowering.lower_global_average_pool_to_reduce_mean import (
    LowerGlobalAveragePoolToReduceMean,
)
from convgraph.passes.lowering.lower_hard_sigmoid_to_clip import LowerHardSigmoidToClip
from convgraph.passes.lowering.lower_hard_swish_to_hard_sigmoid import LowerHardSwishToHardSigmoid
from convgraph.passes.lowering.lower_linear_resize_to_conv import LowerLinearResizeToConv
from convgraph.passes.lowering.lower_prelu_to_relu import LowerPreluToRelu
from convgraph.passes.lowering.lower_resize_to_expand import LowerResizeToExpand
from convgraph.passes.lowering.lower_space_to_depth_to_transpose import LowerSpaceToDepthToTranspose
from convgraph.passes.lowering.split_conv_transpose_into_resize_and_conv import (
    SplitConvTransposeIntoResizeAndConv,
)
from convgraph.passes.trace import AnyRewrite

__all__ = [
    "LOWERING",
    "LowerBatchnormToMulAndAdd",
    "LowerConvTransposeToSubPixel",
    "LowerDepthToSpaceToTranspose",
    "LowerGlobalAveragePoolToReduceMean",
    "LowerHardSigmoidToClip",
    "LowerHardSwishToHardSigmoid",
    "LowerLinearResizeToConv",
    "LowerPreluToRelu",
    "LowerResizeToExpand",
    "LowerSpaceToDepthToTranspose",
    "SplitConvTransposeIntoResizeAndConv",
]

LOWERING: tuple[AnyRewrite, ...] = (
    SplitConvTransposeIntoResizeAndConv(),
    LowerConvTransposeToSubPixel(),
    LowerDepthToSpaceToTranspose(),
    LowerResizeToExpand(),
    LowerSpaceToDepthToTranspose(),
    LowerLinearResizeToConv(),
    LowerGlobalAveragePoolToReduceMean(),
    LowerBatchnormToMulAndAdd(),
    LowerHardSigmoidToClip(),
    LowerHardSwishToHardSigmoid(),
    LowerPreluToRelu(),
)
"""Operations spelled with others: applied only on request."""
