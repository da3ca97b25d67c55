"""``convgraph visualize``: the page, its pictures, and that they show what the runtime computes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from convgraph import GraphBuilder, load, ops, save
from convgraph.cli.visualize import default_folder
from convgraph.compiler.feature_maps import feature_maps
from convgraph.numerics.session import run_model
from convgraph.report.pictures import filter_sheet, map_sheet
from convgraph.report.png import png

Cli = Callable[..., Result]


@pytest.fixture
def feeds(tmp_path: Path) -> Path:
    path = tmp_path / "feeds.npz"
    x = np.random.default_rng(1).normal(size=(2, 3, 7, 10)).astype(np.float32)
    np.savez(path, x=x)
    return path


def test_every_convolution_has_its_pictures(cli: Cli, model: Path, feeds: Path) -> None:
    done = cli("visualize", model, "--feeds", feeds, "--out", "seen")
    assert done.exit_code == 0, done.output
    assert done.output == "seen: 2 convolutions, see index.html\n"
    written = {path.name: path.read_bytes() for path in Path("seen").glob("*.png")}
    first, last = feature_maps(load(model), feeds=dict(np.load(feeds)))
    assert first.weight is not None
    assert first.after is not None
    assert last.weight is not None
    assert last.after is None
    assert written == {
        "000-conv.filters.png": png(filter_sheet(first.op, first.weight).pixels),
        "000-conv.maps.png": png(map_sheet(first.before).pixels),
        "000-conv.rectified.png": png(map_sheet(first.after).pixels),
        "001-y.filters.png": png(filter_sheet(last.op, last.weight).pixels),
        "001-y.maps.png": png(map_sheet(last.before).pixels),
    }
    page = Path("seen/index.html").read_text()
    assert [page.index(name) for name in sorted(written)] == sorted(page.index(name) for name in written)
    assert f"after Relu: 4, ±{np.abs(first.after[0]).max():.3g}" in page


def test_maps_are_what_the_runtime_computes(model: Path, feeds: Path) -> None:
    x = dict(np.load(feeds))
    first, last = feature_maps(load(model), feeds=x)
    (y,) = run_model(str(model), x).values()
    assert (last.before == y).all()
    assert first.activation == "Relu"
    assert first.after is not None
    assert (first.before < 0).any()
    assert (np.maximum(first.before, 0) == first.after).all()
    assert last.op == ops.Conv.of(2, strides=2)


def test_seeded_inputs_are_the_same_each_time_and_differ_by_seed(model: Path) -> None:
    one, same, other = (feature_maps(load(model), seed=seed)[0].before for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_a_limit_and_the_default_folder(cli: Cli, model: Path) -> None:
    assert cli("visualize", model, "--limit", "2").exit_code == 0
    folder = model.with_name("small.pictures")
    assert "filters: 2 of 4" in (folder / "index.html").read_text()
    assert default_folder("demo:unet") == "unet.pictures"
    assert default_folder("-") == "model.pictures"


def test_names_are_made_fit_for_files_and_for_the_page(cli: Cli, tmp_path: Path) -> None:
    b = GraphBuilder("odd", opset=18)
    x = b.input("x", shape=(1, 2, 5, 6))
    weight = np.random.default_rng(0).normal(size=(3, 2, 3, 3)).astype(np.float32)
    b.output(b.add(ops.Conv.of(2), x, weight, name="y", node="../block<1>/conv"))
    save(b.build(), tmp_path / "odd.onnx")
    assert cli("visualize", "odd.onnx", "--out", "seen").exit_code == 0
    assert {path.name for path in Path("seen").iterdir()} == {
        *("index.html", "000-block_1_conv.filters.png", "000-block_1_conv.maps.png")
    }
    assert "../block&lt;1&gt;/conv" in Path("seen/index.html").read_text()


def test_a_model_without_convolutions_has_no_pictures(cli: Cli, tmp_path: Path) -> None:
    b = GraphBuilder("none", opset=18)
    b.output(b.add(ops.Relu(), b.input("x", shape=(2, 3)), name="y"))
    save(b.build(), tmp_path / "none.onnx")
    done = cli("visualize", "none.onnx")
    assert done.exit_code == 0
    assert "0 convolutions" in done.output


@pytest.mark.parametrize("out", ["no/such/folder", "a.file"])
def test_a_place_that_cannot_be_a_folder_is_refused(cli: Cli, model: Path, out: str) -> None:
    Path("a.file").write_text("here")
    done = cli("visualize", model, "--out", out)
    assert done.exit_code == 2
    assert out in done.stderr
    assert done.stderr.count("\n") == 1


def test_feeds_that_do_not_fit_are_refused(cli: Cli, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", z=np.zeros(3))
    done = cli("visualize", model, "--feeds", "wrong.npz", "--out", "seen")
    assert done.exit_code == 2
    assert "nothing for input x" in done.stderr
    assert not Path("seen").exists()
