"""A command line to run in this process, and a small model to run it on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from convgraph import GraphBuilder, save
from convgraph.cli.main import main
from convgraph.ir.ops import BatchNormalization, Conv, Dropout, Relu

Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs ``convgraph ARGUMENTS`` in an empty folder; ``input`` is standard input."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, input: bytes | None = None) -> Result:  # noqa: A002 - click's own word
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two convolutions, a normalisation, a Relu and a Dropout; input x (N, 3, 7, 10)."""
    rng = np.random.default_rng(7)

    def weight(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return rng.standard_normal(shape).astype(np.float32)

    b = GraphBuilder("small", opset=18)
    x = b.input("x", shape=("N", 3, 7, 10))
    y = b.add(Conv.of(2, pads=1), x, weight(4, 3, 3, 3), name="conv")
    statistics = (weight(4), weight(4), weight(4), np.abs(weight(4)) + np.float32(0.5))
    y = b.add(BatchNormalization(), y, *statistics, name="normalised")
    y = b.add(Dropout(), b.add(Relu(), y, name="active"), name="kept")
    b.output(b.add(Conv.of(2, strides=2), y, weight(5, 4, 1, 2), weight(5), name="last"), name="y")
    path = tmp_path / "small.onnx"
    save(b.build(), path)
    return path
