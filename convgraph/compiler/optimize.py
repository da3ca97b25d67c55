"""The main job, end to end: a model in, rewritten, written back as ONNX, proven equal in onnxruntime."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

import onnx

from convgraph.compiler.calibration.calibrate import target_for
from convgraph.compiler.comparison import Comparison
from convgraph.compiler.facts import facts_before
from convgraph.compiler.job import Clock, Destination, Job, Progress
from convgraph.compiler.result import OptimizeResult
from convgraph.compiler.runtime import lent
from convgraph.compiler.selection import Level, PassList, approximations, select
from convgraph.compiler.sources import Source, folder_of, naming, open_model, runnable
from convgraph.compiler.suspects import PowerMode
from convgraph.compiler.tuning.choice import Plan
from convgraph.compiler.tuning.tuner import Tuning, planned
from convgraph.compiler.upgrade import upgraded
from convgraph.exporters.onnx_model import ExternalData, has_data_apart
from convgraph.importers.onnx_model import from_onnx
from convgraph.importers.onnx_overrides import cut, set_input_shapes
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array
from convgraph.numerics.contained import custom_operators
from convgraph.numerics.operators import Library


def optimize(
    source: Source,
    *,
    level: Level = "exact",
    tuning: Tuning = Tuning(),  # noqa: B008 - it is frozen
    target: str = "onnxruntime-cpu",
    calibrate: bool = False,
    threads: int | None = None,
    passes: PassList | None = None,
    skip: Sequence[str] = (),
    without: Sequence[str] = (),
    stop_after: int | None = None,
    size_limit: int = 1 << 20,
    store_transforms: bool = False,
    freeze_defaults: bool = False,
    opset: int | None = None,
    input_shapes: Mapping[str, Sequence[int | str]] | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    verify: bool = True,
    trials: int = 3,
    rtol: float | None = None,
    atol: float | None = None,
    feeds: Sequence[Mapping[str, Array]] | None = None,
    verify_timeout: float | None = None,
    verify_memory: int | None = None,
    power: PowerMode = "sample",
    custom_ops: Sequence[Library] = (),
    max_error: float | None = None,
    destination: str | os.PathLike[str] | IO[bytes] | None = None,
    external_data: ExternalData = "auto",
    progress: Progress | None = None,
) -> OptimizeResult:
    """Rewrite a model into the same function with less work, and check that it is the same.

    ``source`` is a path, bytes, a file object, a ModelProto, a Graph or ``"demo:NAME"``. ``tuning`` is how
    level "tune" measures, ``calibrate``: with this machine's rates, ``threads`` it will run on (None: any).
    ``passes``, ``skip`` choose rewrites, ``without`` is what to do without, ``stop_after`` the first N
    applications, ``size_limit`` (bytes) for each folded constant, ``store_transforms``: kernels are written
    transformed, ``opset`` the result's. ``input_shapes`` fixes shapes, ``inputs``, ``outputs`` cut it. The
    result is compared with the model as read, in onnxruntime, optimisations off, on ``trials`` seeded feeds
    or ``feeds``, in ``verify_timeout`` seconds, beyond ``verify_memory`` bytes of weights by regions. The
    outcome is reported, not raised: a rewrite at fault is left out, but for ``stop_after``. ``power``: faults
    put in to be caught. ``custom_ops`` are libraries of operators, ``max_error`` a budget for approximations;
    ``rtol``, ``atol`` are for the exact part. ``destination``, ``external_data`` as in save.
    Raises InvalidModel, UnsupportedOp (unknown rewrite, operator, target), NotLowered and PassFailed.
    """
    clock = Clock(progress=progress)
    device = target_for(target, calibrate=calibrate, threads=threads, progress=progress)
    edits = {"input_shapes": input_shapes, "inputs": inputs, "outputs": outputs}
    model = _Model.of(source, clock=clock, edits=edits, freeze_defaults=freeze_defaults, opset=opset)
    options = {"target": device, "size_limit": size_limit, "store_transforms": store_transforms, **lent()}
    pick = partial(select, passes=passes, skip=skip, without=without)
    plan = planned(level, pick, options, graph=model.wanted, tuning=tuning, clock=clock)
    near = approximations(passes=passes, skip=skip, options=options, budget=max_error)
    bounds = {"rtol": rtol, "atol": atol, "timeout": verify_timeout, "memory": verify_memory}
    run = model.comparison(trials=trials, feeds=feeds, **bounds)
    job = model.job(plan, run, out=(destination, external_data), target=device, power=power, clock=clock)
    with custom_operators(custom_ops):
        return job.result(near, budget=max_error, without=without, stop_after=stop_after, verify=verify)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """What a run starts from: the model asked for, as read, and as it is to be rewritten (``wanted``)."""

    source: Source
    proto: onnx.ModelProto
    edited: bool
    graph: Graph
    wanted: Graph

    @classmethod
    def of(
        cls,
        source: Source,
        *,
        clock: Clock,
        edits: Mapping[str, Any],
        freeze_defaults: bool,
        opset: int | None,
    ) -> "_Model":
        """The model of a source with the ``edits`` that ``requested`` makes."""
        with clock.stage("import"), naming(source):
            proto = requested(source, **edits)
            graph = from_onnx(proto, freeze_defaults=freeze_defaults, base_dir=folder_of(source))
            return cls(
                source=source,
                proto=proto,
                edited=any(edits.values()),
                graph=graph,
                wanted=graph if opset is None else upgraded(graph, opset),
            )

    def comparison(self, **bounds: Any) -> Comparison:
        """How results are compared with it."""
        before = partial(runnable, self.proto, self.source, edited=self.edited)
        return Comparison(graph=self.graph, before=before, **bounds)

    def job(
        self,
        plan: Plan,
        run: Comparison,
        *,
        out: tuple[str | os.PathLike[str] | IO[bytes] | None, ExternalData],
        **parts: Any,
    ) -> Job:
        """The run that rewrites it and writes the result ``out``: where, and in how many files."""
        facts, (where, files) = facts_before(self.source, self.proto, self.graph), out
        place = Destination.of(where, external_data=files, apart=has_data_apart(self.graph))
        given = {"source": self.source, "model": facts, "graph": self.wanted, **parts}
        return Job(plan=plan, comparison=run, out=place, **given)


def requested(
    source: Source,
    *,
    input_shapes: Mapping[str, Sequence[int | str]] | None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> onnx.ModelProto:
    """The model that is to be optimized: the source with shapes fixed and cut as asked."""
    model = open_model(source)
    if input_shapes:
        model = set_input_shapes(model, input_shapes)
    return cut(model, inputs=inputs, outputs=outputs) if inputs or outputs else model
