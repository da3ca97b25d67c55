"""Compute at compile time what depends on nothing but constants.

    f(c₁, …, cₙ) -> c        c = f evaluated in float64, rounded once to the result's element type

Exact up to that rounding. What only spells the weights of convolutions, or a map that is added, with fewer
numbers, as a product of smaller constants, stays: runtimes multiply it out when they load the model. An
operation convgraph has no meaning for is computed by the runtime, when one is handed in as ``runtime``.
Results that would grow the model by more than ``size_limit`` bytes stay as they are: 187 bytes of
ConstantOfShape must not become 16 MB.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from convgraph.errors import ConvgraphError
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use, Value
from convgraph.ir.ops import (
    Add,
    Concat,
    Constant,
    Convolution,
    Expand,
    Input,
    MatMul,
    Mul,
    Op,
    Opaque,
    Pad,
    Reshape,
    Split,
    Transpose,
)
from convgraph.ir.tensor import Array, DataType, Tensor, TensorType
from convgraph.numerics.evaluate import evaluate_op
from convgraph.passes.algebra.tiles import TRANSFORMS
from convgraph.passes.cleanup.repeatable import is_repeatable
from convgraph.passes.rewrite import Rewrite, requirement

_MOST_SUMS = 1 << 14  # elements of a matrix that says what is added up (``sum_kernels_at_load``)
_WORTH = 1 << 10  # bytes: what is less is not worth an operation, and those that bring it into shape
_WORTH_ONE = 1 << 8  # the same of a single operation


class Runtime(Protocol):
    """Who can type and compute a node whose operands are constants, operations without a class included."""

    def types(self, graph: Graph, node: int) -> tuple[TensorType, ...]:
        """The types of the named results; () when they cannot be known."""

    def compute(self, graph: Graph, node: int) -> tuple[Array | None, ...]:
        """The results, None for one without a name. Raises ConvgraphError when it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computable:
    """A node that reads constants only, the tensors it reads, and its results."""

    node: int
    tensors: tuple[Tensor | None, ...]
    results: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class FoldConstants(Rewrite[Computable]):
    """Compute at compile time what depends on nothing but constants."""

    name: ClassVar[str] = "fold-constants"
    roots: ClassVar[tuple[type[Op], ...]] = (Op,)

    size_limit: int = 1 << 20
    runtime: Runtime | None = None

    def find(self, graph: Graph, node: int) -> Computable | None:
        """A node whose operands are all constants."""
        if isinstance(graph.op(node), (Constant, Input)):
            return None
        tensors = []
        for operand in graph.operands(node):  # for most nodes the first says no
            tensor = graph.constant(operand)
            if operand is not None and tensor is None:
                return None
            tensors.append(tensor)
        if graph.is_unread(node):
            return None
        return Computable(node=node, tensors=tuple(tensors), results=graph.results(node))

    @requirement
    def it_always_computes_the_same(self, graph: Graph, m: Computable) -> bool:
        """It is neither random nor in training mode."""
        return is_repeatable(graph, m.node)

    @requirement
    def quantised_data_stays_quantised(self, graph: Graph, m: Computable) -> bool:
        """It is no DequantizeLinear: runtimes compute with quantised data where they find it stored so."""
        op = graph.op(m.node)
        return not (isinstance(op, Opaque) and op.op_type == "DequantizeLinear")

    @requirement
    def expansions_stay(self, graph: Graph, m: Computable) -> bool:
        """It does not spell weights of convolutions, or a map that is added, with few numbers."""
        op, made = graph.op(m.node), m.results[0]
        expands = isinstance(op, MatMul) and _expands(*m.tensors)
        if expands or (isinstance(op, Mul) and _spreads(*m.tensors)):
            makes = _makes_weights(graph, made)
        elif isinstance(op, Expand):
            makes = _turns_tiles(graph, made)
        elif isinstance(op, Pad):
            makes = _makes_taps(graph, made)
        else:
            return not isinstance(op, MatMul) or not _makes_map(graph, m.node)
        given = sum(tensor.nbytes for tensor in m.tensors if tensor is not None)
        worth = _WORTH_ONE if isinstance(op, Expand) else _WORTH
        return not makes or (graph.type(made).nbytes or 0) - given < worth

    @requirement
    def its_meaning_is_known(self, graph: Graph, m: Computable) -> bool:
        """convgraph, or a runtime at hand, can compute it."""
        op = graph.op(m.node)
        return not isinstance(op, Opaque) or (self.runtime is not None and op.domain == "")

    @requirement
    def the_model_grows_within_the_limit(self, graph: Graph, m: Computable) -> bool:
        """Its results have known sizes and exceed what only it reads by at most ``size_limit`` bytes."""
        types = [graph.type(result) for result in m.results if graph.value_name(result)]
        if any(_is_open(t) for t in types) and self.runtime is not None:
            types = list(self.runtime.types(graph, m.node))
        sizes = [t.nbytes for t in types if not _is_open(t) and t.nbytes is not None]
        if not types or len(sizes) != len(types):
            return False
        return sum(sizes) <= self.size_limit or sum(sizes) <= self.size_limit + _freed(graph, m)

    @requirement
    def it_can_be_computed(self, graph: Graph, m: Computable) -> bool:
        """It can be computed here, with results of the types the model states."""
        try:
            arrays = self._computed(graph, m)
        except ConvgraphError:
            return False
        typed = not isinstance(graph.op(m.node), Opaque)  # computed in float64, to be rounded
        pairs = ((graph.type(r), a) for r, a in zip(m.results, arrays, strict=False) if a is not None)
        return all(kind.admits(Tensor(_rounded(a, kind) if typed else a).type) for kind, a in pairs)

    def apply(self, edit: Edit, m: Computable) -> None:
        """Compute the results and put constants in their place."""
        arrays = self._computed(edit.graph, m)
        for result, array in zip(m.results, arrays, strict=False):
            if array is None:
                continue
            constant = edit.constant(_rounded(array, edit.graph.type(result)), name="folded")
            edit.replace(result, constant)

    def _computed(self, graph: Graph, m: Computable) -> tuple[Array | None, ...]:
        op = graph.op(m.node)
        if isinstance(op, Opaque) and self.runtime is not None:
            return self.runtime.compute(graph, m.node)
        operands = [None if t is None else _widened(t.numpy()) for t in m.tensors]
        return evaluate_op(op, operands, outputs=len(m.results))


def _rounded(array: Array, kind: TensorType) -> Array:
    """The array in the element type of a result."""
    element = array.dtype if kind.dtype is DataType.UNDEFINED else kind.dtype.numpy
    with np.errstate(over="ignore", invalid="ignore"):  # overflowing to infinity is the type's way
        return array.astype(element, copy=False)


def _expands(left: Tensor | None, right: Tensor | None) -> bool:
    """Whether a product is a kernel's transform, an outer product, or sums of fewer numbers."""
    if left is None or right is None:
        return False
    if left.shape in TRANSFORMS or left.shape[-1:] == (1,):
        return True
    adds_up = len(right.shape) == 2 and right.shape[0] < right.shape[1] and right.size <= _MOST_SUMS
    return adds_up and bool(np.isin(right.numpy(), (0, 1)).all())


def _spreads(value: Tensor | None, mask: Tensor | None) -> bool:
    """Whether numbers are put beside zeros (``merge_groups_of_conv``)."""
    if value is None or mask is None or mask.size > _MOST_SUMS:
        return False
    return len(value.shape) > len(mask.shape) and bool(np.isin(mask.numpy(), (0, 1)).all())


def _makes_weights(graph: Graph, value: Value) -> bool:
    """Whether a constant is read by convolutions alone, as a weight or bias, cut or in another shape."""
    uses = graph.readers(value)
    inner = {use.node for use in uses if isinstance(graph.op(use.node), (Reshape, Split))}
    further = (result for node in inner for result in graph.results(node))
    if graph.is_output(value) or not uses or not all(_makes_weights(graph, result) for result in further):
        return False
    own = [use for use in uses if use.node not in inner]
    return all(use.slot in (1, 2) and isinstance(graph.op(use.node), Convolution) for use in own)


def _turns_tiles(graph: Graph, value: Value) -> bool:
    """Whether a constant is a weight of convolutions that are put side by side, and nothing else.

    So ``convgraph.passes.algebra.winograd`` spells them; of other weights more is known once they are folded.
    """
    uses = graph.readers(value)
    if graph.is_output(value) or not all(_convolves(graph, use, slot=1) for use in uses):
        return False
    return all(_is_put_beside(graph, Value(use.node, 0), further=1) for use in uses)


def _is_put_beside(graph: Graph, image: Value, *, further: int) -> bool:
    """Whether an image is only put beside others, perhaps convolved once more before."""
    uses = graph.readers(image)
    ends = [use for use in uses if not isinstance(graph.op(use.node), Concat)]
    if not uses or graph.is_output(image) or (ends and not further):
        return False
    return all(
        _convolves(graph, use, slot=0) and _is_put_beside(graph, Value(use.node, 0), further=further - 1)
        for use in ends
    )


def _convolves(graph: Graph, use: Use, *, slot: int) -> bool:
    return use.slot == slot and isinstance(graph.op(use.node), Convolution)


def _makes_taps(graph: Graph, value: Value) -> bool:
    """Whether a constant is moved about, and then turned into weights of convolutions, and nothing else."""
    uses = graph.readers(value)
    if len(uses) != 1 or graph.is_output(value):
        return False
    (use,) = uses
    op, result = graph.op(use.node), Value(use.node, 0)
    if isinstance(op, (Reshape, Transpose)):
        return _makes_taps(graph, result)
    turns = graph.constant(graph.operand(use.node, 0)) if isinstance(op, MatMul) else None
    return turns is not None and turns.shape in TRANSFORMS and _makes_weights(graph, result)


def _makes_map(graph: Graph, node: int) -> bool:
    """Whether the product of constants is multiplied by another to make a much larger map, which is added."""
    made = Value(node, 0)
    (use, *others) = graph.readers(made) or (None,)
    if use is None or others or use.slot != 0 or not isinstance(graph.op(use.node), MatMul):
        return False
    result, right = Value(use.node, 0), graph.constant(graph.operand(use.node, 1))
    sums = [isinstance(graph.op(reader.node), Add) for reader in graph.readers(result)]
    if right is None or graph.is_output(made) or graph.is_output(result) or not sums or not all(sums):
        return False
    given = sum(tensor.nbytes for v in graph.operands(node) if (tensor := graph.constant(v)) is not None)
    return (graph.type(result).nbytes or 0) - given - right.nbytes >= _WORTH


def _is_open(kind: TensorType) -> bool:
    return kind.dtype is DataType.UNDEFINED or kind.size is None


def _freed(graph: Graph, m: Computable) -> int:
    """Bytes of the constants that nothing but this node reads; what a body captures is not its to free."""
    alone = {
        operand: graph.constant(operand)
        for operand in graph.operands(m.node)
        if operand is not None
        and not isinstance(graph.producer(operand), Input)
        and not graph.is_output(operand)
        and all(use.node == m.node for use in graph.readers(operand))
    }
    return sum(tensor.nbytes for tensor in alone.values() if tensor is not None)


def _widened(array: Array) -> Array:
    is_float = DataType.of(array.dtype).is_float
    return array.astype(np.float64) if is_float else array
