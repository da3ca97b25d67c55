"""What a user sees: tables on standard output, progress on standard error and only on a terminal."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType

_PAGE = 160  # columns of a table in a file or a pipe, where nothing says how wide the reader's window is


def show(renderable: RenderableType) -> None:
    """Print a table or text to standard output."""
    _console(to_errors=False).print(renderable)


@contextmanager
def progress(*, wanted: bool) -> Iterator[Callable[[str], None] | None]:
    """Give a function that shows what is being done; None unless wanted and standard error is a terminal."""
    if not (wanted and sys.stderr.isatty()):
        yield None
        return
    with _console(to_errors=True).status("starting") as status:
        yield status.update


def _console(*, to_errors: bool) -> Console:
    stream = sys.stderr if to_errors else sys.stdout
    return Console(
        file=stream,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=None if stream.isatty() else _PAGE,
        highlight=False,
        markup=False,
        emoji=False,
    )
