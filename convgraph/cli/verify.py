"""``convgraph verify``: tell whether two models are the same function."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.table import Table

from convgraph.cli.files import model_source
from convgraph.cli.main import NO
from convgraph.cli.options import comparison, feeds_for
from convgraph.cli.terminal import show
from convgraph.compiler.locate import Location, locate
from convgraph.compiler.verify import verify
from convgraph.numerics.compare import OutputComparison


@click.command("verify")
@click.argument("before")
@click.argument("after")
@comparison
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the inputs.")
@click.option("--locate", "locating", is_flag=True, help="Where they differ, find the first value that does.")
@click.option("-q", "--quiet", is_flag=True, help="No table, only the verdict.")
def command(before: str, after: str, *, locating: bool, quiet: bool, **options: Any) -> int:
    """Tell whether BEFORE and AFTER are the same function.

    Both run in onnxruntime on seeded inputs, BEFORE without optimisations. Prints every output's error;
    exits 1 when the models differ or cannot be compared. With --locate also what is computed inside is
    compared, values of the same name or made in the same way, for the first that differs, what makes it in
    each model, and the last values before it that agree.
    """
    original, other, timeout = model_source(before), model_source(after), options.pop("verify_timeout")
    feeds = feeds_for(original, options.pop("feeds"))
    verdict = verify(original, other, feeds=feeds, timeout=timeout, **options)
    if not quiet:
        show(_errors(verdict.outputs))
    click.echo(": ".join(filter(None, (verdict.status, verdict.reason))))
    if locating and verdict.status == "different":
        click.echo("\n".join(_told(locate(original, other, feeds=feeds, timeout=timeout, **options))))
    return 0 if verdict.equal else NO


def _told(found: Location | None) -> Iterator[str]:
    """Where two models begin to differ, in words."""
    if found is None:
        yield "no value inside tells where: the outputs do not differ when both models run as written"
        return
    yield f"first value that differs: {found.disagreement}"
    yield f"    in BEFORE {found.value} of {found.made_by}"
    yield f"    in AFTER  {found.other} of {found.other_made_by}"
    yield f"last values that agree: {', '.join(found.agreeing) or 'none'} ({found.compared} compared)"


def _errors(outputs: Sequence[OutputComparison]) -> Table:
    """One row for each output: how far apart the two models were at most, and how far they may be."""
    table = Table("output", "max abs error", "max rel error", "tolerance", "worst at")
    for output in outputs:
        numbers = (f"{number:.3g}" for number in (output.max_abs, output.max_rel, output.tolerance))
        worst = "" if output.worst_index is None else str(list(output.worst_index))
        table.add_row(output.name, *numbers, worst)
    return table
