"""How a graph is improved: every rewrite, and the pipelines that put them in order.

A pipeline is a tuple; each entry is one rewrite, or a Repeat of rewrites that run together until none
applies. Rewrites are immutable, so these tuples can be shared and recombined: ``(MyRewrite(), *DEFAULT)``.
"""

from convgraph.passes.algebra.compose_matmuls import ComposeMatmuls
from convgraph.passes.algebra.crop_dead_taps import CropDeadTaps
from convgraph.passes.algebra.drop_taps_that_see_padding import DropTapsThatSeePadding
from convgraph.passes.algebra.fold_space_to_depth_into_conv import FoldSpaceToDepthIntoConv
from convgraph.passes.algebra.lower_conv_transpose_to_sub_pixel import LowerConvTransposeToSubPixel
from convgraph.passes.algebra.lower_depth_to_space_to_transpose import LowerDepthToSpaceToTranspose
from convgraph.passes.algebra.lower_resize_to_expand import LowerResizeToExpand
from convgraph.passes.algebra.split_conv_into_groups import SplitConvIntoGroups
from convgraph.passes.algebra.split_conv_transpose_into_resize_and_conv import (
    SplitConvTransposeIntoResizeAndConv,
)
from convgraph.passes.algebra.split_depthwise_separable import SplitDepthwiseSeparable
from convgraph.passes.algebra.split_spatially_separable import SplitSpatiallySeparable
from convgraph.passes.cleanup.drop_unread_values import DropUnreadValues
from convgraph.passes.cleanup.fold_constants import FoldConstants
from convgraph.passes.cleanup.fold_static_shape import FoldStaticShape
from convgraph.passes.cleanup.remove_dropout import RemoveDropout
from convgraph.passes.cleanup.remove_identity import RemoveIdentity
from convgraph.passes.fusion.absorb_pad_into_average_pool import AbsorbPadIntoAveragePool
from convgraph.passes.fusion.absorb_pad_into_conv import AbsorbPadIntoConv
from convgraph.passes.fusion.absorb_pad_into_max_pool import AbsorbPadIntoMaxPool
from convgraph.passes.fusion.fold_batchnorm_into_conv import FoldBatchnormIntoConv
from convgraph.passes.fusion.fold_batchnorm_into_gemm import FoldBatchnormIntoGemm
from convgraph.passes.fusion.fold_batchnorm_into_next_conv import FoldBatchnormIntoNextConv
from convgraph.passes.fusion.fold_scale_into_conv import FoldScaleIntoConv
from convgraph.passes.fusion.fold_scale_into_gemm import FoldScaleIntoGemm
from convgraph.passes.fusion.fold_scale_into_next_conv import FoldScaleIntoNextConv
from convgraph.passes.fusion.fold_shift_into_conv import FoldShiftIntoConv
from convgraph.passes.fusion.fold_shift_into_gemm import FoldShiftIntoGemm
from convgraph.passes.fusion.fold_shift_into_next_conv import FoldShiftIntoNextConv
from convgraph.passes.fusion.fuse_activation_into_conv import FuseActivationIntoConv
from convgraph.passes.fusion.fuse_sigmoid_mul_into_swish import FuseSigmoidMulIntoSwish
from convgraph.passes.fusion.fuse_transposed_matmul_into_conv import FuseTransposedMatmulIntoConv
from convgraph.passes.pipeline import AnyRewrite, Application, Pipeline, Repeat, Trace
from convgraph.passes.rewrite import PricedRewrite, Refusal, Requirement, Rewrite, requirement

__all__ = [
    "ALGEBRA",
    "ALL",
    "APPROXIMATE",
    "CLEAN",
    "CLEANUP",
    "DEFAULT",
    "EXACT",
    "FOLDING",
    "FUSION",
    "LOWERING",
    "AbsorbPadIntoAveragePool",
    "AbsorbPadIntoConv",
    "AbsorbPadIntoMaxPool",
    "AnyRewrite",
    "Application",
    "ComposeMatmuls",
    "CropDeadTaps",
    "DropTapsThatSeePadding",
    "DropUnreadValues",
    "FoldBatchnormIntoConv",
    "FoldBatchnormIntoGemm",
    "FoldBatchnormIntoNextConv",
    "FoldConstants",
    "FoldScaleIntoConv",
    "FoldScaleIntoGemm",
    "FoldScaleIntoNextConv",
    "FoldShiftIntoConv",
    "FoldShiftIntoGemm",
    "FoldShiftIntoNextConv",
    "FoldSpaceToDepthIntoConv",
    "FoldStaticShape",
    "FuseActivationIntoConv",
    "FuseSigmoidMulIntoSwish",
    "FuseTransposedMatmulIntoConv",
    "LowerConvTransposeToSubPixel",
    "LowerDepthToSpaceToTranspose",
    "LowerResizeToExpand",
    "Pipeline",
    "PricedRewrite",
    "Refusal",
    "RemoveDropout",
    "RemoveIdentity",
    "Repeat",
    "Requirement",
    "Rewrite",
    "SplitConvIntoGroups",
    "SplitConvTransposeIntoResizeAndConv",
    "SplitDepthwiseSeparable",
    "SplitSpatiallySeparable",
    "Trace",
    "requirement",
]

CLEANUP: tuple[AnyRewrite, ...] = (
    RemoveDropout(),
    RemoveIdentity(),
    FoldStaticShape(),
    FoldConstants(),
    DropUnreadValues(),
)

FOLDING: tuple[AnyRewrite, ...] = (
    FoldBatchnormIntoConv(),
    FoldScaleIntoConv(),
    FoldShiftIntoConv(),
    FuseTransposedMatmulIntoConv(),
    AbsorbPadIntoConv(),
    AbsorbPadIntoMaxPool(),
    AbsorbPadIntoAveragePool(),
    FoldBatchnormIntoNextConv(),
    FoldScaleIntoNextConv(),
    FoldShiftIntoNextConv(),
    FoldBatchnormIntoGemm(),
    FoldScaleIntoGemm(),
    FoldShiftIntoGemm(),
)

ALGEBRA: tuple[AnyRewrite, ...] = (
    ComposeMatmuls(),
    CropDeadTaps(),
    DropTapsThatSeePadding(),
    SplitDepthwiseSeparable(),
    SplitSpatiallySeparable(),
    SplitConvIntoGroups(),
    FoldSpaceToDepthIntoConv(),
)
"""The same function with fewer multiplications, where the target's costs say that it pays."""

FUSION: tuple[AnyRewrite, ...] = (
    FuseSigmoidMulIntoSwish(),
    FuseActivationIntoConv(),
)

LOWERING: tuple[AnyRewrite, ...] = (
    SplitConvTransposeIntoResizeAndConv(),
    LowerConvTransposeToSubPixel(),
    LowerDepthToSpaceToTranspose(),
    LowerResizeToExpand(),
)
"""Operations spelled with others: applied only on request."""

APPROXIMATE: tuple[AnyRewrite, ...] = ()
"""Close but not the same: never applied unless asked for with an error budget."""

ALL: tuple[AnyRewrite, ...] = (*CLEANUP, *FOLDING, *ALGEBRA, *FUSION, *LOWERING, *APPROXIMATE)

CLEAN: tuple[AnyRewrite | Repeat, ...] = (
    Repeat(*CLEANUP, *FOLDING),
    Repeat(*FUSION),
)

EXACT: tuple[AnyRewrite | Repeat, ...] = (
    Repeat(*CLEANUP, *FOLDING),
    Repeat(*CLEANUP, *FOLDING, *ALGEBRA),
    Repeat(*FUSION),
)

DEFAULT = EXACT
