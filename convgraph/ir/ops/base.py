"""What every operation is: a frozen, slotted, keyword-only dataclass with ``infer``.

The parameters of a class's ``infer`` are its operand slots, in ONNX's order and with ONNX's meaning in the
newest opset: a parameter with a default is an optional slot, ``*operands`` takes any number. Fields are ONNX
attributes under their ONNX names.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import TensorType

Results = TensorType | tuple[TensorType, ...]


class Slots(NamedTuple):
    """The operand slots of an operation class."""

    names: tuple[str, ...]
    required: int
    variadic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation; which node carries it is the graph's business."""

    def infer(self, *operands: Any) -> Results:
        """Types of the results from the types of the operands (None for an omitted optional operand).

        Raises InvalidModel when the operands contradict the operation.
        """
        raise NotImplementedError

    def infer_all(self, operands: tuple[TensorType | None, ...]) -> tuple[TensorType, ...]:
        """``infer`` with the operand count checked and the results always as a tuple."""
        slots = slots_of(self)
        missing = [
            name
            for name, given in zip(slots.names[: slots.required], operands, strict=False)
            if given is None
        ]
        if missing or not slots.required <= len(operands) <= (10**9 if slots.variadic else len(slots.names)):
            needs = f"{slots.required} to {'any number' if slots.variadic else len(slots.names)}"
            found = f"no {missing[0]}" if missing else f"{len(operands)} operands"
            raise InvalidModel(
                self.label, found=found, expected=f"{needs} operands ({', '.join(slots.names)})"
            )
        results = self.infer(*operands)
        return results if isinstance(results, tuple) else (results,)

    @property
    def label(self) -> str:
        """The ONNX operator name, with the domain in front when it is not ONNX's own."""
        return type(self).__name__

    def attributes(self) -> dict[str, Any]:
        """The fields by name, in declaration order."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def slots_of(op: Op) -> Slots:
    """The operand slots of an operation, read off the signature of its class's ``infer``."""
    return _slots(type(op).infer)


@cache
def _slots(infer: Callable[..., Results]) -> Slots:
    parameters = list(inspect.signature(infer).parameters.values())[1:]
    named = [p for p in parameters if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    return Slots(
        names=tuple(p.name for p in named),
        required=sum(p.default is inspect.Parameter.empty for p in named),
        variadic=len(named) != len(parameters),
    )


def require(holds: bool, op: str, *, found: str, expected: str) -> None:  # noqa: FBT001 - the fact required
    """Raise InvalidModel unless ``holds``: how an operation refuses an illegal attribute or operand."""
    if not holds:
        raise InvalidModel(op, found=found, expected=expected)
