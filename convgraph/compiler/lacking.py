"""Operators that a device lacks: which rewrites spell them with others, and which nodes are left."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import onnx
from onnx import AttributeProto, ModelProto, NodeProto
from onnx.defs import ONNX_DOMAIN

from convgraph.analysis.target import GenericTarget
from convgraph.errors import NotLowered, UnsupportedOp
from convgraph.passes import AnyRewrite, PricedRewrite, Trace

_UNTOUCHED = "it stands in a function, where nothing is rewritten"
_NO_WAY = "no rewrite spells it with other operators"


def lowering(without: Sequence[str], known: Iterable[AnyRewrite]) -> tuple[AnyRewrite, ...]:
    """Those of the known rewrites that spell one of these operators with others.

    Operators are called as in ONNX, those of other domains ``DOMAIN::NAME``. Where a rewrite asks what it
    gains, operations are counted: no target's price for what the device lacks says anything there. Raises
    UnsupportedOp for a name that no ONNX operator has.
    """
    for name in without:
        if "::" not in name and not onnx.defs.has(name, ONNX_DOMAIN):
            raise UnsupportedOp(name, found="no ONNX operator of this name", expected="e.g. ConvTranspose")
    chosen = (rewrite for rewrite in known if any(op.__name__ in without for op in rewrite.lowers))
    return tuple(replace(r, target=GenericTarget()) if isinstance(r, PricedRewrite) else r for r in chosen)


def check_lowered(
    model: ModelProto,
    without: Sequence[str],
    *,
    pipeline: Iterable[AnyRewrite],
    trace: Trace,
    stop_after: int | None = None,
) -> None:
    """Raise NotLowered, naming every node and why it is left, if the model has one of these operators.

    A run that ``stop_after`` cut short may leave them.
    """
    if len(trace.applications) == stop_after:
        return
    lowerers = {rewrite.name for rewrite in lowering(without, pipeline)}
    reasons: dict[str, dict[str, None]] = {}
    for refusal in (refusal for refusal in trace.refusals if refusal.rewrite in lowerers):
        fact = refusal.reason[:1].lower() + refusal.reason[1:].removesuffix(".")
        reasons.setdefault(refusal.at, {})[f"{refusal.rewrite} needs this: {fact}"] = None
    left = [
        f"{_label(node)} {at} ({' | '.join(reasons.get(at, {_NO_WAY: None}))})"
        for at, node in _placed(model.graph.node)
        if _label(node) in without
    ]
    called = (node for function in model.functions for node in _placed(function.node))
    left += [f"{_label(node)} {at} ({_UNTOUCHED})" for at, node in called if _label(node) in without]
    if left:
        expected = f"{', '.join(without)} spelled with other operators"
        raise NotLowered("without", found=", ".join(left), expected=expected)


def _placed(nodes: Iterable[NodeProto], path: str = "") -> Iterator[tuple[str, NodeProto]]:
    """Each node with its place as a Trace names it, those in the bodies of control flow included."""
    for node in nodes:
        at = path + (node.name or next((name for name in node.output if name), ""))
        yield at, node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _placed(attribute.g.node, f"{at}/{attribute.name}/")


def _label(node: NodeProto) -> str:
    own = node.domain in ("", "ai.onnx")
    return node.op_type if own else f"{node.domain}::{node.op_type}"
