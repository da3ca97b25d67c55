"""Spell a normalisation of groups of channels as one of single channels, each as long as a group.

    groupnorm(x; n groups, γ, β)  ->  reshape(instancenorm(reshape(x; N × n × …)); N × C × …) · γ + β

onnxruntime has no kernel for groups: it runs the operator's definition, some thirty operations, and four
passes or more over the image. Its normalisation of single channels is one of them. Scale and shift then are
free to disappear into what reads them. Exact in real arithmetic.

Source: Wu and He, Group Normalization (2018); ONNX operator GroupNormalization-21.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, GroupNormalization, InstanceNormalization, Mul, Op, Reshape
from convgraph.ir.tensor import DataType
from convgraph.passes.rewrite import requirement
from convgraph.passes.timed import TimedRewrite

_LEAST = 3  # axes: samples, channels and one more


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNorm:
    """A normalisation of groups, its operands, and how many channels they have in all."""

    node: int
    op: GroupNormalization
    x: Value
    parameters: tuple[Value, Value]
    channels: int


@dataclass(frozen=True, kw_only=True)
class RespellGroupNormalization(TimedRewrite[GroupNorm]):
    """Spell a normalisation of groups of channels as one of single channels, each as long as a group."""

    name: ClassVar[str] = "respell-group-normalization"
    roots: ClassVar[tuple[type[Op], ...]] = (GroupNormalization,)
    makes: ClassVar[tuple[type[Op], ...]] = (Reshape, InstanceNormalization, Mul, Add)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> GroupNorm | None:
        """A normalisation of groups of so many channels, in float32."""
        op, (x, scale, shift) = graph.op(node), graph.operands(node)
        assert isinstance(op, GroupNormalization)
        if x is None or scale is None or shift is None or not self.can_be_judged:
            return None
        kind, channels = graph.type(x), graph.type(x).dim(1)
        single = kind.dtype is op.stash_type is DataType.FLOAT
        if not isinstance(channels, int) or not single or (kind.rank or 0) < _LEAST:
            return None
        return GroupNorm(node=node, op=op, x=x, parameters=(scale, shift), channels=channels)

    @requirement
    def the_parameters_are_constant(self, graph: Graph, m: GroupNorm) -> bool:
        """Scale and shift are constants that no caller can override."""
        return all(graph.constant(value) is not None for value in m.parameters)

    def replaces(self, graph: Graph, match: GroupNorm) -> tuple[int, ...]:
        """The normalisation."""
        del graph
        return (match.node,)

    def apply(self, edit: Edit, m: GroupNorm) -> None:
        """Put the groups side by side as channels, normalise these, and scale and shift as it does."""
        graph, axes = edit.graph, (edit.graph.type(m.x).rank or _LEAST) - 2
        rest = [-1, *(0 for _ in range(axes - 1))]
        ones, zeros = (edit.constant(make(m.op.num_groups, np.float32)) for make in (np.ones, np.zeros))
        y = edit.add(Reshape(), m.x, edit.constant(np.asarray([0, m.op.num_groups, *rest]), name="grouped"))
        y = edit.add(InstanceNormalization(epsilon=m.op.epsilon), y, ones, zeros)
        y = edit.add(Reshape(), y, edit.constant(np.asarray(_sizes(graph, m, rest)), name="apart"))
        for op, value in zip((Mul(), Add()), m.parameters, strict=True):
            tensor = graph.constant(value)
            assert tensor is not None
            own = edit.constant(tensor.numpy().reshape(-1, *(1 for _ in range(axes))), like=value)
            y = edit.add(op, y, own, like=m.node)
        edit.replace(Value(m.node, 0), y)


def _sizes(graph: Graph, m: GroupNorm, rest: Sequence[int]) -> list[int]:
    """What to spell for the sizes of x: its own as far as one at most is open, else as ``rest`` says."""
    own = [size if isinstance(size, int) else -1 for size in (graph.type(m.x).shape or ())[2:]]
    return [0, m.channels, *(rest if own.count(-1) > 1 else own)]
