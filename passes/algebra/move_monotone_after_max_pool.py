"""Look for the largest element first, then apply what never decreases to it alone.

    maxpool(f(x))  ->  f(maxpool(x))        f(a) ≤ f(b) whenever a ≤ b

f is an activation, a rounding, a product with positive numbers or a shift, with one number a channel. Exact,
bit by bit: f is computed of the same element. A pool of stride s on two axes leaves 1/s² of the work of f. In
a convolution f would cost nothing, so that fusing comes first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Activation,
    Add,
    Binary,
    Ceil,
    Celu,
    Clip,
    Div,
    Elu,
    Erf,
    Exp,
    Floor,
    GlobalMaxPool,
    HardSigmoid,
    LeakyRelu,
    MaxPool,
    Mul,
    Op,
    PRelu,
    Relu,
    Round,
    Selu,
    Sigmoid,
    Sign,
    Softplus,
    Softsign,
    Sub,
    Tanh,
    ThresholdedRelu,
    Unary,
)
from convgraph.ir.tensor import Tensor
from convgraph.passes.fusion.channelwise import channel_vector
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost

_ALWAYS = (Ceil, Celu, Clip, Erf, Exp, Floor, Relu, Round, Sigmoid, Sign, Softplus, Softsign, Tanh)
_WITH: Mapping[type[Op], Callable[[Any], bool]] = MappingProxyType(
    {
        Elu: lambda op: op.alpha >= 0,
        HardSigmoid: lambda op: op.alpha >= 0,
        LeakyRelu: lambda op: op.alpha >= 0,
        Selu: lambda op: op.alpha >= 0 and op.gamma >= 0,
        ThresholdedRelu: lambda op: op.alpha >= 0,
    }
)
_COMBINED = (Binary, PRelu)


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledFunction:
    """The pool, the function's node, and which of its operands is pooled."""

    pool: int
    function: int
    slot: int


@dataclass(frozen=True, kw_only=True)
class MoveMonotoneAfterMaxPool(PricedRewrite[PooledFunction]):
    """Look for the largest element first, then apply what never decreases to it alone."""

    name: ClassVar[str] = "move-monotone-after-max-pool"
    roots: ClassVar[tuple[type[Op], ...]] = (MaxPool, GlobalMaxPool)
    after: ClassVar[tuple[str, ...]] = ("commute-scale-with-activation", "fuse-activation-into-conv")
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> PooledFunction | None:
        """A pool of a function of one value; its other operands, if any, are constant."""
        pooled = graph.operand(node, 0)
        if pooled is None or not isinstance(graph.producer(pooled), (Activation, Unary, Binary)):
            return None
        given = list(enumerate(graph.operands(pooled.node)))
        slots = [slot for slot, value in given if value is not None and graph.constant(value) is None]
        if len(slots) != 1 or (slots != [0] and not isinstance(graph.producer(pooled), Binary)):
            return None
        return PooledFunction(pool=node, function=pooled.node, slot=slots[0])

    @requirement
    def nothing_reads_the_indices(self, graph: Graph, m: PooledFunction) -> bool:
        """Where the maxima are is not asked: elements that differ may have the same function."""
        return not any(graph.readers(v) or graph.is_output(v) for v in graph.results(m.pool)[1:])

    @requirement
    def the_function_is_the_same_everywhere(self, graph: Graph, m: PooledFunction) -> bool:
        """What x is combined with is one number, or one a channel."""
        constant, x = _constant(graph, m), graph.operand(m.function, m.slot)
        rank = None if x is None else graph.type(x).rank
        if constant is None or rank is None:
            return constant is None and not isinstance(graph.op(m.function), _COMBINED)
        return channel_vector(constant, rank=rank, channels=constant.size) is not None

    @requirement
    def the_function_never_decreases(self, graph: Graph, m: PooledFunction) -> bool:
        """A larger operand never gives a smaller result."""
        op, constant = graph.op(m.function), _constant(graph, m)
        if constant is None:
            return isinstance(op, _ALWAYS) or _WITH.get(type(op), lambda _: False)(op)
        numbers = constant.numpy().astype(np.float64)
        scales = isinstance(op, (Mul, PRelu)) and bool((numbers >= 0).all())
        divides = isinstance(op, Div) and m.slot == 0 and bool((numbers > 0).all())
        shifts = isinstance(op, Add) or (isinstance(op, Sub) and m.slot == 0)
        finite = constant.dtype.is_float and bool(np.isfinite(numbers).all())
        return finite and (scales or divides or shifts)

    @requirement
    def every_window_meets_the_data(self, graph: Graph, m: PooledFunction) -> bool:
        """No window lies wholly in the padding, whose -inf the function would change."""
        pool = graph.op(m.pool)
        if not isinstance(pool, MaxPool) or pool.auto_pad == "VALID":
            return True
        wide = any(pad >= size for pad, size in zip(pool.pads, pool.kernel_shape * 2, strict=True))
        padded = any(pool.pads) or pool.auto_pad != "NOTSET"
        return not wide and not (padded and max(pool.dilations) > 1)

    def replaces(self, graph: Graph, match: PooledFunction) -> tuple[int, ...]:
        """The function and the pool."""
        return (match.function, match.pool)

    def apply(self, edit: Edit, m: PooledFunction) -> None:
        """Pool x, then apply the function."""
        graph = edit.graph
        operands = list(graph.operands(m.function))
        operands[m.slot] = edit.add(graph.op(m.pool), operands[m.slot], like=m.pool)
        edit.replace(Value(m.pool, 0), edit.add(graph.op(m.function), *operands, like=m.function))


def _constant(graph: Graph, m: PooledFunction) -> Tensor | None:
    """The constant that a value is combined with; None for a function of x alone."""
    if not isinstance(graph.op(m.function), _COMBINED):
        return None
    others = [value for slot, value in enumerate(graph.operands(m.function)) if slot != m.slot]
    return graph.constant(others[0]) if others else None
