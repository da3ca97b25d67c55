"""What holds in every test."""

from collections.abc import Callable
from typing import Any

import pytest

from convgraph.compiler.culprit import CulpritSearch


@pytest.fixture(autouse=True)
def every_rewrite_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test in which a rewrite is found at fault fails, though the run would go on without the rewrite.

    Tests of just that have a fixture of this name of their own.
    """
    for name in ("find", "blame"):
        monkeypatch.setattr(CulpritSearch, name, _refusing(getattr(CulpritSearch, name)))


def _refusing(search: Callable[..., bool]) -> Callable[..., bool]:
    def refuse(self: CulpritSearch, *refuted: Any, **facts: Any) -> bool:
        found = search(self, *refuted, **facts)
        assert not found, self.culprits[-1]
        return found

    return refuse
