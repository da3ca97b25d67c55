"""What the convolutions of a model look for and what they find: filters, and feature maps for some inputs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from onnx import TensorProto

from convgraph.analysis.census import node_name
from convgraph.analysis.cost import weight
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import BatchNormalization
from convgraph.ir.ops.activation import Activation
from convgraph.ir.ops.conv import Convolution
from convgraph.ir.tensor import Array
from convgraph.numerics.feeds import Feeds, check_feeds
from convgraph.numerics.reference import Reference
from convgraph.numerics.structure import required_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMaps:
    """A convolution at work.

    ``weight`` is None where the model computes it. ``before`` is what the convolution returns, normalised
    where a normalisation alone reads it; ``after`` what the ``activation`` that alone reads that makes of it,
    both (N, C, *spatial).
    """

    name: str
    op: Convolution
    weight: Array | None
    before: Array
    activation: str | None
    after: Array | None


def feature_maps(graph: Graph, *, feeds: Feeds | None = None, seed: int = 0) -> list[FeatureMaps]:
    """Every convolution of a graph in order, run in onnxruntime on ``feeds``, or else on seeded inputs.

    Raises Unverifiable, with the runtime's reason, when the model does not run, and InvalidModel for feeds
    that do not fit it.
    """
    layers = [(node, *_rectified(graph, node)) for node in graph.compute_nodes() if _is_conv(graph, node)]
    shown = [value for _, *values in layers for value in values if value is not None]
    arrays = _run(graph, shown, feeds=feeds, seed=seed) if shown else {}
    return [
        _layer(graph, node, arrays[before], after=after, rectified=arrays.get(after) if after else None)
        for node, before, after in layers
    ]


def _is_conv(graph: Graph, node: int) -> bool:
    return isinstance(graph.op(node), Convolution)


def _layer(
    graph: Graph, node: int, before: Array, *, after: Value | None, rectified: Array | None
) -> FeatureMaps:
    op, filters = graph.op(node), graph.operand(node, 1)
    assert isinstance(op, Convolution)
    assert filters is not None
    tensor = weight(graph, filters)
    return FeatureMaps(
        name=node_name(graph, node),
        op=op,
        weight=None if tensor is None else tensor.numpy(),
        before=before,
        activation=None if after is None else graph.producer(after).label,
        after=rectified,
    )


def _rectified(graph: Graph, node: int) -> tuple[Value, Value | None]:
    """What the activation after a convolution reads, and what it returns; None where there is none."""
    (value,) = graph.results(node)
    for reader in _followers(graph, value):
        (result, *_) = graph.results(reader)
        if isinstance(graph.op(reader), Activation):
            return value, result
        value = result
    return value, None


def _followers(graph: Graph, value: Value) -> Iterator[int]:
    """The normalisations and the activation that alone read a value, one after the other."""
    while (use := graph.sole_reader(value)) is not None and use.slot == 0:
        if not isinstance(graph.op(use.node), (Activation, BatchNormalization)):
            return
        yield use.node
        (value, *_) = graph.results(use.node)


def _run(graph: Graph, values: Sequence[Value], *, feeds: Feeds | None, seed: int) -> dict[Value, Array]:
    """What the model computes at these values."""
    twin = graph.copy()
    for value in values:
        info = twin.value_info(value)
        name = info.name or twin.fresh_name("shown")
        twin.set_value_info(value, replace(info, name=name, recorded=True))
    twin.outputs = tuple(dict.fromkeys((*twin.outputs, *values)))
    model = to_onnx(twin)
    for output in model.graph.output:
        if output.type.tensor_type.elem_type == TensorProto.UNDEFINED:
            output.ClearField("type")  # behind an operator that only the runtime can type
    reference = Reference.open(model, model=model, deadline=None)
    if feeds is None:
        (trial,) = reference.seeded(trials=1, seed=seed, overridable={})
    else:
        check_feeds([feeds], types=required_inputs(model), known={i.name for i in model.graph.input})
        (trial,) = reference.given([feeds])
    return {value: trial.results[twin.value_name(value)] for value in values}
