"""``convgraph passes``: list every rewrite."""

import textwrap

import click

from convgraph.compiler.selection import available
from convgraph.passes import AnyRewrite

_COLUMNS = 110


@click.command("passes")
def command() -> int:
    """List every rewrite: name, equation, exact or not, and what it requires.

    Rewrites that installed packages add are listed after convgraph's own.
    """
    click.echo("\n\n".join(_described(rewrite) for rewrite in available().values()))
    return 0


def _described(rewrite: AnyRewrite) -> str:
    """One rewrite, for a reader: its name, then its equation, then what it requires."""
    lines = [f"{rewrite.name}  ({'exact' if rewrite.exact else 'approximate'})"]
    lines += _folded(rewrite.equation(), first="    ")
    for fact in rewrite.requirements():
        lines += _folded(f"{fact.name}: {fact.reason}", first="    - ")
    return "\n".join(lines)


def _folded(text: str, *, first: str) -> list[str]:
    return textwrap.wrap(text, _COLUMNS, initial_indent=first, subsequent_indent=" " * (len(first) + 2))
