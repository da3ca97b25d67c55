"""The neighbours of a graph: models that differ from it in one place.

A pattern is told apart from what looks like it by conditions, and each one that is missing is a model that is
rewritten wrongly. Here such models are made from any graph, without knowing its pattern: an operator changed
for one that takes the same operands, two operands exchanged, one added or left out, a number, an attribute or
an element type changed, a constant that the caller may override or that is computed, a value that is also
returned, sizes that are open.

Run it with ``PYTHONPATH=tests python -m fuzz.neighbours [COUNT] [--seed N]``: every rewrite has to leave so
many neighbours of each of its examples alone, or mean the same. Exit status 1 when one does not.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import onnx
from laws.draw import SIZES, Draw, feeds_for
from laws.meaning import difference, in_onnxruntime
from laws.tables import tables_of
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, RuntimeException

from convgraph.errors import CannotRun, ConvgraphError, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import DataType
from convgraph.ir.wellformed import check
from convgraph.passes import ALL, Pipeline, Rewrite

_RINGS = (  # each operator is changed for the next one, which takes the same operands
    ("Add", "Sub", "Mul", "Div"),
    ("Max", "Min", "Sum", "Mean"),
    ("Relu", "Neg", "Abs", "Sigmoid", "Tanh", "Exp", "Sqrt", "Reciprocal", "Erf", "Softplus", "Floor"),
    ("And", "Or", "Xor"),
    ("Equal", "Less", "Greater"),
    ("ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin", "ReduceProd"),
    ("GlobalAveragePool", "GlobalMaxPool"),
    ("Softmax", "LogSoftmax"),
    ("LeakyRelu", "Elu"),
)
ROUNDINGS = 1e-6  # of the largest: other operators round otherwise
FINE = ("left", "same", "no model")
_NEXT = {name: ring[(at + 1) % len(ring)] for ring in _RINGS for at, name in enumerate(ring)}
_VARIADIC = {"Max", "Min", "Sum", "Mean", "Concat"}

Change = Callable[[ModelProto, random.Random], str]
"""Changes a model in one place, and says what; "" where there is no such place."""


def neighbours(graph: Graph, *, seed: int) -> Iterator[tuple[str, Graph]]:
    """Neighbours without end, each with what was changed; those that are no model are left out."""
    rng, original = random.Random(seed), to_onnx(graph)
    del original.graph.value_info[:]
    while True:
        model = ModelProto.FromString(original.SerializeToString())
        what = rng.choice(_CHANGES)(model, rng)
        try:
            yield what, from_onnx(_of_free_shapes(model)) if what else graph
        except (ConvgraphError, ValueError, TypeError):
            yield "", graph


def wronged(
    rewrite: Rewrite[Any], graph: Graph, *, count: int, seed: int, bound: float
) -> Iterator[tuple[str, str]]:
    """What became of each of so many neighbours by a rewrite: what was changed, and what is wrong with it.

    "left" where it did not apply, "same", or "no model" where it has no result to begin with.
    """
    for what, near in islice(neighbours(graph, seed=seed), count):
        if not what:
            yield what, "no model"
            continue
        try:
            result, trace = Pipeline([rewrite]).run(near)
        except CannotRun:
            yield what, "no model"
            continue
        check(result)
        yield what, _difference(near, result, bound=max(bound, ROUNDINGS)) if trace.applications else "left"


def _difference(before: Graph, after: Graph, *, bound: float) -> str:
    try:
        for feeds in feeds_for(before, dyadic=False):
            for name, found in in_onnxruntime(before, feeds).items():
                kind = before.type(before.value(name)).dtype
                if not isinstance(found, np.ndarray) or DataType.of(found.dtype) is not kind:
                    return "no model"  # but one of lists, or of elements of a type that nobody knows
    except (Fail, InvalidArgument, InvalidGraph, RuntimeException, UnsupportedOp):
        return "no model"
    return difference(before, after, dyadic=False, bound=bound) or "same"


def _of_free_shapes(model: ModelProto) -> ModelProto:
    """The model, but for the shapes that its outputs had before."""
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def _operator(model: ModelProto, rng: random.Random) -> str:
    nodes = [node for node in model.graph.node if node.op_type in _NEXT and not node.domain]
    if not nodes:
        return ""
    node = rng.choice(nodes)
    before, node.op_type = node.op_type, _NEXT[node.op_type]
    return f"{before} -> {node.op_type}"


def _operands_exchanged(model: ModelProto, rng: random.Random) -> str:
    nodes = [node for node in model.graph.node if len(node.input) > 1 and node.input[0] != node.input[1]]
    if not nodes:
        return ""
    node = rng.choice(nodes)
    node.input[0], node.input[1] = node.input[1], node.input[0]
    return f"operands of {node.op_type} exchanged"


def _operand_added(model: ModelProto, rng: random.Random) -> str:
    nodes = [node for node in model.graph.node if node.op_type in _VARIADIC]
    if not nodes:
        return ""
    node = rng.choice(nodes)
    node.input.insert(rng.randrange(len(node.input) + 1), rng.choice(_values_before(model, node)))
    return f"an operand more for {node.op_type}"


def _operand_left_out(model: ModelProto, rng: random.Random) -> str:
    nodes = [node for node in model.graph.node if len(node.input) > 1]
    if not nodes:
        return ""
    node = rng.choice(nodes)
    place = rng.randrange(1, len(node.input))
    if place == len(node.input) - 1:
        del node.input[place]
    else:
        node.input[place] = ""
    return f"operand {place} of {node.op_type} left out"


def _operand_changed(model: ModelProto, rng: random.Random) -> str:
    nodes = [node for node in model.graph.node if node.input]
    if not nodes:
        return ""
    node = rng.choice(nodes)
    place = rng.randrange(len(node.input))
    node.input[place] = rng.choice(_values_before(model, node))
    return f"another operand {place} of {node.op_type}"


def _values_before(model: ModelProto, node: NodeProto) -> list[str]:
    names = [value.name for value in (*model.graph.input, *model.graph.initializer)]
    for other in model.graph.node:
        if other == node:
            break
        names += [name for name in other.output if name]
    return names


def _number(model: ModelProto, rng: random.Random) -> str:
    tensors = [t for t in _constants(model) if t.data_type != TensorProto.STRING and 0 not in t.dims]
    if not tensors:
        return ""
    tensor = rng.choice(tensors)
    array = numpy_helper.to_array(tensor).copy()
    flat = array.reshape(-1)
    place = rng.randrange(flat.size)
    with np.errstate(over="ignore"):
        flat[place] = not flat[place] if array.dtype == bool else flat[place] + rng.choice((1, -1))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return f"a number of {tensor.name or 'a constant'}"


def _constants(model: ModelProto) -> list[TensorProto]:
    inside = [
        a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.HasField("t")
    ]
    return [*model.graph.initializer, *inside]


def _attribute(model: ModelProto, rng: random.Random) -> str:
    kinds = (AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT)
    found = [(node, a) for node in model.graph.node for a in node.attribute if a.type in kinds]
    if not found:
        return ""
    node, attribute = rng.choice(found)
    step = rng.choice((1, -1))
    if attribute.type == AttributeProto.INT:
        attribute.i += step
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f += step
    elif attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] += step
    return f"{attribute.name} of {node.op_type}"


def _attribute_left_out(model: ModelProto, rng: random.Random) -> str:
    nodes = [node for node in model.graph.node if node.attribute and node.op_type != "Constant"]
    if not nodes:
        return ""
    node = rng.choice(nodes)
    gone = node.attribute.pop(rng.randrange(len(node.attribute)))
    return f"{gone.name} of {node.op_type} left out"


def _overridable(model: ModelProto, rng: random.Random) -> str:
    given = {value.name for value in model.graph.input}
    tensors = [tensor for tensor in model.graph.initializer if tensor.name not in given]
    if not tensors:
        return ""
    tensor = rng.choice(tensors)
    model.graph.input.append(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
    )
    return f"{tensor.name} may be overridden"


def _computed(model: ModelProto, rng: random.Random) -> str:
    """A constant that the runtime makes of an input: nothing but its type is known before."""
    if not model.graph.initializer:
        return ""
    place = rng.randrange(len(model.graph.initializer))
    tensor = model.graph.initializer[place]
    if tensor.name in {value.name for value in model.graph.input}:
        return ""
    name = tensor.name
    value = onnx.helper.make_tensor_value_info(f"{name}_given", tensor.data_type, list(tensor.dims))
    if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
        model.graph.input.append(value)
        del model.graph.initializer[place]
        model.graph.node.insert(0, onnx.helper.make_node("Abs", [value.name], [name]))
    else:
        tensor.name = value.name  # numbers of any kind would not do
        model.graph.input.append(value)
        model.graph.node.insert(0, onnx.helper.make_node("Identity", [value.name], [name]))
    return f"{name} is computed"


def _returned(model: ModelProto, rng: random.Random) -> str:
    returned = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name and name not in returned]
    if not names:
        return ""
    name = rng.choice(names)
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    return f"{name} is also returned"


def _read_twice(model: ModelProto, rng: random.Random) -> str:
    names = [name for node in model.graph.node for name in node.output if name]
    if not names:
        return ""
    name = rng.choice(names)
    model.graph.node.append(onnx.helper.make_node("Identity", [name], ["twin"]))
    model.graph.output.append(onnx.ValueInfoProto(name="twin"))
    return f"{name} is also read elsewhere"


def _sizes_open(model: ModelProto, rng: random.Random) -> str:
    given = {tensor.name for tensor in model.graph.initializer}
    dims = [
        dim
        for value in model.graph.input
        if value.name not in given
        for dim in value.type.tensor_type.shape.dim
        if dim.HasField("dim_value")
    ]
    if not dims:
        return ""
    used = {d.dim_param for value in model.graph.input for d in value.type.tensor_type.shape.dim}
    free = [symbol for symbol in SIZES[0] if symbol not in used]
    some = rng.sample(dims, min(len(dims), rng.randint(1, len(free)))) if free else []
    for dim, symbol in zip(some, free, strict=False):
        dim.dim_param = symbol
    return f"{len(some)} sizes are open" if some else ""


def _sizes_fixed(model: ModelProto, rng: random.Random) -> str:
    dims = [
        dim
        for value in model.graph.input
        for dim in value.type.tensor_type.shape.dim
        if dim.HasField("dim_param")
    ]
    if not dims:
        return ""
    sizes = {dim.dim_param: rng.choice((1, 2, 3, 5, 8)) for dim in dims}
    for dim in dims:
        dim.dim_value = sizes[dim.dim_param]
    return f"sizes are {sizes}"


def _double(model: ModelProto, rng: random.Random) -> str:
    """All of single precision is double or half."""
    kind = rng.choice((TensorProto.DOUBLE, TensorProto.FLOAT16))
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = kind
    for tensor in _constants(model):
        if tensor.data_type == TensorProto.FLOAT:
            wide = numpy_helper.to_array(tensor).astype(
                np.float64 if kind == TensorProto.DOUBLE else np.float16
            )
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    return f"of type {kind}"


_CHANGES: tuple[Change, ...] = (
    *(_operator, _operator, _operands_exchanged, _operand_added, _operand_left_out, _operand_changed),
    *(_number, _number, _attribute, _attribute, _attribute_left_out),
    *(_overridable, _computed, _returned, _read_twice, _sizes_open, _sizes_fixed, _double),
)


def main() -> int:
    """Try every rewrite on the neighbours of its examples, and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", nargs=2, type=int, default=(0, 1), help="which, and of how many")
    given = parser.parse_args()
    (part, parts), counts = given.part, Counter[str]()
    for rewrite in [r for r in ALL if r.exact][part::parts]:
        tables = tables_of(rewrite)
        as_tested = replace(rewrite, **getattr(tables, "OPTIONS", {}))
        bound = getattr(tables, "BOUND", 0.0)
        for name, build in tables.EXAMPLES.items():
            graph = build(Draw(dyadic=False))
            try:
                for what, found in wronged(as_tested, graph, count=given.count, seed=given.seed, bound=bound):
                    counts[found if found in FINE else "wrong"] += 1
                    if found not in FINE:
                        print(f"{rewrite.name}: {name}: {what}: {found}", flush=True)
            except Exception as error:  # noqa: BLE001 - whatever a rewrite does to a model that it was not made for
                counts["wrong"] += 1
                print(f"{rewrite.name}: {name}: {error!r}", flush=True)
    print(dict(counts))
    return int(counts["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
