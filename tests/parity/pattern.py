"""A small graph with one thing in it that an optimizer is expected to clean up."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

import onnx

from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph
from parity import patterns


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A graph, the same whenever it is built, and what is expected to become of it.

    ``name`` is hyphenated and unique, ``row`` says what is asked for, as in the table of what optimizers do.
    ``build`` gives a graph, or, for what no graph can say, a model as a file would hold it.
    """

    name: str
    row: str
    build: Callable[[], Graph | onnx.ModelProto]

    def model(self) -> onnx.ModelProto:
        """The model that every tool is given."""
        built = self.build()
        return built if isinstance(built, onnx.ModelProto) else to_onnx(built)


def collected() -> tuple[Pattern, ...]:
    """Every pattern of every module in ``patterns``, sorted by name."""
    names = sorted(f"{patterns.__name__}.{module.name}" for module in iter_modules(patterns.__path__))
    found: list[Pattern] = [pattern for name in names for pattern in import_module(name).PATTERNS]
    return tuple(sorted(found, key=lambda pattern: pattern.name))
