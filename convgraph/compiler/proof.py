"""Proof of single applications: bit for bit, on the dyadic twin of the region that each replaces.

A comparison of two models has to allow for rounding, and what hides below that it cannot see. Here the run
is replayed, and each application is made once more on the twin of its region (``convgraph.compiler.twin``).
Before and after are exported and run in onnxruntime, optimisations off: no rounding takes place, so nothing
but the same bits will do. Where the bits differ because something rounds after all (a division by 3, an
average over 9), both are computed again in float64, where a fault and rounding lie far apart: then a fault is
still seen, but nothing is proven. What is evident without any of this, that two constants are the same, say,
the rewrite itself can tell.

One proof serves every application of the same rewrite to a region of the same operations, attributes, types
and kinds of constants.
"""

import math
import time
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from convgraph.analysis.cost import graph_cost
from convgraph.compiler.duel import Feeds, Outcome, duel, settled
from convgraph.compiler.regions import NoRegion, region_of, rewritten
from convgraph.compiler.twin import MANNERS, ROUNDS, Manner, is_small, twin_of
from convgraph.errors import UnsupportedOp
from convgraph.exporters.sketch import differ
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Constant, Input, Op
from convgraph.ir.tensor import DataType
from convgraph.numerics.compare import Disagreement, Verification
from convgraph.numerics.session import Unverifiable
from convgraph.passes.pipeline import Pipeline
from convgraph.passes.rewrite import Drop
from convgraph.passes.trace import Application, Occasion

_SPEED = 2e9  # multiplications a second, at least
_RUNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """An application without a proof, and why."""

    index: int
    rewrite: str
    at: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuted:
    """An application that is no equality: ``before`` and ``after`` are the region, with its own constants."""

    index: int
    rewrite: str
    at: str
    before: Graph
    after: Graph

    @property
    def disagreement(self) -> Disagreement:
        """What is wrong, as a comparison says it."""
        return Disagreement(self.at, f"another function ({self.rewrite})", "the same, on dyadic numbers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How many applications of a run were proven, and which were not or are wrong."""

    applications: int
    proven: int
    not_proven: tuple[Unproven, ...] = ()
    refuted: tuple[Refuted, ...] = ()

    def __str__(self) -> str:
        return f"{self.proven} of {self.applications} rewrites were proven, bit for bit on dyadic numbers"


@dataclass(frozen=True, slots=True)
class _Verdict:
    outcome: Outcome
    reason: str = ""


_PROVEN = _Verdict(Outcome.SAME)
_NOT_THERE = _Verdict(Outcome.UNTOLD, "on a twin's numbers the rewrite does not apply")
_LATE = _Verdict(Outcome.UNTOLD, "no time was left")
_REASONS = {
    Outcome.BLIND: "the twin's result is one number throughout",
    Outcome.ROUNDED: "it rounds also on dyadic numbers; in float64 both are the same",
    Outcome.UNTOLD: "the bits differ, and there is no float64 reference that tells rounding from a fault",
}


def contradicted(verdict: Verification | None, proof: Proof | None) -> Verification | None:
    """A verdict of "equal", unless an application was found to be wrong: the models are then different."""
    if verdict is None or proof is None or not proof.refuted:
        return verdict
    found = proof.refuted[0].disagreement
    return replace(verdict, status="different", reason=str(found), disagreement=found)


class _Late(Exception):
    """Ends a replay: the time is over."""


def prove(
    pipeline: Pipeline,
    graph: Graph,
    *,
    applications: Sequence[Application],
    dropped: Sequence[Drop] = (),
    seconds: float | None = None,
) -> Proof:
    """Replay a run of ``pipeline`` on ``graph``, without those ``dropped``, proving its ``applications``.

    ``seconds`` bounds the time; what comes later is not proven. None: there is no bound, and every
    application is proven for itself.
    """
    judge = _Judge(deadline=math.inf if seconds is None else time.monotonic() + seconds)
    with suppress(_Late):
        pipeline.run(graph, stop_after=len(applications), dropped=dropped, observe=judge.see)
    return judge.proof(applications)


@dataclass(slots=True, kw_only=True)
class _Judge:
    """The verdicts so far, by the number of the application."""

    deadline: float
    _verdicts: dict[int, _Verdict] = field(default_factory=dict)
    _regions: dict[int, tuple[Graph, Graph]] = field(default_factory=dict)
    _known: dict[Hashable, _Verdict] = field(default_factory=dict)

    def see(self, occasion: Occasion) -> None:
        """Judge an application. Raises _Late when the time is over."""
        if self._left() <= 0:
            raise _Late
        try:
            self._verdicts[occasion.index] = self._verdict(occasion)
        except MemoryError:
            self._verdicts[occasion.index] = _Verdict(Outcome.UNTOLD, "not enough memory")

    def proof(self, applications: Sequence[Application]) -> Proof:
        """What was found about these."""
        told = [(a, self._verdicts.get(a.index, _LATE)) for a in applications]
        return Proof(
            applications=len(told),
            proven=sum(verdict.outcome is Outcome.SAME for _, verdict in told),
            not_proven=tuple(
                Unproven(index=a.index, rewrite=a.rewrite, at=a.at, reason=verdict.reason)
                for a, verdict in told
                if verdict.outcome not in (Outcome.SAME, Outcome.FAULT)
            ),
            refuted=tuple(
                Refuted(index=a.index, rewrite=a.rewrite, at=a.at, before=before, after=after)
                for a, verdict in told
                if verdict.outcome is Outcome.FAULT
                for before, after in (self._regions[a.index],)
            ),
        )

    def _left(self) -> float:
        return self.deadline - time.monotonic()

    def _verdict(self, occasion: Occasion) -> _Verdict:
        if not occasion.rewrite.exact:
            return _Verdict(Outcome.ROUNDED, "an approximation")
        if occasion.rewrite.is_evident(occasion.graph, occasion.match):
            return _PROVEN
        try:
            region = region_of(occasion)
        except NoRegion as reason:
            return _Verdict(Outcome.UNTOLD, str(reason))
        signature = self._signature(region, occasion)
        verdict = self._known.get(signature) or self._judged(region, occasion)
        if verdict is not _LATE:
            self._known[signature] = verdict
        if verdict.outcome is Outcome.FAULT:
            after = rewritten(occasion.rewrite, region, occasion.node)
            self._regions[occasion.index] = region, after or region
        return verdict

    def _signature(self, region: Graph, occasion: Occasion) -> Hashable:
        if math.isinf(self.deadline):
            return occasion.index
        return (id(occasion.rewrite), signature_of(region, occasion.node))

    def _judged(self, region: Graph, occasion: Occasion) -> _Verdict:
        after = rewritten(occasion.rewrite, region, occasion.node)
        if after is not None and (not region.outputs or _is_export_of(region, after)):
            return _PROVEN
        if graph_cost(region).macs * _RUNS / _SPEED > self._left():
            return _LATE
        return _on_twins(region, occasion)


def _is_export_of(region: Graph, after: Graph) -> bool:
    """Whether both are the same model once written."""
    try:
        return not differ(region, after)
    except UnsupportedOp:
        return False


def _on_twins(region: Graph, occasion: Occasion) -> _Verdict:
    """The verdict on the first twin that tells; where all is constant, on the very constants if they do."""
    last = _NOT_THERE
    for manner in MANNERS if region.inputs else (None, *MANNERS):
        for dtype in (None, DataType.FLOAT):
            try:
                outcome, reason = _on_twin(region, occasion, manner, dtype)
            except (Unverifiable, UnsupportedOp) as error:  # no kernel for float64, say: then of float32
                last = _Verdict(Outcome.UNTOLD, f"the region does not run: {error}")
                continue
            if outcome in (Outcome.SAME, Outcome.FAULT):
                return _Verdict(outcome, reason)
            last = _Verdict(outcome, reason) if reason else last
            break
    return last


def _on_twin(
    region: Graph, occasion: Occasion, manner: Manner | None, dtype: DataType | None
) -> tuple[Outcome, str]:
    """The outcome on one twin, and why it proves nothing; "" where the rewrite does not apply to it."""
    twin, nodes = twin_of(region, manner=manner, dtype=dtype)
    after = rewritten(occasion.rewrite, twin, nodes[occasion.node])
    if after is None:
        return Outcome.UNTOLD, ""
    outcome, feeds = duel(twin, after, largest=1 if manner is None else manner.feeds)
    if outcome is Outcome.SAME and (label := _rounding(twin, after)):
        return Outcome.ROUNDED, f"{label} rounds on any numbers"
    if outcome is Outcome.UNTOLD:
        outcome = _in_float64(region, occasion, manner, feeds)
    return outcome, _REASONS.get(outcome, "")


def _in_float64(region: Graph, occasion: Occasion, manner: Manner | None, feeds: Sequence[Feeds]) -> Outcome:
    """Whether region and result are the same with every constant and input of float64."""
    twin, nodes = twin_of(region, manner=manner, dtype=DataType.DOUBLE)
    after = rewritten(occasion.rewrite, twin, nodes[occasion.node])
    return Outcome.UNTOLD if after is None else settled(twin, after, feeds)


def _rounding(before: Graph, after: Graph) -> str:
    """What rounds on any numbers among the operations that were replaced; "" when nothing does."""
    gone = (before.op(node) for node in before.compute_nodes() if node not in after)
    return next((op.label for op in gone if isinstance(op, ROUNDS) and before.inputs), "")


def signature_of(region: Graph, node: int) -> Hashable:
    """What two regions have in common that one proof serves; ``node`` is where the rewrite starts."""
    number = {inside: place for place, inside in enumerate(region.nodes())}
    rows = (
        (
            _kind(region.op(inside)),
            tuple(v and (number[v.node], v.output) for v in region.operands(inside)),
            tuple((region.type(v), region.is_output(v)) for v in region.results(inside)),
        )
        for inside in region.nodes()
    )
    return (number[node], *rows)


def _kind(op: Op) -> Hashable:
    """An operation; of real numbers in a constant only where the zeros are, and whether all are equal."""
    if isinstance(op, Input):
        return "input"
    if not isinstance(op, Constant):
        return op
    array = op.tensor.numpy()
    if array.size <= 1 or not op.tensor.dtype.is_float or is_small(array):
        return op.tensor.digest()
    zeros = np.packbits(array == 0).tobytes() if not np.all(array) else b""
    return (zeros, bool(np.all(array == array.flat[0])))
