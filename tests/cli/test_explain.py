"""``convgraph explain``: what would be done, what is refused and why, and what did not match at a node."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from convgraph import GraphBuilder, load, optimize, passes, save
from convgraph.compiler.explain import explain
from convgraph.errors import InvalidModel
from convgraph.ir.ops import BatchNormalization, Conv, Relu

Cli = Callable[..., Result]


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """A convolution that is returned besides being normalised: folding would have to keep both."""
    b = GraphBuilder("refused", opset=18)
    weight = np.random.default_rng(2).normal(size=(4, 3, 3, 3)).astype(np.float32)
    y = b.add(Conv.of(2), b.input("x", shape=(1, 3, 7, 9)), weight, name="both", node="conv")
    b.output(y)
    b.output(b.add(BatchNormalization(), y, *(np.ones(4, np.float32),) * 4, name="normal", node="norm"))
    path = tmp_path / "refused.onnx"
    save(b.build(), path)
    return path


def test_applications_with_their_equation(cli: Cli, model: Path) -> None:
    before = sorted(model.parent.iterdir())
    result = cli("explain", model)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    at = lines.index("normalised (BatchNormalization)")
    assert "fold-batchnorm-into-conv: batchnorm(conv(x, W, b); γ, β, μ, σ²)" in lines[at + 1]
    assert "kept (Dropout)" in lines
    assert "- compose-convs refused, the_first_has_no_activation: " in lines[lines.index("y (Conv)") + 1]
    assert any(line.startswith("    - transform-conv-into-winograd refused, it_is_cheaper") for line in lines)
    assert lines[-1] == "3 applications, 2 refusals"
    assert max(map(len, lines)) <= 110
    assert sorted(model.parent.iterdir()) == before, "nothing is written"


def test_it_is_the_run_that_optimize_makes(model: Path) -> None:
    told, trace = explain(str(model)), optimize(str(model), verify=False).trace
    listed = [done for account in told.accounts.values() for done in account.applications]
    assert sorted(listed, key=lambda done: done.index) == list(trace.applications)


def test_refusals_with_their_reason(cli: Cli, refused: Path) -> None:
    result = cli("explain", refused)
    assert result.exit_code == 0, result.output
    flat = " ".join(result.stdout.split())
    trace = optimize(str(refused), verify=False).trace
    (refusal,) = (r for r in trace.refusals if r.rewrite == "fold-batchnorm-into-conv")
    assert f"norm (BatchNormalization) - {refusal.rewrite} refused, {refusal.requirement}: " in flat
    assert refusal.reason in flat


def test_one_node_with_every_rewrite(cli: Cli, model: Path) -> None:
    result = cli("explain", model, "--at", "normalised", "--target", "generic")
    assert result.exit_code == 0, result.output
    flat = " ".join(result.stdout.split())
    title, _, told = flat.partition(". ")
    assert title.startswith("normalised (BatchNormalization) ")
    assert told.startswith("fold-batchnorm-into-conv: batchnorm(")
    for rewrite in passes.Pipeline(passes.DEFAULT):
        assert (f"{rewrite.name} did not match: " in flat) is (rewrite.name != "fold-batchnorm-into-conv")
    assert "remove-dropout did not match: starts at Dropout" in flat


def test_the_level_and_the_target_are_those_of_optimize(cli: Cli, model: Path) -> None:
    clean = " ".join(cli("explain", model, "--at", "y", "--level", "clean").stdout.split())
    algebra = [rewrite for rewrite in passes.ALGEBRA if issubclass(Conv, rewrite.roots)]
    assert algebra
    for rewrite in algebra:
        assert f"{rewrite.name} was not tried: " in clean
        assert f"{rewrite.name} did not match" not in clean
    assert "remove-dropout was not tried" not in clean
    assert cli("explain", model, "--without", "Abacus").exit_code == 2
    assert cli("explain", model, "--target", "generic").exit_code == 0
    assert cli("explain", model, "--target", "abacus").exit_code == 2


def test_what_was_not_tried_and_why(cli: Cli, model: Path) -> None:
    told = " ".join(cli("explain", model, "--at", "y").stdout.split())
    assert "split-low-rank-conv was not tried: close, not equal: it takes an error budget" in told
    assert all(f"{r.name} was not tried" not in told for r in passes.ALGEBRA if Conv in r.roots)
    normalised = " ".join(cli("explain", model, "--at", "normalised").stdout.split())
    why = "on request only: without BatchNormalization"
    assert f"lower-batchnorm-to-mul-and-add was not tried: {why}" in normalised
    lowered = cli("explain", model, "--at", "normalised", "--without", "BatchNormalization").stdout
    assert "lower-batchnorm-to-mul-and-add was not tried" not in lowered


def test_a_node_at_which_nothing_matched(cli: Cli, model: Path) -> None:
    lines = cli("explain", model, "--at", "conv").stdout.splitlines()
    assert lines[:2] == ["conv (Conv)", "    nothing matched"]
    assert "    beside it, at normalised (BatchNormalization): fold-batchnorm-into-conv" in lines
    assert any(line.endswith("did not match: its shape is not there") for line in lines)


def test_a_node_by_the_name_of_its_result(refused: Path) -> None:
    told = explain(str(refused))
    assert told.at("normal") is told.at("norm")
    assert told.at("both").at == "conv"
    assert told.at("x").label == "Input"


def test_no_such_node(cli: Cli, refused: Path) -> None:
    result = cli("explain", refused, "--at", "nowhere")
    assert result.exit_code == 2
    assert result.stderr.strip() == "nowhere: no node or value of this name; one of conv, norm"


def test_a_long_list_of_names_is_cut() -> None:
    b = GraphBuilder("long")
    y = b.input("x", shape=(3,))
    for number in range(9):
        y = b.add(Relu(), y, node=f"relu{number}")
    b.output(y)
    with pytest.raises(InvalidModel, match="relu4 or 4 others"):
        explain(b.build()).at("nowhere")


def test_the_graph_is_left_alone(model: Path) -> None:
    graph = load(str(model))
    nodes = graph.nodes()
    assert explain(graph).graph is graph
    assert graph.nodes() == nodes
