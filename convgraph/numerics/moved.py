"""A model whose weights are each replaced by others of the same shape, one of them in memory at a time.

Large ones, and those that lay in a file beside the model, go through a file of a temporary folder.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import onnx
from onnx import NodeProto, TensorProto, numpy_helper
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from convgraph.held import temporary_folder
from convgraph.ir.tensor import Array
from convgraph.numerics.placed import folder_of
from convgraph.numerics.session import ModelSource, TimedOut, Unverifiable
from convgraph.numerics.structure import computed, named_tensors, nodes_within, read

Move = Callable[[str, Array], Array]
"""Makes other elements of a weight, given its name and its own."""

Edit = Callable[[onnx.ModelProto], None]
"""Changes a message in place."""

_LARGE = 1 << 20  # bytes: smaller weights stay in the message
_PAGE = 4096  # bytes: where runtimes can map a tensor from
_DATA = "moved.data"
_WEIGHTS = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2, 3, 4),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "RMSNormalization": (1,),
    "GroupNormalization": (1, 2),
    "PRelu": (1,),
}
_ARITHMETIC = ("Add", "Sub", "Mul", "Div")  # where a scalar beside what is no data may steer a size


@contextmanager
def with_moved_weights(
    source: ModelSource, *, move: Move, edit: Edit | None = None, deadline: float | None
) -> Iterator[ModelSource]:
    """A model with every weight replaced by what ``move`` makes of it; it is gone when the block ends.

    ``edit`` then changes the message, in which large weights may be missing. Raises TimedOut past the
    deadline (``time.monotonic``), and Unverifiable when there is no room for it.
    """
    model = onnx.ModelProto()
    model.CopyFrom(read(source))
    with temporary_folder() as folder:
        try:
            path = _written(model, folder_of(source), move=move, edit=edit, into=folder, deadline=deadline)
        except OSError as error:
            found = f"no room for a copy with other weights ({error.strerror})"
            raise Unverifiable("the original", found=found, expected=f"room in {folder}") from error
        yield path or model


def _written(
    model: onnx.ModelProto,
    beside: Path,
    *,
    move: Move,
    edit: Edit | None,
    into: Path,
    deadline: float | None,
) -> Path | None:
    """Replace the weights of a message, and write it to the folder if some went into a file there."""
    weights = _weight_names(model)
    with (into / _DATA).open("wb") as file:
        for tensor, name in named_tensors(model):
            if deadline is not None and time.monotonic() >= deadline:
                raise TimedOut("the original", found="no time left", expected="its weights moved")
            if name not in weights and not uses_external_data(tensor):
                continue
            own = _fetched(tensor, beside)
            if name in weights:
                own = numpy_helper.from_array(move(name, numpy_helper.to_array(own)), tensor.name)
            is_large = tensor.name == name and len(own.raw_data) >= _LARGE
            tensor.CopyFrom(_put(own, file) if is_large else own)
        if edit is not None:
            edit(model)
        if not file.tell():
            return None
    path = into / "moved.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _fetched(tensor: TensorProto, beside: Path) -> TensorProto:
    """A copy with its elements inside: a message keeps the memory of all that ever was in it."""
    own = TensorProto()
    own.CopyFrom(tensor)
    if uses_external_data(tensor):
        info = ExternalDataInfo(tensor)
        with (beside / info.location).open("rb") as file:
            file.seek(info.offset or 0)
            own.raw_data = file.read(-1 if info.length is None else info.length)
        own.ClearField("data_location")
        own.ClearField("external_data")
    return own


def _put(tensor: TensorProto, file: IO[bytes]) -> TensorProto:
    """Append the elements of a tensor to a file, and say that they are there."""
    offset = file.seek(-(-file.tell() // _PAGE) * _PAGE)
    length = file.write(tensor.raw_data)
    header = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    header.data_location = TensorProto.EXTERNAL
    for key, value in {"location": _DATA, "offset": offset, "length": length}.items():
        header.external_data.add(key=key, value=str(value))
    return header


def _weight_names(model: onnx.ModelProto) -> set[str]:
    """The constants that are numbers of the function, none that may steer a size."""
    vectors = {name for tensor, name in named_tensors(model) if math.prod(tensor.dims) > 1}
    data = computed(model)
    inner = _weights_of_functions(model)
    names: set[str] = set()
    for node in nodes_within(model.graph.node):
        if node.op_type in _ARITHMETIC:
            names |= set(node.input) if data.intersection(node.input) else vectors.intersection(node.input)
        names |= _as_weights(node) | (vectors & _given_as_weights(node, inner))
    return names - {""}


def _as_weights(node: NodeProto) -> set[str]:
    return {node.input[slot] for slot in _WEIGHTS.get(node.op_type, ()) if slot < len(node.input)}


_Weights = dict[tuple[str, str, str], tuple[Sequence[str], set[str]]]


def _given_as_weights(node: NodeProto, inner: _Weights) -> set[str]:
    """What a call gives a function as its weights."""
    inputs, weights = inner.get((node.domain, node.op_type, node.overload), ((), set()))
    return {name for formal, name in zip(inputs, node.input, strict=False) if formal in weights}


def _weights_of_functions(model: onnx.ModelProto) -> _Weights:
    """The inputs of each local function, and which of them its body, or one that it calls, has as weights."""
    inner: _Weights = {(f.domain, f.name, f.overload): (f.input, set()) for f in model.functions}
    grows = True
    while grows:
        grows = False
        for function in model.functions:
            _, weights = inner[function.domain, function.name, function.overload]
            before = len(weights)
            for node in nodes_within(function.node):
                weights |= set(node.input) if node.op_type in _ARITHMETIC else _as_weights(node)
                weights |= _given_as_weights(node, inner)
            grows |= len(weights) > before
    return inner
