"""Every node that a run removes or adds is accounted for by the rewrites of that run."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from fuzz.again import networks

import convgraph as cg
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    BatchNormalization,
    Conv,
    Dropout,
    Flatten,
    Gemm,
    GlobalAveragePool,
    Identity,
    MaxPool,
    Mul,
    Relu,
    Sigmoid,
)
from convgraph.ir.tensor import Array
from convgraph.report.attribution import Attribution, attributed, balances
from convgraph.report.changes import differences_as_json
from convgraph.report.differences import Difference, diff
from convgraph.report.summary import summary

WIDTHS = (4, 6, 8, 10)


class Net:
    """A builder with the layers that a residual network has; ``named`` gives nodes names of their own."""

    def __init__(self, *, named: bool) -> None:
        self.b = GraphBuilder("residual", opset=17)
        self.named = named
        self.rng = np.random.default_rng(18)

    def weight(self, *shape: int) -> Array:
        return self.rng.normal(size=shape).astype(np.float32)

    def node(self, name: str) -> str:
        return name if self.named else ""

    def normalised(self, x: Value, name: str, *, rows: int, kernel: int, stride: int = 1) -> Value:
        columns = int(str(self.b.type(x).dim(1)))
        op = Conv.of(2, pads=kernel // 2, strides=stride)
        x = self.b.add(op, x, self.weight(rows, columns, kernel, kernel), node=self.node(f"{name}/conv"))
        given = [np.abs(self.weight(rows)) + np.float32(0.5) for _ in range(4)]
        return self.b.add(BatchNormalization(), x, *given, node=self.node(f"{name}/bn"))

    def relu(self, x: Value, name: str) -> Value:
        return self.b.add(Relu(), x, node=self.node(f"{name}/relu"))

    def block(self, x: Value, name: str, *, rows: int, stride: int) -> Value:
        y = self.relu(self.normalised(x, f"{name}/1", rows=rows, kernel=3, stride=stride), f"{name}/1")
        y = self.normalised(y, f"{name}/2", rows=rows, kernel=3)
        if stride > 1:
            x = self.normalised(x, f"{name}/down", rows=rows, kernel=1, stride=stride)
        return self.relu(self.b.add(Add(), y, x, node=self.node(f"{name}/add")), f"{name}/2")


def residual(*, named: bool) -> Graph:
    """Eighteen layers, and what exporters leave: Dropout, Identity, weights to compute, a dead branch."""
    net = Net(named=named)
    b = net.b
    x = b.input("x", shape=("N", 3, 24, 20))
    x = net.relu(net.normalised(x, "stem", rows=WIDTHS[0], kernel=7, stride=2), "stem")
    x = b.add(MaxPool.of((3, 3), pads=1, strides=2), x, node=net.node("stem/pool"))
    for stage, rows in enumerate(WIDTHS):
        for place in range(2):
            stride = 2 if stage and not place else 1
            x = net.block(x, f"{stage}/{place}", rows=rows, stride=stride)
    b.add(Sigmoid(), x, name="unread", node=net.node("dead"))
    x = b.add(GlobalAveragePool(), x, node=net.node("pool"))
    x = b.add(Dropout(), b.add(Flatten(), x, node=net.node("flat")), node=net.node("dropout"))
    scale = b.add(Mul(), b.constant(net.weight(5, WIDTHS[-1])), np.float32(0.5), node=net.node("halved"))
    y = b.add(Gemm(transB=1), x, scale, net.weight(5), node=net.node("head"))
    b.output(b.add(Identity(), y, node=net.node("same")), name="y")
    return b.build()


def attributions(graph: Graph, level: Any) -> list[Attribution]:
    """What a run of the main job did to a graph, as a report that was written and read again tells."""
    result = cg.optimize(cg.to_onnx(graph), level=level, verify=False)
    report = json.loads(json.dumps(summary(result)))
    return attributed(diff(graph, from_onnx(result.proto)), report)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("level", ["clean", "exact"])
def test_every_node_that_is_gone_from_a_residual_network(named: bool, level: str) -> None:
    found = attributions(residual(named=named), level)
    removed, added = balances(found)
    assert (removed.known, added.total) == (removed.total, 0)
    assert removed.total >= 24
    takers = Counter(name for one in found if one.difference.kind == "removed" for _, name in one.rewrites)
    assert takers["fold-batchnorm-into-conv"] == 20
    assert {"remove-dropout", "remove-identity", "fold-constants", "drop-unread-values"} < set(takers)


def test_each_normalisation_went_into_its_own_convolution() -> None:
    found = {one.difference.name: one for one in attributions(residual(named=True), "clean")}
    for name in ("stem", "0/1/2", "3/0/down"):
        assert found[f"{name}/conv"].sources == (f"{name}/conv", f"{name}/bn")
        (taker,) = found[f"{name}/bn"].rewrites
        assert taker in found[f"{name}/conv"].rewrites


def test_nothing_in_random_networks_comes_or_goes_without_a_rewrite() -> None:
    seen = Counter[str]()
    for name, proto in networks(24, seed=40):
        result = cg.optimize(proto, level="exact", verify=False)
        found = attributed(diff(result.original, from_onnx(result.proto)), summary(result))
        lost = [one.difference for one in found if one.difference.kind != "changed" and not one.rewrites]
        assert not lost, name
        seen.update(one.difference.kind for one in found)
    assert seen["removed"] > 50
    assert seen["added"] > 5


def gone(name: str) -> Difference:
    return Difference(kind="removed", name=name, label="Conv", names=frozenset({name}))


def new(name: str, kind: Any = "added") -> Difference:
    return Difference(kind=kind, name=name, label="Conv", names=frozenset({name, f"{name}_result"}))


def entry(index: int, took: str, made: str) -> dict[str, object]:
    return {"index": index, "name": f"rewrite-{index}", "took": took.split(), "made": made.split()}


def test_what_was_made_on_the_way_is_followed_back() -> None:
    steps = [entry(1, "b a", "ab"), entry(2, "c ab", "abc"), entry(3, "d", "e_result"), entry(4, "abc", "f")]
    before, after = [gone(name) for name in "abcdx"], [new("e"), new("f"), new("g")]
    found = {one.difference.name: one for one in attributed([*before, *after], {"rewrites": steps})}
    assert found["f"].sources == ("a", "b", "c")
    assert found["e"].sources == ("d",)
    assert [index for index, _ in found["c"].rewrites] == [2]
    assert [index for index, _ in found["f"].rewrites] == [4]
    told = [str(balance) for balance in balances(list(found.values()))]
    assert told == ["4 of 5 removed nodes accounted for", "2 of 3 added nodes accounted for"]


def test_a_changed_node_comes_from_itself_and_from_what_is_gone() -> None:
    steps = [entry(1, "gone kept conv", "conv")]
    changed, _ = attributed([new("conv", "changed"), gone("gone")], {"rewrites": steps})
    assert changed.sources == ("conv", "gone")
    copied = attributed([new("conv_2")], {"rewrites": [entry(1, "kept", "kept conv_2")]})
    assert copied[0].sources == ("kept",)


@pytest.mark.parametrize("told", [True, False])
def test_the_same_as_json(told: bool) -> None:
    differences = [gone("a"), new("e")]
    report = {"rewrites": [entry(1, "a", "e")]} if told else None
    found = json.loads(json.dumps(differences_as_json(differences, report=report)))
    assert [row["kind"] for row in found["differences"]] == ["removed", "added"]
    if not told:
        assert found["accounted_for"] is found["differences"][0]["rewrites"] is None
        return
    assert found["differences"][1]["from"] == ["a"]
    assert found["differences"][0]["rewrites"] == [{"index": 1, "name": "rewrite-1"}]
    assert found["accounted_for"]["removed"] == {"nodes": 1, "known": 1}
