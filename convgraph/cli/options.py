"""Options that several commands share, and the spelling of their values."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from convgraph.compiler.optimize import requested
from convgraph.compiler.sources import Source
from convgraph.numerics.feeds import Feeds, read_feeds
from convgraph.numerics.structure import required_inputs

Shape = tuple[int | str, ...]
_Command = TypeVar("_Command", bound=Callable[..., Any])

_CUSTOM_OPS = click.option(
    "--custom-ops",
    type=click.Path(exists=True, dir_okay=False),
    multiple=True,
    metavar="LIB",
    help="Shared library of operators that the runtime lacks (repeatable).",
)

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
        help="Compare on these inputs: arrays by input name, an ONNX test data folder, or a folder of "
        "pictures (fitted to the input's size; floats lie in [0, 1]).",
    ),
    click.option(
        "--verify-timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help="Give up verifying after S seconds.",
    ),
    _CUSTOM_OPS,
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


def operator_libraries(command: _Command) -> _Command:
    """Add the option that names libraries of operators."""
    return _CUSTOM_OPS(command)


def fixed_shapes(command: _Command) -> _Command:
    """Add the option that fixes the shapes of inputs."""
    option = click.option(
        "--input-shape",
        type=named_shape,
        multiple=True,
        metavar="NAME:1,3,224,224",
        help="Fix an input's shape (repeatable).",
    )
    return option(command)


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


def duration(text: str) -> float:
    """The seconds in ``60`` or ``60s``, or the minutes in ``2m``. Raises BadParameter for anything else."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("s", "m") else (text, "s")
    try:
        seconds = float(number) * (60 if unit == "m" else 1)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise click.BadParameter(f"{text!r} is not a time such as 60s or 2m")
    return seconds


def shapes_by_name(pairs: tuple[tuple[str, Shape], ...]) -> Mapping[str, Shape] | None:
    """The shapes given, by input name; None for none. Raises UsageError for an input named twice."""
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise click.UsageError(f"two shapes for the input {twice[0] or '(unnamed)'!r}")
    return dict(pairs) or None


def feeds_for(
    source: Source,
    path: str | None,
    *,
    inputs: Sequence[str] = (),
    shapes: Mapping[str, Shape] | None = None,
) -> Sequence[Feeds] | None:
    """The inputs to compare on that ``--feeds`` names; None when it was not given.

    Files of a test data folder are numbered as the inputs of the model are, or ``inputs`` where it is cut.
    ``shapes`` are those that inputs are fixed to.
    """
    if path is None:
        return None
    types = required_inputs(requested(source, input_shapes=shapes, inputs=inputs))
    return read_feeds(path, inputs={name: types.get(name) for name in inputs or types})


def _with(options: Sequence[Callable[[_Command], _Command]], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def _dim(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text
