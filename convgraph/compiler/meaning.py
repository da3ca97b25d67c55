"""What a model means in float64, as far as its operations are typed, and what roundings make of that."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from convgraph.compiler.functions import without_functions
from convgraph.errors import ConvgraphError
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array
from convgraph.numerics.deviation import Errors, errors
from convgraph.numerics.evaluate import evaluate
from convgraph.numerics.noise import RUNS
from convgraph.numerics.placed import folder_of
from convgraph.numerics.rounding import computed_rounding
from convgraph.numerics.session import ModelSource
from convgraph.numerics.structure import read
from convgraph.numerics.truth import Truth


def in_float64(model: ModelSource, feeds: Mapping[str, Array], until: float) -> Truth:
    """The outputs of a model in float64 arithmetic, computed until a time of ``time.monotonic``.

    None of them where an operation has no meaning here, or time or memory do not suffice.
    """
    try:
        graph = without_functions(from_onnx(read(model), base_dir=folder_of(model)))
        results = evaluate(graph, feeds, until=until)
    except (ConvgraphError, MemoryError):
        return Truth()
    return Truth(results, _movements(graph, feeds, results, until=until))


def _movements(
    graph: Graph, feeds: Mapping[str, Array], results: Mapping[str, Array], *, until: float
) -> dict[str, Errors]:
    """How far each result is moved by rounding on the way, in as many runs as there is time for."""
    found = {name: np.zeros(array.shape) for name, array in results.items()}
    for number in range(RUNS):
        rng = np.random.default_rng(number)
        try:
            moved = evaluate(graph, feeds, until=until, arithmetic=partial(computed_rounding, rng=rng))
        except (ConvgraphError, MemoryError):
            break
        for name, array in moved.items():
            if array.shape == results[name].shape:
                found[name] = np.maximum(found[name], errors(results[name], array))
    return found
