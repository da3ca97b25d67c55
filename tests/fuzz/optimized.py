"""Random networks through ``optimize`` as anyone calls it, checks and all: none comes out unequal.

Run it with ``PYTHONPATH=tests python -m fuzz.optimized [COUNT] [--seed N]``. Whatever is not found equal is
printed with the network's number, what cannot be verified with the reason, and what is equal only because a
rewrite was found at fault and dropped; exit status 1 when one is unequal or had a culprit.
"""

import argparse
import sys
from collections import Counter

from fuzz.generator import network

import convgraph
from convgraph.errors import UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.tensor import DataType

_TYPES = (DataType.FLOAT,)  # what onnxruntime has every operator for
_SECONDS = 60.0  # onnxruntime never ends on a convolution without input channels


def outcome(seed: int) -> tuple[str, str]:
    """What became of a network, and why."""
    try:
        proto = to_onnx(network(seed, types=_TYPES))
    except UnsupportedOp:
        proto = to_onnx(network(seed, newest=True, types=_TYPES))
    result = convgraph.optimize(proto, level="exact", verify_timeout=_SECONDS)
    if result.verification is None:
        return "unverified", "nothing was compared"
    if result.culprits:
        return "equal without a culprit", str(result.culprits[0])
    return result.verification.status, result.verification.reason


def main() -> int:
    """Run the networks, print what is not equal and how many were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    for seed in range(given.seed, given.seed + given.count):
        try:
            status, reason = outcome(seed)
        except Exception as error:  # noqa: BLE001 - anything at all is a finding
            status, reason = "failed", f"{type(error).__name__}: {error}"
        counts[status] += 1
        if status != "equal":
            print(f"network {seed}: {status}: {reason}", flush=True)
        if sum(counts.values()) % 500 == 0:
            print(dict(counts), flush=True)
    print(dict(counts))
    return int(any(counts[status] for status in ("different", "failed", "equal without a culprit")))


if __name__ == "__main__":
    sys.exit(main())
