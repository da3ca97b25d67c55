"""Which rewrites run."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from typing import ClassVar

import pytest

from convgraph.analysis.target import GenericTarget, OnnxruntimeCpu
from convgraph.compiler import selection
from convgraph.compiler.selection import approximations, available, select
from convgraph.errors import UnsupportedOp
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import ConvTranspose, Neg, Op
from convgraph.passes import ALL, APPROXIMATE, CLEAN, DEFAULT, Pipeline, Repeat, Rewrite
from convgraph.passes.approximate.split_low_rank_conv import SplitLowRankConv
from convgraph.passes.approximate.split_nearly_boxed_conv_transpose import SplitNearlyBoxedConvTranspose
from convgraph.passes.cleanup.fold_constants import FoldConstants


@dataclass(frozen=True, kw_only=True)
class Added(Rewrite[Value]):
    """A rewrite that another package adds."""

    name: ClassVar[str] = "added-elsewhere"
    roots: ClassVar[tuple[type[Op], ...]] = (Neg,)

    def find(self, graph: Graph, node: int) -> Value | None:
        """Nothing."""

    def apply(self, edit: Edit, match: Value) -> None:
        """Nothing."""


def names(pipeline: Pipeline) -> list[str]:
    """The rewrites of a pipeline, in the order of their first places."""
    return list(dict.fromkeys(rewrite.name for rewrite in pipeline))


def chosen(**options: object) -> list[str]:
    """What ``select`` chooses with everything else at its default."""
    defaults = {"level": "exact", "passes": None, "skip": (), "options": {}}
    return names(select(**{**defaults, **options}))  # type: ignore[arg-type]


def test_a_level_is_its_pipeline() -> None:
    assert chosen() == names(Pipeline(DEFAULT))
    assert chosen(level="clean") == names(Pipeline(CLEAN))


def test_names_narrow_and_keep_the_order() -> None:
    assert chosen(passes=["fuse-activation-into-conv", "remove-dropout"]) == [
        "remove-dropout",
        "fuse-activation-into-conv",
    ]
    assert chosen(passes=["none"]) == []
    assert "remove-identity" not in chosen(skip=["remove-identity"])


def test_rewrites_stand_as_listed() -> None:
    assert chosen(passes=[Added(), *DEFAULT]) == ["added-elsewhere", *names(Pipeline(DEFAULT))]
    assert chosen(passes=["remove-dropout", Repeat(Added())]) == ["remove-dropout", "added-elsewhere"]


@pytest.mark.parametrize("where", ["passes", "skip"])
def test_an_unknown_name_is_refused(where: str) -> None:
    with pytest.raises(UnsupportedOp, match="fold-nothing: no rewrite of this name; one of remove-dropout"):
        chosen(**{where: ["fold-nothing"]})


def test_other_packages_add_rewrites(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint(name="added", group="convgraph.passes", value=f"{__name__}:Added")
    monkeypatch.setattr(EntryPoint, "load", lambda _: Added)
    monkeypatch.setattr(
        selection, "entry_points", lambda *, group: EntryPoints([entry] if group == entry.group else [])
    )
    assert isinstance(available()["added-elsewhere"], Added)
    assert chosen(passes=["added-elsewhere", "remove-identity"]) == ["remove-identity", "added-elsewhere"]


def test_every_target_prices_the_same_rewrites() -> None:
    assert chosen(options={"target": GenericTarget()}) == chosen(options={"target": OnnxruntimeCpu()})
    assert "split-depthwise-separable" in chosen(options={"target": OnnxruntimeCpu()})


def test_the_options_of_a_run_reach_the_rewrites() -> None:
    options = {"size_limit": 77, "target": GenericTarget()}
    for passes, limit in ((None, 77), ([FoldConstants()], 77), ([FoldConstants(size_limit=5)], 5)):
        pipeline = select(level="exact", passes=passes, skip=(), options=options)
        limits = {rewrite.size_limit for rewrite in pipeline if isinstance(rewrite, FoldConstants)}
        assert limits == {limit}


def test_operators_to_do_without_are_lowered_before_the_pipeline_runs_once_more() -> None:
    lowerings = [rewrite.name for rewrite in ALL if ConvTranspose in rewrite.lowers]
    assert lowerings[-2:] == [
        "split-conv-transpose-into-resize-and-conv",
        "lower-conv-transpose-to-sub-pixel",
    ]
    makers = {rewrite.name for rewrite in ALL if ConvTranspose in rewrite.makes}
    assert len(makers) == 2
    usual = [rewrite.name for rewrite in Pipeline(DEFAULT) if rewrite.name not in makers]
    pipeline = select(level="exact", passes=None, skip=(), options={}, without=["ConvTranspose"])
    assert [rewrite.name for rewrite in pipeline] == [*usual, *lowerings, *usual]
    assert lowerings[-1] not in chosen(without=["ConvTranspose"], skip=lowerings[-1:])
    assert chosen(without=["DepthToSpace"], passes=["none"]) == ["lower-depth-to-space-to-transpose"]
    assert chosen(without=["Relu", "some.domain::Op"]) == chosen()
    assert "compose-channel-orders" not in chosen(without=["Gather"])
    with pytest.raises(UnsupportedOp, match="TransposedConv: no ONNX operator of this name"):
        chosen(without=["TransposedConv"])


def near(**options: object) -> list[str]:
    """What ``approximations`` chooses with everything else at its default."""
    defaults = {"passes": None, "skip": (), "options": {}, "budget": 0.01}
    return [rewrite.name for rewrite in approximations(**{**defaults, **options})]  # type: ignore[arg-type]


def test_approximations_wait_for_a_budget() -> None:
    inexact = {rewrite.name for rewrite in ALL if not rewrite.exact}
    assert inexact == {rewrite.name for rewrite in APPROXIMATE}
    assert near(budget=None) == []
    assert near() == [
        "split-nearly-depthwise-separable",
        "split-nearly-spatially-separable",
        "split-low-rank-conv",
    ]
    assert near(skip=["split-low-rank-conv"]) == near()[:2]
    boxed = "split-nearly-boxed-conv-transpose"
    assert near(passes=["remove-identity", boxed]) == [boxed]
    assert near(passes=["remove-identity"]) == []
    assert chosen(passes=["remove-identity", boxed]) == ["remove-identity"]
    with pytest.raises(UnsupportedOp, match=f"{boxed}: an approximation without an error budget"):
        near(passes=[boxed], budget=None)


def test_approximations_as_listed_keep_their_options_and_leave_the_pipeline() -> None:
    listed = [Added(), Repeat(SplitLowRankConv(tolerance=0.25)), SplitNearlyBoxedConvTranspose()]
    first, second = approximations(passes=listed, skip=(), options={}, budget=0.01)
    assert (first, second) == (SplitLowRankConv(tolerance=0.25), SplitNearlyBoxedConvTranspose())
    assert chosen(passes=listed) == ["added-elsewhere"]
    with pytest.raises(UnsupportedOp, match="split-low-rank-conv"):
        approximations(passes=listed, skip=(), options={}, budget=None)


def test_the_target_prices_approximations() -> None:
    for target in (GenericTarget(), OnnxruntimeCpu()):
        (rewrite,) = approximations(
            passes=["split-low-rank-conv"], skip=(), options={"target": target, "size_limit": 3}, budget=0.01
        )
        assert isinstance(rewrite, SplitLowRankConv)
        assert rewrite.target is target


def test_what_is_not_exact_and_no_approximation_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Rough(Added):
        """Not exact, and nobody knows by how much."""

        exact: ClassVar[bool] = False

    with pytest.raises(UnsupportedOp, match="a rewrite that is not exact"):
        approximations(passes=[Rough()], skip=(), options={}, budget=0.01)
