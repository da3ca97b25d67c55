"""The same work where a runtime is fast: onnxruntime's blocks of channels, and its kernels for images.

What was measured not to pay with onnxruntime 1.32 (one thread, 8 channels a block), and is left as it is:

* BatchNormalization of N × C, as a reshaped one (0.87 to 0.97 times as fast) or as a product and a sum (0.7
  to 1.1 times; N from 1 to 64, C from 512 to 4096);
* HardSigmoid after a sum in a convolution of its own (0.98 to 1.00 times): it runs on blocks as it is;
* SpaceToDepth as a transposition of rows and one of planes: 0.75 to 1.2 times with blocks of 2, 1.1 to 1.45
  times with larger ones, which are rare (4 × 4 to 128 × 128 blocks, 1 to 256 channels);
* products of channels with a number for each on the other side: either side runs on blocks;
* sums of an image and a number for each channel that is computed in blocks: they run on blocks, too.
"""

from convgraph.passes.layout.append_channels_to_conv import AppendChannelsToConv
from convgraph.passes.layout.fuse_mean_into_global_average_pool import FuseMeanIntoGlobalAveragePool
from convgraph.passes.layout.lift_conv1d_into_conv2d import LiftConv1dIntoConv2d
from convgraph.passes.layout.lower_conv3d_to_conv2d import LowerConv3dToConv2d
from convgraph.passes.layout.merge_groups_of_conv import MergeGroupsOfConv
from convgraph.passes.layout.respell_activation_as_conv import RespellActivationAsConv
from convgraph.passes.layout.respell_affine_as_conv import RespellAffineAsConv
from convgraph.passes.layout.respell_depth_to_space import RespellDepthToSpace
from convgraph.passes.layout.respell_enlarging_resize import RespellEnlargingResize
from convgraph.passes.layout.respell_group_normalization import RespellGroupNormalization
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
    "RespellAffineAsConv",
    "RespellDepthToSpace",
    "RespellEnlargingResize",
    "RespellGroupNormalization",
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
    RespellAffineAsConv(),
    RespellActivationAsConv(),
    SplitConvAlongConcat(),
    RespellGroupNormalization(),
    RespellDepthToSpace(),
)
"""As much to compute, spelled in a way that a target is faster with: where its predicted time says so."""
