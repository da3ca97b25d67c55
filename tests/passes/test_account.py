"""What a run records of every application: the nodes it took and made, by the names that people know."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, BatchNormalization, Conv, Identity, Relu, Sigmoid
from convgraph.passes import Application, FoldBatchnormIntoConv, Pipeline, RemoveIdentity, Rewrite

RNG = np.random.default_rng(4)


def normalised(*, node: str = "") -> Graph:
    b = GraphBuilder()
    x = b.input("x", shape=("N", 3, 8, 7))
    c = b.add(Conv.of(2), x, RNG.normal(size=(4, 3, 2, 2)), name="c", node=node and f"{node}_conv")
    vectors = RNG.uniform(0.5, 2, (4, 4))
    b.output(b.add(BatchNormalization(), c, *vectors, name="n", node=node and f"{node}_norm"))
    return b.build()


def chain(*, node: str = "") -> Graph:
    b = GraphBuilder()
    x = b.add(Relu(), b.input("x", shape=("N", 3)), name="relu", node=node)
    b.output(b.add(Identity(), x, name="y"))
    return b.build()


def applied(graph: Graph, *rewrites: Rewrite[int]) -> Application:
    """The only application of a run."""
    (application,) = Pipeline(rewrites).run(graph)[1].applications
    return application


def test_what_was_taken_is_called_what_it_was_called_before() -> None:
    by_name = applied(normalised(node="first"), FoldBatchnormIntoConv())
    assert (sorted(by_name.took), by_name.made) == (["first_conv", "first_norm"], ("first_conv",))
    by_result = applied(normalised(), FoldBatchnormIntoConv())
    assert (sorted(by_result.took), by_result.made) == (["c", "n"], ("n",))


def test_a_node_that_makes_the_output_now_was_taken_and_made() -> None:
    application = applied(chain(), RemoveIdentity())
    assert (sorted(application.took), application.made) == (["relu", "y"], ("y",))
    kept = applied(chain(node="activation"), RemoveIdentity())
    assert (kept.took, kept.made) == (("y",), ())


@dataclass(frozen=True, kw_only=True)
class Doubled(Rewrite[int]):
    """A Sigmoid as two operations of its name."""

    name: ClassVar[str] = "doubled"
    roots = (Sigmoid,)

    def find(self, graph: Graph, node: int) -> int:
        return node

    def apply(self, edit: Edit, match: int) -> None:
        graph = edit.graph
        inner = edit.add(Abs(), graph.operand(match, 0), name="inner", like=match)
        edit.replace(graph.results(match)[0], edit.add(Relu(), inner, like=match))


def test_nodes_of_one_name_are_told_apart_by_their_results() -> None:
    b = GraphBuilder()
    b.output(b.add(Sigmoid(), b.input("x", shape=(2, 3)), name="y", node="same"))
    application = applied(b.build(), Doubled())
    assert application.took == ("same",)
    assert application.made == ("same", "inner", "y")
