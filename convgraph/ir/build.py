"""GraphBuilder: graphs written by hand, for people, tests, examples and the built-in demo models."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from convgraph.errors import InvalidModel
from convgraph.ir.graph import Graph, Header, ModelInfo, NodeInfo, Value, ValueInfo
from convgraph.ir.ops.base import Op
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.tensor import Array, DataType, Dim, Tensor, TensorType
from convgraph.ir.wellformed import check

Operand = Value | Array | Tensor | float | None


class GraphBuilder:
    """Builds a Graph operation by operation, inferring types on the way.

    ``opset`` is the version of ONNX's operator set the model will be written with.
    """

    def __init__(self, name: str = "graph", *, opset: int = 21, ir_version: int = 10) -> None:
        model = ModelInfo(
            ir_version=ir_version, opsets=MappingProxyType({"": opset}), producer=("convgraph", "")
        )
        self._graph = Graph(Header(name=name, model=model))

    def input(self, name: str, *, shape: Sequence[Dim] | None, dtype: DataType = DataType.FLOAT) -> Value:
        """Add a graph input; dimensions may be numbers, symbols or None."""
        declared = TensorType(dtype, shape=None if shape is None else tuple(shape))
        return self._input(Input(), name=name, declared=declared)

    def overridable(self, name: str, data: Array) -> Value:
        """Add an initializer that is also a graph input: a caller may override it."""
        tensor = Tensor(data)
        return self._input(
            Input(default=tensor), name=name, declared=TensorType(tensor.dtype, shape=tensor.shape)
        )

    def constant(self, data: Array | Tensor, *, name: str = "constant") -> Value:
        """Add a constant; an ndarray's dtype is its element type."""
        tensor = data if isinstance(data, Tensor) else Tensor(data)
        return self.add(Constant(tensor=tensor), name=name)

    def add(self, op: Op, *operands: Operand, name: str = "", node: str = "") -> Value:
        """Add an operation and return its first result.

        Arrays and tensors among the operands become constants; a plain number becomes a scalar of the element
        type of the first operand. ``name`` is the result's name, ``node`` the node's.
        """
        return self.add_all(op, *operands, names=(name,), node=node)[0]

    def add_all(
        self,
        op: Op,
        *operands: Operand,
        names: Sequence[str] = ("",),
        node: str = "",
        types: Sequence[TensorType] | None = None,
    ) -> tuple[Value, ...]:
        """Add an operation with one result for each of ``names``; "" asks for a fresh name.

        ``types`` gives the results' types where the operation cannot infer them (Opaque).
        """
        values = [self._value(operand, operands[0]) for operand in operands]
        inferred = op.infer_all(tuple(None if v is None else self._graph.type(v) for v in values))
        known = types if types is not None else inferred
        infos = [
            ValueInfo(name=self._graph.fresh_name(n or op.label.lower()), type=t)
            for n, t in zip(names, known, strict=False)
        ]
        return self._graph.insert(op, values, results=infos, info=NodeInfo(name=node))

    def output(self, value: Value, *, name: str = "") -> None:
        """Make a value the next graph output, under ``name`` when given."""
        info = self._graph.value_info(value)
        self._graph.set_value_info(value, replace(info, name=name or info.name, recorded=True))
        self._graph.outputs = (*self._graph.outputs, value)

    def type(self, value: Value) -> TensorType:
        """The type of a value added so far."""
        return self._graph.type(value)

    def build(self) -> Graph:
        """The finished graph, checked. Raises InvalidModel when it is not well-formed."""
        check(self._graph)
        return self._graph

    def _input(self, op: Input, *, name: str, declared: TensorType) -> Value:
        info = ValueInfo(name=name, type=declared, recorded=True)
        (value,) = self._graph.insert(op, (), results=[info], info=NodeInfo())
        self._graph.inputs = (*self._graph.inputs, value)
        return value

    def _value(self, operand: Operand, first: Operand) -> Value | None:
        if operand is None or isinstance(operand, Value):
            return operand
        if isinstance(operand, (np.ndarray, Tensor)):
            return self.constant(operand)
        if not isinstance(first, Value):
            raise InvalidModel(
                "operand", found="a plain number first", expected="a value first, to take its dtype"
            )
        return self.constant(np.asarray(operand, dtype=self._graph.type(first).dtype.numpy))
