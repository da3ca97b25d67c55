"""The files that are timed: a model as torch exports it, and what each optimizer makes of that file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.suite.apart import StepFailed, apart
from benchmarks.suite.stored import is_newer, put

import convgraph.exporters
import convgraph.passes

ORIGINAL, EXACT = "original", "exact"
SINGLE, DIRECT = "single", "direct"  # exact for one thread; exact without Winograd's convolutions
TUNED, TUNED_TWO = "tuned", "tuned for two"  # by measurement, on one thread and on two
WINOGRAD = ["transform-conv-into-winograd", "transform-conv-transpose-into-winograd"]
MODELS = Path(__file__).parent / "models"

MAKERS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "onnxsim": ("rival", {"tool": "onnxsim"}),
        "onnxslim": ("rival", {"tool": "onnxslim"}),
        "onnxscript": ("rival", {"tool": "onnxscript"}),
        "clean": ("optimized", {"level": "clean"}),
        EXACT: ("optimized", {"level": "exact", "verify": True}),
        SINGLE: ("optimized", {"level": "exact", "threads": 1}),
        DIRECT: ("optimized", {"level": "exact", "skip": WINOGRAD}),
        TUNED: ("optimized", {"level": "tune", "threads": 1}),
        TUNED_TWO: ("optimized", {"level": "tune", "threads": 2}),
    }
)
"""The step that makes a variant, and what it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A variant's file with what its maker says; or why there is none."""

    path: Path
    told: Mapping[str, Any]
    failure: str = ""


def original(model: str, *, work: Path) -> Path:
    """The file of a model: its own path, or where a model of the suite is exported to, once.

    It is exported again when the definitions have changed since. Raises StepFailed.
    """
    if model.endswith(".onnx"):
        return Path(model).absolute()
    target = folder_of(model, work=work) / f"{ORIGINAL}.onnx"
    if not is_newer(target, MODELS.glob("*.py")):
        partial = target.with_name(f"{target.name}.partial")
        apart("export", name=model, target=str(partial))
        partial.replace(target)
    return target


def folder_of(model: str, *, work: Path) -> Path:
    """The folder of a model's files: two files of one name have two."""
    folder = work / "_".join(part.strip("/") for part in Path(model).with_suffix("").parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made(model: str, variants: Sequence[str], *, work: Path) -> dict[str, Made]:
    """The original and its variants. Raises StepFailed when there is no original."""
    source = original(model, work=work)
    files = {ORIGINAL: Made(path=source, told={})}
    return files | {name: _variant(name, source, folder_of(model, work=work)) for name in variants}


def _variant(name: str, source: Path, folder: Path) -> Made:
    """A variant, kept as long as the original and convgraph stay; those of others in any version."""
    step, how = MAKERS[name]
    target, note = folder / f"{name}.onnx", folder / f"{name}.json"
    makers = [] if step == "rival" else tool()
    if note.exists() and is_newer(target, [source, *makers]):
        return Made(path=target, told=json.loads(note.read_text(encoding="utf-8")))
    try:
        told = apart(step, source=str(source), target=str(target), **how)
    except StepFailed as error:
        return Made(path=target, told={}, failure=str(error))
    put(note, json.dumps(told))
    return Made(path=target, told=told)


def tool() -> list[Path]:
    """The files that convgraph is made of."""
    packages = (convgraph, convgraph.passes, convgraph.exporters)
    return [file for package in packages for file in Path(package.__path__[0]).rglob("*.py")]
