"""Changes asked for before a model is imported: other input shapes, or only a part of the graph.

Both return a new ModelProto and leave the argument untouched.
"""

from collections.abc import Iterable, Mapping, Sequence

from onnx import GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto

from convgraph.errors import InvalidModel
from convgraph.importers.onnx_fields import without
from convgraph.importers.onnx_order import bodies, read_names, sorted_nodes
from convgraph.importers.onnx_types import element_type, infer_types, is_dense, tensor_type, type_proto
from convgraph.ir.tensor import TensorType


def set_input_shapes(model: ModelProto, shapes: Mapping[str, Sequence[int | str]]) -> ModelProto:
    """The model with other shapes of some inputs, numbers or symbols; the name "" is the only input's.

    Every recorded type that could contradict them is dropped, and the outputs' are inferred anew. Raises
    InvalidModel for an input that is not there, another number of axes or a negative size.
    """
    changed = ModelProto()
    changed.CopyFrom(model)
    inputs = {value.name: value for value in changed.graph.input}
    for name, shape in shapes.items():
        _reshape(_input(changed.graph, inputs, name), tuple(shape))
    _forget_types(changed.graph)
    nodes = [node for _, node in sorted_nodes(changed.graph, outer=frozenset())]
    inferred = infer_types(changed, nodes, base_dir=None).types
    for output in changed.graph.output:
        found = inferred.get(output.name)
        if found is not None and is_dense(output.type) and found.tensor_type.HasField("shape"):
            output.type.CopyFrom(found)
        elif output.name in inputs:
            output.type.CopyFrom(inputs[output.name].type)
    return changed


def _input(graph: GraphProto, inputs: Mapping[str, ValueInfoProto], name: str) -> ValueInfoProto:
    initialised = {tensor.name for tensor in graph.initializer}
    real = [value for value in inputs if value not in initialised]
    if not name and len(real) != 1:
        raise InvalidModel(
            "input shape", found=f"no name, and inputs {', '.join(real)}", expected="NAME:SHAPE"
        )
    wanted = name or real[0]
    if wanted not in inputs:
        raise InvalidModel(wanted, found="no such input", expected=f"one of {', '.join(real)}")
    return inputs[wanted]


def _reshape(value: ValueInfoProto, shape: tuple[int | str, ...]) -> None:
    old = tensor_type(value.type, at=value.name)
    if not is_dense(value.type):
        raise InvalidModel(value.name, found="an input that is no tensor", expected="a tensor to reshape")
    if old.rank not in (None, len(shape)):
        found = f"shape {shape} for an input of type {old}"
        raise InvalidModel(value.name, found=found, expected=f"{old.rank} sizes")
    if any(isinstance(size, int) and size < 0 for size in shape):
        raise InvalidModel(value.name, found=f"shape {shape}", expected="sizes of 0 or more, or symbols")
    value.type.CopyFrom(type_proto(TensorType(old.dtype, shape=shape)))


def _forget_types(graph: GraphProto) -> None:
    """Drop recorded types, bodies' included; the outputs keep element type and rank."""
    del graph.value_info[:]
    for output in graph.output:
        for dim in output.type.tensor_type.shape.dim if output.type.HasField("tensor_type") else ():
            dim.Clear()
    for node in graph.node:
        for body in bodies(node):
            _forget_types(body)


def cut(model: ModelProto, *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> ModelProto:
    """The part of a model between some values; none named stands for the model's own inputs or outputs.

    Raises InvalidModel for a name that is no value, one without a known type, a named input that no output
    needs, and an output that needs more than the named inputs.
    """
    graph = model.graph
    nodes = [node for _, node in sorted_nodes(graph, outer=frozenset())]
    known = _known_values(graph)
    for name in (*inputs, *outputs):
        if name not in known:
            raise InvalidModel(name, found="no value with this name", expected="a value of the model")
    ends = list(outputs) or [value.name for value in graph.output]
    kept, needed = _between(nodes, start=frozenset(inputs), ends=ends)
    starts = list(inputs) or [value.name for value in graph.input if value.name in needed]
    _check_reach(graph, needed=needed, starts=starts, named=inputs)

    inferred = infer_types(model, nodes, base_dir=None).types
    part = without(model, ["graph"])
    part.graph.CopyFrom(
        without(graph, ["node", "initializer", "sparse_initializer", "input", "output", "value_info"])
    )
    part.graph.node.extend(kept)
    part.graph.input.extend(_typed(graph, name, inferred=inferred) for name in starts)
    part.graph.output.extend(_typed(graph, name, inferred=inferred) for name in ends)
    _keep_data(part.graph, graph, needed=needed - set(inputs), told={*starts, *ends})
    return part


def _known_values(graph: GraphProto) -> set[str]:
    made = {name for node in graph.node for name in node.output}
    made |= {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    return (made | {sparse.values.name for sparse in graph.sparse_initializer}) - {""}


def _between(
    nodes: Sequence[NodeProto], *, start: frozenset[str], ends: Iterable[str]
) -> tuple[list[NodeProto], set[str]]:
    """The nodes that ``ends`` need, not looking behind ``start``, and every name read on the way."""
    needed, kept = set(ends), []
    for node in reversed(nodes):
        if any(name in needed and name not in start for name in node.output):
            kept.append(node)
            needed.update(read_names(node))
    return kept[::-1], needed


def _check_reach(graph: GraphProto, *, needed: set[str], starts: Sequence[str], named: Sequence[str]) -> None:
    for name in named:
        if name not in needed:
            raise InvalidModel(name, found="an input that no output needs", expected="one on the way")
    initialised = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name in needed and value.name not in starts and value.name not in initialised:
            found = "an input that the outputs also need"
            raise InvalidModel(value.name, found=found, expected="it among the named inputs")


def _typed(graph: GraphProto, name: str, *, inferred: Mapping[str, TypeProto]) -> ValueInfoProto:
    """A value with its stated type, else its inferred one."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.name == name and value.type.WhichOneof("value"):
            return value
    for tensor in graph.initializer:
        if tensor.name == name:
            return ValueInfoProto(name=name, type=_tensor_type(tensor.data_type, tuple(tensor.dims), at=name))
    found = inferred.get(name, TypeProto())
    if not found.WhichOneof("value") or (is_dense(found) and not found.tensor_type.HasField("shape")):
        raise InvalidModel(name, found="a value of unknown type", expected="one that inference can type")
    return ValueInfoProto(name=name, type=found)


def _tensor_type(code: int, shape: tuple[int, ...], *, at: str) -> TypeProto:
    return type_proto(TensorType(element_type(code, at=at), shape=shape))


def _keep_data(part: GraphProto, graph: GraphProto, *, needed: set[str], told: set[str]) -> None:
    """Copy the constants and recorded types that the part needs."""
    part.initializer.extend(tensor for tensor in graph.initializer if tensor.name in needed)
    part.sparse_initializer.extend(s for s in graph.sparse_initializer if s.values.name in needed)
    made = {name for node in part.node for name in node.output} | needed
    part.value_info.extend(v for v in graph.value_info if v.name in made and v.name not in told)
