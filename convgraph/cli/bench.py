"""``convgraph bench``: how fast models run in onnxruntime, against each other and layer by layer."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.table import Table

from convgraph.cli.files import model_source, write_text
from convgraph.cli.options import Shape, feeds_for, fixed_shapes, operator_libraries, shapes_by_name
from convgraph.cli.terminal import progress, show
from convgraph.compiler.bench import Bench, bench
from convgraph.compiler.measure import CONFIDENCE

_MILLI = 1e3


@click.command("bench")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1,),
    show_default=True,
    metavar="N",
    help="Threads of the runtime (repeatable).",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="S",
    help="How long to measure, for each number of threads.",
)
@click.option(
    "--layers", type=click.IntRange(min=0), default=0, metavar="N", help="Also the N layers that differ most."
)
@click.option(
    "--feeds",
    type=click.Path(exists=True),
    metavar="FILE.npz|DIR",
    help="Run on these inputs: arrays by input name, an ONNX test data folder, or a folder of pictures.",
)
@fixed_shapes
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the order of runs."
)
@click.option(
    "--json", "out", type=click.Path(dir_okay=False), metavar="FILE", help="Write all figures, too."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@operator_libraries
def command(
    models: tuple[str, ...],
    *,
    layers: int,
    feeds: str | None,
    input_shape: tuple[tuple[str, Shape], ...],
    out: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Measure how fast each MODEL runs, and how many times as fast as the first.

    All take the same inputs, and run in onnxruntime with its optimisations on, in turns. Times are medians
    after warming up; the interval is that of the median ratio at 95 % confidence. With --layers, what each
    layer takes is told under the first model's names.
    """
    if twice := sorted({model for model in models if models.count(model) > 1}):
        raise click.UsageError(f"{twice[0]!r} is given twice")
    sources = {model: model_source(model) for model in models}
    shapes = shapes_by_name(input_shape)
    given = feeds_for(sources[models[0]], feeds, shapes=shapes)
    with progress(wanted=not quiet) as tell:
        found = bench(
            sources,
            feeds=given[0] if given else None,
            input_shapes=shapes,
            layers=layers > 0,
            tell=tell,
            **options,
        )
    show(_latencies(found))
    if layers:
        show(_layers(found, most=layers))
    if out is not None:
        write_text(out, json.dumps(_as_json(found), indent=2) + "\n")
    return 0


def _latencies(found: Bench) -> Table:
    """One row for each model and number of threads."""
    table = Table(
        "model", "threads", "ms", "times as fast", f"{CONFIDENCE:.0%} interval", box=None, pad_edge=False
    )
    for threads, latencies in found.latencies.items():
        for model in found.models:
            ratio = latencies.ratio(found.models[0], model)
            cells = (f"{_MILLI * latencies.median(model):.3f}", f"{ratio.median:.3f}")
            table.add_row(model, str(threads), *cells, f"{ratio.low:.3f} to {ratio.high:.3f}")
    return table


def _layers(found: Bench, *, most: int) -> Table:
    """The layers whose times differ most from those of the first model, the largest difference first."""
    table = Table("layer", *(f"{model}, ms" for model in found.models), box=None, pad_edge=False)
    for layer, seconds in sorted(found.layers.items(), key=lambda one: -_spread(one[1], found))[:most]:
        table.add_row(layer, *(f"{_MILLI * seconds.get(model, 0.0):.3f}" for model in found.models))
    return table


def _spread(seconds: Mapping[str, float], found: Bench) -> float:
    """How far apart the models are in a layer; of a single model, what the layer takes."""
    spent = [seconds.get(model, 0.0) for model in found.models]
    return max(spent) - min(spent) if len(spent) > 1 else spent[0]


def _as_json(found: Bench) -> dict[str, Any]:
    return {
        "models": list(found.models),
        "sizes": dict(found.sizes),
        "latencies": [dict(_figures(found, threads)) for threads in found.latencies],
        "layers": {layer: dict(seconds) for layer, seconds in found.layers.items()},
    }


def _figures(found: Bench, threads: int) -> Iterator[tuple[str, Any]]:
    latencies, first = found.latencies[threads], found.models[0]
    ratios = {model: latencies.ratio(first, model) for model in found.models}
    yield "threads", threads
    yield "seconds", {model: latencies.median(model) for model in found.models}
    yield "ratios", {model: [one.low, one.median, one.high] for model, one in ratios.items()}
