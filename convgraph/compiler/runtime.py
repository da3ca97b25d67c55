"""What lower floors need from a runtime, handed to them: computing one node whose operands are constants."""

from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph, Header, NodeInfo, Value, ValueInfo
from convgraph.ir.ops import Constant
from convgraph.ir.tensor import Array
from convgraph.numerics.session import run_model


def compute_node(graph: Graph, node: int) -> tuple[Array, ...]:
    """The results of a node that reads nothing but constants, computed by onnxruntime without optimisations.

    Results nobody asked for are left out from the end. Raises ConvgraphError when the runtime cannot.
    """
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
    alone.outputs = tuple(
        value
        for value, info in zip(
            alone.insert(graph.op(node), operands, results=infos, info=NodeInfo()), infos, strict=True
        )
        if info.name
    )
    return tuple(run_model(to_onnx(alone), {}).values())
