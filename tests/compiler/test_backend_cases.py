"""onnx's own backend test cases: each comes out valid, and still gives what is expected of it.

What is expected is stored with the case. A case counts where this onnxruntime runs the untouched model and
agrees with what is stored; the others only have to go through.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from convgraph.compiler.optimize import optimize
from convgraph.compiler.upgrade import upgraded
from convgraph.errors import ConvgraphError, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.numerics.session import Session, Unverifiable

KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted")
PARTS = 12
FEWER = 30  # upgrades take a run of their own, so only every so many-th case is upgraded
NEWEST = 26  # the last opset that onnxruntime 1.31 runs

Feeds = dict[str, Any]


@functools.cache
def cases(kind: str) -> dict[str, TestCase]:
    with np.errstate(all="ignore"):
        return {case.name: case for case in load_model_tests(kind=kind)}


def model_of(case: TestCase) -> ModelProto:
    return case.model or onnx.load(Path(case.model_dir) / "model.onnx")


def opset(case: TestCase) -> int:
    versions = {entry.domain: entry.version for entry in model_of(case).opset_import}
    return versions.get("", versions.get("ai.onnx", 0))


def data_of(case: TestCase, model: ModelProto) -> Iterator[tuple[Feeds, list[Any]]]:
    """Inputs and expected outputs, as far as they are tensors."""
    names = [value.name for value in model.graph.input]
    if case.model is not None:
        for given, expected in case.data_sets or ():
            yield dict(zip(names, map(array, given), strict=False)), list(map(array, expected))
        return
    for folder in sorted(Path(case.model_dir).glob("test_data_set_*")):
        yield dict(zip(names, read(folder, "input"), strict=False)), read(folder, "output")


def read(folder: Path, stem: str) -> list[Any]:
    paths = sorted(folder.glob(f"{stem}_*.pb"), key=lambda path: int(path.stem.split("_")[1]))
    return [numpy_helper.to_array(TensorProto.FromString(path.read_bytes())) for path in paths]


def array(value: object) -> Any:
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def agrees(found: Any, expected: Any, case: TestCase) -> bool:
    if expected is None or isinstance(expected, list):
        same = type(found) is type(expected) and len(found or ()) == len(expected or ())
        return same and all(agrees(f, e, case) for f, e in zip(found or (), expected or (), strict=True))
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if expected.dtype.kind in "OSU":
        return bool(np.all(found == expected))
    with np.errstate(all="ignore"):
        wide = np.result_type(expected.dtype, np.float64) if expected.dtype.kind in "fcV" else expected.dtype
        return bool(
            np.allclose(
                found.astype(wide), expected.astype(wide), rtol=case.rtol, atol=case.atol, equal_nan=True
            )
        )


def gives_what_is_expected(model: ModelProto, case: TestCase, original: ModelProto) -> bool:
    session = Session(model)
    return all(
        agrees(found, wanted, case)
        for feeds, expected in data_of(case, original)
        for found, wanted in zip(session.run(feeds).values(), expected, strict=True)
    )


def excluded(case: TestCase) -> str:
    """Why nothing can be said of a case: the untouched model does not run here, or differently."""
    model = model_of(case)
    try:
        return "" if gives_what_is_expected(model, case, model) else "another result than the stored one"
    except Unverifiable as error:
        return error.found


def is_valid(model: ModelProto) -> bool:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False
    return True


def wrong(case: TestCase, *, passes: list[str] | None, runs: bool) -> str:
    """What is wrong with what a case's model became; nothing, hopefully."""
    model = model_of(case)
    try:
        result = optimize(model, passes=passes, verify=False)
    except ConvgraphError as error:
        return f"refused: {error}"
    if is_valid(model) and not is_valid(result.proto):
        return "not valid any more"
    try:
        return "" if not runs or gives_what_is_expected(result.proto, case, model) else "another result"
    except Unverifiable as error:
        return error.found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(PARTS))
def test_cases_come_out_valid_and_give_what_is_expected(part: int) -> None:
    chosen = [case for kind in KINDS for case in cases(kind).values()][part::PARTS]
    why_not = {case.name: excluded(case) for case in chosen}
    found = {
        f"{case.name}, passes {passes}": wrong(case, passes=passes, runs=not why_not[case.name])
        for case in chosen
        for passes in ([], None)
    }
    runnable = [case.name for case in chosen if opset(case) <= NEWEST]
    assert sum(not why_not[name] for name in runnable) > 0.8 * len(runnable)
    assert not {name: reason for name, reason in found.items() if reason}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", [20, NEWEST])
def test_cases_give_what_is_expected_at_a_newer_opset(version: int) -> None:
    every = [case for kind in KINDS for case in cases(kind).values()]
    older = [case for case in every if 0 < opset(case) < version][::FEWER]
    found = {case.name: wrong_at(version, case) for case in older}
    refused = [name for name, reason in found.items() if reason.startswith("refused")]
    assert len(refused) < 0.02 * len(older)
    assert not {name: reason for name, reason in found.items() if reason and name not in refused}


def wrong_at(version: int, case: TestCase) -> str:
    """What is wrong with what a case's model became at a newer opset."""
    model = model_of(case)
    try:
        result = to_onnx(upgraded(from_onnx(model), version))
    except UnsupportedOp as error:
        return f"refused: {error}"
    if is_valid(model) and not is_valid(result):
        return "not valid any more"
    return "" if excluded(case) or gives_what_is_expected(result, case, model) else "another result"
