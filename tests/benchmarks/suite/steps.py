"""What the suite does with a model, a process for each step: ``python -m benchmarks.suite.steps``.

It reads the step's name and arguments as JSON from standard input and writes what came of it, as JSON, to
standard output. Heavy packages are imported where they are needed, since not all are installed everywhere.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from parity.figures import figures
from parity.tools import TOOLS

import convgraph as cg
from convgraph.analysis.cost import graph_cost
from convgraph.compiler.calibration.timer import random_feeds
from convgraph.compiler.measure import Latencies, clock_of, interleaved, measure
from convgraph.errors import ConvgraphError
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.session import Session
from convgraph.numerics.tolerance import accumulated_length, tolerance

Answer = dict[str, Any]
Outputs = Mapping[str, Array]

OPSET = 18
ORIGINAL = "original"


def export(name: str, target: str) -> Answer:
    """Write a model of the suite as torch's own exporter does."""
    import torch  # noqa: PLC0415
    from benchmarks.suite.models import by_name  # noqa: PLC0415

    model = by_name(name)
    with torch.no_grad():
        torch.onnx.export(
            model.build(), model.example(), target, opset_version=OPSET, external_data=False, verbose=False
        )
    return {}


def optimized(
    source: str,
    target: str,
    level: Literal["clean", "exact", "tune"],
    threads: int | None = None,
    skip: Sequence[str] = (),
    *,
    verify: bool = False,
) -> Answer:
    """Run convgraph: what it did, how long that took and, of the variant that is shown, its verification.

    What is measured to tune is kept beside the result.
    """
    options = {"level": level, "threads": threads, "skip": skip, "verify": verify, "power": "off"}
    if level == "tune":
        options["tuning"] = cg.Tuning(file=Path(target).with_suffix(".timings.json"))
    result = cg.optimize(source, destination=target, **options)
    result.ready.settle()
    applied = Counter(done.rewrite for done in result.trace.applications)
    return {
        "took": {phase: round(seconds, 2) for phase, seconds in result.seconds.items()},
        "rewrites": dict(sorted(applied.items())),
        **({} if result.choice is None else {"choice": asdict(result.choice)}),
        **({} if result.verification is None else verdict(result.verification)),
    }


def verdict(found: cg.Verification) -> Answer:
    """What a verification says, and the largest share of a tolerance that an error takes."""
    margin = max((output.margin for output in found.outputs), default=0.0)
    return {"status": found.status, "reason": found.reason, "margin": margin}


def rival(tool: str, source: str, target: str) -> Answer:
    """Run another optimizer with its defaults, without a check of its own."""
    start = time.perf_counter()
    TOOLS[tool].run(Path(source), Path(target), checked=False)
    return {"took": {"total": round(time.perf_counter() - start, 2)}}


def examined(files: dict[str, str]) -> Answer:
    """What each file counts, and its error under all of onnxruntime's optimisations."""
    graph = cg.load(files[ORIGINAL])
    feeds = random_feeds(graph)
    expected = Session(files[ORIGINAL], optimized=False).run(feeds)
    return {name: _examined(path, graph, feeds, expected) for name, path in files.items()}


def _examined(path: str, graph: Graph, feeds: Outputs, expected: Outputs) -> Answer:
    try:
        found = Session(path, optimized=True).run(feeds)
        return counted(path) | deviation(graph, expected, found)
    except (ConvgraphError, ArithmeticError, KeyError, ValueError) as error:
        return {"failure": f"{type(error).__name__}: {error}"}


def counted(path: str) -> Answer:
    """Nodes, parameters, bytes of the file, and multiply-accumulates of one run."""
    own = figures(onnx.load(path))
    macs = graph_cost(cg.load(path)).macs
    return {"nodes": own.nodes, "parameters": own.parameters, "bytes": own.bytes, "macs": macs}


def deviation(graph: Graph, expected: Outputs, found: Outputs) -> Answer:
    """The largest error of an output, relative to its largest value, and as a share of its tolerance."""
    lengths = accumulated_length(graph)
    errors, margins = [0.0], [0.0]
    for name, reference in expected.items():
        off = np.abs(found[name].astype(np.float64) - reference).max(initial=0.0)
        scale = float(np.abs(reference).max(initial=0.0))
        errors.append(float(off / scale) if off else 0.0)
        allowed = tolerance(DataType.FLOAT, length=lengths[name], scale=scale)
        margins.append(float(off / allowed))
    if not np.isfinite(errors).all():
        raise ArithmeticError("an output is not finite")
    return {"error": max(errors), "share": max(margins)}


def timed(files: dict[str, str], threads: int, seconds: float) -> Answer:
    """Latencies in onnxruntime."""
    feeds = random_feeds(cg.load(files[ORIGINAL]))
    return told(measure(files, feeds=feeds, threads=threads, seconds=seconds))


def openvino(files: dict[str, str], seconds: float) -> Answer:
    """Latencies in OpenVINO on one thread, and how far results are from those of the original there."""
    graph = cg.load(files[ORIGINAL])
    feeds = random_feeds(graph)
    requests = {name: _request(path, feeds) for name, path in files.items()}
    names = [graph.value_name(value) for value in graph.outputs]
    runs = {name: request() for name, request in requests.items()}
    found = {name: {output: run[output] for output in names} for name, run in runs.items()}
    errors = {name: deviation(graph, found[ORIGINAL], outputs) for name, outputs in found.items()}
    latencies = interleaved(requests, clock=clock_of(1), seconds=seconds)
    return told(latencies) | {"errors": errors}


def _request(path: str, feeds: Mapping[str, Array]) -> Callable[[], Mapping[str, Array]]:
    """The run of a model in OpenVINO, in the caller's thread; its results lie in memory of the model's."""
    from openvino import Core, Tensor  # noqa: PLC0415

    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = Core().compile_model(path, "CPU", hints).create_infer_request()
    for name, array in feeds.items():
        request.set_tensor(name, Tensor(array))
    return partial(request.infer, share_outputs=True)


def told(latencies: Latencies) -> Answer:
    """Milliseconds of each model, how many times as fast as the original it is, and from how many rounds."""
    ratios = {name: latencies.ratio(ORIGINAL, name) for name in latencies.rounds}
    return {
        "rounds": len(latencies.rounds[ORIGINAL]),
        "milliseconds": {name: 1000 * latencies.median(name) for name in latencies.rounds},
        "ratios": {name: (found.median, found.low, found.high) for name, found in ratios.items()},
    }


STEPS: Mapping[str, Callable[..., Answer]] = {
    step.__name__: step for step in (export, optimized, rival, examined, timed, openvino)
}


def main() -> None:
    """Take the step that standard input asks for; whatever it prints goes to standard error."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    with answer:
        json.dump(STEPS[asked.pop("step")](**asked), answer)


if __name__ == "__main__":
    main()
