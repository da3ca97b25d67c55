"""What a comparison of two models says: equal, different or unverified, and the numbers behind it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from convgraph.errors import NotEquivalent
from convgraph.numerics.session import Unverifiable

Status = Literal["equal", "different", "unverified"]
Bound = Literal["derived", "measured", "given"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparison:
    """The comparison of one output that came nearest to its tolerance, over all trials and runs.

    The numbers are those of the part of the output (a slice, a run of neighbours, the whole) that came
    nearest: ``max_abs`` the largest |reference - result| in it, ``max_rel`` that over its largest
    |reference|, ``worst_index`` where it stands in the output (None when that is equal throughout).
    ``bound`` says which tolerance decided: derived from the sums behind the output, measured on the
    original's own rounding noise, or given by the caller.
    """

    name: str
    max_abs: float
    max_rel: float
    tolerance: float
    worst_index: tuple[int, ...] | None
    bound: Bound = "derived"

    @property
    def margin(self) -> float:
        """Error over tolerance: above 1 it is too much."""
        if self.max_abs == 0.0:
            return 0.0
        return self.max_abs / self.tolerance if self.tolerance > 0.0 else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundaries:
    """What was compared inside the models: values that a changed operation makes, by their names.

    ``total`` are there, ``compared`` were compared (the others did not fit, or noise drowns them), ``worst``
    came nearest to its tolerance (None when nothing was compared).
    """

    total: int
    compared: int = 0
    worst: OutputComparison | None = None

    def with_one(self, more: OutputComparison | None) -> "Boundaries":
        """With one more value compared."""
        nearer = more is not None and (self.worst is None or more.margin > self.worst.margin)
        return replace(self, compared=self.compared + 1, worst=more if nearer else self.worst)


class Disagreement(NamedTuple):
    """Where two models differ: the output (or ``inputs``, ``outputs``), what was found, what was expected."""

    at: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.at}: {self.found}; {self.expected}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A fault that was put into the rewritten model, and whether the comparison told it from the original.

    ``at`` is the first result of the node at fault, ``rewrites`` those that were at work there.
    """

    kind: str
    at: str
    rewrites: tuple[str, ...] = ()
    caught: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What a comparison would have caught; ``full`` when every fault there is a place for was tried."""

    attempts: tuple[Attempt, ...]
    full: bool
    seconds: float

    @property
    def missed(self) -> tuple[Attempt, ...]:
        """The faults that would have passed unseen."""
        return tuple(attempt for attempt in self.attempts if not attempt.caught)

    def __str__(self) -> str:
        tried = len(self.attempts)
        return f"the check would have caught {tried - len(self.missed)} of {tried} seeded faults"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The verdict on two models, and what it rests on.

    ``reason`` says why they differ or could not be compared; with "equal" it is empty or names a fault of
    the runtime, or an output that shows little. ``trials`` counts the runs of the reference compared,
    ``seeds`` are the trials' seeds (none for feeds of the caller's). ``boundaries`` are None where names do
    not say which values inside are the same. ``power`` is what the comparison would have caught, None where
    that was not measured.
    """

    status: Status
    reason: str = ""
    reference: str = ""
    trials: int = 0
    seeds: tuple[int, ...] = ()
    outputs: tuple[OutputComparison, ...] = ()
    disagreement: Disagreement | None = None
    boundaries: Boundaries | None = None
    power: Power | None = None

    @property
    def equal(self) -> bool:
        """Whether the models were found to be the same function."""
        return self.status == "equal"

    def raise_if_different(self) -> None:
        """Raise NotEquivalent unless equal; Unverifiable, also a ConvgraphError, when nobody knows."""
        if self.status == "different":
            fallback = Disagreement("models", self.reason, "the same function")
            at, found, expected = self.disagreement or fallback
            raise NotEquivalent(at, found=found, expected=expected)
        if self.status == "unverified":
            raise Unverifiable("models", found=self.reason, expected="a comparison")


class Different(Exception):
    """Ends a comparison: the models are not the same function."""

    def __init__(self, at: str, found: str, expected: str) -> None:
        super().__init__(at, found, expected)
        self.disagreement = Disagreement(at, found, expected)


def listed(names: Iterable[str]) -> str:
    """The names as a message shows them."""
    return ", ".join(names) or "none"
