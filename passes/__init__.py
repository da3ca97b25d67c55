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
    "AnyRewrite",
    "Application",
    "DropUnreadValues",
    "FoldBatchnormIntoConv",
    "FoldConstants",
    "FoldScaleIntoConv",
    "FoldShiftIntoConv",
    "FuseActivationIntoConv",
    "Pipeline",
    "PricedRewrite",
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

ALGEBRA: tuple[AnyRewrite, ...] = ()
"""The same function with fewer multiplications, where the target's costs say that it pays."""

FUSION: tuple[AnyRewrite, ...] = (FuseActivationIntoConv(),)

LOWERING: tuple[AnyRewrite, ...] = ()
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
