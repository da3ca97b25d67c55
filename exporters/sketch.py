"""Whether two graphs make different files, told without making them.

Only tensors that are not the very same object are read, one at a time, however much the others weigh.
"""

from collections.abc import Set as AbstractSet
from functools import partial

from onnx import TensorProto

from convgraph.exporters.external_data import is_worth_moving
from convgraph.exporters.onnx_graph import inline
from convgraph.exporters.onnx_model import message_of, tensors
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Tensor


def differ(before: Graph, after: Graph) -> bool:
    """Whether the ONNX forms of two graphs differ anywhere. Raises UnsupportedOp as ``to_onnx`` does."""
    shared = {id(tensor) for tensor in tensors(before)} & {id(tensor) for tensor in tensors(after)}
    store = partial(_sketched, shared=shared)
    return message_of(before, store=store) != message_of(after, store=store)


def _sketched(tensor: Tensor, name: str, *, shared: AbstractSet[int]) -> TensorProto:
    """A tensor's message; in place of many elements, what tells them from any others."""
    if not is_worth_moving(tensor):
        return inline(tensor, name)
    contents = str(id(tensor)) if id(tensor) in shared else tensor.digest()
    return TensorProto(name=name, data_type=tensor.dtype, dims=tensor.shape, doc_string=contents)
