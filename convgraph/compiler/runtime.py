"""What lower floors need from a runtime, handed to them: one node whose operands are constants, computed."""

import onnx

from convgraph.compiler.functions import FunctionBodies
from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph, Header, NodeInfo, Value, ValueInfo
from convgraph.ir.ops import Constant
from convgraph.ir.tensor import Array, TensorType
from convgraph.numerics.contained import run_contained


def lent() -> dict[str, object]:
    """What rewrites ask for that stands above them, by the names of their options."""
    return {"runtime": NodeRuntime(), "bodies": FunctionBodies()}


class NodeRuntime:
    """Single nodes of a graph: typed by ONNX's inference, computed by onnxruntime apart."""

    def types(self, graph: Graph, node: int) -> tuple[TensorType, ...]:
        """What ONNX's inference says of the named results on these very operands; () when it cannot."""
        try:
            alone = from_onnx(_alone(graph, node))
        except InvalidModel:
            return ()
        return tuple(alone.type(value) for value in alone.outputs)

    def compute(self, graph: Graph, node: int) -> tuple[Array | None, ...]:
        """The results; None for one without a name, which nobody asked for.

        Raises ConvgraphError when the runtime cannot, crashes or takes too long.
        """
        computed = run_contained(_alone(graph, node))
        return tuple(computed.get(graph.value_name(result)) for result in graph.results(node))


def _alone(graph: Graph, node: int) -> onnx.ModelProto:
    """The model of one node, its constant operands as initializers."""
    alone = Graph(Header(name="node", model=graph.model))
    operands: list[Value | None] = []
    for slot, operand in enumerate(graph.operands(node)):
        tensor = graph.constant(operand)
        if tensor is None:
            operands.append(None)
            continue
        info = ValueInfo(name=f"operand_{slot}", type=tensor.type)
        operands += alone.insert(Constant(tensor=tensor), (), results=[info], info=NodeInfo())
    infos = [graph.value_info(result) for result in graph.results(node)]
    results = alone.insert(graph.op(node), operands, results=infos, info=NodeInfo())
    alone.outputs = tuple(value for value in results if alone.value_name(value))
    return to_onnx(alone)
