"""Read an element of a list as what the model has put there.

    sequence_at(sequence_construct(a, b, c), 1) -> b

Exact: nothing is computed. Exporters write Python's lists of values as sequences.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Opaque
from convgraph.passes.cleanup.fuse_sequence_into_slice import is_sequence_op, sequence_picks
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedValue:
    """The values in a list, the place that is read, and what it is called."""

    elements: tuple[Value | None, ...]
    place: int
    result: Value

    @property
    def element(self) -> Value | None:
        """The value in that place."""
        return self.elements[self.place]


@dataclass(frozen=True, kw_only=True)
class RemoveSequencePick(Rewrite[ListedValue]):
    """Read an element of a list as what the model has put there."""

    name: ClassVar[str] = "remove-sequence-pick"
    roots: ClassVar[tuple[type[Op], ...]] = (Opaque,)
    measure: ClassVar[Measure] = staticmethod(sequence_picks)

    def find(self, graph: Graph, node: int) -> ListedValue | None:
        """A SequenceAt, by a constant, of a SequenceConstruct."""
        if not is_sequence_op(graph.op(node), "SequenceAt"):
            return None
        sequence, place = graph.operand(node, 0), graph.operand(node, 1)
        index = graph.constant(place)
        if sequence is None or index is None or index.size != 1:
            return None
        if not is_sequence_op(graph.producer(sequence), "SequenceConstruct"):
            return None
        number = int(index.numpy().reshape(-1)[0])
        return ListedValue(elements=graph.operands(sequence.node), place=number, result=Value(node, 0))

    @requirement
    def there_is_such_an_element(self, graph: Graph, m: ListedValue) -> bool:
        """The list has an element in that place, counted from either end."""
        return -len(m.elements) <= m.place < len(m.elements) and m.element is not None

    def apply(self, edit: Edit, m: ListedValue) -> None:
        """Let the readers read the element."""
        assert m.element is not None
        edit.replace(m.result, m.element)
