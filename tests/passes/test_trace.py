"""What the runs over a graph share: how many applications they may make."""

import pytest

from convgraph.errors import PassFailed
from convgraph.ir.build import GraphBuilder
from convgraph.passes.cleanup.remove_identity import RemoveIdentity
from convgraph.passes.trace import Ledger, Occasion


def test_as_many_applications_as_there_is_patience_for_and_no_more() -> None:
    graph = GraphBuilder("g").build()
    ledger = Ledger(limit=None, dropped=(), progress=None, observe=None, patience=2)
    for index in (1, 2):
        ledger.announce(
            Occasion(index=index, rewrite=RemoveIdentity(), graph=graph, node=0, match=None, at="x")
        )
    with pytest.raises(PassFailed, match="remove-identity at x: 3 applications"):
        ledger.announce(Occasion(index=3, rewrite=RemoveIdentity(), graph=graph, node=0, match=None, at="x"))
