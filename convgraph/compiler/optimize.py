"""The main job, end to end: a model in, rewritten, written back as ONNX, proven equal in onnxruntime."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import onnx

from convgraph.analysis.target import target_named
from convgraph.compiler.lacking import check_lowered
from convgraph.compiler.runtime import NodeRuntime
from convgraph.compiler.selection import Level, PassList, select
from convgraph.compiler.sources import Source, folder_of, naming, open_model, path_of, runnable
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.importers.onnx_overrides import cut, set_input_shapes
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array
from convgraph.numerics.compare import Verification, verify_models
from convgraph.numerics.tolerance import accumulated_length
from convgraph.passes import Trace
from convgraph.report.summary import FileFacts

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeResult:
    """What a run made of a model.

    ``original`` is the graph as read (after shape overrides and cuts), ``graph`` the rewritten one and
    ``proto`` its ONNX form, the very message that ``verification`` judged (None: not verified). ``seconds``
    holds the time each stage took.
    """

    original: Graph
    graph: Graph
    proto: onnx.ModelProto
    trace: Trace
    verification: Verification | None
    seconds: Mapping[str, float]
    model: FileFacts
    optimized: FileFacts

    @property
    def changed(self) -> bool:
        """Whether the rewrites make a difference to the file (ONNX cannot say fused, so fusing does not)."""
        return bool(self.trace.applications) and encoded(to_onnx(self.original)) != encoded(self.proto)


class _Bounds(TypedDict):
    trials: int
    rtol: float | None
    atol: float | None
    feeds: Sequence[Mapping[str, Array]] | None
    timeout: float | None


@dataclass(slots=True, kw_only=True)
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)
    progress: Progress | None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def optimize(
    source: Source,
    *,
    level: Level = "exact",
    target: str = "onnxruntime-cpu",
    passes: PassList | None = None,
    skip: Sequence[str] = (),
    without: Sequence[str] = (),
    stop_after: int | None = None,
    size_limit: int = 1 << 20,
    freeze_defaults: bool = False,
    input_shapes: Mapping[str, Sequence[int | str]] | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    verify: bool = True,
    trials: int = 3,
    rtol: float | None = None,
    atol: float | None = None,
    feeds: Sequence[Mapping[str, Array]] | None = None,
    verify_timeout: float | None = None,
    progress: Progress | None = None,
) -> OptimizeResult:
    """Rewrite a model into the same function with less work, and check that it is the same.

    ``source`` is a path, bytes, a file object, a ModelProto, a Graph (left untouched) or ``"demo:NAME"``.
    ``passes`` and ``skip`` choose rewrites by name, ``without`` names operators to spell with others in the
    end, ``stop_after`` replays the first N applications, ``size_limit`` (bytes) bounds each folded constant.
    ``input_shapes`` fixes shapes by input name, ``inputs`` and ``outputs`` cut the graph at values.
    Verification compares the model as read with the result in onnxruntime, optimisations off, on ``trials``
    seeded feeds or on ``feeds``; ``verify_timeout`` is in seconds. Its outcome is reported, not raised.

    Raises InvalidModel, UnsupportedOp (unknown rewrite, operator, target), NotLowered and PassFailed.
    """
    clock = _Clock(progress=progress)
    with clock.stage("import"), naming(source):
        original = _requested(source, input_shapes=input_shapes, inputs=inputs, outputs=outputs)
        graph = from_onnx(original, freeze_defaults=freeze_defaults, base_dir=folder_of(source))
    with clock.stage("passes"):
        options = {"target": target_named(target), "size_limit": size_limit, "runtime": NodeRuntime()}
        pipeline = select(level=level, passes=passes, skip=skip, options=options, without=without)
        rewritten, trace = pipeline.run(graph, stop_after=stop_after)
    with clock.stage("export"), naming(source):
        proto = to_onnx(rewritten)
        check_lowered(proto, without, pipeline=pipeline, trace=trace, stop_after=stop_after)
    verification = None
    if verify:
        with clock.stage("verify"):
            before = runnable(original, source, edited=bool(input_shapes or inputs or outputs))
            bounds = _Bounds(trials=trials, rtol=rtol, atol=atol, feeds=feeds, timeout=verify_timeout)
            verification = verify_models(before, proto, lengths=accumulated_length(graph), **bounds)
    return OptimizeResult(
        original=graph,
        graph=rewritten,
        proto=proto,
        trace=trace,
        verification=verification,
        seconds={**clock.seconds, "total": sum(clock.seconds.values())},
        model=_facts(original, path=path_of(source)),
        optimized=_facts(proto, path=None),
    )


def _requested(
    source: Source,
    *,
    input_shapes: Mapping[str, Sequence[int | str]] | None,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """The model that is to be optimized: the source with shapes fixed and cut as asked."""
    model = open_model(source)
    if input_shapes:
        model = set_input_shapes(model, input_shapes)
    return cut(model, inputs=inputs, outputs=outputs) if inputs or outputs else model


def encoded(model: onnx.ModelProto) -> bytes:
    """A model's bytes, the same for equal models."""
    return bytes(model.SerializeToString(deterministic=True))


def _facts(model: onnx.ModelProto, *, path: Path | None) -> FileFacts:
    content = encoded(model)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    return FileFacts(
        path=None if path is None else str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        opset=opset,
    )
