"""onnxruntime in a process of its own: where it crashes or hangs, only that process is lost.

One worker is started when it is first needed, kept for what comes next, and ends with this process, even
where that is killed. It can take the memory that the machine has, and says nothing of its own. On a system
that lets no two processes share memory, all of it happens in this one.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import loky

from convgraph.ir.tensor import Array
from convgraph.numerics.compare import Disagreement, Verification, verify_models
from convgraph.numerics.judge import Judged
from convgraph.numerics.operators import Library, libraries, loading
from convgraph.numerics.session import (
    ModelSource,
    TimedOut,
    Unverifiable,
    check_libraries,
    openable,
    run_each,
    run_model,
    runtime_name,
    unloadable,
)
from convgraph.numerics.values import compared_values

_GRACE = 30.0  # seconds past the time allowed, in which the runtime may still come back by itself
_LONGEST_RUN = 20.0  # seconds for a model without inputs

_KILLED = "SIGKILL"
_WATCH = 1.0  # seconds between two looks at whether the parent is still there

_QUIET = {"PYTHONFAULTHANDLER": ""}  # no traceback of a crash that is reported in words
_Answer = TypeVar("_Answer")


def verify_contained(before: ModelSource, after: ModelSource, **bounds: Any) -> Verification:
    """``verify_models`` in another process: the same parameters, verdict and errors.

    Where onnxruntime crashes, the verdict is "different" if the original runs and "unverified" if it crashes
    too; where it does not come back long past ``timeout``, or memory does not suffice, "unverified".
    """
    with ExitStack() as stack:
        try:
            models = _anywhere(openable(before, stack)), _anywhere(openable(after, stack))
            return _verified_apart(*models, bounds=bounds)
        except MemoryError as error:
            return _unverified(f"not enough memory to compare ({error})")
        except BrokenProcessPool as error:
            if bounds.get("suspects") is not None:  # it may have been on a fault of our making
                return verify_contained(*models, **{**bounds, "suspects": None})
            if (signal := _signal(error)).startswith(_KILLED):
                return _unverified(f"onnxruntime was killed ({signal}), as systems do when memory runs out")
            return _blamed(f"onnxruntime crashed ({signal})", models[0], bounds=bounds)


@contextmanager
def custom_operators(paths: Sequence[Library]) -> Iterator[None]:
    """Have every session opened in the block, in the worker too, know the operators of these libraries.

    They are tried in the worker first. Raises InvalidModel for one that does not load.
    """
    with loading(paths):
        if paths:
            try:
                _apart(check_libraries, seconds=_LONGEST_RUN)
            except TimeoutError as error:
                raise unloadable(", ".join(libraries()), "does not come back when loaded") from error
            except BrokenProcessPool as error:
                reason = f"crashes when loaded ({_signal(error)})"
                raise unloadable(", ".join(libraries()), reason) from error
        yield


def _anywhere(model: str | bytes) -> str | bytes:
    """The model, whatever folder a process is in: the worker keeps the one it was started in."""
    return str(Path(model).absolute()) if isinstance(model, str) else model


def _verified_apart(before: ModelSource, after: ModelSource, *, bounds: Mapping[str, Any]) -> Verification:
    """The worker's verdict. Raises what ``verify_models`` does, and BrokenProcessPool when it is lost."""
    limit = bounds.get("timeout")
    try:
        return _apart(
            verify_models, before, after, seconds=None if limit is None else limit + _GRACE, **bounds
        )
    except TimeoutError:
        return _unverified("onnxruntime did not come back in time")


def run_contained(model: ModelSource) -> dict[str, Array]:
    """Every output of a model without inputs, run once in another process, as by ``run_model``.

    Raises Unverifiable also when onnxruntime crashes on it or does not come back.
    """
    return _run_apart(run_model, model, {})


def run_each_contained(model: ModelSource, feeds: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    """Every output of a model for each of the feeds, in another process; raises as ``run_contained`` does."""
    return _run_apart(run_each, model, feeds)


def compare_contained(before: ModelSource, after: ModelSource, **bounds: Any) -> list[Judged]:
    """``compared_values`` in another process; raises Unverifiable also when onnxruntime crashes or hangs."""
    limit = bounds.get("timeout")
    seconds = None if limit is None else limit + _GRACE
    with ExitStack() as stack, _survived(seconds):
        models = _anywhere(openable(before, stack)), _anywhere(openable(after, stack))
        return _apart(compared_values, *models, seconds=seconds, **bounds)


def _run_apart(function: Callable[..., _Answer], model: ModelSource, feeds: object) -> _Answer:
    with ExitStack() as stack, _survived(_LONGEST_RUN):
        return _apart(function, _anywhere(openable(model, stack)), feeds, seconds=_LONGEST_RUN)


@contextmanager
def _survived(seconds: float | None) -> Iterator[None]:
    """Say in our words that the worker was lost."""
    try:
        yield
    except TimeoutError as error:
        found = "a run that does not end"
        raise TimedOut("model", found=found, expected=f"one within {seconds:g} s") from error
    except BrokenProcessPool as error:
        found = f"a crash of onnxruntime ({_signal(error)})"
        raise Unverifiable("model", found=found, expected="a run to the end") from error


def _apart(
    function: Callable[..., _Answer], *arguments: object, seconds: float | None, **options: object
) -> _Answer:
    """What a function returns in the worker. Raises TimeoutError, the worker ended, when it takes longer."""
    try:
        worker = loky.get_reusable_executor(max_workers=1, timeout=None, env=_QUIET, initializer=_settle)
        answer = worker.submit(_with_libraries, libraries(), function, *arguments, **options)
    except (OSError, NotImplementedError):  # no shared memory, so no way to talk to another process
        return function(*arguments, **options)
    try:
        result: _Answer = answer.result(timeout=seconds)
    except TimeoutError:
        worker.shutdown(kill_workers=True)
        raise
    return result


def _with_libraries(
    paths: Sequence[str], function: Callable[..., _Answer], *arguments: object, **options: object
) -> _Answer:
    """What a function returns where the libraries of the calling process hold."""
    with loading(paths):
        return function(*arguments, **options)


def _settle() -> None:
    """Make a process say nothing, end with its parent, and have no more memory than there is.

    The last two where the system can.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import resource  # noqa: PLC0415 - only some systems have it
    except ImportError:
        return
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))


def _end_with(parent: int) -> None:
    """Wait until a process is another one's child, which is when its parent is gone, and end it."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os._exit(1)


def _blamed(reason: str, original: ModelSource, *, bounds: Mapping[str, Any]) -> Verification:
    """The verdict after a crash: whose fault it was shows when the original runs alone."""
    expected = "a run to the end"
    try:
        _verified_apart(original, original, bounds=bounds)
    except BrokenProcessPool:
        return _unverified(f"the original: {reason}; {expected}")
    found = Disagreement("the rewritten model", reason, expected)
    return replace(_unverified(str(found)), status="different", disagreement=found)


def _unverified(reason: str) -> Verification:
    return Verification(status="unverified", reason=reason, reference=f"{runtime_name()}, optimisations off")


def _signal(error: BrokenProcessPool) -> str:
    """The signal or status the worker ended with, out of the pool's long message."""
    code = re.search(r"\{(.+?)\}", str(error))
    return code[1] if code else "for a reason unknown"
