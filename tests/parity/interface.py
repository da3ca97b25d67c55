"""What callers of a model rely on: inputs and outputs by name, with types and dimensions, and its notes."""

from collections.abc import Iterable

import onnx

OVERRIDES = 4  # the first version of the format in which an initializer need not be an input
Declared = tuple[int, tuple[int | str | None, ...] | None]


def lost(before: onnx.ModelProto, after: onnx.ModelProto) -> list[str]:
    """What the original declares and the result does not: notes, names, their order, types."""
    missing = [f"the note {prop.key}" for prop in before.metadata_props if prop not in after.metadata_props]
    symbols = {
        d for _, dims in _declared(before.graph.input).values() for d in dims or () if isinstance(d, str)
    }
    for kind in ("input", "output"):
        old, new = (_declared(_values(model, kind)) for model in (before, after))
        kept = [name for name in old if name in new]
        missing += [f"{kind} {name}" for name in old if name not in new]
        if kept != [name for name in new if name in old]:
            missing.append(f"the order of {kind}s")
        missing += [f"the type of {kind} {name}" for name in kept if not _says(new[name], old[name], symbols)]
    return missing


def _values(model: onnx.ModelProto, kind: str) -> Iterable[onnx.ValueInfoProto]:
    """The inputs or outputs; not the constants that models had to list as inputs before version 4."""
    constants = {tensor.name for tensor in model.graph.initializer} if model.ir_version < OVERRIDES else set()
    return [value for value in getattr(model.graph, kind) if value.name not in constants]


def _declared(values: Iterable[onnx.ValueInfoProto]) -> dict[str, Declared]:
    return {value.name: _type(value.type) for value in values}


def _type(declared: onnx.TypeProto) -> Declared:
    """An element type (0: no tensor) and dimensions: a number, a symbol, or None where nothing is said."""
    tensor = declared.tensor_type
    if not tensor.HasField("shape"):
        return tensor.elem_type, None
    dims = [getattr(d, d.WhichOneof("value")) if d.WhichOneof("value") else None for d in tensor.shape.dim]
    return tensor.elem_type, tuple(dims)


def _says(new: Declared, old: Declared, symbols: set[str]) -> bool:
    """Whether a type says what another does: the rank, the numbers, and the symbols that inputs have."""
    (dtype, dims), (wanted, known) = new, old
    if dtype != wanted or known is None:
        return dtype == wanted
    said = {axis: dim for axis, dim in enumerate(known) if isinstance(dim, int) or dim in symbols}
    return dims is not None and len(dims) == len(known) and all(dims[axis] == said[axis] for axis in said)
