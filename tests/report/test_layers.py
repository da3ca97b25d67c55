"""The census as a table."""

import io

import numpy as np
from rich.console import Console, RenderableType

from convgraph.analysis.census import census
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Relu
from convgraph.ir.tensor import Dim
from convgraph.report.layers import counted_at, render_census


def text(renderable: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=200, markup=False).print(renderable)
    return out.getvalue()


def small(*shape: Dim) -> Graph:
    b = GraphBuilder("small")
    x = b.add(Conv.of(2), b.input("x", shape=shape), np.ones((5, 3, 2, 2), np.float32), None, node="a [b]")
    b.output(b.add(Relu(), x), name="y")
    return b.build()


def test_a_row_for_each_operation_then_kinds_and_totals() -> None:
    lines = text(render_census(census(small("N", 3, "H", 9)))).splitlines()
    heading, conv, relu, blank, kinds, totals = (line.rstrip() for line in lines)
    assert heading.split() == ["name", "operation", "operands", "results", "parameters", "MACs", "bytes"]
    assert conv.startswith("a [b]  Conv       float32[N, 3, H, 9] float32[5, 3, 2, 2]  float32[N, 5, H-1, 8]")
    assert conv.split()[-3:] == ["60", "30,240", "17,232"]  # 63 * 8 windows; 4 * (1728 + 60 + 2520) bytes
    assert relu.split()[:2] == ["y", "Relu"]
    assert blank == ""
    assert kinds == "1 Conv, 1 Relu"
    assert totals == "2 operations, opset 21, 60 parameters, 30,240 MACs, 37,392 bytes (at N=1, H=64)"


def test_a_graph_with_fixed_sizes_needs_no_note() -> None:
    assert "(" not in text(render_census(census(small(2, 3, 7, 9)))).splitlines()[-1]


def test_an_empty_graph() -> None:
    b = GraphBuilder("empty")
    b.output(b.input("x", shape=(1,)))
    assert "no operations" in text(render_census(census(b.build())))


def test_how_open_sizes_were_counted() -> None:
    assert counted_at({}, approximate=False) == ""
    assert counted_at({"N": 1}, approximate=False) == "at N=1"
    assert counted_at({}, approximate=True) == "approximate"
    assert counted_at({"N": 1, "H": 64}, approximate=True) == "at N=1, H=64, approximate"
