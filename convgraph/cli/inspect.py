"""``convgraph inspect``: list a model's layers, types, parameters, MACs and bytes."""

import click

from convgraph.analysis.census import census
from convgraph.cli.files import model_source
from convgraph.cli.terminal import show
from convgraph.compiler.sources import load
from convgraph.report.layers import render_census


@click.command("inspect")
@click.argument("model")
def command(model: str) -> int:
    """List the layers of MODEL with their types, parameters, MACs and bytes, and the totals."""
    show(render_census(census(load(model_source(model)))))
    return 0
