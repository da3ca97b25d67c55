"""Types under given sizes: what every value becomes once the symbols in a graph's inputs are numbers.

The graph itself is never changed: the results are tables from value to type.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest

from convgraph.analysis.elements import known_elements
from convgraph.errors import InvalidModel
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Conv, ConvTranspose, Input
from convgraph.ir.tensor import Dim, TensorType

BATCH = 1
EXTENT = 64

_TOKEN = re.compile(r"\s*(\d+|//|[-+*()]|[^\W\d]\w*)")
_LONGEST_EXPRESSION = 120  # characters: bounds the depth of the parser, and longer ones never arise here


def assumed_sizes(graph: Graph) -> dict[str, int]:
    """A number for each symbol in the types of the graph's inputs, so that a graph without sizes has a cost.

    1 for a leading axis; for axis 1 the channels that a convolution reading the input expects; 64 elsewhere.
    A symbol that stands in several places takes the first of these that applies to any of them. Of a derived
    symbol the names in it are assumed, so that "H" and "2*H" go together.
    """
    candidates: dict[str, set[int]] = {}
    for value in _supplied(graph):
        for axis, dim in enumerate(graph.type(value).shape or ()):
            for name in _names(dim) if isinstance(dim, str) else ():
                candidates.setdefault(name, set()).add(_assumed(graph, value, axis))
    return {symbol: _preferred(sizes) for symbol, sizes in candidates.items()}


def specialised(graph: Graph, sizes: Mapping[str, int]) -> dict[Value, TensorType]:
    """The type of every value when each symbol in ``sizes`` is that number.

    Typed operations are inferred anew, also where they read sizes that the model computes from shapes; what
    only the model's file told (results of operations without a class) has its symbols replaced. Unknown
    dimensions of the graph's inputs are assumed as in ``assumed_sizes``. Raises InvalidModel, naming the
    node, when an operation cannot run at these sizes.
    """
    types: dict[Value, TensorType] = {}
    for node in graph.nodes():
        recorded = [at_sizes(graph, value, sizes) for value in graph.results(node)]
        if not isinstance(graph.op(node), (Constant, Input)):
            operands = tuple(None if v is None else types[v] for v in graph.operands(node))
            recorded = _inferred(graph, node, operands, recorded)
        types.update(zip(graph.results(node), recorded, strict=True))
    return types


def at_sizes(graph: Graph, value: Value, sizes: Mapping[str, int]) -> TensorType:
    """The recorded type of one value with the symbols in ``sizes`` replaced.

    An input's unknown axes are assumed. Looks at nothing but this value: ``specialised`` knows more.
    """
    recorded = graph.type(value)
    if recorded.shape is None or recorded.static_shape is not None:
        return recorded
    # A derived symbol turns negative where an operation cannot run at these sizes: then nothing is known.
    dims = (evaluated(dim, sizes) for dim in recorded.shape)
    shape = tuple(None if isinstance(dim, int) and dim < 0 else dim for dim in dims)
    if isinstance(graph.producer(value), Input):
        shape = tuple(_assumed(graph, value, axis) if dim is None else dim for axis, dim in enumerate(shape))
    return replace(recorded, shape=shape)


def evaluated(dim: Dim, sizes: Mapping[str, int]) -> Dim:
    """A dimension with symbols replaced by numbers; unchanged where a symbol in it has none.

    A derived symbol is an expression of names, whole numbers, ``+ - * //`` and parentheses; nothing else is
    evaluated. A symbol of that form may itself be in ``sizes``.

    Examples
    --------
    >>> evaluated("(H-1)//2+1", {"H": 64})
    32
    >>> evaluated("H*W", {"H": 64})
    'H*W'
    """
    if not isinstance(dim, str):
        return dim
    if dim in sizes:
        return sizes[dim]
    tokens = _tokens(dim)
    number = None if tokens is None else _Expression(tokens, sizes).value()
    return dim if number is None else number


def _names(symbol: str) -> list[str]:
    """The names in a derived symbol; the symbol itself where it is none."""
    tokens = _tokens(symbol) or []
    names = [token for token in tokens if token.isidentifier()]
    derived = bool(names) and _Expression(tokens, dict.fromkeys(names, EXTENT)).value() is not None
    return names if derived else [symbol]


def _supplied(graph: Graph) -> Iterator[Value]:
    """The values that come from outside and have no data of their own."""
    for value in (*graph.inputs, *graph.captures):
        op = graph.producer(value)
        if isinstance(op, Input) and op.default is None:
            yield value


def _assumed(graph: Graph, value: Value, axis: int) -> int:
    if axis == 0:
        return BATCH
    channels = _expected_channels(graph, value) if axis == 1 else None
    return EXTENT if channels is None else channels


def _preferred(sizes: set[int]) -> int:
    if BATCH in sizes:
        return BATCH
    return min(sizes - {EXTENT}, default=EXTENT)


def _expected_channels(graph: Graph, value: Value) -> int | None:
    """How many channels a convolution that reads the value has weights for."""
    for use in graph.readers(value):
        op, weight = graph.op(use.node), graph.operand(use.node, 1)
        if use.slot != 0 or weight is None:
            continue
        rows, columns = graph.type(weight).dim(0), graph.type(weight).dim(1)
        if isinstance(op, Conv) and isinstance(columns, int):
            return columns * op.group
        if isinstance(op, ConvTranspose) and isinstance(rows, int):
            return rows
    return None


def _inferred(
    graph: Graph, node: int, operands: tuple[TensorType | None, ...], recorded: list[TensorType]
) -> list[TensorType]:
    """The types of a node's results: inferred from those of its operands, completed by what was recorded."""
    op = graph.op(node)
    try:
        inferred = op.infer_all(operands)
    except InvalidModel as error:
        raise InvalidModel(graph.describe(node), found=error.found, expected=error.expected) from error
    pairs = zip_longest(inferred[: len(recorded)], recorded)
    first, *rest = [found.refined(told) if found is not None else told for found, told in pairs]
    if first.known is None:
        first = replace(first, known=known_elements(op, operands, first))
    return [first, *rest]


def _tokens(text: str) -> list[str] | None:
    """The tokens of an expression, the last one empty; None for text that is none."""
    if len(text) > _LONGEST_EXPRESSION:
        return None
    tokens, place = [], 0
    while place < len(text.rstrip()):
        token = _TOKEN.match(text, place)
        if token is None:
            return None
        tokens.append(token[1])
        place = token.end()
    return [*tokens, ""]


class _Expression:
    """A recursive-descent evaluator with Python's precedence; every step gives None for what has no value."""

    def __init__(self, tokens: list[str], sizes: Mapping[str, int]) -> None:
        self._tokens = tokens
        self._place = 0
        self._sizes = sizes

    def value(self) -> int | None:
        """The value of the whole expression."""
        number = self._sum()
        return number if self._next == "" else None

    @property
    def _next(self) -> str:
        return self._tokens[self._place]

    def _take(self) -> str:
        token = self._next
        self._place += token != ""
        return token

    def _sum(self) -> int | None:
        number = self._product()
        while self._next in ("+", "-"):
            sign = 1 if self._take() == "+" else -1
            term = self._product()
            number = None if number is None or term is None else number + sign * term
        return number

    def _product(self) -> int | None:
        number = self._atom()
        while self._next in ("*", "//"):
            divides = self._take() == "//"
            factor = self._atom()
            if number is None or factor is None or (divides and factor == 0):
                number = None
            else:
                number = number // factor if divides else number * factor
        return number

    def _atom(self) -> int | None:
        token = self._take()
        if token == "-":  # noqa: S105 - an arithmetic sign
            negated = self._atom()
            return None if negated is None else -negated
        if token != "(":  # noqa: S105 - a parenthesis
            return int(token) if token.isdecimal() else self._sizes.get(token)
        number = self._sum()
        return number if self._take() == ")" else None
