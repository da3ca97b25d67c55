"""``convgraph demo``: list the built-in demo models, or write one."""

import click

from convgraph.cli.files import STANDARD, check_destination, write_model
from convgraph.importers.demo import demo, demo_names


@click.command("demo")
@click.argument("name", required=False)
@click.option("-o", "--output", "out", metavar="OUT", help="Where to write. [default: NAME.onnx]")
def command(name: str | None, *, out: str | None) -> int:
    """List the built-in demo models, or write the one called NAME.

    demo:NAME stands for a model file in every other command.
    """
    if name is None:
        if out is not None:
            raise click.UsageError("-o without a NAME; expected the demo model to write")
        for known in demo_names():
            click.echo(known)
        return 0
    destination = out if out is not None else f"{name}.onnx"
    graph = demo(name)
    check_destination(destination)
    write_model(graph, destination)
    if destination != STANDARD:
        click.echo(f"{destination}: written")
    return 0
