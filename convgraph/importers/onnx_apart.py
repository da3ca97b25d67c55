"""ONNX's shape inference in a process of its own: a model can make it take any time and memory.

To follow the elements of computed shapes, ONNX writes vectors out, so that a few bytes of a model can ask for
more memory than there is; a function that calls itself ends the process.

Run as a script, this file is that process: a model on standard input, the inferred one on standard output.
"""

import os
import subprocess
import sys

import onnx
from onnx import ModelProto

SECONDS = 30
_MEMORY = 2 << 30  # bytes, onnx itself included


def inferred_apart(model: ModelProto) -> ModelProto | None:
    """The model with inferred types, elements of computed shapes followed; None when that fails.

    It fails too where inference ends its process, or takes more than 30 s or 2 GB.
    """
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        run = subprocess.run(  # noqa: S603 - this file, in this interpreter
            [sys.executable, __file__],
            input=model.SerializeToString(),
            capture_output=True,
            env=surroundings,
            timeout=SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ModelProto.FromString(run.stdout)


def _bound_memory() -> None:
    """Let no more memory be taken, where the system can see to it."""
    try:
        import resource  # noqa: PLC0415 - only some systems have it
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _MEMORY if most == resource.RLIM_INFINITY else min(_MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _bound_memory()
    inferred = onnx.shape_inference.infer_shapes(sys.stdin.buffer.read(), data_prop=True)
    sys.stdout.buffer.write(inferred.SerializeToString())
