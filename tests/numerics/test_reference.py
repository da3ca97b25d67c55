"""The runs of the original: at which sizes."""

from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Resize
from convgraph.numerics.reference import Reference

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
