"""Random networks, optimized in every way there is: the same function, no more work, and nothing left to do.

Run it with ``PYTHONPATH=tests python -m fuzz.networks [COUNT] [--seed N]``. Each network goes through the
default pipeline of every target, with each operator in turn declared missing, and through every exact rewrite
alone; every other one inside an If as well, the rest inside a Loop. It is held to the oracle in float64 on
several sizes, and on one way in eight to onnxruntime. Findings are printed with the network's number; exit
status 1 when there are any.
"""

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from fuzz.generator import SIZES, network
from fuzz.wrapped import Kind, unwrapped, wrapped

from convgraph.analysis.cost import graph_cost
from convgraph.analysis.target import target_named
from convgraph.compiler.runtime import lent
from convgraph.compiler.selection import select
from convgraph.errors import ConvgraphError, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Resize, Softplus
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.contained import verify_contained
from convgraph.numerics.evaluate import evaluate
from convgraph.numerics.tolerance import accumulated_length, tolerance
from convgraph.passes import ALL, APPROXIMATE, Pipeline

TARGETS = ("onnxruntime-cpu", "generic")
MISSING = (
    "ConvTranspose",
    "Resize",
    "DepthToSpace",
    "SpaceToDepth",
    "GlobalAveragePool",
    "BatchNormalization",
    "HardSwish",
    "PRelu",
)
Outputs = Mapping[str, Array]
LOOSE = 1e-9  # of an output's magnitude: any real fault is far above, whatever a network does to roundings


def feeds(graph: Graph, *, seed: int) -> list[dict[str, Array]]:
    """Signed numbers for each of several sizes, once with what may be overridden overridden."""
    rng = np.random.default_rng(seed)
    x, *overridable = graph.inputs
    kind = graph.type(x)
    sizes = SIZES if any(isinstance(d, str) for d in kind.shape or ()) else SIZES[:1]
    shapes = [[d if isinstance(d, int) else known[str(d)] for d in kind.shape or ()] for known in sizes]
    drawn = [{"x": rng.normal(size=shape).astype(kind.dtype.numpy)} for shape in shapes]
    others = {}
    for value in overridable:
        other = graph.type(value)
        others[graph.value_name(value)] = rng.uniform(0.5, 2, other.static_shape).astype(other.dtype.numpy)
    return [*drawn, drawn[0] | others] if others else drawn


def meanings(graph: Graph, *, seed: int) -> list[tuple[dict[str, Array], Outputs]]:
    """What the network gives, where it runs and stays finite."""
    found = []
    for feed in feeds(graph, seed=seed):
        try:
            outputs = evaluate(graph, feed)
        except (ConvgraphError, ValueError, IndexError):  # it does not run at these sizes
            continue
        if all(np.isfinite(y).all() and y.size for y in outputs.values()):
            found.append((feed, outputs))
    return found


class Subject:
    """A network under test, by itself or ``inside`` control flow, and what it means."""

    def __init__(self, seed: int, *, inside: Kind | None = None) -> None:
        self.seed, self.inside = seed, inside
        try:
            self.proto = to_onnx(network(seed))
        except UnsupportedOp:
            self.proto = to_onnx(network(seed, newest=True))
        self.graph = from_onnx(self.proto)
        self.meanings = meanings(self.graph, seed=seed)
        self.lengths = accumulated_length(self.graph)
        ops = [self.graph.op(node) for node in self.graph.nodes()]
        self.samples = any(isinstance(op, Resize) and op.mode != "nearest" for op in ops)
        self.scale = 0.1 if any(isinstance(op, BatchNormalization | Softplus) for op in ops) else 0.01
        self.dtype = self.graph.type(self.graph.outputs[0]).dtype
        if inside is not None:
            self.proto = wrapped(self.proto, inside, seed=seed)
            self.graph = from_onnx(self.proto)
        self.checks = _passes_checker(self.proto)

    def differs(self, result: Graph) -> str:
        """Where the result means something else; "" where it does not."""
        plain = result if self.inside is None else unwrapped(result)
        for feed, wanted in self.meanings:
            found = evaluate(plain, feed)
            for name, want in wanted.items():
                if found[name].shape != want.shape:
                    return f"{name} of shape {found[name].shape}, not {want.shape}"
                scale = float(np.max(np.abs(want)))
                error = float(np.max(np.abs(found[name] - want)))
                if not error <= self._allowed(name, scale):
                    return f"{name} off by {error:.3g} of {scale:.3g} for {feed['x'].shape}"
        return ""

    def _allowed(self, name: str, scale: float) -> float:
        dtype = self.dtype
        if dtype is DataType.DOUBLE:  # coordinates of a Resize are float32 whatever the type
            return scale * (1e-5 if self.samples else LOOSE)
        return tolerance(dtype, length=self.lengths[name], scale=max(scale, self.scale))


def _passes_checker(proto: onnx.ModelProto) -> bool:
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False
    return True


def ways() -> Iterator[tuple[str, Pipeline]]:
    """Every pipeline a network goes through, by name."""
    for target in TARGETS:
        options = {"target": target_named(target), "size_limit": 1 << 20, **lent()}
        yield target, select(level="exact", passes=None, skip=(), options=options)
        for op in MISSING if target == TARGETS[0] else ():
            yield f"without {op}", select(level="exact", passes=None, skip=(), options=options, without=[op])
    for rewrite in ALL:
        if rewrite not in APPROXIMATE:
            yield rewrite.name, Pipeline([rewrite])


def cases(seed: int) -> Iterator[tuple[Subject, str, Pipeline]]:
    """The network with a number in every way, then inside control flow by the pipelines."""
    chosen, subject = tuple(ways()), Subject(seed)
    yield from ((subject, way, pipeline) for way, pipeline in chosen)
    within = Subject(seed, inside="Loop" if seed % 2 else "If")
    yield from ((within, way, pipeline) for way, pipeline in chosen if len(tuple(pipeline)) > 1)


def faults(
    subject: Subject, way: str, pipeline: Pipeline, *, run: bool, counts: Counter[str]
) -> Iterator[str]:
    """What is wrong with what a pipeline makes of a network."""
    if subject.inside is None and not _concerns(subject.graph, way, pipeline):
        return
    result, trace = pipeline.run(subject.graph)
    counts.update(application.rewrite for application in trace.applications)
    if not trace.applications:
        return
    blamed = "+".join(dict.fromkeys(a.rewrite for a in trace.applications))
    proto = to_onnx(result)
    if found := subject.differs(result):
        yield f"{found} [{_first_wrong(subject, pipeline, len(trace.applications))}]"
    if found := _interface(subject.graph, result):
        yield f"{found} [{blamed}]"
    if subject.checks and not _passes_checker(proto):
        yield f"fails the checker [{blamed}]"
    known = subject.inside != "Loop"  # where no sizes are
    if way in TARGETS and known and (found := _dearer(subject.graph, result, target=way)):
        yield f"{found} [{blamed}]"
    again, more = pipeline.run(from_onnx(proto)) if not way.startswith("without") else (result, trace)
    if encoded(to_onnx(again)) != encoded(to_onnx(from_onnx(proto))):  # which may state more types
        yield f"a second run differs [{'+'.join(dict.fromkeys(a.rewrite for a in more.applications))}]"
    if run:
        verdict = verify_contained(encoded(subject.proto), encoded(proto), trials=2, timeout=20)
        if verdict.status != "equal" and not any(
            t in verdict.reason for t in ("the original", "same in every", "in time")
        ):
            yield f"onnxruntime: {verdict.status} {verdict.reason[:300]} [{blamed}]"


def _dearer(before: Graph, after: Graph, *, target: str) -> str:
    """Where MACs rise although the target does not find the result cheaper."""
    macs = [graph_cost(graph).macs for graph in (before, after)]
    prices = [target_named(target).price(graph) for graph in (before, after)] if macs[1] > macs[0] else []
    return f"MACs {macs[0]} -> {macs[1]}" if prices and prices[1] >= prices[0] else ""


def _concerns(graph: Graph, way: str, pipeline: Pipeline) -> bool:
    """Whether a pipeline does anything here that the default one does not."""
    if way in TARGETS:
        return True
    if way.startswith("without"):
        return any(graph.op(node).label == way.split()[1] for node in graph.nodes())
    (rewrite,) = pipeline
    roots = (node for node in graph.nodes() if isinstance(graph.op(node), rewrite.roots))
    return any(rewrite.find(graph, node) is not None for node in roots)


def _interface(before: Graph, after: Graph) -> str:
    """Where inputs and outputs are others than they were."""
    sides = [
        [[(g.value_name(v), g.type(v)) for v in s] for s in (g.inputs, g.outputs)] for g in (before, after)
    ]
    return "" if sides[0] == sides[1] else f"interface {sides[0]} -> {sides[1]}"


def _first_wrong(subject: Subject, pipeline: Pipeline, count: int) -> str:
    """The application that made it wrong."""
    for step in range(1, count + 1):
        result, trace = pipeline.run(subject.graph, stop_after=step)
        if subject.differs(result):
            return f"{step}: {trace.applications[-1].rewrite} at {trace.applications[-1].at}"
    return "none of them alone"


def encoded(proto: onnx.ModelProto) -> bytes:
    """A model's bytes, the same for equal models."""
    return bytes(proto.SerializeToString(deterministic=True))


def main() -> int:
    """Run the networks, print findings and how often each rewrite was applied."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runtime", type=int, default=8, help="one way in so many is run by onnxruntime too")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    findings = 0
    for seed in range(given.seed, given.seed + given.count):
        rng = np.random.default_rng(seed)
        for subject, way, pipeline in cases(seed):
            try:
                found = list(
                    faults(subject, way, pipeline, run=rng.integers(given.runtime) == 0, counts=counts)
                )
            except Exception as error:  # noqa: BLE001 - anything at all is a finding
                frame = traceback.extract_tb(error.__traceback__)[-1]
                found = [f"{type(error).__name__}: {error} at {frame.filename}:{frame.lineno}"]
            for text in found:
                findings += 1
                place = "" if subject.inside is None else f" in a {subject.inside}"
                print(f"network {seed}{place}, {way}: {text}", flush=True)
        if seed % 100 == 99:
            done = f"{seed + 1 - given.seed} networks, {sum(counts.values()):,} applications"
            print(f"{done}, {findings} findings", flush=True)
    for name, times in counts.most_common():
        print(f"{times:8,} {name}")
    unseen = [rewrite.name for rewrite in ALL if rewrite not in APPROXIMATE and not counts[rewrite.name]]
    print("never applied:", ", ".join(unseen) or "none")
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
