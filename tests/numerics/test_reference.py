"""The runs of the original: at which sizes."""

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto

from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Add, Conv, ConvTranspose, Op, Resize, Split
from convgraph.numerics.compare import verify_models
from convgraph.numerics.reference import Reference
from convgraph.numerics.session import Unverifiable

MakeProto = Callable[..., ModelProto]

MUCH = 1 << 22


def returned(*shape: int | str, scale: float) -> list[int]:
    """How many elements each trial of a model returns that makes images so many times as high and wide."""
    b = GraphBuilder("grows", opset=19)
    x = b.input("x", shape=shape)
    b.output(b.add(Resize(), x, None, [1.0, 1.0, scale, scale]), name="y")
    model = to_onnx(b.build())
    reference = Reference.open(model, model=model, deadline=None)
    return [trial.results["y"].size for trial in reference.seeded(trials=3, seed=0, overridable={})]


def test_open_sizes_are_such_that_little_is_returned() -> None:
    plain, enlarged = (returned("N", 4, "H", "W", scale=scale) for scale in (2.0, 36.0))
    assert len(enlarged) == len(plain) == 4  # one more at the smallest sizes
    assert max(enlarged) <= MUCH
    assert len(set(plain)) == 4


def test_a_model_of_one_large_size_runs_at_that() -> None:
    assert returned(1, 4, 64, 64, scale=18.0) == [4 * (64 * 18) ** 2] * 3
    assert MUCH < 4 * (64 * 18) ** 2


def spatial(model: ModelProto) -> list[tuple[int, ...]]:
    """The height and width of x in each trial."""
    reference = Reference.open(model, model=model, deadline=None)
    return [trial.feeds["x"].shape[2:] for trial in reference.seeded(trials=3, seed=0, overridable={})]


def test_sizes_at_which_something_is_empty_are_passed_over(proto: MakeProto) -> None:
    # one column: the runtime concatenates it with none, and leaves half of the result as memory happens to be
    text = """(float[2,3,H,W] x) => (float[2,12,P,Q] y) {
        p = Pad(x, one_row)
        a = Slice(p, s00, ends, axes, steps) b = Slice(p, s10, ends, axes, steps)
        c = Slice(p, s01, ends, axes, steps) d = Slice(p, s11, ends, axes, steps)
        y = Concat<axis=1>(a, b, c, d)
    }"""
    starts = {f"s{h}{w}": np.array([h, w]) for h in (0, 1) for w in (0, 1)}
    others = {"ends": np.array([999, 999]), "axes": np.array([2, 3]), "steps": np.array([2, 2])}
    model = proto(text, one_row=np.array([0, 0, 0, 0, 0, 0, 1, 0]), **starts, **others)
    tried = spatial(model)
    assert len(tried) == 4
    assert all(height % 2 == 1 and width % 2 == 0 for height, width in tried)


def test_a_model_in_which_something_is_always_empty_runs(proto: MakeProto) -> None:
    text = (
        "(float[2,3,H,W] x) => (float[2,3,H,W] y) { e = Slice(x, zero, zero, two) y = Concat<axis=2>(e, x) }"
    )
    assert len(spatial(proto(text, zero=np.array([0]), two=np.array([2])))) == 3


def test_an_empty_constant_is_no_reason_to_leave_out_small_sizes(proto: MakeProto) -> None:
    text = "(float[2,3,H,W] x) => (float[2,3,P,Q] y) { y = Resize(x, roi, scales) }"
    model = proto(text, roi=np.empty(0, np.float32), scales=np.array([1, 1, 2, 2], np.float32))
    assert spatial(model)[3:] == [(1, 1)]


@pytest.mark.parametrize(("op", "shape"), [(Conv.of(2), (3, 0, 1, 1)), (ConvTranspose.of(2), (0, 3, 1, 1))])
def test_what_is_convolved_from_nothing_says_nothing(op: Op, shape: tuple[int, ...]) -> None:
    """The runtime leaves such a result as it finds it in memory: it once was NaN in one run of very many."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 3, "H", "W"))
    some, none = b.add_all(Split(axis=1), x, np.array([3, 0]), names=("", ""))
    made = b.add(op, none, np.zeros(shape, np.float32), np.ones(3, np.float32), name="made_up")
    b.output(b.add(Add(), some, made), name="y")
    with pytest.raises(Unverifiable, match="made_up: a convolution without input channels"):
        Reference.open(to_onnx(b.build()), model=to_onnx(b.build()), deadline=None)
    found = verify_models(to_onnx(b.build()), to_onnx(b.build()))
    assert found.status == "unverified"
