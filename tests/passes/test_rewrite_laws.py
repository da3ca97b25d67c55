"""Every rewrite in ALL obeys every law, on the examples and near misses of the test file of the same name."""

import re
from dataclasses import replace
from typing import Any

import pytest
from fuzz.neighbours import FINE, wronged
from laws import check
from laws.draw import Draw
from laws.meaning import difference
from laws.tables import examples_of_all, tables_of

from convgraph.analysis.target import TARGETS
from convgraph.compiler.proof import prove
from convgraph.ir.graph import Graph
from convgraph.passes import ALL, Pipeline, Rewrite
from convgraph.passes.rewrite import Offer, PricedRewrite

UNPROVEN = {
    "fold-affine-into-norm": "InstanceNormalization rounds",
    "fold-matrix-inverse": "no float64 reference",
    "fuse-erf-into-gelu": "the rewrite does not apply",
    "fuse-exp-into-sigmoid": "in float64 both are the same",
    "fuse-log-into-log-softmax": "in float64 both are the same",
    "fuse-moments-into-instance-norm": "no float64 reference",
    "fuse-moments-into-layer-norm": "no float64 reference",
    "fuse-sequence-into-slice": "a list; a tensor",
    "fuse-tanh-into-gelu": "the rewrite does not apply",
    "lower-hard-swish-to-hard-sigmoid": "HardSwish rounds",
    "remove-sequence-pick": "a list; a tensor",
    "respell-group-normalization": "no float64 reference",
    "split-conv-transpose-into-resize-and-conv": "the rewrite does not apply",
    "split-depthwise-separable": "in float64 both are the same",
    "split-spatially-separable": "in float64 both are the same",
    "sum-kernels-at-load": "the rewrite does not apply",
    "transform-conv-into-winograd": "in float64 both are the same",
    "transform-conv-transpose-into-winograd": "in float64 both are the same",
}
"""Why there is no proof of these, in the proof's own words."""


TABLES = {rewrite.name: tables_of(rewrite) for rewrite in ALL}
BOUNDS = {name: float(getattr(tables, "BOUND", 0.0)) for name, tables in TABLES.items()}
REWRITES = {r.name: replace(r, **getattr(TABLES[r.name], "OPTIONS", {})) for r in ALL}
EXAMPLES = [(r, e) for r in REWRITES for e in TABLES[r].EXAMPLES]
NEAR_MISSES = [
    (r, q, i) for r in REWRITES for q, graphs in TABLES[r].NEAR_MISSES.items() for i in range(len(graphs))
]


@pytest.mark.parametrize("dyadic", [True, False], ids=["dyadic", "real"])
@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_examples(name: str, example: str, dyadic: bool) -> None:
    rewrite = REWRITES[name]
    graph = TABLES[name].EXAMPLES[example](Draw(dyadic=dyadic))
    check.rewrites_and_stays_well_formed(rewrite, graph)
    check.means_the_same(rewrite, graph, dyadic=dyadic, bound=BOUNDS[name])
    check.lowers_its_measure(rewrite, graph)
    check.comes_to_rest(rewrite, graph)


@pytest.mark.parametrize(("name", "requirement", "index"), NEAR_MISSES)
def test_near_misses(name: str, requirement: str, index: int) -> None:
    rewrite, near_miss = REWRITES[name], TABLES[name].NEAR_MISSES[requirement][index]
    for dyadic in (True, False):
        check.refuses_for(rewrite, near_miss(Draw(dyadic=dyadic)), requirement)
    check.requirement_is_necessary(rewrite, near_miss, requirement, bound=BOUNDS[name])


@pytest.mark.parametrize("name", [name for name, rewrite in REWRITES.items() if rewrite.exact])
def test_what_is_there_for_others_is_left_or_means_the_same(name: str) -> None:
    for tables, graph in examples_of_all(2):
        result, trace = Pipeline([REWRITES[name]]).run(graph)
        if trace.applications and tables is not TABLES[name]:
            bound = max(BOUNDS[name], getattr(tables, "BOUND", 0.0))
            assert not difference(graph, result, dyadic=False, bound=bound), tables.__doc__


@pytest.mark.parametrize("name", [name for name, rewrite in REWRITES.items() if rewrite.exact])
def test_what_differs_from_an_example_in_one_place_is_left_or_means_the_same(name: str) -> None:
    for seed, build in enumerate(TABLES[name].EXAMPLES.values()):
        graph, bound = build(Draw(dyadic=False)), BOUNDS[name]
        for what, found in wronged(REWRITES[name], graph, count=3, seed=seed, bound=bound):
            assert found in FINE, what


@pytest.mark.parametrize("name", [name for name, rewrite in REWRITES.items() if rewrite.exact])
def test_an_example_of_real_numbers_is_proven_on_its_twin(name: str) -> None:
    graph = next(iter(TABLES[name].EXAMPLES.values()))(Draw(dyadic=False))
    pipeline = Pipeline([REWRITES[name]])
    _, trace = pipeline.run(graph)
    proof = prove(pipeline, graph, applications=trace.applications)
    assert not proof.refuted
    assert [one for one in proof.not_proven if UNPROVEN.get(name, "?") not in one.reason] == []
    assert bool(proof.not_proven) == (name in UNPROVEN)


@pytest.mark.parametrize(
    "priced",
    [
        replace(r, target=target())
        for r in REWRITES.values()
        for target in TARGETS
        if isinstance(r, PricedRewrite) and not r.reads_weights
    ],
    ids=lambda r: f"{r.name}-{r.judge.name}",
)
def test_what_does_not_read_weights_costs_the_same_whatever_they_are(priced: PricedRewrite[Any]) -> None:

    def offers(graph: Graph) -> list[Offer]:
        roots = (node for node in graph.nodes() if isinstance(graph.op(node), priced.roots))
        return [priced.offer(graph, match) for node in roots if (match := priced.find(graph, node))]

    for build in TABLES[priced.name].EXAMPLES.values():
        some, others = (offers(build(Draw(dyadic=dyadic))) for dyadic in (True, False))
        assert some == others
        assert bool(some) == priced.can_be_judged


@pytest.mark.parametrize("name", REWRITES)
def test_every_requirement_has_a_near_miss(name: str) -> None:
    check.has_a_near_miss_each(REWRITES[name], TABLES[name].NEAR_MISSES)


@pytest.mark.parametrize(
    ("name", "requirement"), [(r.name, fact.name) for r in ALL for fact in r.requirements()]
)
def test_the_laws_notice_a_requirement_that_always_holds(
    name: str, requirement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always(*_: object) -> bool:
        """True, whatever the graph."""
        return True

    rewrite = REWRITES[name]
    owner = next(base for base in type(rewrite).__mro__ if requirement in vars(base))
    always.__dict__["is_requirement"] = True
    monkeypatch.setattr(owner, requirement, always)
    broken = 0
    for near_miss in TABLES[name].NEAR_MISSES[requirement]:
        with pytest.raises(Exception):  # noqa: B017, PT011 - the law's AssertionError, or the rewrite's own failure
            check.refuses_for(rewrite, near_miss(Draw(dyadic=True)), requirement)
        broken += 1
    assert broken


@pytest.mark.parametrize("rewrite", ALL, ids=lambda r: r.name)
def test_file_class_and_name_agree(rewrite: Rewrite[Any]) -> None:
    module = type(rewrite).__module__.rsplit(".", maxsplit=1)[-1]
    assert rewrite.name == module.replace("_", "-")
    assert type(rewrite).__name__ == "".join(word.capitalize() for word in module.split("_"))


@pytest.mark.parametrize("rewrite", ALL, ids=lambda r: r.name)
def test_the_module_opens_with_its_equation(rewrite: Rewrite[Any]) -> None:
    assert re.search(r"->", rewrite.equation())


def test_names_are_unique() -> None:
    assert len({rewrite.name for rewrite in ALL}) == len(ALL)
