"""The meaning of every typed operation in numpy float64: the oracle that rewrites and runtimes are held to.

Floats of any width are computed in float64 throughout, integers and booleans in their own element type.
"""

from convgraph.numerics.evaluate.interpreter import evaluate, evaluate_op

__all__ = ["evaluate", "evaluate_op"]
