"""``convgraph visualize``: the filters and feature maps of a model as pictures."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import click

from convgraph.cli.files import STANDARD, default_output, model_source, write_text
from convgraph.cli.options import feeds_for, operator_libraries
from convgraph.compiler.feature_maps import FeatureMaps, feature_maps
from convgraph.compiler.sources import load
from convgraph.exporters.replacing import replacing
from convgraph.numerics.contained import custom_operators
from convgraph.report.pictures import LIMIT, Sheet, filter_sheet, map_sheet
from convgraph.report.png import png

_PAGE = (
    '<!doctype html>\n<meta charset="utf-8">\n<title>{title}</title>\n'
    "<style>body{{font-family:sans-serif}} img{{image-rendering:pixelated}}</style>\n"
    "<h1>{title}</h1>\n<p>Middle grey is 0, white and black are plus and minus the number given.</p>\n"
    "{body}\n"
)


@click.command("visualize")
@click.argument("model")
@click.option("-o", "--out", metavar="DIR", help="Where to write. [default: MODEL's name with .pictures]")
@click.option(
    "--feeds",
    type=click.Path(exists=True),
    metavar="FILE.npz|DIR",
    help="Show the feature maps of these inputs: arrays by input name, ONNX test data, or pictures.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the inputs, without --feeds.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=LIMIT,
    show_default=True,
    help="Show so many filters, channels or feature maps of a layer.",
)
@operator_libraries
def command(
    model: str, *, out: str | None, feeds: str | None, seed: int, limit: int, custom_ops: tuple[str, ...]
) -> int:
    """Draw the filters and feature maps of MODEL's convolutions.

    Writes PNG files and a page, index.html, that shows them in order: the filters of each convolution, what
    it makes of the first sample, and what the activation after it leaves of that.
    """
    source = model_source(model)
    folder = Path(default_folder(model) if out is None else out)
    if folder.is_file() or not folder.parent.is_dir():
        raise click.UsageError(f"{folder}: cannot be made; expected a new folder in one that exists")
    given = feeds_for(source, feeds)
    with custom_operators(custom_ops):
        layers = feature_maps(load(source), feeds=None if given is None else given[0], seed=seed)
    folder.mkdir(exist_ok=True)
    sections = [_section(folder, n, layer, limit=limit) for n, layer in enumerate(layers)]
    title = html.escape("standard input" if model == STANDARD else model)
    write_text(str(folder / "index.html"), _PAGE.format(title=title, body="\n".join(sections)))
    click.echo(f"{folder}: {len(layers)} convolution{'' if len(layers) == 1 else 's'}, see index.html")
    return 0


def default_folder(model: str) -> str:
    """Where the pictures of a model go when nobody says: beside it, a demo's to the current folder."""
    if model == STANDARD:
        return "model.pictures"
    return default_output(model).removesuffix(".opt.onnx") + ".pictures"


def _section(folder: Path, number: int, layer: FeatureMaps, *, limit: int) -> str:
    """Write the pictures of a layer, and return the part of the page that shows them."""
    lines = [f"<h2>{html.escape(layer.name)}</h2>"]
    for kind, caption, sheet in _sheets(layer, limit=limit):
        name = f"{number:03}-{_plain(layer.name)}.{kind}.png"
        with replacing(folder / name) as file:
            file.write(png(sheet.pixels))
        lines.append(f"<p>{html.escape(caption)}: {_extent(sheet)}<br>\n<img src='{name}' alt='{kind}'></p>")
    return "\n".join(lines)


def _sheets(layer: FeatureMaps, *, limit: int) -> Iterator[tuple[str, str, Sheet]]:
    if layer.weight is not None:
        yield "filters", "filters", filter_sheet(layer.op, layer.weight, limit=limit)
    yield "maps", "feature maps", map_sheet(layer.before, limit=limit)
    if layer.after is not None:
        yield "rectified", f"after {layer.activation}", map_sheet(layer.after, limit=limit)


def _extent(sheet: Sheet) -> str:
    number = str(sheet.total) if sheet.shown == sheet.total else f"{sheet.shown} of {sheet.total}"
    return f"{number}, ±{sheet.scale:.3g}"


def _plain(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("_.")[:60]
