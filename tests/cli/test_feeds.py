"""Pictures as the inputs to compare on."""

import json
from pathlib import Path

import numpy as np
import pytest
from cli.conftest import Cli
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of different sizes."""
    draw = np.random.default_rng(4)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, size in (("a.png", (8, 11, 3)), ("b.png", (21, 9, 3))):
        Image.fromarray(draw.integers(0, 256, size=size, dtype=np.uint8)).save(folder / name)
    return folder


def test_each_picture_is_a_trial(cli: Cli, model: Path, folder: Path) -> None:
    result = cli("optimize", model, "--feeds", folder, "--report", "run.json")
    assert result.exit_code == 0, result.stderr
    verification = json.loads(Path("run.json").read_text())["verification"]
    assert (verification["equal"], verification["trials"], verification["seeds"]) == (True, 2, [])
    assert cli("verify", model, model.with_name("small.opt.onnx"), "--feeds", folder).exit_code == 0


def test_pictures_follow_the_shape_that_is_asked_for(cli: Cli, model: Path, folder: Path) -> None:
    result = cli("optimize", model, "--feeds", folder, "--input-shape", "x:2,3,7,10", "--report", "run.json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("run.json").read_text())["verification"]["trials"] == 1
