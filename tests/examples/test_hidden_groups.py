"""The groups that dense weights hide are found."""

import runpy
from pathlib import Path

import pytest
import torch

import convgraph as cg
from convgraph.analysis.cost import graph_cost
from convgraph.ir.ops import Conv, Gather

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "layers" / "grouped_resnext.py"


@pytest.mark.filterwarnings("ignore")  # what the exporter says of itself
def test_a_block_of_32_paths_is_found_and_no_order_of_channels_left() -> None:
    torch.manual_seed(0)
    example = runpy.run_path(str(EXAMPLE))
    graph = cg.from_torch(example["build"]().eval(), (torch.randn(example["INPUT"]),))
    result = cg.optimize(graph)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert "split-conv-into-groups" in {done.rewrite for done in result.trace.applications}
    ops = [result.graph.op(node) for node in result.graph.compute_nodes()]
    assert [op.group for op in ops if isinstance(op, Conv)] == [1, 32, 1]
    assert not any(isinstance(op, Gather) for op in ops)
    pixels, dense, grouped = 15 * 14, 128 * 128 * 9, 128 * 4 * 9
    assert graph_cost(result.original).macs - graph_cost(result.graph).macs == pixels * (dense - grouped)
