"""The calibration of what multiplies finds the rates of a machine that is as the model says."""

import numpy as np
import pytest

from convgraph.analysis.onnxruntime_cpu.rates import committed
from convgraph.compiler.calibration.calibrate import block_here
from convgraph.compiler.calibration.convolutions import CALL, all_probes, counted, fitted, measured
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph
from convgraph.numerics.session import Session

_RUN, _REORDERED = 2e-6, 1e-10  # seconds beside the products: of a run, of an element that is reordered
PROBES = {graph.name: graph for graph in all_probes()}


def names() -> set[str]:
    return {name for graph in PROBES.values() for name in counted(graph, block=block_here())} - {
        "run",
        "reordered",
    }


def a_machine() -> dict[str, float]:
    """The committed rates, each somewhat faster or slower."""
    random = np.random.default_rng(5)
    return {name: committed()[name] * random.uniform(0.7, 1.4) for name in sorted(names())}


def test_a_machine_that_keeps_to_the_model_is_found_again() -> None:
    table = a_machine()
    beside = {"run": _RUN, "reordered": _REORDERED}

    def timer(graph: Graph) -> float:
        counts = counted(graph, block=block_here())
        return sum(count * {**table, **beside}[name] for name, count in counts.items())

    assert measured(timer) == pytest.approx(table, rel=1e-3)


def test_a_few_wrong_times_change_little() -> None:
    counts = [{CALL: 1.0, "a.mac": float(n)} for n in range(1, 40)]
    times = [3e-6 + 2e-6 * n for n in range(1, 40)]
    times[20] *= 3
    assert fitted(counts, times) == pytest.approx({CALL: 3e-6, "a.mac": 2e-6}, rel=0.05)


def test_no_rate_is_negative() -> None:
    counts = [{CALL: 1.0, "a.mac": n, "b.mac": n * n} for n in (1.0, 2.0, 3.0, 4.0)]
    found = fitted(counts, [1.0, 1.8, 2.4, 2.8])
    assert found["b.mac"] == 0
    assert min(found.values()) >= 0


def test_what_no_probe_counts_is_nothing() -> None:
    assert fitted([{CALL: 1.0, "a.mac": 0.0}, {CALL: 2.0, "a.mac": 0.0}], [1e-6, 2e-6])["a.mac"] == 0


def test_every_rate_is_in_the_committed_table() -> None:
    assert names() <= committed().table.keys()


@pytest.mark.parametrize("name", [name for name, graph in PROBES.items() if len(graph) < 12])
def test_the_runtime_takes_the_probes(name: str) -> None:
    session = Session(to_onnx(PROBES[name]), optimized=True)
    assert session.output_names
