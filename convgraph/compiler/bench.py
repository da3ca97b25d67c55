"""Several models that take the same inputs, timed in onnxruntime against the first of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from convgraph.analysis.infer import assumed_sizes
from convgraph.compiler.calibration.timer import random_feeds
from convgraph.compiler.measure import Latencies, measure
from convgraph.compiler.optimize import requested
from convgraph.compiler.profile import layer_seconds, titles_of, value_names
from convgraph.compiler.sources import Source, folder_of, naming, runnable
from convgraph.errors import InvalidModel
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.numerics.contained import custom_operators
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.operators import Library
from convgraph.numerics.session import ModelSource

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What was measured: latencies by the number of threads, and the seconds of each layer by its name.

    ``layers`` has the layers in the order of the first model, then what only others have; of each the median
    seconds on the first number of threads, by model. ``sizes`` are those that open dimensions were given.
    """

    models: tuple[str, ...]
    latencies: Mapping[int, Latencies]
    layers: Mapping[str, Mapping[str, float]]
    sizes: Mapping[str, int]


def bench(
    models: Mapping[str, Source],
    *,
    threads: Sequence[int] = (1,),
    seconds: float = 10.0,
    seed: int = 0,
    feeds: Feeds | None = None,
    input_shapes: Mapping[str, Sequence[int | str]] | None = None,
    layers: bool = False,
    custom_ops: Sequence[Library] = (),
    tell: Tell | None = None,
) -> Bench:
    """Measure models, which take the same inputs, in turns: about ``seconds`` for each number of threads.

    All optimisations of the runtime are on. Inputs are seeded where no ``feeds`` are given. ``layers`` asks
    for a profile too, ``tell`` is told what is being done. Raises InvalidModel for what is no model or takes
    other inputs than the first, Unverifiable, with the runtime's reason, for one that does not run.
    """
    say = tell or (lambda _: None)
    with custom_operators(custom_ops), ExitStack() as stack:
        opened = {name: _opened(source, stack, input_shapes=input_shapes) for name, source in models.items()}
        graphs = {name: graph for name, (graph, _) in opened.items()}
        runnables = {name: model for name, (_, model) in opened.items()}
        _check_inputs(graphs)
        first = next(iter(graphs.values()))
        given = random_feeds(first) if feeds is None else feeds
        latencies = {}
        for count in threads:
            say(f"measuring on {count} thread{'s' if count > 1 else ''}")
            latencies[count] = measure(runnables, feeds=given, threads=count, seconds=seconds, seed=seed)
        if layers:
            say("profiling")
        told = dict(_layers(graphs, runnables, feeds=given, threads=threads[0])) if layers else {}
    return Bench(models=tuple(models), latencies=latencies, layers=told, sizes=assumed_sizes(first))


def _opened(
    source: Source, stack: ExitStack, *, input_shapes: Mapping[str, Sequence[int | str]] | None
) -> tuple[Graph, ModelSource]:
    with naming(source):
        model = requested(source, input_shapes=input_shapes)
        graph = from_onnx(model, base_dir=folder_of(source))
    return graph, stack.enter_context(runnable(model, source, edited=bool(input_shapes)))


def _check_inputs(graphs: Mapping[str, Graph]) -> None:
    """Raise InvalidModel where a model takes other inputs than the first."""
    first, *others = ({graph.value_name(v) for v in graph.inputs} for graph in graphs.values())
    for name, inputs in zip(list(graphs)[1:], others, strict=True):
        if inputs != first:
            found, expected = ", ".join(sorted(inputs)) or "none", ", ".join(sorted(first)) or "none"
            raise InvalidModel(
                name, found=f"inputs {found}", expected=f"those of the first model, {expected}"
            )


def _layers(
    graphs: Mapping[str, Graph], runnables: Mapping[str, ModelSource], *, feeds: Feeds, threads: int
) -> Iterator[tuple[str, Mapping[str, float]]]:
    """The layers that all have, in order, and then what has no place among them; seconds by model."""
    first, *others = (dict.fromkeys(value_names(graph)) for graph in graphs.values())
    known = [name for name in first if all(name in names for names in others)]
    found = {
        name: layer_seconds(model, feeds=feeds, titles=titles_of(graphs[name], known=known), threads=threads)
        for name, model in runnables.items()
    }
    for layer in dict.fromkeys((*known, *(layer for seconds in found.values() for layer in seconds))):
        spent = {name: seconds[layer] for name, seconds in found.items() if layer in seconds}
        if spent:
            yield layer, spent
