"""How a graph is improved: every rewrite, and the pipelines that put them in order.

A pipeline is a tuple; each entry is one rewrite, or a Repeat of rewrites that run together until none
applies. Rewrites are immutable, so these tuples can be shared and recombined: ``(MyRewrite(), *DEFAULT)``.
"""

from convgraph.passes.cleanup.drop_unread_values import DropUnreadValues
from convgraph.passes.cleanup.fold_constants import FoldConstants
from convgraph.passes.cleanup.remove_dropout import RemoveDropout
from convgraph.passes.cleanup.remove_identity import RemoveIdentity
from convgraph.passes.fusion.fold_batchnorm_into_conv import FoldBatchnormIntoConv
from convgraph.passes.fusion.fold_scale_into_conv import FoldScaleIntoConv
from convgraph.passes.fusion.fold_shift_into_conv import FoldShiftIntoConv
from convgraph.passes.fusion.fuse_activation_into_conv import FuseActivationIntoConv
from convgraph.passes.pipeline import AnyRewrite, Application, Pipeline, Repeat, Trace
from convgraph.passes.rewrite import Refusal, Requirement, Rewrite, requirement

__all__ = [
    "ALL",
    "CLEANUP",
    "DEFAULT",
    "FOLDING",
    "FUSION",
    "AnyRewrite",
    "Application",
    "DropUnreadValues",
    "FoldBatchnormIntoConv",
    "FoldConstants",
    "FoldScaleIntoConv",
    "FoldShiftIntoConv",
    "FuseActivationIntoConv",
    "Pipeline",
    "Refusal",
    "RemoveDropout",
    "RemoveIdentity",
    "Repeat",
    "Requirement",
    "Rewrite",
    "Trace",
    "requirement",
]

CLEANUP: tuple[AnyRewrite, ...] = (
    RemoveDropout(),
    RemoveIdentity(),
    FoldConstants(),
    DropUnreadValues(),
)

FOLDING: tuple[AnyRewrite, ...] = (
    FoldBatchnormIntoConv(),
    FoldScaleIntoConv(),
    FoldShiftIntoConv(),
)

FUSION: tuple[AnyRewrite, ...] = (FuseActivationIntoConv(),)

ALL: tuple[AnyRewrite, ...] = (*CLEANUP, *FOLDING, *FUSION)

DEFAULT: tuple[AnyRewrite | Repeat, ...] = (
    Repeat(*CLEANUP, *FOLDING),
    Repeat(*FUSION),
)
