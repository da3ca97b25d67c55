"""Rewrites of which only a target that predicts time can say whether they pay.

Counts alone do not tell: they trade multiplications for passes over memory, or do the same work where a
runtime is faster.
"""

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from convgraph.analysis.target import OnnxruntimeCpu, Target
from convgraph.ir.graph import Graph
from convgraph.passes.rewrite import Measure, PricedRewrite

M = TypeVar("M")


def predicted_seconds(graph: Graph) -> float:
    """Measure: how long a run takes by the prices of onnxruntime's CPU provider."""
    return OnnxruntimeCpu().price(graph)[0]


@dataclass(frozen=True, kw_only=True)
class TimedRewrite(PricedRewrite[M]):
    """A rewrite that pays on some targets only, which predict time."""

    measure: ClassVar[Measure] = staticmethod(predicted_seconds)

    @property
    def judge(self) -> Target:
        """The target that prices it: without any other onnxruntime, as counts alone do not tell."""
        return self.target or OnnxruntimeCpu()

    @property
    def can_be_judged(self) -> bool:
        """Whether the target predicts time; where it does not, there is nothing to find."""
        return self.judge.is_timed
