"""Verification in another process: the same verdicts, and a crash of the runtime is only a verdict."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Conv, Relu
from convgraph.numerics import contained
from convgraph.numerics.compare import Verification, verify_models
from convgraph.numerics.contained import verify_contained
from convgraph.numerics.power import Suspects


def model(*, bias: float = 0.0) -> onnx.ModelProto:
    b = GraphBuilder("g")
    x = b.input("x", shape=(2, 3, 5, 6))
    weight = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32)
    y = b.add(Conv.of(2), x, weight, np.full(4, bias, np.float32))
    b.output(b.add(Relu(), y), name="y")
    return to_onnx(b.build())


def test_the_verdict_is_that_of_a_comparison_in_this_process() -> None:
    for other in (model(), model(bias=0.5)):
        assert verify_contained(model(), other) == verify_models(model(), other)


def test_a_relative_path_is_found_from_wherever_the_caller_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_contained(model(), model())  # the worker is started elsewhere
    monkeypatch.chdir(tmp_path)
    onnx.save(model(), "m.onnx")
    assert verify_contained("m.onnx", "m.onnx").equal


def test_feeds_come_through_as_they_are() -> None:
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 3, 5, 6)).astype(np.float32)}
    verdict = verify_contained(model(), model(bias=0.5), feeds=[feeds])
    assert verdict == verify_models(model(), model(bias=0.5), feeds=[feeds])


def test_errors_come_through_with_what_they_say() -> None:
    with pytest.raises(InvalidModel) as caught:
        verify_contained(model(), b"no model")
    assert caught.value.expected == "an ONNX model"


def crashing_on(*models: onnx.ModelProto, code: int = signal.SIGSEGV) -> Any:
    """A comparison in a runtime that crashes when it meets one of the models."""
    fatal = {m.SerializeToString() for m in models}
    code = int(code)

    def verify(before: bytes, after: bytes, **_: object) -> Verification:
        if fatal & {before, after}:
            os.kill(os.getpid(), code)
        return Verification(status="equal")

    return verify


def test_a_crash_on_the_rewritten_model_counts_against_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rewritten = model(bias=0.5)
    monkeypatch.setattr(contained, "verify_models", crashing_on(rewritten))
    verdict = verify_contained(model(), rewritten)
    assert verdict.status == "different"
    assert verdict.reason.startswith("the rewritten model: onnxruntime crashed (SIGSEGV(-11))")


def test_a_crash_on_the_original_says_nothing_about_the_rewrite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contained, "verify_models", crashing_on(model()))
    verdict = verify_contained(model(), model(bias=0.5))
    assert verdict.status == "unverified"
    assert verdict.reason.startswith("the original: onnxruntime crashed")


def test_a_crash_on_a_seeded_fault_says_nothing_about_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    suspects = Suspects(rewrites={model().graph.node[0].output[0]: ()}, full=True)
    power = verify_contained(model(bias=0.5), model(bias=0.5), suspects=suspects).power
    assert power is not None
    assert [attempt.kind for attempt in power.missed] == []
    assert len(power.attempts) == 3

    def verify(before: bytes, after: bytes, *, suspects: Suspects | None) -> Verification:
        return verify_models(before, after) if suspects is None else os.kill(os.getpid(), signal.SIGSEGV)

    monkeypatch.setattr(contained, "verify_models", verify)
    verdict = verify_contained(model(bias=0.5), model(bias=0.5), suspects=suspects)
    assert verdict.equal
    assert verdict.power is None


def test_a_kill_says_nothing_about_either(monkeypatch: pytest.MonkeyPatch) -> None:
    rewritten = model(bias=0.5)
    monkeypatch.setattr(contained, "verify_models", crashing_on(rewritten, code=signal.SIGKILL))
    verdict = verify_contained(model(), rewritten)
    assert verdict.status == "unverified"
    assert verdict.reason.startswith("onnxruntime was killed (SIGKILL")


def test_a_run_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    rewritten = model(bias=0.5)
    fatal = rewritten.SerializeToString()

    def hangs(_before: bytes, after: bytes, **_: object) -> Verification:
        if after == fatal:
            time.sleep(600)
        return Verification(status="equal")

    monkeypatch.setattr(contained, "verify_models", hangs)
    monkeypatch.setattr(contained, "_GRACE", 1.0)
    verdict = verify_contained(model(), rewritten, timeout=0.5)
    assert verdict.status == "unverified"
    assert "did not come back in time" in verdict.reason


def test_after_a_crash_the_next_comparison_is_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(contained, "verify_models", crashing_on(model()))
        verify_contained(model(), model())
    assert verify_contained(model(), model()).equal


def test_without_shared_memory_the_comparison_is_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise OSError("no shared memory")

    monkeypatch.setattr(contained.loky, "get_reusable_executor", refused)
    for other in (model(), model(bias=0.5)):
        assert verify_contained(model(), other) == verify_models(model(), other)


KILLED = """
import os, signal, sys
from convgraph.numerics.contained import _apart
print(_apart(os.getpid, seconds=60.0), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def is_running(process: int) -> bool:
    """Whether there is such a process, one that has ended but that nobody has asked about aside."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_the_worker_of_a_process_that_is_killed_ends_too() -> None:
    run = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    worker, patience = int(run.stdout), time.monotonic() + 30
    while is_running(worker):
        assert time.monotonic() < patience
        time.sleep(0.1)
