"""Which operators a model needs that the runtime lacks."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from numerics.conftest import MakeProto
from onnxruntime_extensions import get_library_path

from convgraph.errors import InvalidModel
from convgraph.numerics import contained
from convgraph.numerics.contained import custom_operators, run_contained
from convgraph.numerics.operators import foreign_operators, libraries, loading
from convgraph.numerics.session import Session, Unverifiable, run_model

LIBRARY = get_library_path()


def test_only_what_is_neither_onnx_nor_a_function_is_foreign(proto: MakeProto) -> None:
    model = proto(
        """(float[2,3] x) => (float[2,3] y) {
            a = no.such.Twist (x)
            b = ai.onnx.Relu (a)
            c = own.twice (b)
            t = Constant <value = bool {1}> ()
            y = If (t) <
                then_branch = g () => (d) { d = no.such.Turn (c) },
                else_branch = h () => (e) { e = Neg (c) }
            >
        }
        <opset_import: ["" : 17, "no.such" : 1], domain: "own">
        twice (v) => (w) { u = no.such.Bend (v) w = Add (u, u) }"""
    )
    assert foreign_operators(model) == [("no.such", "Twist"), ("no.such", "Turn"), ("no.such", "Bend")]


def test_every_operator_that_the_runtime_lacks_is_named_and_no_other(proto: MakeProto) -> None:
    model = proto(
        """(float[2,3] x) => (float[2,3] y) {
            a = no.such.Twist (x)
            b = com.microsoft.QuickGelu (a)
            y = no.such.Turn (b)
        }"""
    )
    with pytest.raises(
        Unverifiable, match=r"does not know \(no.such:Twist, no.such:Turn\); a library"
    ) as raised:
        Session(model)
    assert raised.value.at == "model"


def test_a_long_list_is_cut(proto: MakeProto) -> None:
    names = [f"v{n}" for n in range(12)]
    chain = " ".join(
        f"{new} = no.such.Op{n} ({old})"
        for n, (old, new) in enumerate(zip(["x", *names], names, strict=False))
    )
    model = proto(f"(float[2,3] x) => (float[2,3] {names[-1]}) {{ {chain} }}")
    with pytest.raises(Unverifiable, match=r"no.such:Op7 and 4 more\)"):
        Session(model)


def test_a_library_holds_for_a_block_in_this_process_and_in_the_worker(proto: MakeProto) -> None:
    model = proto(
        """() => (float[2] y, float[2] z) {
            x = Constant <value = float[2] {-1, 2}> ()
            y, z = ai.onnx.contrib.NegPos (x)
        }"""
    )
    model.opset_import.add(domain="ai.onnx.contrib", version=1)
    for run in (lambda: run_model(model, {}), lambda: run_contained(model)):
        with custom_operators([LIBRARY]):
            results = run()
        np.testing.assert_array_equal(results["y"], [-1, 0])
        np.testing.assert_array_equal(results["z"], [0, 2])
        with pytest.raises(Unverifiable, match=r"ai\.onnx\.contrib:NegPos"):
            run()


def test_paths_are_absolute_for_a_worker_in_another_folder() -> None:
    with loading(["here.so", Path("/there.so")]):
        assert libraries() == (str(Path.cwd() / "here.so"), "/there.so")
    assert libraries() == ()


def test_a_library_that_crashes_or_hangs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for body, reason in ((os.abort, "crashes when loaded"), (_hang, "does not come back")):
        monkeypatch.setattr(contained, "check_libraries", body)
        monkeypatch.setattr(contained, "_LONGEST_RUN", 1.0)
        with pytest.raises(InvalidModel, match=reason), custom_operators([LIBRARY]):
            pass


def _hang() -> None:
    time.sleep(60)
