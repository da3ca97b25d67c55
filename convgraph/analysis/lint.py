"""What could be better about a model: each finding with its place, what is wrong, and the remedy.

Findings are not errors: the model is valid and computes what it says. They are about quality (checkerboards),
wasted work (dead and duplicate channels, dead taps), speed on the runtime, and frameworks that disagree.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from convgraph.analysis.census import node_name
from convgraph.analysis.channels import find_idle_weights
from convgraph.analysis.checkerboard import find_checkerboards
from convgraph.analysis.finding import Finding
from convgraph.analysis.infer import assumed_sizes, at_sizes
from convgraph.analysis.inverses import find_ill_conditioned
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import BatchNormalization, Conv, ConvTranspose, Input, Opaque
from convgraph.ir.ops.pool import Pool
from convgraph.ir.tensor import DataType

BLOCK = 8
"""Channels that onnxruntime's CPU kernels keep side by side (NCHWc): 8 with AVX2, 16 with AVX-512."""

_ALIGNED = 4  # what the input channels of an ungrouped convolution must be a multiple of to go in blocks
_SHAPE_LIKE = 64  # elements of a vector that may still be a shape


def lint(graph: Graph) -> tuple[Finding, ...]:
    """Everything there is to say about a graph and the bodies in it, in the order of its operations."""
    found = [finding for node in graph.compute_nodes() for finding in _about(graph, node)]
    return (*found, *_wide_types(graph))


def _about(graph: Graph, node: int) -> Iterator[Finding]:
    for check in _CHECKS:
        yield from check(graph, node)
    op = graph.op(node)
    if isinstance(op, Opaque):
        for body in op.subgraphs.values():
            # Rewrites and options are about the outermost graph.
            yield from (replace(finding, rewrite=None, options=()) for finding in lint(body))


def _bias_before_norm(graph: Graph, node: int) -> Iterator[Finding]:
    """A convolution's bias that the normalisation after it takes out again while training."""
    if (
        not isinstance(graph.op(node), (Conv, ConvTranspose))
        or graph.constant(graph.operand(node, 2)) is None
    ):
        return
    use = graph.sole_reader(Value(node, 0))
    if use is None or use.slot != 0 or not isinstance(graph.op(use.node), BatchNormalization):
        return
    yield Finding(
        rule="bias-before-norm",
        where=node_name(graph, node),
        what=f"the batch normalisation {node_name(graph, use.node)} after it takes its bias out again",
        remedy="fold the normalisation into the convolution; train without this bias",
        rewrite="fold-batchnorm-into-conv",
    )


def _same_padding(graph: Graph, node: int) -> Iterator[Finding]:
    """Padding by the rule SAME, which puts an odd row at the end; other frameworks pad both ends alike."""
    op = graph.op(node)
    if not isinstance(op, (Conv, ConvTranspose, Pool)):
        return
    if op.auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        yield Finding(
            rule="same-padding",
            where=node_name(graph, node),
            what=f"{op.auto_pad} at stride {max(op.strides)}: the pads follow from the input's size, and are "
            "uneven at some sizes, where frameworks that pad both ends alike give another result",
            remedy="fix the sizes of the inputs, so that the pads can be written out",
            options=() if isinstance(op, Pool) and max(op.dilations) > 1 else _fixed_inputs(graph),
        )
        return
    rank = op.spatial_rank
    uneven = [axis for axis in range(rank) if op.pads[axis + rank] == op.pads[axis] + 1]
    if uneven:
        yield Finding(
            rule="same-padding",
            where=node_name(graph, node),
            what=f"pads {op.pads[:rank]} before and {op.pads[rank:]} after: what SAME is in TensorFlow; "
            "PyTorch's layers pad both ends alike and would be a pixel off",
            remedy="keep the extra row as a padding of its own when the model is ported or retrained",
        )


def _fast_path(graph: Graph, node: int) -> Iterator[Finding]:
    """A convolution that onnxruntime's CPU kernels cannot compute in blocks of channels."""
    op, operand = graph.op(node), graph.operand(node, 1)
    if not isinstance(op, Conv) or op.spatial_rank != 2 or operand is None or operand in graph.captures:
        return  # what a body captures may well be constant outside
    weight = graph.type(operand)
    if weight.dtype is not DataType.FLOAT or weight.static_shape is None:
        return
    where = node_name(graph, node)
    if graph.constant(operand) is None:
        yield _varying_weight(graph, operand, where)
    elif misfit := _misfit(op, weight.static_shape):
        what, remedy = misfit
        yield Finding(rule="fast-path", where=where, what=f"{what}: stays out of NCHWc", remedy=remedy)


def _varying_weight(graph: Graph, operand: Value, where: str) -> Finding:
    producer = graph.producer(operand)
    if isinstance(producer, Input) and producer.default is not None:
        what, remedy = "a caller may override its weight", "make the initializers constants"
        return _unblocked(where, what, remedy, options=("--freeze-defaults",))
    if _follows_from_constants(graph, operand):
        what, remedy = "its weight is computed from constants in every run", "fold it"
        return _unblocked(where, what, remedy, rewrite="fold-constants")
    return _unblocked(where, "its weight is not constant", "use constant weights where the model allows it")


def _follows_from_constants(graph: Graph, value: Value) -> bool:
    """Whether a value is computed from constants by operations that convgraph knows."""
    pending, seen = [value.node], set[int]()
    while pending:
        node = pending.pop()
        if isinstance(graph.op(node), (Input, Opaque)):
            return False
        fresh = {operand.node for operand in graph.operands(node) if operand is not None} - seen
        seen |= fresh
        pending += fresh
    return True


def _unblocked(
    where: str, what: str, remedy: str, *, rewrite: str | None = None, options: tuple[str, ...] = ()
) -> Finding:
    return Finding(
        rule="fast-path",
        where=where,
        what=f"{what}: stays out of NCHWc",
        remedy=remedy,
        rewrite=rewrite,
        options=options,
    )


def _misfit(op: Conv, weight: tuple[int, ...]) -> tuple[str, str] | None:
    """Which channel count keeps a convolution out of the blocked layout, and what to do; None when none."""
    filters, per_group = weight[:2]
    if op.group == 1:
        if per_group < BLOCK or per_group % _ALIGNED == 0:
            return None
        wanted = -(-per_group // _ALIGNED) * _ALIGNED
        return f"{per_group} input channels", f"{wanted} input channels (zero ones may be appended)"
    if per_group == 1 and filters == op.group:
        if filters % _ALIGNED == 0:
            return None
        wanted = -(-filters // _ALIGNED) * _ALIGNED
        return f"depthwise over {filters} channels", f"{wanted} channels (zero ones may be appended)"
    if per_group == 1:
        per_channel = filters // op.group
        return f"depthwise with {per_channel} filters a channel", f"{per_channel} depthwise convolutions"
    found = f"{per_group} input and {filters // op.group} output channels a group"
    if per_group % BLOCK == 0 and (filters // op.group) % BLOCK == 0:
        return None
    return found, f"multiples of {BLOCK} channels a group: fewer groups, or merge some (zeros between them)"


def _wide_types(graph: Graph) -> Iterator[Finding]:
    """Operations in element types twice as wide as they need to be."""
    firsts = [graph.results(node)[0] for node in graph.compute_nodes() if graph.results(node)]
    double = [value.node for value in firsts if graph.type(value).dtype is DataType.DOUBLE]
    if double:
        yield Finding(
            rule="float64",
            where=node_name(graph, double[0]),
            what=f"{_counted(double)} in float64, at half the speed of float32 or less",
            remedy="export the model in float32",
        )
    sizes, data = list[int](), list[int]()
    for value in firsts:
        type_ = graph.type(value)
        if type_.dtype is DataType.INT64 and not graph.is_output(value):
            small = type_.size is not None and type_.size <= _SHAPE_LIKE and (type_.rank or 0) <= 1
            (sizes if small else data).append(value.node)
    if sizes:
        yield Finding(
            rule="int64",
            where=node_name(graph, sizes[0]),
            what=f"{_counted(sizes)} of sizes in int64 in every run",
            remedy="compute them once and for all; where sizes are open, fix those of the inputs first",
            rewrite="fold-static-shape",
            options=_fixed_inputs(graph),
        )
    if data:
        yield Finding(
            rule="int64",
            where=node_name(graph, data[0]),
            what=f"{_counted(data)} on int64 data",
            remedy="use int32 where ONNX does not ask for int64",
        )


def _counted(nodes: list[int]) -> str:
    return "1 operation" if len(nodes) == 1 else f"{len(nodes)} operations"


def _fixed_inputs(graph: Graph) -> tuple[str, ...]:
    """The options that give every open input of a model a size; none where there is no telling."""
    sizes, options = assumed_sizes(graph), list[str]()
    for value in graph.inputs:
        if isinstance(graph.producer(value), Input) and graph.type(value).static_shape is None:
            shape = at_sizes(graph, value, sizes).static_shape
            if shape is None:
                return ()
            options += ["--input-shape", f"{graph.value_name(value)}:{','.join(map(str, shape))}"]
    return tuple(options)


_CHECKS: tuple[Callable[[Graph, int], Iterator[Finding]], ...] = (
    find_checkerboards,
    find_idle_weights,
    find_ill_conditioned,
    _bias_before_norm,
    _same_padding,
    _fast_path,
)
