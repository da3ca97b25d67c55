"""``convgraph diff``: list what changed between two models."""

import json

import click

from convgraph.cli.files import model_source, read_report
from convgraph.cli.terminal import show
from convgraph.compiler.sources import load
from convgraph.report.changes import differences_as_json, render_differences
from convgraph.report.differences import diff


@click.command("diff")
@click.argument("before")
@click.argument("after")
@click.option(
    "--report",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.json",
    help="The report of the run that made AFTER: adds which rewrites did it, and what new nodes came from.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the differences as JSON.")
def command(before: str, after: str, *, report: str | None, as_json: bool) -> int:
    """List what changed from BEFORE to AFTER, node by node."""
    run = None if report is None else read_report(report)
    differences = diff(load(model_source(before)), load(model_source(after)))
    if as_json:
        click.echo(json.dumps(differences_as_json(differences, report=run), indent=2))
    else:
        show(render_differences(differences, report=run))
    return 0
