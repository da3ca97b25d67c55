"""What the command line says of rewrites found at fault, and where it puts the models cut out around them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from convgraph.cli.files import STANDARD
from convgraph.compiler.culprit import Culprit
from convgraph.exporters.onnx_model import save


def tell(culprits: Sequence[Culprit], *, model: str) -> None:
    """A line for each on standard error, asked for or not: a rewrite is at fault."""
    for culprit in culprits:
        files = "" if culprit.files is None else f": {' and '.join(culprit.files)}"
        click.echo(f"{model}: wrong rewrite dropped: {culprit}{files}", err=True)


def written(culprits: Sequence[Culprit], *, out: str) -> tuple[Culprit, ...]:
    """The culprits with their models written beside OUT, as OUT.culprit-1-before.onnx and so on.

    Nothing is where OUT is no file of its own: standard output, a device or a pipe.
    """
    if out == STANDARD or not Path(out).is_file():
        return tuple(culprits)
    return tuple(_written(culprit, Path(out), number) for number, culprit in enumerate(culprits, start=1))


def _written(culprit: Culprit, out: Path, number: int) -> Culprit:
    stem = out.name.removesuffix(".onnx")
    before, after = (out.with_name(f"{stem}.culprit-{number}-{side}.onnx") for side in ("before", "after"))
    save(culprit.before, before, external_data="never")
    save(culprit.after, after, external_data="never")
    return replace(culprit, files=(str(before), str(after)))
