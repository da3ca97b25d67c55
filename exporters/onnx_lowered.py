"""Activations that an old opset has no operator for, spelled with the operators it has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto

from convgraph.exporters.onnx_place import Place, Ref, Writer, node_proto, plain, schema
from convgraph.ir.ops.activation import Gelu, HardSwish, Mish, Swish
from convgraph.ir.ops.base import Op
from convgraph.ir.tensor import DataType


def lowered(since: int, lower: Callable[["Steps", Any, Ref], tuple[str, Sequence[Ref]]]) -> Writer:
    """The writer of an activation that opsets before ``since`` spell with older operations.

    Where it was spelled so when it came it is spelled so again: runtimes fuse what they know.
    """

    def emit(place: Place, op: Op, operands: Sequence[Ref], results: Sequence[str]) -> list[NodeProto]:
        if place.opset >= since and not place.was_two:
            return plain(place, op, operands, results)
        steps = Steps(place=place, stem=results[0], like=operands[0])
        op_type, last = lower(steps, op, operands[0])
        return [*steps.nodes, node_proto(place, op_type, last, results, {})]

    return emit


@dataclass(slots=True, kw_only=True)
class Steps:
    """The nodes of a spelled-out activation, in the making."""

    place: Place
    stem: str
    like: Ref
    nodes: list[NodeProto] = field(default_factory=list)

    def add(self, op_type: str, *operands: Ref, name: str = "", **attributes: float) -> Ref:
        """Write one node and return its result, which has a fresh name unless one is given."""
        if schema(op_type, self.place.opset) is None:
            raise self.place.refusal(op_type)
        result = Ref(name=name or self.place.fresh(f"{self.stem}_{op_type.lower()}"), type=self.like.type)
        self.nodes.append(node_proto(self.place, op_type, operands, [result.name], attributes))
        return result

    def number(self, value: float, *, name: str) -> Ref:
        """A scalar constant in the element type of x."""
        if self.like.type is None or self.like.type.dtype is DataType.UNDEFINED:
            raise self.place.refusal("an activation of unknown element type")
        array = np.asarray(value, dtype=self.like.type.dtype.numpy)
        return self.place.constant(array, stem=f"{self.stem}_{name}")


def swish(steps: Steps, op: Swish, x: Ref) -> tuple[str, Sequence[Ref]]:
    """X times Sigmoid(alpha x)."""
    scaled = x if op.alpha == 1 else steps.add("Mul", x, steps.number(op.alpha, name="alpha"))
    between = steps.place.name_between(f"{steps.stem}_sigmoid")
    return "Mul", (x, steps.add("Sigmoid", scaled, name=between))


def hard_swish(steps: Steps, _: HardSwish, x: Ref) -> tuple[str, Sequence[Ref]]:
    """X times HardSigmoid(x) of slope 1/6 and height 1/2."""
    return "Mul", (x, steps.add("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def mish(steps: Steps, _: Mish, x: Ref) -> tuple[str, Sequence[Ref]]:
    """X times Tanh(Softplus(x))."""
    return "Mul", (x, steps.add("Tanh", steps.add("Softplus", x)))


def gelu(steps: Steps, op: Gelu, x: Ref) -> tuple[str, Sequence[Ref]]:
    """X / 2 times one plus the error function, or Tanh, of a multiple of x."""
    half = steps.add("Mul", x, steps.number(0.5, name="half"))
    one = steps.number(1.0, name="one")
    if op.approximate == "none":
        curve = steps.add("Erf", steps.add("Div", x, steps.number(2**0.5, name="sqrt_two")))
    else:
        cube = steps.add("Mul", steps.add("Mul", x, x), x)
        bent = steps.add("Add", x, steps.add("Mul", cube, steps.number(0.044715, name="bend")))
        slope = steps.number((2 / np.pi) ** 0.5, name="slope")
        curve = steps.add("Tanh", steps.add("Mul", bent, slope))
    return "Mul", (half, steps.add("Add", curve, one))
