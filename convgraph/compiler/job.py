"""One run of ``optimize``: rewritten, exported, judged, and made anew without the rewrites found at fault."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from convgraph.analysis.target import Target
from convgraph.compiler.approximate import Budgeted, within_budget
from convgraph.compiler.comparison import Comparison
from convgraph.compiler.culprit import Culprit, CulpritSearch
from convgraph.compiler.facts import facts_after
from convgraph.compiler.lacking import check_lowered
from convgraph.compiler.proof import Proof, contradicted, prove
from convgraph.compiler.result import OptimizeResult
from convgraph.compiler.settled import settle_types
from convgraph.compiler.sources import Source, naming
from convgraph.compiler.suspects import PowerMode, suspects
from convgraph.compiler.tuning.choice import Plan
from convgraph.compiler.upgrade import unknown_to_runtime, upgraded
from convgraph.exporters.onnx_model import ExternalData, ready
from convgraph.exporters.staged import Place, Ready
from convgraph.ir.graph import Graph
from convgraph.numerics.compare import Verification
from convgraph.numerics.session import runtime_name
from convgraph.passes import Application, Drop, Trace
from convgraph.passes.approximate.approximation import Approximation
from convgraph.report.summary import FileFacts

Progress = Callable[[str], None]

_AT_LEAST = 1.0  # seconds for proofs, beyond as much time as the comparison took


@dataclass(slots=True, kw_only=True)
class Clock:
    """How long each stage took, told of as it begins."""

    seconds: dict[str, float] = field(default_factory=dict)
    progress: Progress | None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Take the time of what is done within, beside what the stage took before."""
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What the rewrites made of a graph: exactly, and with what was then approximated."""

    exact: Graph
    graph: Graph
    trace: Trace
    budgeted: Budgeted | None = None

    @property
    def applications(self) -> Sequence[Application]:
        """The exact ones: the approximations follow them."""
        count = len(self.trace.applications) - len(self.budgeted.steps if self.budgeted else ())
        return self.trace.applications[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the result is to go and in how many files; ``apart``: the model came in more than one."""

    place: Place | None
    external_data: ExternalData
    apart: bool

    @classmethod
    def of(
        cls,
        destination: str | os.PathLike[str] | IO[bytes] | None,
        *,
        external_data: ExternalData,
        apart: bool,
    ) -> "Destination":
        """The place that a caller names."""
        place = Path(destination) if isinstance(destination, (str, os.PathLike)) else destination
        return cls(place=place, external_data=external_data, apart=apart)

    def ready(self, graph: Graph) -> Ready:
        """The result, whole and not yet there."""
        return ready(graph, place=self.place, external_data=self.external_data, apart=self.apart)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run under way, from the model as read."""

    source: Source
    model: FileFacts
    graph: Graph
    target: Target
    plan: Plan
    out: Destination
    comparison: Comparison
    power: PowerMode
    clock: Clock

    def result(
        self,
        near: Sequence[Approximation[Any]],
        *,
        budget: float | None,
        without: Sequence[str],
        stop_after: int | None,
        verify: bool,
    ) -> OptimizeResult:
        """The run, made anew without each culprit found until the result is equal or no other is found."""
        search = CulpritSearch(graph=self.graph, pipeline=self.plan.pipeline, comparison=self.comparison)
        while True:
            done = self._rewritten(near, budget=budget, stop_after=stop_after, dropped=search.dropped)
            with ExitStack() as undo:
                made = self._exported(done, without=without, stop_after=stop_after)
                undo.callback(made.close)
                verification = self._verdict(done, made) if verify else None
                proof = self._proof(done, verification, dropped=search.dropped)
                verification = contradicted(verification, proof)
                if stop_after is not None or not self._blamed(search, done, verification, proof):
                    undo.pop_all()
                    return self._finished(done, made, verification, proof, culprits=search.culprits)

    def _rewritten(
        self,
        near: Sequence[Approximation[Any]],
        *,
        budget: float | None,
        stop_after: int | None,
        dropped: Sequence[Drop],
    ) -> Rewritten:
        """The pipeline's result; with a budget for errors, approximated as far as it goes."""
        with self.clock.stage("passes"), naming(self.source):
            exact, trace = self.plan.pipeline.run(self.graph, stop_after=stop_after, dropped=dropped)
            exact = upgraded(exact, exact.model.opset, since=self.graph.model.opset)
            if trace.applications:
                settle_types(exact)
        if budget is None:
            return Rewritten(exact=exact, graph=exact, trace=trace)
        with self.clock.stage("approximate"):
            graph, trace, budgeted = within_budget(
                exact,
                near,
                trace=trace,
                budget=budget,
                measure=self.comparison.yardstick,
                stop_after=stop_after,
            )
        return Rewritten(exact=exact, graph=graph, trace=trace, budgeted=budgeted)

    def _exported(self, done: Rewritten, *, without: Sequence[str], stop_after: int | None) -> Ready:
        """The result as ONNX."""
        with ExitStack() as undo, self.clock.stage("export"), naming(self.source):
            made = self.out.ready(done.graph)
            undo.callback(made.close)
            check_lowered(
                made.message, without, pipeline=self.plan.pipeline, trace=done.trace, stop_after=stop_after
            )
            undo.pop_all()
        return made

    def _proof(
        self, done: Rewritten, verdict: Verification | None, *, dropped: Sequence[Drop]
    ) -> Proof | None:
        """What can be proven of the applications behind a result that was found to be equal."""
        if verdict is None or not verdict.equal:
            return None
        spent = self.clock.seconds["verify"]
        limit = self.comparison.timeout
        seconds = spent + _AT_LEAST if limit is None else min(spent + _AT_LEAST, limit - spent)
        with self.clock.stage("verify"), naming(self.source):
            return prove(
                self.plan.pipeline,
                self.graph,
                applications=done.applications,
                dropped=dropped,
                seconds=None if self.power == "full" and limit is None else seconds,
            )

    def _blamed(
        self,
        search: CulpritSearch,
        done: Rewritten,
        verdict: Verification | None,
        proof: Proof | None,
    ) -> bool:
        """Whether a result is different and a rewrite found at fault."""
        if verdict is None or verdict.status != "different":
            return False
        if proof is not None:
            return search.blame(proof.refuted)
        with self.clock.stage("culprit"), naming(self.source):
            count = len(done.applications)
            return search.find(applications=count, verified_in=self.clock.seconds["verify"])

    def _finished(
        self,
        done: Rewritten,
        made: Ready,
        verification: Verification | None,
        proof: Proof | None,
        *,
        culprits: Sequence[Culprit],
    ) -> OptimizeResult:
        return OptimizeResult(
            original=self.comparison.graph,
            graph=done.graph,
            target=self.target,
            ready=made,
            trace=done.trace,
            approximated=done.budgeted,
            verification=verification,
            proof=proof,
            culprits=tuple(culprits),
            choice=self.plan.choice,
            seconds={**self.clock.seconds, "total": sum(self.clock.seconds.values())},
            model=self.model,
            optimized=facts_after(made),
        )

    def _beyond_the_runtime(self) -> str:
        """Why the runtime knows no model of the opset asked for; nothing where it does."""
        raised = self.graph.model.opset != self.comparison.graph.model.opset
        return unknown_to_runtime(self.graph.model.opset) if raised else ""

    def _verdict(self, done: Rewritten, made: Ready) -> Verification:
        with self.clock.stage("verify"):
            if reason := self._beyond_the_runtime():
                return Verification(status="unverified", reason=reason, reference=runtime_name())
            where = suspects(self.graph, done.exact, done.trace, mode=self.power)
            if done.budgeted is None or not done.budgeted.steps:
                return self.comparison.equal(made.opened, suspects=where)
            with closing(ready(done.exact, place=None)) as exact:
                return self.comparison.within(
                    done.budgeted, exact=exact.opened, result=made.opened, suspects=where
                )
