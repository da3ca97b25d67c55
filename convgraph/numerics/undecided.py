"""Inputs on which rounding decides: where a model itself does not choose what it means.

The index of a maximum, a comparison, a number cut to an integer all jump where two numbers are equal but for
their roundings; beside a large bias, small inputs often are, and pixels between two alike ones always. No
noise tells beforehand in which elements. So the original is held against what it means in float64. Where it
is beyond its tolerance itself, or would be if it rounded otherwise on the way, another model that is no
further and no more often beyond it differs by nothing but how it rounds.
"""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.deviation import Errors, errors, is_finite
from convgraph.numerics.structure import nodes_within
from convgraph.numerics.tolerance import is_exact
from convgraph.numerics.truth import Truth

_NO_FURTHER = 2.0  # times the original's own errors: their number, and the largest
_CHOOSES = frozenset(
    {"ArgMax", "ArgMin", "TopK", "Hardmax", "NonMaxSuppression", "Unique", "NonZero", "QuantizeLinear"}
    | {"Floor", "Ceil", "Round", "Sign", "Mod", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
)


def decides(model: ModelProto) -> bool:
    """Whether anything in a model jumps, so that a rounding may have any consequence."""
    nodes = [*nodes_within(model.graph.node), *(n for f in model.functions for n in nodes_within(f.node))]
    return any(map(_jumps, nodes))


def _jumps(node: NodeProto) -> bool:
    if node.op_type == "MaxPool":
        return len(node.output) > 1
    if node.op_type != "Cast":
        return node.op_type in _CHOOSES
    kinds = (DataType(a.i) for a in node.attribute if a.name == "to" and a.type == onnx.AttributeProto.INT)
    return any(is_exact(kind) for kind in kinds)


def is_true(truth: Truth, place: str, result: Array, *, allowed: float) -> bool:
    """Whether a result is what is meant, but for roundings."""
    far = _beyond(truth.results.get(place), result, allowed=allowed)
    return far is not None and not far.any()


def is_as_true(truth: Truth, place: str, want: Array, got: Array, *, allowed: float) -> bool:
    """Whether roundings carry the original's result from what is meant, and another one is no further."""
    own, other = (_beyond(truth.results.get(place), result, allowed=allowed) for result in (want, got))
    if own is None or other is None:
        return False
    if (movement := truth.movements.get(place)) is not None:
        own = np.maximum(own, np.where(movement > allowed, movement, 0.0))
    few = np.count_nonzero(other) <= _NO_FURTHER * np.count_nonzero(own)
    return bool(own.any() and few and other.max() <= _NO_FURTHER * own.max())


def _beyond(truth: Array | None, result: Array, *, allowed: float) -> Errors | None:
    """The errors beyond what is allowed, zero elsewhere; None where there is no saying."""
    if truth is None or truth.shape != result.shape or not is_finite(truth) or not is_finite(result):
        return None
    found = errors(truth, result)
    found[found <= allowed] = 0.0
    return found
