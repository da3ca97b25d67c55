"""The search: where rewrites contend the cheapest outcome wins, and what pays only in company is found."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest

from convgraph.analysis.target import GenericTarget, Price, Prices, Target
from convgraph.errors import CannotRun
from convgraph.ir.build import GraphBuilder
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use, Value
from convgraph.ir.ops import (
    Abs,
    Add,
    BatchNormalization,
    Concat,
    Conv,
    Cos,
    Exp,
    Neg,
    Op,
    Relu,
    Resize,
    Sin,
    Tanh,
)
from convgraph.passes import EXACT, Drop, Pipeline, PricedRewrite, Repeat
from convgraph.passes.rewrite import Offer
from convgraph.passes.search import ENOUGH, MOST, Search, look, structure
from convgraph.passes.trace import Trace

Ops = tuple[type[Op], ...]
TARIFF: dict[type[Op], float] = {Abs: 10, Neg: 10, Relu: 10, Exp: 10, Sin: 10, Cos: 10, Tanh: 10}


class Tariff(Target):
    """A target with a price for each operation, less ``beside`` where it reads another of the same kind."""

    name: ClassVar[str] = "tariff"
    nothing: ClassVar[Price] = (0.0,)

    def __init__(self, *, beside: float = 0.0, **prices: float) -> None:
        self.table = {op: prices.get(op.__name__, price) for op, price in TARIFF.items()}
        self.beside = beside
        self.around = int(bool(beside))  # type: ignore[misc]

    def prices(self, graph: Graph) -> Prices:
        """By the table."""
        return {node: (self._price(graph, node),) for node in graph.compute_nodes()}

    def prefers(self, after: Price, *, before: Price) -> bool:
        """Whether it is cheaper by a tenth."""
        return after[0] < 0.9 * before[0]

    def says(self, price: Price) -> str:
        """In crowns."""
        return f"{price[0]:g} crowns"

    def _price(self, graph: Graph, node: int) -> float:
        alike = [v for v in graph.operands(node) if v and type(graph.producer(v)) is type(graph.op(node))]
        return self.table[type(graph.op(node))] - self.beside * len(alike)


@dataclass(frozen=True, kw_only=True)
class Respell(PricedRewrite[tuple[int, ...]]):
    """A chain of operations spelled with another chain."""

    name: ClassVar[str]
    old: ClassVar[Ops]
    new: ClassVar[Ops]

    def find(self, graph: Graph, node: int) -> tuple[int, ...] | None:
        """The chain that ends here, first to last, of which nothing else reads any link."""
        chain = [node]
        for before, kind in zip(reversed(self.old[:-1]), reversed(self.old), strict=False):
            x = graph.operand(chain[0], 0)
            if not isinstance(graph.op(chain[0]), kind) or x is None or graph.sole_reader(x) is None:
                return None
            if not isinstance(graph.producer(x), before):
                return None
            chain.insert(0, x.node)
        return tuple(chain)

    def replaces(self, graph: Graph, match: tuple[int, ...]) -> tuple[int, ...]:
        """The chain."""
        del graph
        return match

    def apply(self, edit: Edit, match: tuple[int, ...]) -> None:
        """Put the other chain in its place."""
        x = edit.graph.operand(match[0], 0)
        for kind in self.new:
            x = edit.add(kind(), x)
        assert x is not None
        edit.replace(Value(match[-1], 0), x)


def respell(old: Ops, new: Ops, *, target: Target) -> Respell:
    """The rewrite of one chain to another, called by both."""
    name = "-".join(op.__name__.lower() for op in old) + "-to-" + "-".join(op.__name__.lower() for op in new)
    kind = type(name, (Respell,), {"name": name, "old": old, "new": new, "roots": old[-1:]})
    made: Respell = kind(target=target)
    return made


def chain(*ops: type[Op], times: int = 1) -> Graph:
    """Operations in a row."""
    b = GraphBuilder("chain")
    y = b.input("x", shape=(2, 3))
    for op in ops * times:
        y = b.add(op(), y)
    b.output(y, name="y")
    return b.build()


def labels(graph: Graph) -> list[str]:
    """What the graph computes, in order."""
    return [graph.op(node).label for node in graph.compute_nodes()]


def run(graph: Graph, rewrites: list[Respell], *, dropped: tuple[Drop, ...] = ()) -> tuple[list[str], Trace]:
    """What the rewrites together make of a graph, and their trace; a second run changes nothing."""
    pipeline = Pipeline([Repeat(*rewrites)])
    result, trace = pipeline.run(graph, dropped=dropped)
    if not dropped:
        assert not pipeline.run(result)[1].applications
    return labels(result), trace


def names(trace: Trace) -> list[str]:
    """The rewrites applied, in order."""
    return [done.rewrite for done in trace.applications]


def test_of_two_that_match_at_a_node_the_cheaper_one_applies() -> None:
    target = Tariff(Exp=8, Sin=3)
    first, second = respell((Abs,), (Exp,), target=target), respell((Abs,), (Sin,), target=target)
    for rewrites in ([first, second], [second, first]):
        assert run(chain(Abs), rewrites)[0] == ["Sin"]
        assert names(run(chain(Abs), rewrites)[1]) == ["abs-to-sin"]


def test_of_two_that_want_the_same_node_the_cheaper_one_applies() -> None:
    target = Tariff(Exp=8, Sin=3)
    early = respell((Abs, Neg), (Exp,), target=target)
    late = respell((Neg, Relu), (Sin,), target=Tariff(Exp=8, Sin=3))
    assert run(chain(Abs, Neg, Relu), [early, late])[0] == ["Abs", "Sin"]
    dear = respell((Neg, Relu), (Exp, Exp), target=target)
    assert run(chain(Abs, Neg, Relu), [early, dear])[0] == ["Exp", "Relu"]


def test_what_another_target_judges_is_no_rival() -> None:
    """Its prices are in other units, and may be of another length."""

    class Thrifty(Tariff):
        name: ClassVar[str] = "thrifty"
        nothing: ClassVar[Price] = (0.0, 0.0)

        def prices(self, graph: Graph) -> Prices:
            """Twice the same."""
            return {node: (price, price) for node, (price,) in super().prices(graph).items()}

    early = respell((Abs, Neg), (Exp,), target=Tariff(Exp=8, Sin=3))
    late = respell((Neg, Relu), (Sin,), target=Thrifty(Exp=8, Sin=3))
    assert run(chain(Abs, Neg, Relu), [early, late])[0] == ["Exp", "Relu"]


def test_where_none_is_better_by_the_margin_the_first_stays() -> None:
    target = Tariff(Exp=5, Sin=4.9)
    rewrites = [respell((Abs,), (Exp,), target=target), respell((Abs,), (Sin,), target=target)]
    assert run(chain(Abs), rewrites)[0] == ["Exp"]


def steps(target: Target) -> list[Respell]:
    """Three rewrites of which the first makes things dearer, and the last pays for all."""
    return [
        respell((Abs,), (Neg, Exp), target=target),
        respell((Exp, Relu), (Sin, Cos), target=target),
        respell((Neg, Sin, Cos), (Tanh,), target=target),
    ]


def test_what_pays_only_in_company_is_found_and_each_step_has_its_number() -> None:
    rewrites = steps(Tariff(Exp=12, Sin=9, Cos=9, Tanh=3))
    graph = chain(Cos, Abs, Relu, Cos)
    result, trace = run(graph, rewrites)
    assert result == ["Cos", "Tanh", "Cos"]
    assert names(trace) == [rewrite.name for rewrite in rewrites]
    assert [done.index for done in trace.applications] == [1, 2, 3]
    pipeline = Pipeline([Repeat(*rewrites)])
    for count in range(4):
        assert pipeline.run(graph, stop_after=count)[1].applications == trace.applications[:count]
    shown: list[str] = []
    pipeline.run(graph, observe=lambda occasion: shown.append(occasion.rewrite.name))
    assert shown == names(trace)


def test_what_does_not_pay_even_in_company_is_refused_with_its_price() -> None:
    rewrites = steps(Tariff(Exp=12, Sin=9, Cos=9, Tanh=30))
    result, trace = run(chain(Abs, Relu), rewrites)
    assert result == ["Abs", "Relu"]
    (refusal,) = trace.refusals
    assert refusal.requirement == "it_is_cheaper_on_the_target"
    assert refusal.reason == (
        "The target finds the result cheaper than what it replaces: 10 crowns now, 22 crowns after it."
    )


def test_a_play_looks_no_further_ahead() -> None:
    """Two losses in a row would pay in the end; to see that takes a search within a search."""
    result, trace = run(chain(Abs, Relu), steps(Tariff(Exp=12, Sin=12, Cos=12, Tanh=3)))
    assert result == ["Abs", "Relu"]
    assert not trace.applications


@pytest.mark.parametrize("number", [0, 1, 2])
def test_without_one_of_its_steps_a_run_comes_to_rest_as_well(number: int) -> None:
    rewrites = [*steps(Tariff(Exp=12, Sin=9, Cos=9, Tanh=3))]
    back = respell((Neg, Exp), (Abs,), target=Tariff(Exp=12))
    result, trace = run(chain(Abs, Relu), [*rewrites, back], dropped=(Drop(rewrites[number].name),))
    assert result == ["Abs", "Relu"]
    assert trace.applications == ()
    refused = {r.requirement for r in trace.refusals if r.rewrite == rewrites[0].name}
    assert refused == {"it_is_cheaper_on_the_target", *(["the_results_stay_the_same"] if number == 0 else [])}


def test_a_trap_is_avoided() -> None:
    """The first rewrite saves 3 and spoils what, at a loss at first, saves 20."""
    target = Tariff(Sin=7, Exp=14, Cos=2)
    bait = respell((Abs,), (Sin,), target=target)
    away = respell((Abs,), (Exp,), target=target)
    prize = respell((Exp, Neg), (Cos,), target=target)
    assert run(chain(Abs, Neg), [bait, away, prize])[0] == ["Cos"]
    assert run(chain(Abs, Relu), [bait, away, prize])[0] == ["Sin", "Relu"]


def test_the_price_is_asked_with_what_is_around() -> None:
    lone = respell((Abs,), (Neg,), target=Tariff(Neg=10.5))
    seen = respell((Abs,), (Neg,), target=Tariff(Neg=10.5, beside=5))
    assert run(chain(Neg, Abs, Neg), [lone])[0] == ["Neg", "Abs", "Neg"]
    assert run(chain(Neg, Abs, Neg), [seen])[0] == ["Neg"] * 3
    assert run(chain(Cos, Abs, Cos), [seen])[0] == ["Cos", "Abs", "Cos"]


def test_what_has_to_be_saved_is_saved_in_the_figure_that_decides() -> None:
    """Of what is replaced, 10 MACs, at least three, however many bytes go."""
    rewrite = respell((Abs,), (Neg,), target=GenericTarget())
    for macs, pays in ((8, False), (7, True)):
        offer = Offer(before=(20, 20), after=(macs + 10, 1), replaced=(10, 20), least=0.3)
        assert rewrite.pays(offer) is pays


@pytest.mark.parametrize("price", [8.0, 10.0, 12.0])
def test_inverse_rewrites_come_to_rest(price: float) -> None:
    target = Tariff(Sin=price)
    pair = [respell((Abs,), (Sin,), target=target), respell((Sin,), (Abs,), target=target)]
    result, trace = run(chain(Abs, Sin, times=3), pair)
    assert len(trace.applications) == (0 if price == 10 else 3)
    assert set(result) == ({"Abs", "Sin"} if price == 10 else {"Sin"} if price < 10 else {"Abs"})


def test_an_inverse_in_company_comes_to_rest() -> None:
    """Two spellings of one price each lead to the other's, and neither to anything else."""
    target = Tariff(Sin=11)
    rewrites = [
        respell((Abs, Neg), (Sin, Neg), target=target),
        respell((Sin, Neg), (Neg, Abs), target=target),
        respell((Neg, Abs), (Abs, Neg), target=target),
    ]
    assert run(chain(Abs, Neg, times=4), rewrites)[0] == ["Abs", "Neg"] * 4


def test_what_was_played_in_vain_is_not_played_again(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Search._played
    counts: list[int] = []

    def counted(self: Search, *args: object) -> object:
        """Count the plays."""
        counts[-1] += 1
        return played(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Search, "_played", counted)
    vain = respell((Abs,), (Neg, Neg), target=Tariff())
    for ops in ((Abs,), (Abs, Cos), (Abs, Cos, Sin)):
        counts.append(0)
        run(chain(*ops, Relu), [vain, respell((Relu,), (Exp,), target=Tariff(Exp=1))])
    assert counts == [2, 2, 2]  # once in each of two runs, whatever else happened there before


def test_what_was_played_in_vain_in_some_places_is_not_played_in_all_that_are_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played, counts = Search._played, []

    def counted(self: Search, *args: object) -> object:
        """Count the plays."""
        counts.append(args[1])
        return played(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Search, "_played", counted)
    vain = respell((Abs,), (Neg, Neg), target=Tariff())
    apart = [Cos, Sin, Exp, Tanh]
    run(chain(Abs, *apart, times=30), [vain])
    ends = 3  # near the input or the output, a place is like no other
    assert ENOUGH < len(counts) / 2 <= ENOUGH + ends


def test_places_are_alike_whatever_their_weights_and_not_where_anything_else_differs() -> None:
    def place(seed: int, *, size: int = 5, scale: float = 2.0) -> object:
        rng = np.random.default_rng(seed)
        b = GraphBuilder("g", opset=17)
        weight = rng.normal(size=(3, 2, 1, 1)).astype(np.float32)
        y = b.add(Conv.of(2), b.input("x", shape=(1, 2, size, 4)), weight)
        b.output(b.add(Resize(), y, None, np.array([1, 1, scale, 2], np.float32)), name="y")
        graph = b.build()
        nodes = list(graph.compute_nodes())
        return structure(graph, nodes, root=nodes[0]), structure(graph, nodes, root=nodes[1])

    assert place(1) == place(2)
    assert len({place(1), place(1, size=6), place(1, scale=3.0)}) == 3
    assert len(set(place(1))) == 2  # type: ignore[call-overload]


def test_which_of_equal_small_constants_is_read_makes_a_difference_only_where_asked() -> None:
    b = GraphBuilder("g")
    x = b.input("x", shape=(2,))
    one, other, unlike = (b.constant(np.array([n, 1], np.float32)) for n in (0, 0, 2))
    sums = [b.add(Add(), x, constant) for constant in (one, other, unlike)]
    for y in sums:
        b.output(y)
    graph, node = b.build(), sums[0].node
    for constant, same in ((one, True), (other, False), (unlike, False)):
        before, exactly = look(graph, [node], which=False), look(graph, [node])
        Edit(graph).rewire(Use(node, 1), constant)
        assert (look(graph, [node]) == exactly) == same
        assert (look(graph, [node], which=False) == before) == (constant != unlike)


def test_a_play_sees_a_bounded_region(monkeypatch: pytest.MonkeyPatch) -> None:
    region, sizes = Graph.region, []

    def measured(self: Graph, nodes: object) -> Graph:
        """Note the size."""
        part = region(self, nodes)  # type: ignore[arg-type]
        sizes.append(sum(1 for _ in part.compute_nodes()))
        return part

    b = GraphBuilder("wide")
    x = b.add(Abs(), b.input("x", shape=(2,)))
    for _ in range(60):
        b.output(b.add(Neg(), b.add(Relu(), x)))
    graph = b.build()
    monkeypatch.setattr(Graph, "region", measured)
    result, _ = Pipeline([respell((Abs,), (Neg, Neg), target=Tariff())]).run(graph)
    assert labels(result) == labels(graph)
    assert 1 < max(sizes) <= MOST


def test_a_step_that_cannot_run_is_left() -> None:
    class Impossible(Respell):
        """A step after which the model does not run."""

        def apply(self, edit: Edit, match: tuple[int, ...]) -> None:
            """Say so."""
            raise CannotRun("neg", found="nothing", expected="something")

    target = Tariff(Exp=12, Tanh=1)
    fields: Mapping[str, object] = {
        "name": "impossible",
        "old": (Exp,),
        "new": (),
        "roots": (Exp,),
        "it_is_cheaper_on_the_target": lambda *_: True,
    }
    after = type("Impossible", (Impossible,), dict(fields))(target=target)
    rewrites = [respell((Abs,), (Exp,), target=target), after]
    assert run(chain(Abs), rewrites)[0] == ["Abs"]


def head(*, sizes: tuple[int, ...] = (16, 8, 4, 2), width: int = 8) -> Graph:
    """Maps of several sizes, each mixed by a 1×1 convolution, enlarged, joined, mixed again, classified."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("head", opset=17)

    def mixed(x: Value, channels: int, made: int) -> Value:
        weight = rng.normal(size=(made, channels, 1, 1)).astype(np.float32)
        return b.add(Conv.of(2), x, weight, rng.normal(size=made).astype(np.float32))

    parts = []
    for number, size in enumerate(sizes):
        y = mixed(b.input(f"x{number}", shape=(1, 4 + number, size, size)), 4 + number, width)
        scales = np.array([1, 1, sizes[0] / size, sizes[0] / size], np.float32)
        linear = Resize(mode="linear", coordinate_transformation_mode="half_pixel")
        parts.append(y if size == sizes[0] else b.add(linear, y, None, scales))
    fused = mixed(b.add(Concat(axis=1), *reversed(parts)), width * len(sizes), width)
    norm = [rng.uniform(0.5, 2, width).astype(np.float32) for _ in range(4)]
    b.output(mixed(b.add(Relu(), b.add(BatchNormalization(), fused, *norm)), width, 5), name="y")
    return b.build()


def test_the_layers_of_a_segmentation_head_compose_where_the_maps_are_small() -> None:
    result, trace = Pipeline(EXACT).run(head())
    convs = [node for node in result.compute_nodes() if isinstance(result.op(node), Conv)]
    sizes = sorted(int(result.type(Value(node, 0)).dim(2)) for node in convs)  # type: ignore[arg-type]
    assert sizes == [2, 4, 8, 16, 16], "one for each scale, and the one that classifies"
    assert names(trace).count("compose-convs") == 4
    macs = [done.after.macs - done.before.macs for done in trace.applications]
    assert all(later <= 0 for later in macs)
    assert all(a.index < b.index for a, b in pairwise(trace.applications))
