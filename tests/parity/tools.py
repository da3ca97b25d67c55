"""The optimizers that are compared: each reads a model file and writes another.

A tool is imported only where it runs, since not all are installed everywhere. With ``checked`` it also does
what checking of its result it offers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """An optimizer: the ``package`` it comes in, what to import of it, and how it is called."""

    package: str
    module: str
    run: Callable[..., None]
    checks: bool = True

    @property
    def is_rival(self) -> bool:
        """Whether it is somebody else's."""
        return self.package != "convgraph"


def convgraph(source: Path, target: Path, *, checked: bool, level: Literal["clean", "exact"]) -> None:
    """What ``convgraph optimize`` does."""
    from convgraph.compiler.optimize import optimize  # noqa: PLC0415

    result = optimize(source, level=level, verify=checked, destination=target)
    if checked and (result.verification is None or not result.verification.equal):
        raise RuntimeError(f"its check says: {result.verification}")
    result.ready.settle()


def onnxsim(source: Path, target: Path, *, checked: bool) -> None:
    """Its defaults; checked on as many feeds as convgraph uses."""
    from onnxsim import simplify  # noqa: PLC0415

    model, agrees = simplify(str(source), check_n=3 if checked else 0)
    if not agrees:
        raise RuntimeError("its check says: different")
    onnx.save(model, target)


def onnxslim(source: Path, target: Path, *, checked: bool) -> None:
    """Its defaults."""
    from onnxslim import slim  # noqa: PLC0415

    onnx.save(slim(str(source), model_check=checked), target)


def onnxscript(source: Path, target: Path, *, checked: bool) -> None:
    """Its defaults; it has no check."""
    from onnxscript.optimizer import optimize  # noqa: PLC0415

    del checked
    onnx.save(optimize(onnx.load(source)), target)


TOOLS = {
    "clean": Tool(
        package="convgraph", module="convgraph.compiler.optimize", run=partial(convgraph, level="clean")
    ),
    "convgraph": Tool(
        package="convgraph", module="convgraph.compiler.optimize", run=partial(convgraph, level="exact")
    ),
    "onnxsim": Tool(package="onnxsim", module="onnxsim", run=onnxsim),
    "onnxslim": Tool(package="onnxslim", module="onnxslim", run=onnxslim),
    "onnxscript": Tool(package="onnxscript", module="onnxscript.optimizer", run=onnxscript, checks=False),
}
"""By the name of their column."""
