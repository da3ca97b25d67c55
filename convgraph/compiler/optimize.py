"""The main job, end to end: a model in, rewritten, written back as ONNX, proven equal in onnxruntime."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import onnx

from convgraph.analysis.target import target_named
from convgraph.compiler.approximate import Budgeted, within_budget
from convgraph.compiler.comparison import Comparison
from convgraph.compiler.facts import facts_after, facts_before
from convgraph.compiler.lacking import check_lowered
from convgraph.compiler.runtime import NodeRuntime
from convgraph.compiler.selection import Level, PassList, approximations, select
from convgraph.compiler.sources import Source, folder_of, naming, open_model, runnable
from convgraph.exporters.onnx_model import ExternalData, has_data_apart, ready
from convgraph.exporters.sketch import differ
from convgraph.exporters.staged import Place, Ready
from convgraph.importers.onnx_model import from_onnx
from convgraph.importers.onnx_overrides import cut, set_input_shapes
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array
from convgraph.numerics.compare import Verification
from convgraph.passes import Pipeline, Trace
from convgraph.passes.approximate.approximation import Approximation
from convgraph.report.summary import FileFacts

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeResult:
    """What a run made of a model.

    ``original`` is the graph as read (after shape overrides and cuts), ``graph`` the rewritten one and
    ``ready`` its ONNX form, the very one that ``verification`` judged (None: not verified).
    ``approximated`` says what was approximated within an error budget (None: there was none), ``seconds`` how
    long each stage took.
    """

    original: Graph
    graph: Graph
    ready: Ready
    trace: Trace
    approximated: Budgeted | None
    verification: Verification | None
    seconds: Mapping[str, float]
    model: FileFacts
    optimized: FileFacts

    @property
    def proto(self) -> onnx.ModelProto:
        """The message of the result.

        Of a model with its tensors in a file beside it, the message only names them: that file is there as
        long as this result; ``convgraph.save`` writes one to keep.
        """
        return self.ready.message

    @property
    def changed(self) -> bool:
        """Whether the rewrites make a difference to the file (ONNX cannot say fused, so fusing does not)."""
        return bool(self.trace.applications) and differ(self.original, self.graph)


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
    max_error: float | None = None,
    destination: str | os.PathLike[str] | IO[bytes] | None = None,
    external_data: ExternalData = "auto",
    progress: Progress | None = None,
) -> OptimizeResult:
    """Rewrite a model into the same function with less work, and check that it is the same.

    ``source`` is a path, bytes, a file object, a ModelProto, a Graph (left untouched) or ``"demo:NAME"``.
    ``passes`` and ``skip`` choose rewrites by name, ``without`` names operators to spell with others in the
    end, ``stop_after`` replays the first N applications, ``size_limit`` (bytes) bounds each folded constant.
    ``input_shapes`` fixes shapes by input name, ``inputs`` and ``outputs`` cut the graph at values.
    Verification compares the model as read with the result in onnxruntime, optimisations off, on ``trials``
    seeded feeds or on ``feeds``; ``verify_timeout`` is in seconds. Its outcome is reported, not raised.
    ``max_error`` is an error budget for approximations, relative to each output's largest value: they are
    measured on the same feeds and verified to be within it; ``rtol`` and ``atol`` are for the exact part.
    ``destination`` is where ``result.ready.settle()`` will put the result, and ``external_data`` how, as in
    ``save``: a model with its tensors in a file beside it is written next to its place at once, or to a
    temporary folder when it has none, and judged there.

    Raises InvalidModel, UnsupportedOp (unknown rewrite, operator, target), NotLowered and PassFailed.
    """
    clock = _Clock(progress=progress)
    with clock.stage("import"), naming(source):
        original = _requested(source, input_shapes=input_shapes, inputs=inputs, outputs=outputs)
        graph = from_onnx(original, freeze_defaults=freeze_defaults, base_dir=folder_of(source))
    options = {"target": target_named(target), "size_limit": size_limit, "runtime": NodeRuntime()}
    pipeline = select(level=level, passes=passes, skip=skip, options=options, without=without)
    near = approximations(passes=passes, skip=skip, options=options, budget=max_error)
    before = partial(runnable, original, source, edited=bool(input_shapes or inputs or outputs))
    run = Comparison(
        graph=graph, before=before, trials=trials, feeds=feeds, rtol=rtol, atol=atol, timeout=verify_timeout
    )
    place = Path(destination) if isinstance(destination, (str, os.PathLike)) else destination
    out = _Destination(place=place, external_data=external_data, apart=has_data_apart(graph))
    facts = facts_before(source, original, graph)
    job = _Job(
        source=source, model=facts, graph=graph, pipeline=pipeline, out=out, comparison=run, clock=clock
    )
    rewritten = job.rewritten(near, budget=max_error, stop_after=stop_after)
    return job.finished(rewritten, without=without, stop_after=stop_after, verify=verify)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rewritten:
    """What the rewrites made of a graph: exactly, and with what was then approximated."""

    exact: Graph
    graph: Graph
    trace: Trace
    budgeted: Budgeted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Destination:
    """Where the result is to go and in how many files; ``apart``: the model came in more than one."""

    place: Place | None
    external_data: ExternalData
    apart: bool

    def ready(self, graph: Graph) -> Ready:
        """The result, whole and not yet there."""
        return ready(graph, place=self.place, external_data=self.external_data, apart=self.apart)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One run under way, from the model as read."""

    source: Source
    model: FileFacts
    graph: Graph
    pipeline: Pipeline
    out: _Destination
    comparison: Comparison
    clock: _Clock

    def rewritten(
        self, near: Sequence[Approximation[Any]], *, budget: float | None, stop_after: int | None
    ) -> _Rewritten:
        """The pipeline's result; with a budget for errors, approximated as far as it goes."""
        with self.clock.stage("passes"), naming(self.source):
            exact, trace = self.pipeline.run(self.graph, stop_after=stop_after)
        if budget is None:
            return _Rewritten(exact=exact, graph=exact, trace=trace)
        with self.clock.stage("approximate"):
            graph, trace, budgeted = within_budget(
                exact,
                near,
                trace=trace,
                budget=budget,
                measure=self.comparison.yardstick,
                stop_after=stop_after,
            )
        return _Rewritten(exact=exact, graph=graph, trace=trace, budgeted=budgeted)

    def finished(
        self, done: _Rewritten, *, without: Sequence[str], stop_after: int | None, verify: bool
    ) -> OptimizeResult:
        """The result as ONNX, and the verdict on it."""
        with ExitStack() as undo:
            with self.clock.stage("export"), naming(self.source):
                made = self.out.ready(done.graph)
                undo.callback(made.close)
                check_lowered(
                    made.message, without, pipeline=self.pipeline, trace=done.trace, stop_after=stop_after
                )
            verification = None
            if verify:
                with self.clock.stage("verify"):
                    verification = self._verdict(done, made)
            undo.pop_all()
        return OptimizeResult(
            original=self.graph,
            graph=done.graph,
            ready=made,
            trace=done.trace,
            approximated=done.budgeted,
            verification=verification,
            seconds={**self.clock.seconds, "total": sum(self.clock.seconds.values())},
            model=self.model,
            optimized=facts_after(made),
        )

    def _verdict(self, done: _Rewritten, made: Ready) -> Verification:
        if done.budgeted is None or not done.budgeted.steps:
            return self.comparison.equal(made.opened)
        with closing(ready(done.exact, place=None)) as exact:
            return self.comparison.within(done.budgeted, exact=exact.opened, result=made.opened)


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
