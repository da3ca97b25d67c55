"""What a check would have caught, as JSON values: how many seeded faults, by kind and by rewrite."""

from collections import Counter
from collections.abc import Iterable

from convgraph.numerics.verdict import Attempt, Power


def power_summary(power: Power) -> dict[str, object]:
    """The faults tried and caught, in all, by kind and by rewrite, and each one missed.

    A fault where several rewrites were at work counts for each of them.
    """
    tried = power.attempts
    return {
        "tried": len(tried),
        "caught": len(tried) - len(power.missed),
        "full": power.full,
        "seconds": power.seconds,
        "kinds": _counted((attempt.kind, attempt) for attempt in tried),
        "rewrites": _counted((rewrite, attempt) for attempt in tried for rewrite in attempt.rewrites),
        "missed": [
            {"kind": attempt.kind, "at": attempt.at, "rewrites": list(attempt.rewrites)}
            for attempt in power.missed
        ],
    }


def _counted(attempts: Iterable[tuple[str, Attempt]]) -> list[dict[str, object]]:
    """How many were tried and caught under each name."""
    tried, caught = Counter[str](), Counter[str]()
    for name, attempt in attempts:
        tried[name] += 1
        caught[name] += attempt.caught
    return [{"name": name, "tried": tried[name], "caught": caught[name]} for name in sorted(tried)]
