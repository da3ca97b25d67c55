"""Convolve channels that are joined part by part, where they cannot be joined in blocks.

    f(conv(concat(a, b), W, c))  ->  f(conv(a, W_a, c) + conv(b, W_b))        f any activation

W_a are the columns of W for the channels of a. onnxruntime joins blocks of channels where all parts are whole
blocks; one part that is not takes all of them out of blocks, and what is joined back. Parts of whole blocks
stay joined. The same multiplications, and the sum is written by the convolutions. Exact in real arithmetic.

Source: onnxruntime's NchwcTransformer; joined maps of any widths, Szegedy et al., Going Deeper with
Convolutions (2015).
"""

from dataclasses import dataclass, replace
from functools import reduce
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Concat, Conv, Op
from convgraph.passes.algebra.joined import ConvOfConcat, channels, columns, joined_parts
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.rewrite import requirement
from convgraph.passes.timed import TimedRewrite

_WHOLE = 16  # channels: whole blocks of any size
_MOST = 4  # convolutions in the place of one
_CLEAR = 0.03  # of the time of what it replaces: less is not told from nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvOfRaggedParts(ConvOfConcat):
    """A convolution of joined parts, and which of these are convolved together."""

    groups: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class SplitConvAlongConcat(TimedRewrite[ConvOfRaggedParts]):
    """Convolve channels that are joined part by part, where they cannot be joined in blocks."""

    name: ClassVar[str] = "split-conv-along-concat"
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)
    makes: ClassVar[tuple[type[Op], ...]] = (Add,)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> ConvOfRaggedParts | None:
        """A convolution of one group, of channels joined from a few parts that are not all whole blocks.

        Nothing else reads what is joined: it would be put together all the same.
        """
        found = joined_parts(graph, node) if self.can_be_judged else None
        if found is None or convolution(graph, node).group > 1:
            return None
        joined, parts = found
        if graph.sole_reader(joined) is None:
            return None
        concat = graph.op(joined.node)
        assert isinstance(concat, Concat)
        widths = channels(graph, ConvOfConcat(conv=node, joined=joined, parts=parts))
        if concat.axis not in (1, 1 - (graph.type(joined).rank or 0)) or not widths:
            return None
        groups = _groups(widths)
        fits = len(parts) > 1 and 1 < len(groups) <= _MOST and any(width % _WHOLE for width in widths)
        return ConvOfRaggedParts(conv=node, joined=joined, parts=parts, groups=groups) if fits else None

    @requirement
    def the_weight_is_constant(self, graph: Graph, m: ConvOfRaggedParts) -> bool:
        """The weight is a constant that no caller can override."""
        return graph.constant(graph.operand(m.conv, 1)) is not None

    def replaces(self, graph: Graph, match: ConvOfRaggedParts) -> tuple[int, ...]:
        """The convolution and the Concat."""
        del graph
        return (match.conv, match.joined.node)

    def margin(self, match: ConvOfRaggedParts) -> float:
        """A little: several convolutions are predicted in the place of one."""
        del match
        return _CLEAR

    def apply(self, edit: Edit, m: ConvOfRaggedParts) -> None:
        """Put the sum of the convolved parts in place of the convolution, and its activation after that."""
        graph, op = edit.graph, convolution(edit.graph, m.conv)
        _, weight, *rest = graph.operands(m.conv)
        plain, bias, terms = replace(op, activation=None), rest[0] if rest else None, list[Value]()
        for group in m.groups:
            sources = [m.parts[place] for place in group]
            x = sources[0] if len(sources) == 1 else edit.add(Concat(axis=1), *sources, like=m.joined.node)
            own = edit.constant(columns(graph, m, group), like=weight)
            terms.append(edit.add(plain, x, own, None if terms else bias, like=m.conv))
        total = reduce(lambda sum_, term: edit.add(Add(), sum_, term), terms)
        if op.activation is not None:
            total = edit.add(op.activation, total, *rest[1:])
        edit.replace(Value(m.conv, 0), total)


def _groups(widths: list[int]) -> tuple[tuple[int, ...], ...]:
    """The places of the parts of whole blocks together, then each other one by itself."""
    whole = tuple(place for place, width in enumerate(widths) if width % _WHOLE == 0)
    others = [(place,) for place in range(len(widths)) if place not in whole]
    return (whole, *others) if whole else tuple(others)
