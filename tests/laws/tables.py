"""The tables of a rewrite, EXAMPLES and NEAR_MISSES, from the test file of the same name."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from convgraph.passes import Rewrite

PASSES = Path(__file__).parents[1] / "passes"


@cache
def tables_of(rewrite: Rewrite[Any]) -> ModuleType:
    """The test file of a rewrite, as a module."""
    family, module = type(rewrite).__module__.split(".")[-2:]
    path = PASSES / family / f"test_{module}.py"
    spec = importlib.util.spec_from_file_location(f"tables_of_{module}", path)
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    return tables
