"""Mutated model files: every one ends in an equal model, or in one line and nothing written.

Run it with ``python tests/fuzz/mutants.py [COUNT] [--seed N]``. Each mutant of a small model is optimized as
a user would, in a worker process, so that a crash or a hang is a finding too; findings are kept in
``fuzz-findings/``. Exit status 1 when there are any.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from click.testing import CliRunner
from google.protobuf.message import DecodeError
from onnx import ModelProto
from onnx.backend.test.loader import load_model_tests

from convgraph.cli.main import main as convgraph

LARGEST = 60_000  # bytes: structure is what is to be mutated, not weights
FINDINGS = Path("fuzz-findings")
LIMIT = 60  # seconds for one mutant
BATCH = 1000  # starting a worker takes as long as a hundred mutants
TEXTS = (
    """<ir_version: 8, opset_import: ["": 17]>
    g (float[N,2,6,8] x) => (float[N,4,a,b] y)
    <float[4,2,3,3] w, float[4] one = {1, 1, 1, 1}, float[4] two = {2, 2, 2, 2}, float[4,1,2,2] t,
     float[4] scales = {1, 1, 2, 2}, int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}, float[4,4,1,1] p> {
        padded = Pad(x, pads)
        c = Conv <strides = [2, 1]> (padded, w)
        n = BatchNormalization (c, one, two, one, two)
        r = Relu(n)
        u = ConvTranspose <group = 4, strides = [2, 2]> (r, t)
        m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (u)
        s = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
            (m, , scales)
        k = Concat <axis = 1> (s, s)
        h, l = Split <axis = 1> (k)
        q = Add(h, l)
        y = Conv(q, p)
    }""",
    """<ir_version: 8, opset_import: ["": 17]>
    g (float[1,3,8,8] x, bool c) => (float[1,3,8,8] y) {
        a = Relu(x)
        b = If (c) <
            then_branch = t () => (float[1,3,8,8] p) { p = Sigmoid(a) },
            else_branch = e () => (float[1,3,8,8] q) { z = Add(a, x) q = Relu(z) }
        >
        y = Mul(b, x)
    }""",
    """<ir_version: 8, opset_import: ["": 17]>
    g (float[2,4] x) => (float[2,4] y, float[k,2,4] all)
    <int64 n = {3}, bool go = {1}> {
        y, all = Loop (n, go, x) <
            body = b (int64 i, bool on, float[2,4] h) => (bool still, float[2,4] next, float[2,4] out) {
                still = Identity(on)
                next = Add(h, x)
                out = Relu(next)
            }
        >
    }""",
)
Mutation = Callable[[bytes, random.Random], bytes]


def seeds() -> list[bytes]:
    """The models that mutants are made of."""
    found = [with_weights(onnx.parser.parse_model(text)) for text in TEXTS]
    for kind in ("simple", "pytorch-operator", "pytorch-converted"):
        for case in load_model_tests(kind=kind):
            path = Path(case.model_dir or "") / "model.onnx"
            found += [path.read_bytes()] if path.is_file() else []
    return [data for data in found if len(data) < LARGEST]


def with_weights(model: ModelProto) -> bytes:
    """The model's bytes, with numbers for the weights that the text only declares."""
    for tensor in model.graph.initializer:
        if not (tensor.float_data or tensor.int64_data or tensor.int32_data):
            tensor.raw_data = np.random.default_rng(0).normal(size=tuple(tensor.dims)).astype("<f4").tobytes()
    return bytes(model.SerializeToString())


def flip(data: bytes, rng: random.Random) -> bytes:
    """Some bytes replaced."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """A stretch taken out, or everything after a place."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 2, 16, len(data))) :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """A stretch written twice."""
    start = rng.randrange(len(data))
    stretch = data[start : start + rng.randrange(1, 64)]
    return data[:start] + stretch + data[start:]


def number(data: bytes, rng: random.Random) -> bytes:
    """A number of the model made strange."""
    model = ModelProto.FromString(data)
    values = list(numbers(model.graph))
    if values:
        holder, index = rng.choice(values)
        holder[index] = rng.choice((0, 1, -1, 2, 3, 7, -5, 1 << 20, 1 << 31, (1 << 62), -(1 << 62)))
    return bytes(model.SerializeToString())


def numbers(graph: onnx.GraphProto) -> Iterator[tuple[object, int]]:
    """Where attributes and small integer constants keep their numbers."""
    for node in graph.node:
        for attribute in node.attribute:
            yield from ((attribute.ints, index) for index in range(len(attribute.ints)))
    for tensor in graph.initializer:
        yield from ((tensor.dims, index) for index in range(len(tensor.dims)))
        yield from ((tensor.int64_data, index) for index in range(len(tensor.int64_data)))


def name(data: bytes, rng: random.Random) -> bytes:
    """An operand, result, operator or domain called something else."""
    model = ModelProto.FromString(data)
    nodes = list(model.graph.node)
    names = [n for node in nodes for n in (*node.input, *node.output, node.op_type)] + [
        "",
        "Loop",
        "Conv",
        "If",
    ]
    node, new = rng.choice(nodes), rng.choice(names)
    if node.input and rng.random() < 0.5:
        node.input[rng.randrange(len(node.input))] = new
    elif node.output and rng.random() < 0.5:
        node.output[rng.randrange(len(node.output))] = new
    elif rng.random() < 0.7:
        node.op_type = new
    else:
        node.domain = new
    return bytes(model.SerializeToString())


def order(data: bytes, rng: random.Random) -> bytes:
    """A node, input, output or constant gone or there twice."""
    model = ModelProto.FromString(data)
    field = getattr(model.graph, rng.choice(("node", "input", "output", "initializer", "value_info")))
    if field:
        place = rng.randrange(len(field))
        if rng.random() < 0.5:
            del field[place]
        else:
            field.append(field[place])
    return bytes(model.SerializeToString())


MUTATIONS: tuple[Mutation, ...] = (flip, cut, repeat, number, number, number, name, name, order, order)


def mutant(pool: list[bytes], index: int, *, seed: int) -> bytes:
    """The mutant with a number, the same every time."""
    rng = random.Random(f"{seed}:{index}")
    data = rng.choice(pool)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        try:
            data = rng.choice(MUTATIONS)(data, rng)
        except (
            ValueError,
            RuntimeError,
            IndexError,
            DecodeError,
        ):  # no model any more: bytes are mutated as bytes
            data = flip(data, rng) if data else b""
    return data


def outcome(data: bytes, folder: Path) -> str:
    """What optimizing the bytes came to: "ok 0", "ok 1", "ok 2", or what is wrong."""
    source, target = folder / "m.onnx", folder / "m.opt.onnx"
    source.write_bytes(data)
    target.unlink(missing_ok=True)
    result = CliRunner().invoke(
        convgraph, ["optimize", str(source), "-o", str(target), "-q", "--verify-timeout", "10"]
    )
    said = result.stderr.strip()
    if result.exit_code not in (0, 1, 2):
        return f"exit {result.exit_code}: {said}"
    if len(said.splitlines()) > 1:
        return f"{len(said.splitlines())} lines: {said}"
    if (result.exit_code == 0) != target.exists():
        return f"exit {result.exit_code}, and output {'there' if target.exists() else 'missing'}"
    return f"ok {result.exit_code}"


def work(first: int, count: int, *, seed: int) -> None:
    """Print the outcome of each mutant of a batch."""
    pool = seeds()
    with tempfile.TemporaryDirectory() as folder:
        for index in range(first, first + count):
            print(f"start {index}", flush=True)
            signal.alarm(LIMIT)  # ends the process: a hang is a finding
            print(outcome(mutant(pool, index, seed=seed), Path(folder)).replace("\n", " "), flush=True)


def batch(first: int, count: int, *, seed: int) -> list[tuple[int, str]]:
    """The outcomes of a batch; after a crash the rest goes on in a new worker."""
    outcomes: list[tuple[int, str]] = []
    while len(outcomes) < count:
        start = first + len(outcomes)
        arguments = ["--work", str(start), str(first + count - start), "--seed", str(seed)]
        run = subprocess.run(
            [sys.executable, __file__, *arguments], capture_output=True, text=True, check=False
        )
        lines = [line for line in run.stdout.splitlines() if not line.startswith("start ")]
        outcomes.extend(enumerate(lines, start))
        if run.returncode:
            outcomes.append((first + len(outcomes), f"the process ended with {run.returncode}"))
    return outcomes


def main() -> int:
    """Run the mutants, print a count of outcomes, keep the findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--work", nargs=2, type=int)
    given = parser.parse_args()
    if given.work:
        work(*given.work, seed=given.seed)
        return 0
    counts: Counter[str] = Counter()
    pool = seeds()
    for first in range(given.first, given.first + given.count, BATCH):
        for index, found in batch(first, min(BATCH, given.first + given.count - first), seed=given.seed):
            counts[found[:60]] += 1
            if not found.startswith("ok "):
                FINDINGS.mkdir(exist_ok=True)
                (FINDINGS / f"{given.seed}-{index}.onnx").write_bytes(mutant(pool, index, seed=given.seed))
                print(f"mutant {index}: {found}", flush=True)
        print(f"{first + BATCH:,}: {dict(counts.most_common(8))}", flush=True)
    return int(any(not outcome.startswith("ok ") for outcome in counts))


if __name__ == "__main__":
    sys.exit(main())
