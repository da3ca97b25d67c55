"""The same work where a runtime is fast: onnxruntime's blocks of channels, and its kernels for images."""

from convgraph.passes.layout.append_channels_to_conv import AppendChannelsToConv
from convgraph.passes.layout.fuse_mean_into_global_average_pool import FuseMeanIntoGlobalAveragePool
from convgraph.passes.layout.lift_conv1d_into_conv2d import LiftConv1dIntoConv2d
from convgraph.passes.layout.lower_conv3d_to_conv2d import LowerConv3dToConv2d
from convgraph.passes.layout.merge_groups_of_conv import MergeGroupsOfConv
from convgraph.passes.layout.respell_activation_as_conv import RespellActivationAsConv
from convgraph.passes.layout.respell_enlarging_resize import RespellEnlargingResize
from convgraph.passes.layout.respell_group_normalization import RespellGroupNormalization
from convgraph.passes.layout.respell_shift_as_conv import RespellShiftAsConv
from convgraph.passes.layout.split_conv_along_concat import SplitConvAlongConcat
from convgraph.passes.layout.split_conv_by_multiplier import SplitConvByMultiplier
from convgraph.passes.layout.spread_factor_over_image import SpreadFactorOverImage
from convgraph.passes.trace import AnyRewrite

__all__ = [
    "LAYOUT",
    "AppendChannelsToConv",
    "FuseMeanIntoGlobalAveragePool",
    "LiftConv1dIntoConv2d",
    "LowerConv3dToConv2d",
    "MergeGroupsOfConv",
    "RespellActivationAsConv",
    "RespellEnlargingResize",
    "RespellGroupNormalization",
    "RespellShiftAsConv",
    "SplitConvAlongConcat",
    "SplitConvByMultiplier",
    "SpreadFactorOverImage",
]

LAYOUT: tuple[AnyRewrite, ...] = (
    FuseMeanIntoGlobalAveragePool(),
    RespellEnlargingResize(),
    SplitConvByMultiplier(),
    MergeGroupsOfConv(),
    LowerConv3dToConv2d(),
    LiftConv1dIntoConv2d(),
    SpreadFactorOverImage(),
    AppendChannelsToConv(),
    RespellShiftAsConv(),
    RespellActivationAsConv(),
    SplitConvAlongConcat(),
    RespellGroupNormalization(),
)
"""As much to compute, spelled in a way that a target is faster with: where its predicted time says so."""
