"""Random networks, whole: built, exported, imported, optimised, exported, run and compared."""

from collections import Counter

import hypothesis.strategies as st
import pytest
from fuzz.networks import TARGETS, Subject, faults, ways
from fuzz.strategy import networks
from hypothesis import HealthCheck, given, note, settings

from convgraph.compiler.optimize import optimize
from convgraph.exporters.staged import serialised
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import DataType
from convgraph.ir.text import print_graph

UNKNOWABLE = ("the original", "the same in every trial")  # it does not run, or shows nothing


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    graph=networks(types=(DataType.FLOAT,)),
    level=st.sampled_from(["exact", "exact", "clean"]),
    target=st.sampled_from(TARGETS),
)
def test_random_networks_stay_the_same_function(graph: Graph, level: str, target: str) -> None:
    note(print_graph(graph))
    result = optimize(graph, level=level, target=target, trials=2)
    assert result.verification is not None
    status, reason = result.verification.status, result.verification.reason
    assert status == "equal" or any(said in reason for said in UNKNOWABLE), reason
    again = optimize(result.proto, level=level, target=target, verify=False)
    assert not again.changed
    assert serialised(again.proto) == serialised(result.proto)


@pytest.mark.parametrize("first", range(0, 60, 12))
def test_wide_random_networks_stay_the_same_function_in_every_way(first: int) -> None:
    """Sixty of those that ``tests/fuzz/networks.py`` makes by the thousand."""
    counts: Counter[str] = Counter()
    for seed in range(first, first + 12):
        subject = Subject(seed)
        for way, pipeline in ways():
            assert not list(faults(subject, way, pipeline, run=way == "generic", counts=counts)), (seed, way)
    assert len(counts) > 20
