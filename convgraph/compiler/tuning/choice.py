"""What tuning chose for a whole model."""

from collections.abc import Mapping
from dataclasses import dataclass

from convgraph.passes import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The level whose result was fastest on so many threads, and the seconds of a run before and after.

    ``low`` and ``high`` are the ends of the interval of how many times as fast it is, ``gains`` the medians
    of each level: what is tuned is not taken where something else was faster.
    """

    level: str
    threads: int
    before: float
    after: float
    low: float
    high: float
    gains: Mapping[str, float]

    @property
    def gain(self) -> float:
        """How many times as fast as the model as it was."""
        return self.gains[self.level]

    def __str__(self) -> str:
        """In one line: the level that was taken, and how many times as fast each would have been."""
        each = ", ".join(f"{level} {gain:.2f}" for level, gain in self.gains.items())
        count = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"tuned on {count}: {self.level} is taken; times as fast as the original: {each}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The pipeline of a run, and the measurement that chose it; None where there was none."""

    pipeline: Pipeline
    choice: Choice | None = None
