"""The same work where a runtime is fast: onnxruntime's blocks of channels, and its kernels for images."""

from convgraph.passes.layout.merge_groups_of_conv import MergeGroupsOfConv
from convgraph.passes.layout.respell_enlarging_resize import RespellEnlargingResize
from convgraph.passes.layout.split_conv_by_multiplier import SplitConvByMultiplier
from convgraph.passes.trace import AnyRewrite

__all__ = ["LAYOUT", "MergeGroupsOfConv", "RespellEnlargingResize", "SplitConvByMultiplier"]

LAYOUT: tuple[AnyRewrite, ...] = (RespellEnlargingResize(), SplitConvByMultiplier(), MergeGroupsOfConv())
"""As much to compute, spelled in a way that a target is faster with: where its predicted time says so."""
