"""How a graph is improved: every rewrite, and the pipelines that put them in order.

A pipeline is a tuple; each entry is one rewrite, or a Repeat of rewrites that run together until none
applies. Rewrites are immutable, so these tuples can be shared and recombined: ``(MyRewrite(), *DEFAULT)``.
"""

from convgraph.passes.algebra.associate_matmuls import AssociateMatmuls
from convgraph.passes.algebra.compose_average_pool_into_conv import ComposeAveragePoolIntoConv
from convgraph.passes.algebra.compose_channel_orders import ComposeChannelOrders
from convgraph.passes.algebra.compose_convs import ComposeConvs
from convgraph.passes.algebra.compose_matmuls import ComposeMatmuls
from convgraph.passes.algebra.crop_dead_taps import CropDeadTaps
from convgraph.passes.algebra.crop_interior_taps import CropInteriorTaps
from convgraph.passes.algebra.distribute_pointwise_conv_over_concat import DistributePointwiseConvOverConcat
from convgraph.passes.algebra.drop_pool_that_numbers_pixels import DropPoolThatNumbersPixels
from convgraph.passes.algebra.drop_redundant_channels import DropRedundantChannels
from convgraph.passes.algebra.drop_taps_that_see_padding import DropTapsThatSeePadding
from convgraph.passes.algebra.fold_coordinate_channels import FoldCoordinateChannels
from convgraph.passes.algebra.fold_nearest_resize_into_conv import FoldNearestResizeIntoConv
from convgraph.passes.algebra.fold_nearest_resize_through_concat_into_conv import (
    FoldNearestResizeThroughConcatIntoConv,
)
from convgraph.passes.algebra.fold_space_to_depth_into_conv import FoldSpaceToDepthIntoConv
from convgraph.passes.algebra.fuse_slices_into_space_to_depth import FuseSlicesIntoSpaceToDepth
from convgraph.passes.algebra.lower_conv_transpose_of_pixel_to_conv import LowerConvTransposeOfPixelToConv
from convgraph.passes.algebra.lower_conv_transpose_to_conv import LowerConvTransposeToConv
from convgraph.passes.algebra.lower_interpolating_conv_transpose_to_resize import (
    LowerInterpolatingConvTransposeToResize,
)
from convgraph.passes.algebra.merge_added_constants import MergeAddedConstants
from convgraph.passes.algebra.merge_parallel_branches import MergeParallelBranches
from convgraph.passes.algebra.merge_sibling_convs import MergeSiblingConvs
from convgraph.passes.algebra.move_function_before_resize import MoveFunctionBeforeResize
from convgraph.passes.algebra.move_monotone_after_max_pool import MoveMonotoneAfterMaxPool
from convgraph.passes.algebra.move_pointwise_conv_after_average_pool import MovePointwiseConvAfterAveragePool
from convgraph.passes.algebra.move_pointwise_conv_before_resize import MovePointwiseConvBeforeResize
from convgraph.passes.algebra.multiply_maps_at_load import MultiplyMapsAtLoad
from convgraph.passes.algebra.propagate_stride import PropagateStride
from convgraph.passes.algebra.split_conv_along_split import SplitConvAlongSplit
from convgraph.passes.algebra.split_conv_into_groups import SplitConvIntoGroups
from convgraph.passes.algebra.split_conv_transpose_into_phases import SplitConvTransposeIntoPhases
from convgraph.passes.algebra.split_depthwise_separable import SplitDepthwiseSeparable
from convgraph.passes.algebra.split_spatially_separable import SplitSpatiallySeparable
from convgraph.passes.algebra.sum_kernels_at_load import SumKernelsAtLoad
from convgraph.passes.algebra.transform_conv_into_winograd import TransformConvIntoWinograd
from convgraph.passes.algebra.transform_conv_transpose_into_winograd import TransformConvTransposeIntoWinograd
from convgraph.passes.approximate import (
    APPROXIMATE,
    SplitLowRankConv,
    SplitNearlyBoxedConvTranspose,
    SplitNearlyDepthwiseSeparable,
    SplitNearlySpatiallySeparable,
)
from convgraph.passes.cleanup.commute_slice_with_concat import CommuteSliceWithConcat
from convgraph.passes.cleanup.compose_casts import ComposeCasts
from convgraph.passes.cleanup.compose_pads import ComposePads
from convgraph.passes.cleanup.compose_reductions import ComposeReductions
from convgraph.passes.cleanup.compose_reshapes import ComposeReshapes
from convgraph.passes.cleanup.compose_slices import ComposeSlices
from convgraph.passes.cleanup.compose_transposes import ComposeTransposes
from convgraph.passes.cleanup.drop_unread_values import DropUnreadValues
from convgraph.passes.cleanup.fold_constants import FoldConstants
from convgraph.passes.cleanup.fold_fill_into_broadcast import FoldFillIntoBroadcast
from convgraph.passes.cleanup.fold_matrix_inverse import FoldMatrixInverse
from convgraph.passes.cleanup.fold_reshape_target import FoldReshapeTarget
from convgraph.passes.cleanup.fold_resize_sizes import FoldResizeSizes
from convgraph.passes.cleanup.fold_static_dimensions import FoldStaticDimensions
from convgraph.passes.cleanup.fold_static_shape import FoldStaticShape
from convgraph.passes.cleanup.fuse_pick_into_shape import FusePickIntoShape
from convgraph.passes.cleanup.fuse_reshape_into_reduction import FuseReshapeIntoReduction
from convgraph.passes.cleanup.fuse_sequence_into_concat import FuseSequenceIntoConcat
from convgraph.passes.cleanup.fuse_sequence_into_slice import FuseSequenceIntoSlice
from convgraph.passes.cleanup.fuse_slices_into_wrap_pad import FuseSlicesIntoWrapPad
from convgraph.passes.cleanup.inline_constant_if import InlineConstantIf
from convgraph.passes.cleanup.inline_local_function import InlineLocalFunction
from convgraph.passes.cleanup.merge_concats import MergeConcats
from convgraph.passes.cleanup.merge_slices import MergeSlices
from convgraph.passes.cleanup.remove_concat_of_parts import RemoveConcatOfParts
from convgraph.passes.cleanup.remove_dropout import RemoveDropout
from convgraph.passes.cleanup.remove_identity import RemoveIdentity
from convgraph.passes.cleanup.remove_idle_choice import RemoveIdleChoice
from convgraph.passes.cleanup.remove_idle_function import RemoveIdleFunction
from convgraph.passes.cleanup.remove_idle_sampling import RemoveIdleSampling
from convgraph.passes.cleanup.remove_neutral_constant import RemoveNeutralConstant
from convgraph.passes.cleanup.remove_opposites import RemoveOpposites
from convgraph.passes.cleanup.remove_sequence_pick import RemoveSequencePick
from convgraph.passes.cleanup.remove_split_of_concat import RemoveSplitOfConcat
from convgraph.passes.cleanup.remove_zero_bias import RemoveZeroBias
from convgraph.passes.cleanup.share_equal_constants import ShareEqualConstants
from convgraph.passes.cleanup.share_equal_operations import ShareEqualOperations
from convgraph.passes.fusion.absorb_batches_into_conv import AbsorbBatchesIntoConv
from convgraph.passes.fusion.absorb_expand_into_broadcast import AbsorbExpandIntoBroadcast
from convgraph.passes.fusion.absorb_pad_into_average_pool import AbsorbPadIntoAveragePool
from convgraph.passes.fusion.absorb_pad_into_conv import AbsorbPadIntoConv
from convgraph.passes.fusion.absorb_pad_into_max_pool import AbsorbPadIntoMaxPool
from convgraph.passes.fusion.absorb_slice_into_conv import AbsorbSliceIntoConv
from convgraph.passes.fusion.absorb_transpose_into_gemm import AbsorbTransposeIntoGemm
from convgraph.passes.fusion.commute_scale_with_activation import CommuteScaleWithActivation
from convgraph.passes.fusion.commute_scale_with_reordering import CommuteScaleWithReordering
from convgraph.passes.fusion.commute_slice_with_conv import CommuteSliceWithConv
from convgraph.passes.fusion.compose_scales_and_shifts import ComposeScalesAndShifts
from convgraph.passes.fusion.fold_affine_into_norm import FoldAffineIntoNorm
from convgraph.passes.fusion.fold_batchnorm_into_conv import FoldBatchnormIntoConv
from convgraph.passes.fusion.fold_batchnorm_into_gemm import FoldBatchnormIntoGemm
from convgraph.passes.fusion.fold_batchnorm_into_next_conv import FoldBatchnormIntoNextConv
from convgraph.passes.fusion.fold_channel_order_into_conv import FoldChannelOrderIntoConv
from convgraph.passes.fusion.fold_channel_order_into_next_conv import FoldChannelOrderIntoNextConv
from convgraph.passes.fusion.fold_prelu_into_leaky_relu import FoldPreluIntoLeakyRelu
from convgraph.passes.fusion.fold_scale_into_conv import FoldScaleIntoConv
from convgraph.passes.fusion.fold_scale_into_gemm import FoldScaleIntoGemm
from convgraph.passes.fusion.fold_scale_into_next_conv import FoldScaleIntoNextConv
from convgraph.passes.fusion.fold_shift_into_border_map import FoldShiftIntoBorderMap
from convgraph.passes.fusion.fold_shift_into_conv import FoldShiftIntoConv
from convgraph.passes.fusion.fold_shift_into_gemm import FoldShiftIntoGemm
from convgraph.passes.fusion.fold_shift_into_next_conv import FoldShiftIntoNextConv
from convgraph.passes.fusion.fold_transpose_into_gemm import FoldTransposeIntoGemm
from convgraph.passes.fusion.fuse_abs_into_softsign import FuseAbsIntoSoftsign
from convgraph.passes.fusion.fuse_activation_into_conv import FuseActivationIntoConv
from convgraph.passes.fusion.fuse_clip_into_hard_sigmoid import FuseClipIntoHardSigmoid
from convgraph.passes.fusion.fuse_erf_into_gelu import FuseErfIntoGelu
from convgraph.passes.fusion.fuse_exp_into_sigmoid import FuseExpIntoSigmoid
from convgraph.passes.fusion.fuse_gathered_pixels_into_resize import FuseGatheredPixelsIntoResize
from convgraph.passes.fusion.fuse_gathered_windows_into_conv import FuseGatheredWindowsIntoConv
from convgraph.passes.fusion.fuse_log_into_log_softmax import FuseLogIntoLogSoftmax
from convgraph.passes.fusion.fuse_max_into_clip import FuseMaxIntoClip
from convgraph.passes.fusion.fuse_max_into_leaky_relu import FuseMaxIntoLeakyRelu
from convgraph.passes.fusion.fuse_mean_square_into_rms_norm import FuseMeanSquareIntoRmsNorm
from convgraph.passes.fusion.fuse_moments_into_instance_norm import FuseMomentsIntoInstanceNorm
from convgraph.passes.fusion.fuse_moments_into_layer_norm import FuseMomentsIntoLayerNorm
from convgraph.passes.fusion.fuse_reshapes_into_depth_to_space import FuseReshapesIntoDepthToSpace
from convgraph.passes.fusion.fuse_reshapes_into_space_to_depth import FuseReshapesIntoSpaceToDepth
from convgraph.passes.fusion.fuse_scatter_into_max_unpool import FuseScatterIntoMaxUnpool
from convgraph.passes.fusion.fuse_sigmoid_mul_into_swish import FuseSigmoidMulIntoSwish
from convgraph.passes.fusion.fuse_tanh_into_gelu import FuseTanhIntoGelu
from convgraph.passes.fusion.fuse_transposed_gather_into_gather import FuseTransposedGatherIntoGather
from convgraph.passes.fusion.fuse_transposed_matmul_into_conv import FuseTransposedMatmulIntoConv
from convgraph.passes.fusion.fuse_transposed_scatters_into_concat import FuseTransposedScattersIntoConcat
from convgraph.passes.fusion.remove_reshapes_around_conv import RemoveReshapesAroundConv
from convgraph.passes.fusion.remove_transposes_around import RemoveTransposesAround
from convgraph.passes.layout import (
    LAYOUT,
    AppendChannelsToConv,
    FuseMeanIntoGlobalAveragePool,
    LiftConv1dIntoConv2d,
    LowerConv3dToConv2d,
    MergeGroupsOfConv,
    RespellActivationAsConv,
    RespellAffineAsConv,
    RespellDepthToSpace,
    RespellEnlargingResize,
    RespellGroupNormalization,
    SplitConvAlongConcat,
    SplitConvByMultiplier,
    SpreadFactorOverImage,
)
from convgraph.passes.lowering import (
    LOWERING,
    LowerBatchnormToMulAndAdd,
    LowerConvTransposeToSubPixel,
    LowerDepthToSpaceToTranspose,
    LowerGlobalAveragePoolToReduceMean,
    LowerHardSigmoidToClip,
    LowerHardSwishToHardSigmoid,
    LowerLinearResizeToConv,
    LowerPreluToRelu,
    LowerResizeToExpand,
    LowerSpaceToDepthToTranspose,
    SplitConvTransposeIntoResizeAndConv,
)
from convgraph.passes.pipeline import Pipeline, Repeat
from convgraph.passes.rewrite import Drop, PricedRewrite, Refusal, Requirement, Rewrite, requirement
from convgraph.passes.trace import AnyRewrite, Application, Trace

# A name on each line would take a third of the page.
# fmt: off
__all__ = [
    "ALGEBRA", "ALL", "APPROXIMATE", "CLEAN", "CLEANUP", "DEFAULT", "EXACT", "FOLDING", "FUSION", "IDIOMS",
    "LAYOUT", "LOWERING", "SETTLING", "TRANSFORMS", "AbsorbBatchesIntoConv", "AbsorbExpandIntoBroadcast",
    "AbsorbPadIntoAveragePool", "AbsorbPadIntoConv", "AbsorbPadIntoMaxPool", "AbsorbSliceIntoConv",
    "AbsorbTransposeIntoGemm", "AnyRewrite", "AppendChannelsToConv", "Application", "AssociateMatmuls",
    "CommuteScaleWithActivation", "CommuteScaleWithReordering", "CommuteSliceWithConcat",
    "CommuteSliceWithConv", "ComposeAveragePoolIntoConv", "ComposeCasts", "ComposeChannelOrders",
    "ComposeConvs", "ComposeMatmuls", "ComposePads", "ComposeReductions", "ComposeReshapes",
    "ComposeScalesAndShifts", "ComposeSlices", "ComposeTransposes", "CropDeadTaps", "CropInteriorTaps",
    "DistributePointwiseConvOverConcat", "Drop", "DropPoolThatNumbersPixels", "DropRedundantChannels",
    "DropTapsThatSeePadding", "DropUnreadValues", "FoldAffineIntoNorm", "FoldBatchnormIntoConv",
    "FoldBatchnormIntoGemm", "FoldBatchnormIntoNextConv", "FoldChannelOrderIntoConv",
    "FoldChannelOrderIntoNextConv", "FoldConstants", "FoldCoordinateChannels", "FoldFillIntoBroadcast",
    "FoldMatrixInverse", "FoldNearestResizeIntoConv", "FoldNearestResizeThroughConcatIntoConv",
    "FoldPreluIntoLeakyRelu", "FoldReshapeTarget", "FoldResizeSizes", "FoldScaleIntoConv",
    "FoldScaleIntoGemm", "FoldScaleIntoNextConv", "FoldShiftIntoBorderMap", "FoldShiftIntoConv",
    "FoldShiftIntoGemm", "FoldShiftIntoNextConv", "FoldSpaceToDepthIntoConv", "FoldStaticDimensions",
    "FoldStaticShape", "FoldTransposeIntoGemm", "FuseAbsIntoSoftsign", "FuseActivationIntoConv",
    "FuseClipIntoHardSigmoid", "FuseErfIntoGelu", "FuseExpIntoSigmoid", "FuseGatheredPixelsIntoResize",
    "FuseGatheredWindowsIntoConv", "FuseLogIntoLogSoftmax", "FuseMaxIntoClip", "FuseMaxIntoLeakyRelu",
    "FuseMeanIntoGlobalAveragePool", "FuseMeanSquareIntoRmsNorm", "FuseMomentsIntoInstanceNorm",
    "FuseMomentsIntoLayerNorm", "FusePickIntoShape", "FuseReshapeIntoReduction",
    "FuseReshapesIntoDepthToSpace", "FuseReshapesIntoSpaceToDepth", "FuseScatterIntoMaxUnpool",
    "FuseSequenceIntoConcat", "FuseSequenceIntoSlice", "FuseSigmoidMulIntoSwish",
    "FuseSlicesIntoSpaceToDepth", "FuseSlicesIntoWrapPad", "FuseTanhIntoGelu",
    "FuseTransposedGatherIntoGather", "FuseTransposedMatmulIntoConv", "FuseTransposedScattersIntoConcat",
    "InlineConstantIf", "InlineLocalFunction", "LiftConv1dIntoConv2d", "LowerBatchnormToMulAndAdd",
    "LowerConv3dToConv2d", "LowerConvTransposeOfPixelToConv", "LowerConvTransposeToConv",
    "LowerConvTransposeToSubPixel", "LowerDepthToSpaceToTranspose", "LowerGlobalAveragePoolToReduceMean",
    "LowerHardSigmoidToClip", "LowerHardSwishToHardSigmoid", "LowerInterpolatingConvTransposeToResize",
    "LowerLinearResizeToConv", "LowerPreluToRelu", "LowerResizeToExpand", "LowerSpaceToDepthToTranspose",
    "MergeAddedConstants", "MergeConcats", "MergeGroupsOfConv", "MergeParallelBranches", "MergeSiblingConvs",
    "MergeSlices", "MoveFunctionBeforeResize", "MoveMonotoneAfterMaxPool",
    "MovePointwiseConvAfterAveragePool", "MovePointwiseConvBeforeResize", "MultiplyMapsAtLoad", "Pipeline",
    "PricedRewrite", "PropagateStride", "Refusal", "RemoveConcatOfParts", "RemoveDropout", "RemoveIdentity",
    "RemoveIdleChoice", "RemoveIdleFunction", "RemoveIdleSampling", "RemoveNeutralConstant",
    "RemoveOpposites", "RemoveReshapesAroundConv", "RemoveSequencePick", "RemoveSplitOfConcat",
    "RemoveTransposesAround", "RemoveZeroBias", "Repeat", "Requirement", "RespellActivationAsConv",
    "RespellAffineAsConv", "RespellDepthToSpace", "RespellEnlargingResize", "RespellGroupNormalization",
    "Rewrite", "ShareEqualConstants", "ShareEqualOperations", "SplitConvAlongConcat", "SplitConvAlongSplit",
    "SplitConvByMultiplier", "SplitConvIntoGroups", "SplitConvTransposeIntoPhases",
    "SplitConvTransposeIntoResizeAndConv", "SplitDepthwiseSeparable", "SplitLowRankConv",
    "SplitNearlyBoxedConvTranspose", "SplitNearlyDepthwiseSeparable", "SplitNearlySpatiallySeparable",
    "SplitSpatiallySeparable", "SpreadFactorOverImage", "SumKernelsAtLoad", "Trace",
    "TransformConvIntoWinograd", "TransformConvTransposeIntoWinograd", "requirement",
]
# fmt: on

CLEANUP: tuple[AnyRewrite, ...] = (
    RemoveDropout(),
    RemoveIdentity(),
    RemoveNeutralConstant(),
    RemoveZeroBias(),
    RemoveOpposites(),
    RemoveIdleFunction(),
    RemoveIdleChoice(),
    ComposeCasts(),
    RemoveIdleSampling(),
    InlineLocalFunction(),
    InlineConstantIf(),
    FoldStaticShape(),
    FoldFillIntoBroadcast(),
    FoldReshapeTarget(),
    FuseSequenceIntoSlice(),
    FuseSequenceIntoConcat(),
    RemoveSequencePick(),
    FuseSlicesIntoWrapPad(),
    ComposePads(),
    ComposeSlices(),
    MergeConcats(),
    RemoveConcatOfParts(),
    RemoveSplitOfConcat(),
    CommuteSliceWithConcat(),
    MergeSlices(),
    ComposeReductions(),
    FuseReshapeIntoReduction(),
    ComposeReshapes(),
    ComposeTransposes(),
    FoldResizeSizes(),
    FoldStaticDimensions(),
    FusePickIntoShape(),
    FoldMatrixInverse(),
    FoldConstants(),
    DropUnreadValues(),
    ShareEqualConstants(),
    ShareEqualOperations(),
)
"""What does nothing, is known already, or is there twice."""

IDIOMS: tuple[AnyRewrite, ...] = (
    FuseMomentsIntoLayerNorm(),
    FuseMomentsIntoInstanceNorm(),
    FuseMeanSquareIntoRmsNorm(),
    FoldAffineIntoNorm(),
    FuseReshapesIntoDepthToSpace(),
    FuseReshapesIntoSpaceToDepth(),
    FuseErfIntoGelu(),
    FuseTanhIntoGelu(),
    FuseExpIntoSigmoid(),
    FuseAbsIntoSoftsign(),
    FuseLogIntoLogSoftmax(),
)
"""What exporters spell with many operations: looked for before anything moves into the spelling."""

FOLDING: tuple[AnyRewrite, ...] = (
    FoldBatchnormIntoConv(),
    FoldScaleIntoConv(),
    FoldShiftIntoConv(),
    FuseMaxIntoClip(),
    FuseClipIntoHardSigmoid(),
    FuseMaxIntoLeakyRelu(),
    FoldPreluIntoLeakyRelu(),
    *IDIOMS,
    FuseTransposedMatmulIntoConv(),
    RemoveReshapesAroundConv(),
    FuseGatheredWindowsIntoConv(),
    FuseScatterIntoMaxUnpool(),
    FuseTransposedGatherIntoGather(),
    FuseGatheredPixelsIntoResize(),
    FuseTransposedScattersIntoConcat(),
    AbsorbExpandIntoBroadcast(),
    RemoveTransposesAround(),
    AbsorbPadIntoConv(),
    AbsorbPadIntoMaxPool(),
    AbsorbPadIntoAveragePool(),
    AbsorbSliceIntoConv(),
    CommuteSliceWithConv(),
    AbsorbBatchesIntoConv(),
    FoldBatchnormIntoNextConv(),
    FoldScaleIntoNextConv(),
    FoldShiftIntoNextConv(),
    FoldBatchnormIntoGemm(),
    FoldScaleIntoGemm(),
    FoldShiftIntoGemm(),
    FoldTransposeIntoGemm(),
    FoldChannelOrderIntoNextConv(),
    FoldChannelOrderIntoConv(),
    CommuteScaleWithReordering(),
    CommuteScaleWithActivation(),
    ComposeScalesAndShifts(),
    MergeAddedConstants(),
)
"""Arithmetic, paddings and orders of axes that disappear into what is beside them: always a gain."""

ALGEBRA: tuple[AnyRewrite, ...] = (
    ComposeMatmuls(),
    AssociateMatmuls(),
    ComposeConvs(),
    MoveFunctionBeforeResize(),
    MovePointwiseConvBeforeResize(),
    MovePointwiseConvAfterAveragePool(),
    DistributePointwiseConvOverConcat(),
    MergeParallelBranches(),
    FoldNearestResizeIntoConv(),
    FoldNearestResizeThroughConcatIntoConv(),
    MergeSiblingConvs(),
    SplitConvAlongSplit(),
    CropDeadTaps(),
    CropInteriorTaps(),
    DropRedundantChannels(),
    DropTapsThatSeePadding(),
    SplitConvIntoGroups(),
    SplitDepthwiseSeparable(),
    SplitSpatiallySeparable(),
    FoldSpaceToDepthIntoConv(),
    FoldShiftIntoBorderMap(),
    FuseSlicesIntoSpaceToDepth(),
    ComposeChannelOrders(),
    LowerConvTransposeOfPixelToConv(),
    LowerConvTransposeToConv(),
    LowerInterpolatingConvTransposeToResize(),
    PropagateStride(),
    FoldCoordinateChannels(),
    ComposeAveragePoolIntoConv(),
    DropPoolThatNumbersPixels(),
)
"""The same function with fewer multiplications, where the target's costs say that it pays."""

FUSION: tuple[AnyRewrite, ...] = (
    FuseSigmoidMulIntoSwish(),
    FuseActivationIntoConv(),
    AbsorbTransposeIntoGemm(),
)
"""Two operations become one: last, because little else takes a fused one apart again."""

SETTLING: tuple[AnyRewrite, ...] = (MoveMonotoneAfterMaxPool(), SplitConvTransposeIntoPhases())
"""What pays only where fusing has left something."""

TRANSFORMS: tuple[AnyRewrite, ...] = (TransformConvIntoWinograd(), TransformConvTransposeIntoWinograd())
"""Other algorithms for what is left: last, because nothing takes them apart again."""

STORED: tuple[AnyRewrite, ...] = (SumKernelsAtLoad(), MultiplyMapsAtLoad())
"""What constants are made of takes the place of these, after all else: nothing looks into them any more."""

ALL: tuple[AnyRewrite, ...] = (
    *CLEANUP,
    *FOLDING,
    *ALGEBRA,
    *FUSION,
    *SETTLING,
    *TRANSFORMS,
    *LAYOUT,
    *STORED,
    *LOWERING,
    *APPROXIMATE,
)

CLEAN: tuple[AnyRewrite | Repeat, ...] = (Repeat(*IDIOMS), Repeat(*CLEANUP, *FOLDING), Repeat(*FUSION))
"""No larger and no slower anywhere, whatever the target."""

EXACT: tuple[AnyRewrite | Repeat, ...] = (
    Repeat(*IDIOMS),
    Repeat(*CLEANUP, *FOLDING),
    Repeat(*CLEANUP, *FOLDING, *ALGEBRA),
    Repeat(*FUSION),
    Repeat(*CLEANUP, *FOLDING, *ALGEBRA, *FUSION, *SETTLING, *TRANSFORMS, *LAYOUT),
    Repeat(ShareEqualConstants(), *STORED),
)
"""The same, and fewer multiplications: algebra starts from what is clean, and cleans up after itself.

All comes to rest together in the end: a second run finds nothing. What weights are sums of is stored last.
"""

DEFAULT = EXACT
