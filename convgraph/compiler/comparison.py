"""How the results of a run are compared with the model it started from."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from convgraph.compiler.approximate import Budgeted
from convgraph.compiler.yardstick import Yardstick, largest_error
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array
from convgraph.numerics.compare import Verification
from convgraph.numerics.contained import verify_contained
from convgraph.numerics.session import ModelSource
from convgraph.numerics.tolerance import accumulated_length


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The model as read, a graph and (``before``) what a runtime can open for a while, and what to run it on.

    ``rtol`` and ``atol`` replace the derived tolerance of what is to be equal; ``timeout`` is in seconds.
    """

    graph: Graph
    before: Callable[[], AbstractContextManager[ModelSource]]
    trials: int
    feeds: Sequence[Mapping[str, Array]] | None
    rtol: float | None
    atol: float | None
    timeout: float | None

    def yardstick(self) -> Yardstick:
        """What the model returns. Raises Unverifiable when it does not run."""
        with self.before() as original:
            return Yardstick.of(original, trials=self.trials, feeds=self.feeds)

    def equal(self, result: ModelSource) -> Verification:
        """Whether a result is the same function."""
        return self._verified(result, rtol=self.rtol, atol=self.atol, timeout=self.timeout)

    def within(self, budgeted: Budgeted, *, exact: ModelSource, result: ModelSource) -> Verification:
        """Whether ``exact`` is the same function, and ``result``, approximated from it, within the budget.

        A verdict of "equal" then says in its reason what equal means.
        """
        start = time.perf_counter()
        verdict = self.equal(exact)
        if not verdict.equal:
            return verdict
        left = None if self.timeout is None else max(1e-3, self.timeout + start - time.perf_counter())
        verdict = self._verified(result, rtol=budgeted.budget, atol=None, timeout=left)
        if not verdict.equal:
            return verdict
        measured = f"measured {largest_error(verdict.outputs):.3g} of the largest value"
        note = f"within the error budget {budgeted.budget:g}: {measured}; equal before the approximations"
        return replace(verdict, reason="; ".join(filter(None, (note, verdict.reason))))

    def _verified(
        self, result: ModelSource, *, rtol: float | None, atol: float | None, timeout: float | None
    ) -> Verification:
        with self.before() as original:
            return verify_contained(
                original,
                result,
                lengths=accumulated_length(self.graph),
                trials=self.trials,
                rtol=rtol,
                atol=atol,
                feeds=self.feeds,
                timeout=timeout,
            )
