"""Random parameters and feeds, in two characters.

*Dyadic* numbers (small integers, powers of two, variances with var + epsilon = 4ᵏ) make every float operation
of a fold exact, so that two graphs that mean the same give the same bits. *Real* ones look like a network's.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Input
from convgraph.ir.tensor import Array, DataType, TensorType

SIZES = (
    {"N": 2, "H": 7, "W": 5, "L": 6},
    {"N": 1, "H": 4, "W": 9, "L": 11},
    {"N": 3, "H": 5, "W": 4, "L": 5},
)


class Draw:
    """A seeded source of parameters; ``dyadic`` chooses their character."""

    def __init__(self, *, dyadic: bool, seed: int = 0) -> None:
        self.dyadic = dyadic
        self.rng = np.random.default_rng(seed)

    @property
    def epsilon(self) -> float:
        """A normalisation's epsilon, a float32 as ONNX keeps it: in float64 the rounding would be seen."""
        return 0.25 if self.dyadic else float(np.float32(1e-5))

    def weight(self, *shape: int, dtype: type = np.float32) -> Array:
        """Signed numbers, zeros among them."""
        drawn = self.rng.integers(-3, 4, shape) if self.dyadic else self.rng.normal(size=shape) / 2
        return np.asarray(drawn, dtype=dtype)

    def factor(self, *shape: int, dtype: type = np.float32) -> Array:
        """Signed numbers that can be divided by, never zero."""
        sign = self.rng.choice([-1.0, 1.0], shape)
        size = 2.0 ** self.rng.integers(-2, 3, shape) if self.dyadic else self.rng.uniform(0.3, 3, shape)
        return np.asarray(sign * size, dtype=dtype)

    def variance(self, *shape: int, dtype: type = np.float32) -> Array:
        """Positive numbers; dyadic ones are 4ᵏ − epsilon."""
        drawn = 4.0 ** self.rng.integers(0, 3, shape) - self.epsilon
        return np.asarray(drawn if self.dyadic else self.rng.uniform(0.2, 3, shape), dtype=dtype)

    def feed(self, kind: TensorType, sizes: Mapping[str, int]) -> Array:
        """A feed of a type, its symbols replaced by ``sizes``."""
        shape = tuple(d if isinstance(d, int) else sizes[str(d)] for d in kind.shape or ())
        if kind.dtype is DataType.BOOL:
            return self.rng.integers(0, 2, shape).astype(bool)
        whole = self.dyadic or not kind.dtype.is_float
        drawn = self.rng.integers(-4, 5, shape) if whole else self.rng.normal(size=shape)
        return np.asarray(drawn, dtype=kind.dtype.numpy)


def feeds_for(graph: Graph, *, dyadic: bool, seed: int = 1) -> Iterator[dict[str, Array]]:
    """Feeds over several sizes of the dynamic dimensions, then with overridable initializers overridden."""
    draw = Draw(dyadic=dyadic, seed=seed)
    supplied = [v for v in graph.inputs if _default(graph, v) is None]
    overridable = [v for v in graph.inputs if _default(graph, v) is not None]
    for sizes in SIZES:
        yield {graph.value_name(v): draw.feed(graph.type(v), sizes) for v in supplied}
    if overridable:
        fed = {graph.value_name(v): draw.feed(graph.type(v), SIZES[0]) for v in supplied}
        yield fed | {graph.value_name(v): _another(_default(graph, v)) for v in overridable}


def _another(default: Array) -> Array:
    """Other values of the same type, positive so that a variance stays one."""
    changed = ~default if default.dtype == bool else 4 * np.abs(default) + 4
    return np.asarray(changed, dtype=default.dtype)


def _default(graph: Graph, value: Value) -> Array | None:
    op = graph.producer(value)
    return op.default.numpy() if isinstance(op, Input) and op.default is not None else None
