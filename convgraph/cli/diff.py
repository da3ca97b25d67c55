"""``convgraph diff``: list what changed between two models."""

import json
from pathlib import Path
from typing import Any

import click

from convgraph.cli.files import model_source
from convgraph.cli.terminal import show
from convgraph.compiler.sources import load
from convgraph.errors import InvalidModel
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
    run = None if report is None else _read_report(report)
    show(render_differences(diff(load(model_source(before)), load(model_source(after))), report=run))
    return 0


def _read_report(path: str) -> dict[str, Any]:
    """A run's report. Raises InvalidModel for a file that is none."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidModel(path, found=f"not JSON ({error})", expected="the report of a run") from error
    if not isinstance(report, dict) or not isinstance(report.get("rewrites"), list):
        raise InvalidModel(path, found="no list of rewrites", expected="the report of a run")
    return report
