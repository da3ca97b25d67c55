"""Numbers for the dimensions a model leaves open: which sizes a check tries, and in what order.

A dimension is known by its symbol, shared between inputs, or, without one, by its input and axis. A leading
axis is a batch; axis 1 holds channels, which the first weight to read the input usually fixes; the others are
spatial, tried with lengths that differ from axis to axis.
"""

import ast
import itertools
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from convgraph.ir.tensor import Dim, Shape, TensorType
from convgraph.numerics.structure import Reader

Sizes = Mapping[str, int]

_BATCHES = (1, 2, 4)
_CHANNELS = (3, 1, 2, 4, 8, 16, 32, 64)
_FEATURES = (16, 10, 64, 100, 128, 1)
_LONGEST_EXPRESSION = 120  # characters
_SPATIAL = (
    (64, 96, 32),
    (65, 83, 37),
    (96, 64, 48),
    (128, 160, 64),
    (33, 47, 29),
    (64, 64, 64),
    (224, 256, 64),
    (28, 28, 28),
    (16, 24, 8),
    (37, 52, 13),
    (52, 37, 26),
    (224, 224, 224),
    (256, 256, 256),
    (299, 299, 299),
    (512, 512, 512),
    (8, 4, 2),
    (1, 1, 1),
)
_SMALLEST = ((1, 1, 1), (3, 2, 1), (5, 3, 2), (7, 9, 5), (17, 13, 11))
_RANKS = (4, 2, 3, 1, 5)
_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.floordiv,
}


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where a dimension is met first."""

    position: int
    rank: int
    channels: int | None


def open_shapes(inputs: Mapping[str, TensorType], *, readers: Mapping[str, Reader]) -> list[dict[str, Shape]]:
    """Shapes with every open dimension named by a symbol, in the order they should be tried.

    There is one set of shapes, or several where an input's rank is not known and its readers do not say.
    """
    known = {name: r.rank for name in inputs if (r := readers.get(name)) is not None and r.rank is not None}
    ranks = _RANKS if any(t.shape is None and n not in known for n, t in inputs.items()) else (0,)
    return [
        {name: _named(name, type_.shape, rank=known.get(name, rank)) for name, type_ in inputs.items()}
        for rank in ranks
    ]


def _named(name: str, shape: Shape, *, rank: int) -> Shape:
    dims: tuple[Dim, ...] = (None,) * rank if shape is None else shape
    return tuple(f"{name}[{axis}]" if dim is None else dim for axis, dim in enumerate(dims))


def candidates(
    shapes: Mapping[str, Shape], *, readers: Mapping[str, Reader], trial: int
) -> Iterator[dict[str, int]]:
    """Sizes for every symbol of ``shapes``, best first; each trial begins with other ones."""
    axes = _axes(shapes, readers)
    spatial = _SPATIAL[trial % 3 :] + _SPATIAL[: trial % 3]
    batches = _BATCHES[trial % 3 :] + _BATCHES[: trial % 3]
    yielded: list[dict[str, int]] = []
    for lengths, batch in itertools.product(spatial, batches):
        open_channels = [name for name, axis in axes.items() if _is_guess(axis)]
        for guess in zip(_CHANNELS, (*_FEATURES, 2, 4), strict=True) if open_channels else ((0, 0),):
            sizes = {name: _size(axis, lengths, batch, guess) for name, axis in axes.items()}
            if sizes not in yielded:
                yielded.append(sizes)
                yield sizes


def smallest(shapes: Mapping[str, Shape], *, sizes: Sizes) -> Iterator[dict[str, int]]:
    """The sizes with little ones for the open spatial axes, least first; none where there are none."""
    spatial = {name: axis for name, axis in _axes(shapes, {}).items() if axis.position > 1}
    for lengths in _SMALLEST if spatial else ():
        yield {**sizes, **{name: _size(axis, lengths, 1, (0, 0)) for name, axis in spatial.items()}}


def _axes(shapes: Mapping[str, Shape], readers: Mapping[str, Reader]) -> dict[str, _Axis]:
    axes: dict[str, _Axis] = {}
    for name, shape in shapes.items():
        channels = readers[name].channels if name in readers else None
        for position, dim in enumerate(shape or ()):
            for symbol in _symbols(dim):
                axes.setdefault(symbol, _Axis(position, len(shape or ()), channels))
    return axes


def _is_guess(axis: _Axis) -> bool:
    return axis.position == 1 and axis.channels is None


def _size(axis: _Axis, lengths: tuple[int, ...], batch: int, guess: tuple[int, int]) -> int:
    if axis.position == 0:
        return batch
    if axis.position == 1:
        return axis.channels or guess[0 if axis.rank > 2 else 1]
    return lengths[(axis.position - 2) % len(lengths)]


def _symbols(dim: Dim) -> list[str]:
    """The names in a dimension: one, or those of a derived expression such as ``2*s0``."""
    if not isinstance(dim, str):
        return []
    tree = _expression(dim)
    return [dim] if tree is None else [n.id for n in ast.walk(tree) if isinstance(n, ast.Name)]


def _expression(symbol: str) -> ast.expr | None:
    """The parsed expression; None for a plain symbol, such as ``batch-size``, whatever characters it has."""
    if symbol.isidentifier() or len(symbol) > _LONGEST_EXPRESSION:
        return None
    try:
        tree = ast.parse(symbol, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last ones for nested parentheses
        return None
    has_number = any(isinstance(n, ast.Constant) for n in ast.walk(tree))
    return tree if has_number and _is_arithmetic(tree) else None


def _is_arithmetic(tree: ast.expr) -> bool:
    if isinstance(tree, ast.BinOp):
        return type(tree.op) in _OPERATORS and _is_arithmetic(tree.left) and _is_arithmetic(tree.right)
    return isinstance(tree, ast.Name) or (isinstance(tree, ast.Constant) and isinstance(tree.value, int))


def sized(shape: Shape, *, sizes: Sizes) -> tuple[int, ...]:
    """The shape with numbers for its symbols."""
    return tuple(_number(dim, sizes) for dim in shape or ())


def _number(dim: Dim, sizes: Sizes) -> int:
    if isinstance(dim, int):
        return dim
    symbol = dim or ""
    tree = _expression(symbol)
    try:
        return max(0, _value(tree, sizes)) if tree is not None else sizes[symbol]
    except ZeroDivisionError:  # no size at all is right
        return 1


def _value(tree: ast.expr, sizes: Sizes) -> int:
    if isinstance(tree, ast.BinOp):
        return _OPERATORS[type(tree.op)](_value(tree.left, sizes), _value(tree.right, sizes))
    return sizes[tree.id] if isinstance(tree, ast.Name) else int(ast.literal_eval(tree))
