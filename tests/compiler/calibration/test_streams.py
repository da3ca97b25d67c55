"""The calibration of what moves and maps elements finds the rates of a machine that is as the model says."""

import numpy as np
import pytest

from convgraph.analysis.onnxruntime_cpu.predict import seconds
from convgraph.analysis.onnxruntime_cpu.rates import Rates
from convgraph.compiler.calibration.streams import Probe, all_probes, measured
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph
from convgraph.numerics.session import Session

_RUN = 2e-6  # seconds that a run takes beside its nodes
_UNITS = {"memory": 2e-11, "pad": 1e-8, "normal": 1e-8, "rows": 1e-8, "softmax": 1e-8, "copy": 5e-9}


def a_machine() -> dict[str, float]:
    """Rates of their usual sizes, no two alike."""
    random = np.random.default_rng(7)
    table = {p.rate: _UNITS.get(p.rate.split(".")[0], 1e-9) * random.uniform(0.7, 1.5) for p in all_probes()}
    return {**table, "call": 3e-7}


def test_a_machine_that_keeps_to_the_model_is_found_again() -> None:
    table = a_machine()

    def timer(graph: Graph) -> float:
        return _RUN + seconds(graph, Rates(block=16, table=table))

    found = measured(timer)
    assert found.keys() == table.keys()
    assert found == pytest.approx(table, rel=0.05)


def test_a_timer_that_says_nothing_gives_no_negative_rates() -> None:
    found = measured(lambda _: 1e-6)
    assert all(0 <= rate < 1e-14 for rate in found.values())


@pytest.mark.parametrize("probe", [*all_probes()], ids=lambda probe: probe.rate)
def test_the_runtime_takes_every_probe(probe: Probe) -> None:
    session = Session(to_onnx(probe.graph), optimized=True)
    assert session.output_names
