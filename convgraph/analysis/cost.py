"""What a graph costs to run, counted: multiply-accumulates, and bytes read and written.

Sizes that a graph leaves open are assumed (``convgraph.analysis.infer.assumed_sizes``), and what cannot even
be assumed counts 1: the cost then says that it is approximate.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from convgraph.analysis.at_load import computed_at_load
from convgraph.analysis.infer import assumed_sizes, at_sizes, specialised
from convgraph.errors import InvalidModel
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Conv, ConvTranspose, Gemm, Input, MatMul, Op, Opaque
from convgraph.ir.tensor import DataType, Tensor, TensorType

Types = Mapping[Value, TensorType]


@dataclass(frozen=True, slots=True, order=True)
class Cost:
    """Multiply-accumulates, then bytes; compared in this order, and added one by one.

    ``macs`` counts multiplications of an activation with a weight (or of two activations in a matrix
    product), each with its addition. ``bytes`` counts memory traffic: every operand read once and every
    result written once, the weights included. ``approximate`` says that something had to be left out or taken
    for 1.
    """

    macs: int
    bytes: int
    approximate: bool = field(default=False, compare=False, kw_only=True)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.macs + other.macs,
            self.bytes + other.bytes,
            approximate=self.approximate or other.approximate,
        )


NOTHING = Cost(0, 0)

# ONNX's own operators that multiply and accumulate but have no class here; its others map or move elements.
_UNCOUNTED = frozenset(
    [
        "Attention",
        "ConvInteger",
        "DFT",
        "DeformConv",
        "Einsum",
        "GRU",
        "LSTM",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "RNN",
        "STFT",
    ]
)


def graph_cost(graph: Graph) -> Cost:
    """The cost of running a graph once, at ``assumed_sizes`` where it leaves sizes open."""
    return sum(node_costs(graph, types=types_at_assumed_sizes(graph)).values(), NOTHING)


def node_costs(graph: Graph, *, types: Types) -> dict[int, Cost]:
    """The cost of running each node once; of one that is computed when the model is loaded, nothing."""
    loaded = computed_at_load(graph)
    return {
        node: NOTHING if node in loaded else node_cost(graph, node, types=types)
        for node in graph.compute_nodes()
    }


def node_cost(
    graph: Graph, node: int, *, types: Types | None = None, sizes: Mapping[str, int] | None = None
) -> Cost:
    """The cost of running one node once.

    Conv, ConvTranspose, Gemm and MatMul have MACs; pooling, pointwise and data-moving operations have none. A
    constant or graph input costs nothing where it is made, only where it is read. An activation fused into a
    convolution adds nothing, and saves writing and reading what would lie between. An operation without a
    class counts its bytes, and its subgraphs once each; where it has MACs of its own, is not ONNX's, or runs
    subgraphs, the cost is approximate.

    ``types`` are the types to count with; without them this looks at the node alone, and so knows less of a
    graph with symbolic sizes than ``graph_cost`` does. ``sizes`` are then the graph's ``assumed_sizes``, for
    a caller who asks often: to find them means to look at every input.
    """
    op = graph.op(node)
    if isinstance(op, (Constant, Input)):
        return NOTHING
    operands, results = graph.operands(node), graph.results(node)
    read = dict.fromkeys([v for v in operands if v is not None])  # one in two slots (x * x) is one read
    known = _local_types(graph, (*read, *results), sizes) if types is None else types
    traffic, unsure = _traffic([known[value] for value in (*read, *results)])
    macs, unclear = _macs(op, [v and known[v] for v in operands], [known[v] for v in results])
    own = Cost(macs, traffic, approximate=unsure or unclear)
    return sum(map(graph_cost, bodies), own) if (bodies := _subgraphs(op)) else own


def parameters(graph: Graph) -> int:
    """Number of weights: elements of the floating-point tensors that the graph's operations read.

    Counts constants, and initializers that a caller may override; each once, however many operations read it.
    Weights inside the bodies of control flow are included.
    """
    read = {value for node in graph.compute_nodes() for value in graph.operands(node)}
    tensors = (None if value is None else weight(graph, value) for value in read)
    own = sum(tensor.size for tensor in tensors if tensor is not None)
    bodies = (body for node in graph.compute_nodes() for body in _subgraphs(graph.op(node)))
    return own + sum(parameters(body) for body in bodies)


def weight(graph: Graph, value: Value) -> Tensor | None:
    """The floating-point tensor behind a value, a constant or an input's default; None for anything else."""
    op = graph.producer(value)
    default = op.default if isinstance(op, Input) else None
    tensor = graph.constant(value) if default is None else default
    return tensor if tensor is not None and tensor.dtype.is_float else None


def types_at_assumed_sizes(graph: Graph) -> Types:
    """The type of every value at ``assumed_sizes``.

    Where an operation cannot run at those sizes, the recorded types with the sizes put in.
    """
    recorded = {v: graph.type(v) for node in graph.nodes() for v in graph.results(node)}
    if all(type_.static_shape is not None for type_ in recorded.values()):
        return recorded
    sizes = assumed_sizes(graph)
    try:
        return specialised(graph, sizes)
    except InvalidModel:
        return {v: at_sizes(graph, v, sizes) for node in graph.nodes() for v in graph.results(node)}


def _local_types(graph: Graph, values: Sequence[Value], sizes: Mapping[str, int] | None) -> Types:
    recorded = {value: graph.type(value) for value in values}
    if None not in [type_.size for type_ in recorded.values()]:
        return recorded
    sizes = assumed_sizes(graph) if sizes is None else sizes
    return {value: at_sizes(graph, value, sizes) for value in values}


def _traffic(types: Iterable[TensorType]) -> tuple[int, bool]:
    """Bytes of all of them, and whether that is approximate."""
    total, approximate = 0, False
    for type_ in types:
        size, unknown = type_.size, type_.dtype is DataType.UNDEFINED
        bits = 32 if unknown else type_.dtype.bits
        total += ((_at_least(type_) if size is None else size) * bits + 7) // 8
        approximate |= unknown or size is None
    return total, approximate


def _macs(op: Op, operands: Sequence[TensorType | None], results: Sequence[TensorType]) -> tuple[int, bool]:
    """Multiply-accumulates of an operation itself, and whether that is approximate."""
    factors = _mac_factors(op, operands, results)
    if not factors and not isinstance(op, Opaque):
        return 0, False
    exact = all(isinstance(dim, int) for dim in factors)
    macs = math.prod(dim for dim in factors if isinstance(dim, int)) if factors else 0
    return macs, not exact or _is_uncounted(op)


def _is_uncounted(op: Op) -> bool:
    return isinstance(op, Opaque) and (bool(op.domain) or bool(op.subgraphs) or op.op_type in _UNCOUNTED)


def _mac_factors(
    op: Op, operands: Sequence[TensorType | None], results: Sequence[TensorType]
) -> tuple[object, ...]:
    """The dimensions whose product is the number of MACs; empty for an operation that has none."""
    if not isinstance(op, (Conv, ConvTranspose, Gemm, MatMul)):
        return ()
    left, right, out = operands[0], operands[1], results[0]
    assert left is not None
    assert right is not None
    if isinstance(op, (Conv, ConvTranspose)):
        # Each weight meets every position of the output (Conv) or of the input (ConvTranspose) once a sample.
        positions = out if isinstance(op, Conv) else left
        spatial = (positions.dim(2 + axis) for axis in range(op.spatial_rank))
        return (left.dim(0), *spatial, *_dims(right))
    if isinstance(op, Gemm):
        return (*_dims(out), left.dim(0 if op.transA else 1))
    return (*_dims(out), left.dim(-1))


def _dims(type_: TensorType) -> tuple[object, ...]:
    return (None,) if type_.shape is None else type_.shape


def _at_least(type_: TensorType) -> int:
    return math.prod(dim for dim in type_.shape or () if isinstance(dim, int))


def _subgraphs(op: Op) -> tuple[Graph, ...]:
    return tuple(op.subgraphs.values()) if isinstance(op, Opaque) else ()
