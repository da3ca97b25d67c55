"""Options that several commands share, and the spelling of their values."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from convgraph.compiler.sources import Source, open_model
from convgraph.numerics.feeds import Feeds, read_feeds

Shape = tuple[int | str, ...]
_Command = TypeVar("_Command", bound=Callable[..., Any])

_COMPARISON = (
    click.option(
        "--trials",
        type=click.IntRange(min=1),
        default=3,
        show_default=True,
        help="Sets of inputs to compare the outputs on.",
    ),
    click.option(
        "--rtol",
        type=click.FloatRange(min=0),
        metavar="R",
        help="Accept an error of R times the output's largest value; integers stay exact. [default: follows "
        "from the element type, the length of the sums and the original's own rounding noise]",
    ),
    click.option(
        "--atol", type=click.FloatRange(min=0), metavar="A", help="Accept an error of A. [default: none]"
    ),
    click.option(
        "--feeds",
        type=click.Path(exists=True),
        metavar="FILE.npz|DIR",
        help="Compare on these inputs: arrays by input name, or an ONNX test data folder.",
    ),
    click.option(
        "--verify-timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help="Give up verifying after S seconds.",
    ),
)

_APPROXIMATION = (
    click.option(
        "--allow-approximate",
        is_flag=True,
        help="Also approximate, as far as --max-error allows, where it saves multiplications.",
    ),
    click.option(
        "--max-error",
        type=click.FloatRange(min=0, min_open=True),
        metavar="E",
        help="Error budget of all approximations together, as a part of each output's largest value, "
        "measured on the inputs the outputs are compared on.",
    ),
)


def comparison(command: _Command) -> _Command:
    """Add the options that say how two models are compared."""
    return _with(_COMPARISON, command)


def approximation(command: _Command) -> _Command:
    """Add the options that allow approximations."""
    return _with(_APPROXIMATION, command)


def names(text: str) -> tuple[str, ...]:
    """The names in ``A,B``. Raises BadParameter for an empty one."""
    found = tuple(name.strip() for name in text.split(","))
    if not all(found):
        raise click.BadParameter(f"{text!r} has an empty name between commas")
    return found


def named_shape(text: str) -> tuple[str, Shape]:
    """The input's name and shape in ``NAME:1,3,224,224``; a model with one input may go without the name.

    A dimension is a positive number or a symbol. Raises BadParameter for anything else.
    """
    # An input may itself be called "image:0", so the last colon counts.
    name, _, dims = text.rpartition(":")
    shape = tuple(_dim(dim.strip()) for dim in dims.split(","))
    if not all(dim > 0 if isinstance(dim, int) else dim.isidentifier() for dim in shape):
        raise click.BadParameter(f"{text!r} is not NAME:1,3,224,224 with positive numbers or symbols")
    return name, shape


def shapes_by_name(pairs: tuple[tuple[str, Shape], ...]) -> Mapping[str, Shape] | None:
    """The shapes given, by input name; None for none. Raises UsageError for an input named twice."""
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise click.UsageError(f"two shapes for the input {twice[0] or '(unnamed)'!r}")
    return dict(pairs) or None


def feeds_for(source: Source, path: str | None, *, inputs: Sequence[str] = ()) -> Sequence[Feeds] | None:
    """The inputs to compare on that ``--feeds`` names; None when it was not given.

    Files of a test data folder are numbered as the inputs of the model are, or ``inputs`` where it is cut.
    """
    if path is None:
        return None
    graph = open_model(source).graph
    optional = {tensor.name for tensor in graph.initializer}
    names = inputs or [value.name for value in graph.input if value.name not in optional]
    return read_feeds(path, inputs=names)


def _with(options: Sequence[Callable[[_Command], _Command]], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def _dim(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text
