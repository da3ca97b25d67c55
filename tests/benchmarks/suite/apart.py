"""Steps of the suite in processes of their own: a crash or a leak ends there, and memory is given back."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2]
MODULE = "benchmarks.suite.steps"
LONGEST = 900.0  # seconds of one step beyond those it is asked to measure for
_SHOWN = 160  # characters of a reason


class StepFailed(RuntimeError):
    """A step that raised, crashed or took too long; the message is its reason in one line."""


def apart(step: str, *, seconds: float = 0.0, **asked: Any) -> dict[str, Any]:
    """What a step answers. Raises StepFailed."""
    told = json.dumps({"step": step, **asked, **({"seconds": seconds} if seconds else {})})
    command, limit = [sys.executable, "-m", MODULE], LONGEST + seconds
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    try:
        done = subprocess.run(
            command,
            input=told,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"timed out after {limit:.0f} s") from error
    if done.returncode:
        raise StepFailed(_reason(done))
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Why a process ended: the signal, or the last line it wrote."""
    if done.returncode < 0:
        return f"crashed: {signal.Signals(-done.returncode).name}"
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return last if len(last) <= _SHOWN else f"{last[: _SHOWN - 1]}…"
