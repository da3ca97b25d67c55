"""``convgraph inspect``: list a model's layers, types, parameters, MACs and bytes."""

from collections.abc import Iterator

import click

from convgraph.analysis.census import census, node_label, node_name
from convgraph.analysis.cost import types_at_assumed_sizes
from convgraph.analysis.formulas import formulas
from convgraph.cli.files import model_source
from convgraph.cli.terminal import show
from convgraph.compiler.sources import load
from convgraph.ir.graph import Graph
from convgraph.report.layers import render_census


@click.command("inspect")
@click.argument("model")
@click.option(
    "--formulas", "explained", is_flag=True, help="Also how sizes, parameters and MACs of layers come about."
)
def command(model: str, *, explained: bool) -> int:
    """List the layers of MODEL with their types, parameters, MACs and bytes, and the totals."""
    graph = load(model_source(model))
    show(render_census(census(graph)))
    if explained:
        click.echo("\n".join(_explained(graph)))
    return 0


def _explained(graph: Graph) -> Iterator[str]:
    types = types_at_assumed_sizes(graph)
    for node in graph.compute_nodes():
        if lines := formulas(graph, node, types=types):
            yield f"\n{node_name(graph, node)} ({node_label(graph, node)})"
            yield from (f"    {line}" for line in lines)
