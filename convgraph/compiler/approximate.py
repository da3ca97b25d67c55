"""Approximations within an error budget: chosen by error for each multiplication saved, measured on outputs.

The change of a weight says little about what it does to the outputs, so each place is probed: one of its
rungs alone, measured. With this sensitivity every further rung has an expected error for each multiplication
it saves, and the rungs of all places are taken in that order. How many of them fit the budget is found by
bisection, and what then still fits by trying the next rung of each place. All this happens on the graph as it
is, with other weights in it; in the end the rewrites are applied one by one, each measured, and undone where
the budget does not allow it.

With P places (at most 100) of up to 16 rungs that takes no more than 4·P + log₂(16·P) measurements, each a
run of the model on every feed, and about log₂(16·P) decompositions of each weight. The same model, budget and
feeds give the same result.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from convgraph.compiler.candidates import AnyApproximation, Place, Rung, places
from convgraph.compiler.yardstick import Yardstick
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use
from convgraph.ir.tensor import Array
from convgraph.numerics.session import Unverifiable
from convgraph.passes import Application, Pipeline, Trace

MARGIN = 0.98
"""The part of the budget to use: the rest is for rounding, which differs where a model is deployed."""

Choice = dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approximated:
    """One approximation that was made.

    ``index`` is the number of its application. ``weight_error`` is the relative change of the weight,
    ``alone`` the error of the outputs when nothing else is approximated, ``error`` their error with this one
    and all before it.
    """

    index: int
    rewrite: str
    at: str
    weight_error: float
    alone: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgeted:
    """What was approximated within a budget, in order; ``error`` is the measured total.

    ``undone`` counts what was tried and taken back. ``reason`` says why nothing was measured, if so.
    """

    budget: float
    error: float = 0.0
    steps: tuple[Approximated, ...] = ()
    undone: int = 0
    reason: str = ""


def approximate(
    graph: Graph,
    rewrites: Sequence[AnyApproximation],
    *,
    budget: float,
    yardstick: Yardstick,
    first: int = 1,
    at_most: int | None = None,
) -> tuple[Graph, Trace, Budgeted]:
    """The graph with what fits the budget approximated, the applications, and their errors.

    Applications are numbered from ``first``; at most ``at_most`` are tried.
    """
    search = _Search(graph=graph, places=places(graph, rewrites), budget=budget, yardstick=yardstick)
    choice = search.filled(search.bisected())
    done: list[Application] = []
    steps: list[Approximated] = []
    ordered = search.in_order(choice)
    for place in ordered[:at_most]:
        rung = search.places[place].rungs[choice[place]]
        further, trace = Pipeline([rung.rewrite]).run(graph)
        error = yardstick.error(further)
        if not trace.applications or not search.fits(error):
            continue
        graph = further
        (application,) = trace.applications
        done.append(replace(application, index=first + len(done)))
        alone = search.measured({place: choice[place]})
        steps.append(_recorded(done[-1], rung, alone=alone, error=error))
    total = steps[-1].error if steps else 0.0
    undone = len(ordered[:at_most]) - len(steps)
    record = Budgeted(budget=budget, error=total, steps=tuple(steps), undone=undone)
    return graph, Trace(applications=tuple(done)), record


def _recorded(done: Application, rung: Rung, *, alone: float, error: float) -> Approximated:
    return Approximated(
        index=done.index,
        rewrite=done.rewrite,
        at=done.at,
        weight_error=rung.setting.error,
        alone=alone,
        error=error,
    )


def within_budget(
    graph: Graph,
    rewrites: Sequence[AnyApproximation],
    *,
    trace: Trace,
    budget: float,
    measure: Callable[[], Yardstick],
    stop_after: int | None = None,
) -> tuple[Graph, Trace, Budgeted]:
    """``approximate`` after a run that left ``trace``; nothing where the model cannot be measured."""
    made = len(trace.applications)
    at_most = None if stop_after is None else max(0, stop_after - made)
    try:
        yardstick = measure()
    except Unverifiable as error:
        return graph, trace, Budgeted(budget=budget, reason=str(error))
    result, further, record = approximate(
        graph, rewrites, budget=budget, yardstick=yardstick, first=made + 1, at_most=at_most
    )
    return result, replace(trace, applications=(*trace.applications, *further.applications)), record


@dataclass(slots=True, kw_only=True)
class _Search:
    """Which rung to take at which place; a choice is the number of a rung for some of the places."""

    graph: Graph
    places: Sequence[Place]
    budget: float
    yardstick: Yardstick
    _known: dict[tuple[tuple[int, int], ...], float] = field(default_factory=dict)
    _weights: dict[int, tuple[int, Array]] = field(default_factory=dict)
    _slopes: dict[tuple[int, int], float] = field(default_factory=dict)

    def fits(self, error: float) -> bool:
        """Whether an error is within the budget."""
        return error <= MARGIN * self.budget

    def measured(self, choice: Choice) -> float:
        """The error of the outputs with the weights of a choice in the graph."""
        key = tuple(sorted(choice.items()))
        if key not in self._known:
            changed = self.graph.copy()
            edit = Edit(changed)
            for place, rung in choice.items():
                edit.rewire(Use(self.places[place].node, 1), edit.constant(self._weight(place, rung)))
            edit.sweep()
            self._known[key] = self.yardstick.error(changed)
        return self._known[key]

    def bisected(self) -> Choice:
        """As many rungs as fit, in the order of error for each multiplication saved."""
        steps = self._steps()
        fitting, too_many = 0, len(steps) + 1
        while too_many - fitting > 1:
            middle = (fitting + too_many) // 2
            if self.fits(self.measured(dict(steps[:middle]))):
                fitting = middle
            else:
                too_many = middle
        return dict(steps[:fitting])

    def filled(self, choice: Choice) -> Choice:
        """The choice with one more rung at each place where it still fits."""
        further = dict(choice)
        for place, rung in self._steps():
            one_more = {**further, place: rung}
            if rung == choice.get(place, -1) + 1 and self.fits(self.measured(one_more)):
                further = one_more
        return further

    def in_order(self, choice: Choice) -> list[int]:
        """The places of a choice, the cheapest error first."""
        return sorted(choice, key=lambda place: (self._slopes[place, choice[place]], place))

    def _steps(self) -> list[tuple[int, int]]:
        """Every rung of every place, by the error it is expected to add for each multiplication it saves."""
        if not self._slopes:
            for number, place in enumerate(self.places):
                self._slopes |= self._expected(number, place)
        return sorted(self._slopes, key=lambda step: (self._slopes[step], step))

    def _expected(self, number: int, place: Place) -> dict[tuple[int, int], float]:
        """The slopes of one place's rungs, scaled by what one of them was found to do to the outputs."""
        settings = [rung.setting for rung in place.rungs]
        probe = min(range(len(settings)), key=lambda rung: abs(settings[rung].error - self.budget))
        weight_error = settings[probe].error
        sensitivity = self.measured({number: probe}) / weight_error if weight_error else 0.0
        slopes: dict[tuple[int, int], float] = {}
        if not math.isfinite(sensitivity):
            return slopes  # whatever is done there, the outputs are of another kind
        error, saved = 0.0, 0
        for rung, setting in enumerate(settings):
            further = setting.macs_saved - saved
            added = sensitivity * (setting.error - error)
            slopes[number, rung] = added / further if further > 0 else float("inf")
            error, saved = setting.error, setting.macs_saved
        return slopes

    def _weight(self, place: int, rung: int) -> Array:
        """The last weight asked for at each place is kept: the next choice mostly has it, too."""
        known = self._weights.get(place)
        if known is None or known[0] != rung:
            known = (rung, self.places[place].weight(self.graph, rung))
            self._weights[place] = known
        return known[1]
