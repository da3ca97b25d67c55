"""Ask for the sizes that are wanted, not for all of them to pick those.

    unsqueeze(gather(shape(x), i)) -> shape(x, start = i, end = i + 1)
    shape(x)[a : b] -> shape(x, start = a, end = b)
    concat(shape(x)[1], shape(x)[2]) -> shape(x, start = 1, end = 3)

Exact: the same sizes. Exporters pick one size at a time, where a network of open height and width reshapes.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.encoded import encode
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Concat, Gather, Op, Opaque, Reshape, Slice, Unsqueeze
from convgraph.ir.tensor import DataType, TensorType
from convgraph.passes.cleanup.measured_sizes import Place, measured_places
from convgraph.passes.rewrite import Measure, Rewrite, requirement

_PARTS_SINCE = 15  # the opset in which Shape got a start and an end
_PICKING = (Concat, Gather, Reshape, Slice, Unsqueeze)


@dataclass(frozen=True, slots=True, kw_only=True)
class PickedRun:
    """What is picked out of the shape of x: the sizes of the axes from ``start`` to before ``end``."""

    result: Value
    x: Value
    start: int
    end: int


def picking(graph: Graph) -> int:
    """Measure: how many operations pick, join or arrange a few whole numbers."""
    nodes = (node for node in graph.compute_nodes() if isinstance(graph.op(node), _PICKING))
    return sum(_is_vector(graph.type(Value(node, 0))) for node in nodes)


@dataclass(frozen=True, kw_only=True)
class FusePickIntoShape(Rewrite[PickedRun]):
    """Ask for the sizes that are wanted, not for all of them to pick those."""

    name: ClassVar[str] = "fuse-pick-into-shape"
    roots: ClassVar[tuple[type[Op], ...]] = _PICKING
    measure: ClassVar[Measure] = staticmethod(picking)

    def find(self, graph: Graph, node: int) -> PickedRun | None:
        """A vector that holds neighbouring sizes of one value, by way of a Shape."""
        result = Value(node, 0)
        if not _is_vector(graph.type(result)):
            return None
        first, *others = measured_places(graph, result) or (None,)
        if not isinstance(first, Place):
            return None
        if any(place != Place(first.x, first.axis + n) for n, place in enumerate(others, start=1)):
            return None
        end = first.axis + 1 + len(others)
        return PickedRun(result=result, x=first.x, start=first.axis, end=end)

    @requirement
    def the_opset_has_parts_of_shapes(self, graph: Graph, m: PickedRun) -> bool:
        """The model's opset is 15 or newer, where Shape takes a start and an end."""
        return graph.model.opset >= _PARTS_SINCE

    def apply(self, edit: Edit, m: PickedRun) -> None:
        """Put a Shape in its place."""
        said = {"start": m.start, "end": m.end}
        if m.start == 0:
            said.pop("start")
        if m.end == edit.graph.type(m.x).rank:
            said.pop("end")
        encoded = MappingProxyType({name: encode(name, number) for name, number in said.items()})
        kind = TensorType(DataType.INT64, shape=(m.end - m.start,))
        op = Opaque(op_type="Shape", encoded=encoded, arity=1)
        edit.replace(m.result, edit.add_all(op, m.x, like=m.result.node, types=[kind])[0])


def _is_vector(kind: TensorType) -> bool:
    return kind.rank == 1 and kind.dtype is DataType.INT64
