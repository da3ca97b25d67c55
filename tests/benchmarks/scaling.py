"""How import, the default passes and export grow with the size of the graph, nothing verified.

Run it with ``python tests/benchmarks/scaling.py [NODES ...] [--target NAME]``; the default, which is what
``convgraph optimize`` does, takes about two minutes.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from convgraph.analysis.target import OnnxruntimeCpu, target_named
from convgraph.compiler.selection import select
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.passes import Pipeline

NODES = (1_000, 10_000, 100_000)
CHANNELS = 4
VALUES = {"gamma": 1.5, "beta": -0.25, "mean": 0.125, "variance": 2.0}


class Writer:
    """Collects the nodes of an ONNX graph whose convolutions have weights of their own."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def add(self, kind: str, *operands: str) -> str:
        """Add a node; returns the name of its result."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, operands, [name], name=name))
        return name

    def block(self, x: str) -> str:
        """Convolution, batch normalisation, activation."""
        weight = self._random.normal(size=(CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
        self.weights.append(numpy_helper.from_array(weight, f"weight_{len(self.nodes)}"))
        y = self.add("Conv", x, self.weights[-1].name)
        return self.add("Relu", self.add("BatchNormalization", y, *VALUES))


def chain(writer: Writer, x: str) -> str:
    """One block more."""
    return writer.block(x)


def branches(writer: Writer, x: str) -> str:
    """Two branches, added, with the input added to both."""
    left, right = writer.block(x), writer.block(writer.block(x))
    return writer.add("Relu", writer.add("Add", writer.add("Add", left, right), x))


def model(step: Callable[[Writer, str], str], *, nodes: int) -> onnx.ModelProto:
    """Steps in a row until there are as many nodes; 8 x 8 pixels."""
    writer, x = Writer(), "x"
    while len(writer.nodes) < nodes:
        x = step(writer, x)
    constants = [numpy_helper.from_array(np.full(CHANNELS, v, np.float32), k) for k, v in VALUES.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, CHANNELS, 8, 8)) for name in ("x", x)]
    graph = helper.make_graph(writer.nodes, "g", ends[:1], ends[1:], [*constants, *writer.weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def seconds(source: onnx.ModelProto, passes: Pipeline) -> list[float]:
    """Time for import, passes and export."""
    times = [time.perf_counter()]
    graph = from_onnx(source)
    times.append(time.perf_counter())
    graph, _ = passes.run(graph)
    times.append(time.perf_counter())
    to_onnx(graph)
    times.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(times)]


def main() -> None:
    """Print a line for each size and the exponent of growth from one size to the next."""
    parser = argparse.ArgumentParser()
    parser.add_argument("nodes", type=int, nargs="*", default=NODES)
    parser.add_argument("--target", default=OnnxruntimeCpu.name)
    asked = parser.parse_args()
    options = {"target": target_named(asked.target)}
    passes = select(level="exact", passes=None, skip=(), options=options)
    for step in (chain, branches):
        print(f"{step.__name__:10} {'import':>8} {'passes':>8} {'export':>8} {'total':>8}   exponent")
        previous: tuple[int, float] | None = None
        for nodes in asked.nodes:
            times = seconds(model(step, nodes=nodes), passes)
            total = sum(times)
            growth = "" if previous is None else f"{exponent(previous, (nodes, total)):8.2f}"
            print(f"{nodes:10,} " + " ".join(f"{t:8.2f}" for t in (*times, total)) + f"   {growth}")
            previous = nodes, total


def exponent(small: tuple[int, float], large: tuple[int, float]) -> float:
    """p in time = c * nodes ** p, through two measurements."""
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])


if __name__ == "__main__":
    main()
