"""How far a graph is from the model it came from: measured on the outputs, in onnxruntime.

The error of an output is the largest |difference| relative to the output's largest magnitude, as ``rtol`` of
a verification counts it; the error of a model is the worst of its outputs over all feeds.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from onnx import numpy_helper

from convgraph.exporters.onnx_model import ready
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.compare import OutputComparison
from convgraph.numerics.deviation import errors, magnitude, mismatch
from convgraph.numerics.feeds import Feeds, check_feeds
from convgraph.numerics.reference import Reference, Trial, run
from convgraph.numerics.session import ModelSource, Session, Unverifiable
from convgraph.numerics.structure import overridable_inputs, read, required_inputs
from convgraph.numerics.tolerance import is_exact

FAR = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What a model returned on some feeds."""

    trials: Sequence[Trial]

    @classmethod
    def of(cls, model: ModelSource, *, trials: int, feeds: Sequence[Feeds] | None) -> "Yardstick":
        """The model run on ``trials`` seeded feeds, those of a verification, or on ``feeds``.

        Raises Unverifiable when it does not run, InvalidModel for feeds that do not fit.
        """
        proto = read(model)
        reference = Reference.open(model, model=proto, deadline=None)
        if feeds is not None:
            check_feeds(feeds, types=required_inputs(proto), known={i.name for i in proto.graph.input})
            return cls(trials=reference.given(feeds))
        whole = overridable_inputs(read(model, weights=True))
        defaults = {name: numpy_helper.to_array(tensor) for name, tensor in sorted(whole.items())}
        return cls(trials=reference.seeded(trials=trials, seed=0, overridable=defaults))

    def error(self, graph: Graph) -> float:
        """The error of a graph; infinite where it does not run or returns something of another kind."""
        with closing(ready(graph, place=None)) as model:
            try:
                session = Session(model.opened, at="the approximation")
                pairs = [(trial.results, run(session, trial.feeds, deadline=None)) for trial in self.trials]
            except Unverifiable:
                return FAR
        return max((_error(want, got) for want, got in pairs), default=0.0)


def largest_error(outputs: Sequence[OutputComparison]) -> float:
    """The same of the outputs of a verification."""
    return max((output.max_rel for output in outputs), default=0.0)


def _error(want: Mapping[str, Array], got: Mapping[str, Array]) -> float:
    if want.keys() != got.keys():
        return FAR
    return max((_relative(want[place], got[place]) for place in want), default=0.0)


def _relative(want: Array, got: Array) -> float:
    if mismatch(want, got) is not None:
        return FAR
    largest = float(np.max(errors(want, got), initial=0.0))
    if largest == 0.0:
        return 0.0
    whole = 0.0 if want.dtype.kind in "OSU" or is_exact(DataType.of(want.dtype)) else magnitude(want)
    return largest / whole if whole else FAR
