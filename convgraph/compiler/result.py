"""What a run of ``optimize`` gives back."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from convgraph.analysis.target import Target
from convgraph.compiler.approximate import Budgeted
from convgraph.compiler.culprit import Culprit
from convgraph.compiler.proof import Proof
from convgraph.compiler.tuning.choice import Choice
from convgraph.exporters.sketch import differ
from convgraph.exporters.staged import Ready
from convgraph.ir.graph import Graph
from convgraph.numerics.compare import Verification
from convgraph.passes import Trace
from convgraph.report.summary import FileFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeResult:
    """What a run made of a model.

    ``original`` is the graph as read (after shape overrides and cuts), ``graph`` the rewritten one, to be
    fast on ``target``, and ``ready`` its ONNX form, the very one that ``verification`` judged (None: not
    verified).
    ``approximated`` says what was approximated within an error budget (None: there was none), ``seconds`` how
    long each stage took. ``proof`` says which applications were proven (None: the result is not verified, or
    not equal). ``culprits`` are the applications of rewrites that made the model compute something
    else: what they did is not in the result. ``choice`` is what was measured to be fastest (None: nothing was
    measured).
    """

    original: Graph
    graph: Graph
    target: Target
    ready: Ready
    trace: Trace
    approximated: Budgeted | None
    verification: Verification | None
    proof: Proof | None = None
    culprits: tuple[Culprit, ...] = ()
    choice: Choice | None = None
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
        raised = self.graph.model.opset != self.original.model.opset
        return (raised or bool(self.trace.applications)) and differ(self.original, self.graph)
