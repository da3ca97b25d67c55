"""On every pattern, what convgraph leaves is right, and no more than the best other optimizer leaves."""

import pytest

import convgraph as cg
from parity import record
from parity.figures import figures
from parity.interface import lost
from parity.pattern import Pattern, collected

PATTERNS = {pattern.name: pattern for pattern in collected()}
RECORD = record.read()
SPELLING = (
    64  # bytes that attributes written out and other names may take: nothing that grows with a model's data
)


def test_every_pattern_is_there_once_and_recorded() -> None:
    assert len(PATTERNS) == len(collected())
    assert sorted(RECORD) == sorted(PATTERNS), "tests/benchmarks/peers.py --record"


def test_there_are_enough_patterns() -> None:
    assert len(PATTERNS) >= 60


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_convgraph_is_right_and_leaves_no_more_than_the_others(pattern: Pattern) -> None:
    model, others = pattern.model(), RECORD[pattern.name]
    assert figures(model).operators == others.operators, "it has changed: tests/benchmarks/peers.py --record"
    result = cg.optimize(model, level="clean", power="off")
    assert result.verification is not None
    assert result.verification.equal, str(result.verification)
    assert not lost(model, result.proto)
    left = figures(result.proto)
    assert left.nodes <= others.fewest_nodes()
    assert left.bytes <= others.fewest_bytes(nodes=left.nodes) + SPELLING
