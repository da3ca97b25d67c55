"""Convolve sequences as images of a single row, and with them all that lies between their convolutions.

    f(x; N × C × L)  ->  squeeze(f'(unsqueeze(x)); N × C × 1 × L)

for any network f of convolutions along L and what works on rows alike: arithmetic and functions of elements,
pools, Concat, Split, Slice, Pad, normalisations by channel. f' is f with kernels, strides, dilations and
paddings of one row, its constants following. onnxruntime has fast kernels, on blocks of channels, for images
only; sequences it unfolds for a matrix product. Threads share a matrix product evenly, but an image by rows
and by sets of filters: on several, networks of few channels are left as they are. Exact: the same products,
perhaps summed in another order.

Source: onnxruntime's NchwcTransformer.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Op, Squeeze, Unsqueeze
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.algebra.pointwise import is_pointwise
from convgraph.passes.layout.sequences import Share, first_convolution, network, shares, slowed
from convgraph.passes.layout.single_row import OnRows, carried, in_row, row_type
from convgraph.passes.timed import TimedRewrite

_SEVERAL = 2  # threads, where it is not said how many
_ROW = 2  # the axis that images have, and sequences have not


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """Operations on sequences, and what each is on images of one row; each stands after those it reads.

    ``shares`` says how threads share the convolutions among them.
    """

    forms: tuple[tuple[int, OnRows], ...]
    shares: tuple[Share, ...]


@dataclass(frozen=True, kw_only=True)
class LiftConv1dIntoConv2d(TimedRewrite[Sequences]):
    """Convolve sequences as images of a single row, and with them all that lies between."""

    name: ClassVar[str] = "lift-conv1d-into-conv2d"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)
    makes: ClassVar[tuple[type[Op], ...]] = (Squeeze, Unsqueeze)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> Sequences | None:
        """The first convolution of a network on sequences.

        None for one of single pixels that stands alone: ``remove-reshapes-around-conv`` would undo it.
        """
        if convolution(graph, node).spatial_rank != 1 or not self.can_be_judged:
            return None
        forms = network(graph, node)
        if not forms or (len(forms) == 1 and is_pointwise(graph, node)):
            return None
        return Sequences(forms=tuple(forms.items()), shares=shares(graph, forms))

    def margin(self, match: Sequences) -> float:
        """What a single thread has to save by, so that several are no slower that do not share alike."""
        return 1 - 1 / slowed(match.shares, threads=self.judge.threads or _SEVERAL)

    def root(self, graph: Graph, node: int) -> int:
        """The first convolution of the network, which may not be whole in a part of the graph."""
        return first_convolution(graph, node) if node in graph else node

    def replaces(self, graph: Graph, match: Sequences) -> tuple[int, ...]:
        """All of these operations."""
        return tuple(node for node, _ in match.forms)

    def apply(self, edit: Edit, m: Sequences) -> None:
        """Do them on rows, and make sequences again of what others read."""
        graph, rows = edit.graph, dict[Value, Value]()
        for node, form in m.forms:
            results = graph.results(node)
            made = _on_rows(edit, node, form, rows=rows)
            rows.update(zip(results, made, strict=True))
        lifted = dict(m.forms)
        for value in [value for node in lifted for value in graph.results(node)]:
            if graph.is_output(value) or any(use.node not in lifted for use in graph.readers(value)):
                axes = edit.constant(np.array([_ROW], np.int64), name="axes")
                edit.replace(value, edit.add(Squeeze(), rows[value], axes))
        for node in reversed(lifted):
            edit.erase(node)


def _on_rows(edit: Edit, node: int, form: OnRows, *, rows: dict[Value, Value]) -> tuple[Value, ...]:
    """Add what a node is on rows: of ``rows``, or what is brought into them, and noted."""
    graph = edit.graph
    for value in carried(graph, node, form):
        if value not in rows:
            rows[value] = in_row(edit, value)
    read = [rows[v] if v and slot in form.slots else v for slot, v in enumerate(graph.operands(node))]
    for slot, numbers in form.numbers:
        model = graph.operand(node, 1)  # what axes and sizes are written in
        assert model is not None
        array = np.array(numbers, graph.type(model).dtype.numpy)
        read += [None] * (slot + 1 - len(read))
        read[slot] = edit.constant(array, name="axes", like=graph.operand(node, slot))
    types = [row_type(graph.type(result)) for result in graph.results(node)]
    name = f"{graph.value_name(Value(node, 0))}_row"
    return edit.add_all(form.op, *read, name=name, like=node, outputs=len(types), types=types)
