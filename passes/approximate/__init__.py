"""Close to the same function: never applied by default, each with the change that it makes."""

from convgraph.passes.approximate.split_low_rank_conv import SplitLowRankConv
from convgraph.passes.approximate.split_nearly_boxed_conv_transpose import SplitNearlyBoxedConvTranspose
from convgraph.passes.approximate.split_nearly_depthwise_separable import SplitNearlyDepthwiseSeparable
from convgraph.passes.approximate.split_nearly_spatially_separable import SplitNearlySpatiallySeparable
from convgraph.passes.trace import AnyRewrite

__all__ = [
    "APPROXIMATE",
    "SplitLowRankConv",
    "SplitNearlyBoxedConvTranspose",
    "SplitNearlyDepthwiseSeparable",
    "SplitNearlySpatiallySeparable",
]

APPROXIMATE: tuple[AnyRewrite, ...] = (
    SplitNearlyDepthwiseSeparable(),
    SplitNearlySpatiallySeparable(),
    SplitLowRankConv(),
    SplitNearlyBoxedConvTranspose(),
)
"""Close but not the same: never applied unless asked for with an error budget."""
