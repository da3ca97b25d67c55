"""``convgraph diff``: list what changed between two models."""

import click

from convgraph.cli.files import model_source, read_report
from convgraph.cli.terminal import show
from convgraph.compiler.sources import load
from convgraph.report.differences import diff, render_differences


@click.command("diff")
@click.argument("before")
@click.argument("after")
@click.option(
    "--report",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.json",
    help="The report of the run that made AFTER: adds which rewrite did it.",
)
def command(before: str, after: str, *, report: str | None) -> int:
    """List what changed from BEFORE to AFTER, node by node."""
    run = None if report is None else read_report(report)
    show(render_differences(diff(load(model_source(before)), load(model_source(after))), report=run))
    return 0
