"""What every operation is: a frozen, slotted, keyword-only dataclass with ``infer``.

The parameters of a class's ``infer`` are its operand slots, in ONNX's order and with ONNX's meaning in the
newest opset: a parameter with a default is an optional slot, ``*operands`` takes any number. Fields are ONNX
attributes under their ONNX names.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import TensorType

Results = TensorType | tuple[TensorType, ...]


class Slots(NamedTuple):
    """The operand slots of an operation class."""

    names: tuple[str, ...]
    required: int
    most: float


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
        if not (slots.required <= len(operands) <= slots.most and all(operands[: slots.required])):
            raise self._refusal(operands)
        results = self.infer(*operands)
        return results if isinstance(results, tuple) else (results,)

    def _refusal(self, operands: tuple[TensorType | None, ...]) -> InvalidModel:
        slots = slots_of(self)
        required = zip(slots.names[: slots.required], operands, strict=False)
        missing = next((name for name, given in required if given is None), None)
        found = f"{len(operands)} operands" if missing is None else f"no {missing}"
        needs = f"{slots.required} to {'any number' if slots.most == math.inf else slots.most}"
        return InvalidModel(self.label, found=found, expected=f"{needs} operands ({', '.join(slots.names)})")

    @property
    def label(self) -> str:
        """The ONNX operator name, with the domain in front when it is not ONNX's own."""
        return type(self).__name__

    def attributes(self) -> dict[str, Any]:
        """The fields by name, in declaration order."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


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
        most=len(named) if len(named) == len(parameters) else math.inf,
    )


def require(holds: bool, op: str, *, found: str, expected: str) -> None:  # noqa: FBT001 - the fact required
    """Raise InvalidModel unless ``holds``: how an operation refuses an illegal attribute or operand."""
    if not holds:
        raise InvalidModel(op, found=found, expected=expected)
