"""Where models come from and results go; writing leaves a whole file or none."""

import json
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_model import save
from convgraph.exporters.replacing import replacing
from convgraph.ir.graph import Graph

STANDARD = "-"
_DEMO = "demo:"


def model_source(model: str) -> str | bytes:
    """What a model argument stands for: standard input's bytes for ``-``, else the argument itself."""
    return sys.stdin.buffer.read() if model == STANDARD else model


def default_output(model: str) -> str:
    """Where an optimized model goes when nobody says: beside the model, a demo's to the current folder."""
    if model == STANDARD:
        return STANDARD
    if model.startswith(_DEMO):
        return model.removeprefix(_DEMO) + ".opt.onnx"
    path = Path(model)
    return str(path.with_name(path.name.removesuffix(".onnx") + ".opt.onnx"))


def check_destination(out: str) -> None:
    """Raise UsageError, before any work is done, for a place that cannot be written to."""
    if out == STANDARD:
        if sys.stdout.isatty():
            raise click.UsageError("-: standard output is a terminal; expected -o FILE or a pipe")
        return
    path = Path(out)
    if path.is_dir():
        raise click.UsageError(f"{out}: a folder; expected the name of a file")
    if not path.parent.is_dir():
        raise click.UsageError(f"{out}: no folder {path.parent}; expected an existing one")


def place(out: str) -> str | BinaryIO:
    """What an output argument stands for: standard output for ``-``, else the file of that name."""
    return sys.stdout.buffer if out == STANDARD else out


def write_model(graph: Graph, out: str) -> None:
    """Write a model to a file, in one step, or to standard output."""
    save(graph, place(out))


def write_text(path: str, text: str) -> None:
    """Write a text file, which appears complete or not at all."""
    with replacing(Path(path)) as file:
        file.write(text.encode())


def read_report(path: str) -> dict[str, Any]:
    """A run's report. Raises InvalidModel for a file that is none."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidModel(path, found=f"not JSON ({error})", expected="the report of a run") from error
    if not isinstance(report, dict) or not isinstance(report.get("rewrites"), list):
        raise InvalidModel(path, found="no list of rewrites", expected="the report of a run")
    return report
