"""How the results of a run are compared with the model it started from."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from convgraph.compiler.approximate import Budgeted
from convgraph.compiler.functions import without_functions
from convgraph.compiler.meaning import in_float64
from convgraph.compiler.yardstick import Yardstick, largest_error
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array
from convgraph.numerics.compare import Verification
from convgraph.numerics.contained import verify_contained
from convgraph.numerics.power import Suspects
from convgraph.numerics.session import ModelSource
from convgraph.numerics.tolerance import accumulated_length


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The model as read, a graph and (``before``) what a runtime can open for a while, and what to run it on.

    ``rtol`` and ``atol`` replace the derived tolerance of what is to be equal; ``timeout`` is in seconds.
    A model whose weights take more than ``memory`` bytes (what there is, when None) is compared in regions.
    """

    graph: Graph
    before: Callable[[], AbstractContextManager[ModelSource]]
    trials: int
    feeds: Sequence[Mapping[str, Array]] | None
    rtol: float | None
    atol: float | None
    timeout: float | None
    memory: int | None = None

    def yardstick(self) -> Yardstick:
        """What the model returns. Raises Unverifiable when it does not run."""
        with self.before() as original:
            return Yardstick.of(original, trials=self.trials, feeds=self.feeds)

    def equal(self, result: ModelSource, *, suspects: Suspects | None = None) -> Verification:
        """Whether a result is the same function; where there are ``suspects``, how well that can be seen."""
        return self._verified(
            result, rtol=self.rtol, atol=self.atol, timeout=self.timeout, exact=True, suspects=suspects
        )

    def within(
        self, budgeted: Budgeted, *, exact: ModelSource, result: ModelSource, suspects: Suspects | None = None
    ) -> Verification:
        """Whether ``exact`` is the same function, and ``result``, approximated from it, within the budget.

        A verdict of "equal" then says in its reason what equal means.
        """
        start = time.perf_counter()
        verdict = self.equal(exact, suspects=suspects)
        if not verdict.equal:
            return verdict
        boundaries, power = verdict.boundaries, verdict.power
        left = None if self.timeout is None else max(1e-3, self.timeout + start - time.perf_counter())
        verdict = self._verified(result, rtol=budgeted.budget, atol=None, timeout=left, exact=False)
        if not verdict.equal:
            return verdict
        measured = f"measured {largest_error(verdict.outputs):.3g} of the largest value"
        note = f"within the error budget {budgeted.budget:g}: {measured}; equal before the approximations"
        reason = "; ".join(filter(None, (note, verdict.reason)))
        return replace(verdict, reason=reason, boundaries=boundaries, power=power)

    def _verified(
        self,
        result: ModelSource,
        *,
        rtol: float | None,
        atol: float | None,
        timeout: float | None,
        exact: bool,
        suspects: Suspects | None = None,
    ) -> Verification:
        with self.before() as original:
            return verify_contained(
                original,
                result,
                lengths=accumulated_length(without_functions(self.graph)),
                trials=self.trials,
                rtol=rtol,
                atol=atol,
                feeds=self.feeds,
                timeout=timeout,
                names_are_kept=exact,
                memory=self.memory,
                meaning=in_float64,
                suspects=suspects,
            )
