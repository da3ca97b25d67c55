"""The tables of a rewrite, EXAMPLES and NEAR_MISSES, from the test file of the same name."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from convgraph.ir.graph import Graph
from convgraph.passes import Rewrite
from laws.draw import Draw

PASSES = Path(__file__).parents[1] / "passes"


def tables_of(rewrite: Rewrite[Any]) -> ModuleType:
    """The test file of a rewrite, as a module."""
    family, module = type(rewrite).__module__.split(".")[-2:]
    return _tables_at(PASSES / family / f"test_{module}.py")


@cache
def examples_of_all(count: int) -> list[tuple[ModuleType, Graph]]:
    """So many examples of each rewrite there are tables for, of real numbers, and the tables."""
    tables = [t for path in sorted(PASSES.glob("*/test_*.py")) if hasattr(t := _tables_at(path), "EXAMPLES")]
    builds = ((t, build) for t in tables for build in [*t.EXAMPLES.values()][:count])
    return [(t, build(Draw(dyadic=False))) for t, build in builds]


@cache
def _tables_at(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tables_of_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    return tables
