"""The judges of a result: they count everything, and miss nothing that a caller would miss."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper, parser

from parity.contest import outcomes, runs, verdict
from parity.figures import figures
from parity.interface import lost

BODIES = """<ir_version: 8, opset_import: ["": 17, "own": 1]>
g (bool c, float[N, 3] x) => (float[N, 3] y) <float[3] w = {1.0, 2.0, 3.0}> {
    k = Constant <value = float[1] {0.5}> ()
    a = Mul (x, k)
    b = own.twice (a)
    y = If (c) <then_branch = t () => (float[N, 3] p) { p = Add (b, w) },
                else_branch = e () => (float[N, 3] q) { r = Neg (b) q = Abs (r) }>
}
<domain: "own", opset_import: ["": 17]>
twice (v) => (u) { u = Add (v, v) }"""
PLAIN = """<ir_version: 8, opset_import: ["": 17], metadata_props: ["author": "somebody"]>
g (float[N, 3, H] x, float[3, 1] s) => (float[N, 3, H] y, float[P, 3, Q] z) <float[3, 1] s = {1.0, 2.0, 3.0}>
{
    y = Mul (x, s)
    z = Relu (x)
}"""
CHANGES: dict[str, tuple[Callable[[ModelProto], object], list[str]]] = {
    "nothing": (lambda model: model.graph.ClearField("doc_string"), []),
    "a note": (lambda model: model.ClearField("metadata_props"), ["the note author"]),
    "an input": (lambda model: model.graph.input.pop(), ["input s"]),
    "an output": (lambda model: model.graph.output.pop(0), ["output y"]),
    "the order": (lambda model: model.graph.output.reverse(), ["the order of outputs"]),
    "a symbol of the inputs": (lambda model: named(model.graph.output[0], axis=0), ["the type of output y"]),
    "a symbol of nobody's": (lambda model: named(model.graph.output[1], axis=0), []),
    "a number": (lambda model: named(model.graph.output[1], axis=1), ["the type of output z"]),
    "all dimensions": (
        lambda model: model.graph.output[0].type.tensor_type.ClearField("shape"),
        ["the type of output y"],
    ),
}


def named(value: onnx.ValueInfoProto, *, axis: int) -> None:
    """Put another symbol in place of a dimension."""
    value.type.tensor_type.shape.dim[axis].dim_param = "other"


def written(folder: Path, text: str, name: str) -> Path:
    onnx.save(parser.parse_model(text), folder / name)
    return folder / name


def test_bodies_and_functions_count_and_constants_do_not() -> None:
    counted = figures(parser.parse_model(BODIES))
    assert counted.operators == {"Abs": 1, "Add": 2, "If": 1, "Mul": 1, "Neg": 1, "twice": 1}
    assert (counted.nodes, counted.parameters) == (7, 4)


def test_the_numbers_of_a_sparse_tensor_count() -> None:
    model = parser.parse_model(PLAIN)
    values, indices = (numpy_helper.from_array(np.arange(2), name) for name in ("values", "indices"))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))
    assert figures(model).parameters == 5


@pytest.mark.parametrize("change", CHANGES)
def test_what_callers_would_miss_is_listed(change: str) -> None:
    apply, expected = CHANGES[change]
    before, after = parser.parse_model(PLAIN), parser.parse_model(PLAIN)
    apply(after)
    assert lost(before, after) == expected


def test_constants_that_old_files_list_as_inputs_are_not_missed() -> None:
    before, after = parser.parse_model(PLAIN), parser.parse_model(PLAIN)
    before.ir_version = 3
    after.graph.input.pop()
    assert lost(before, after) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [("y = Mul (x, s)", "equal"), ("y = Add (x, s)", "different (error"), ("y = Mul (x, n)", "invalid: ")],
)
def test_verdicts(tmp_path: Path, wrong: str, says: str) -> None:
    before = written(tmp_path, PLAIN, "before.onnx")
    after = written(tmp_path, PLAIN.replace("y = Mul (x, s)", wrong), "after.onnx")
    assert verdict(before, after).startswith(says)


def test_a_result_that_callers_cannot_use_as_before_is_not_equal(tmp_path: Path) -> None:
    before = written(tmp_path, PLAIN, "before.onnx")
    after = written(tmp_path, PLAIN.replace(', metadata_props: ["author": "somebody"]', ""), "after.onnx")
    assert verdict(before, after) == "lost: the note author"


def test_a_crash_is_a_result_and_ends_nothing(tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken.onnx", written(tmp_path, PLAIN, "whole.onnx")
    broken.write_bytes(b"no model")
    jobs = {broken: tmp_path / "1.onnx", whole: tmp_path / "2.onnx"}
    failed, done = outcomes("clean", jobs, timed=False, seconds=60)
    assert failed.verdict.startswith("crashed: ")
    assert failed.figures is None
    assert done.is_right
    assert done.figures is not None
    assert done.run.memory > 10_000_000


def test_time_is_limited(tmp_path: Path) -> None:
    (run,) = runs("clean", {written(tmp_path, PLAIN, "a.onnx"): tmp_path / "b.onnx"}, checked=True, seconds=0)
    assert run.failure == "timed out"
