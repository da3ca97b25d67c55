"""What is kept of a fault of convgraph's own: a file with everything needed to look into it."""

import platform
import sys
import tempfile
import traceback
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("convgraph", "onnx", "onnxruntime", "numpy", "networkx")


def write_trace(error: BaseException) -> str:
    """Write the traceback, the command line and the versions in use to a new file; returns its path."""
    lines = [
        f"command: {sys.argv}",
        f"python {platform.python_version()} on {platform.platform()}",
        *(f"{name} {_version(name)}" for name in _PACKAGES),
        "",
        "".join(traceback.format_exception(error)),
    ]
    with tempfile.NamedTemporaryFile(
        "w", prefix="convgraph-fault-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write("\n".join(lines))
    return file.name


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
