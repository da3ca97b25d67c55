"""Checkerboards measured from weights agree with what the layer makes of a flat input."""

import numpy as np
import pytest

from convgraph.analysis.checkerboard import amplitude, phase_sums
from convgraph.analysis.finding import Finding
from convgraph.analysis.lint import lint
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import ConvTranspose
from convgraph.ir.tensor import Array
from convgraph.numerics.evaluate import evaluate

SETTINGS = {
    "2-D": (ConvTranspose.of(2, strides=(2, 3)), (5, 2, 3, 4)),
    "1-D": (ConvTranspose.of(1, strides=3, pads=1), (2, 3, 5)),
    "3-D": (ConvTranspose.of(3, strides=(1, 2, 2)), (2, 1, 2, 3, 4)),
    "groups": (ConvTranspose.of(2, strides=2, group=2), (4, 3, 5, 2)),
    "dilation": (ConvTranspose.of(2, strides=(2, 3), dilations=(2, 2)), (2, 3, 3, 3)),
    "filter smaller than the stride": (ConvTranspose.of(2, strides=3), (2, 2, 2, 2)),
}


def upsampling(op: ConvTranspose, weight: Array, *, size: int = 9) -> Graph:
    b = GraphBuilder("up")
    x = b.input("x", shape=(1, weight.shape[0], *(size,) * op.spatial_rank))
    b.output(b.add(op, x, weight, node="up"), name="y")
    return b.build()


def checkerboards(graph: Graph) -> list[Finding]:
    return [finding for finding in lint(graph) if finding.rule == "checkerboard"]


@pytest.mark.parametrize("name", SETTINGS)
def test_phase_sums_are_the_image_of_a_flat_input(name: str) -> None:
    op, shape = SETTINGS[name]
    rng = np.random.default_rng(0)
    weight = rng.integers(-4, 5, shape).astype(np.float32)
    levels = rng.integers(1, 5, shape[0]).astype(np.float32)
    graph = upsampling(op, weight)
    x = np.broadcast_to(
        levels.reshape(1, -1, *(1,) * op.spatial_rank), (1, shape[0], *(9,) * op.spatial_rank)
    )
    image = np.asarray(evaluate(graph, {"x": np.array(x)})["y"])[0]
    inside = image[(slice(None), *(slice(5 * stride, 6 * stride) for stride in op.strides))]
    rows = shape[0] // op.group
    sums = phase_sums(op, weight) * levels.reshape(-1, *(1,) * (op.spatial_rank + 1))
    expected = sums.reshape(op.group, rows, *sums.shape[1:]).sum(axis=1).reshape(inside.shape)
    for channel, phases in zip(inside, expected, strict=True):
        # Pads and where the window starts decide which phase comes first, not what the phases are.
        assert sorted(channel.ravel()) == sorted(phases.ravel())


def test_amplitude_of_even_paint() -> None:
    """All-ones 3x3 at stride 2: phases of 4, 2, 2 and 1 taps."""
    op, ones = ConvTranspose.of(2, strides=2), np.ones((2, 3, 3, 3), np.float32)
    phases = np.array([4, 2, 2, 1])
    assert amplitude(op, ones) == pytest.approx(phases.std() / np.sqrt(np.mean(phases**2)))
    assert amplitude(op, np.ones((2, 3, 4, 4), np.float32)) == 0
    assert amplitude(op, np.zeros((2, 3, 3, 3), np.float32)) == 0
    assert amplitude(ConvTranspose.of(2), ones) == 0, "stride 1 has one phase"


def test_amplitude_is_the_share_of_pattern_over_random_levels() -> None:
    op = ConvTranspose.of(2, strides=2)
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(6, 4, 4, 4))
    levels = rng.normal(size=(4000, 6))
    images = np.tensordot(levels, phase_sums(op, weight), 1)
    share = np.sqrt(images.var(axis=(2, 3)).mean() / np.square(images).mean())
    assert amplitude(op, weight) == pytest.approx(share, rel=0.02)


def test_a_filter_that_the_stride_does_not_divide() -> None:
    (found,) = checkerboards(upsampling(ConvTranspose.of(2, strides=2), np.ones((2, 2, 3, 3), np.float32)))
    assert found.where == "up"
    assert "uneven overlap: filter size 3x3 is not divisible by stride 2x2" in found.what
    assert "44% amplitude" in found.what
    assert found.remedy.startswith("a filter size that the stride divides, or resize")


def test_phases_with_unequal_sums() -> None:
    weight = np.ones((2, 2, 4, 4), np.float32)
    assert not checkerboards(upsampling(ConvTranspose.of(2, strides=2), weight))
    weight[:, :, 0, 0] = 3
    (found,) = checkerboards(upsampling(ConvTranspose.of(2, strides=2), weight))
    assert "unequal sums" in found.what
    assert found.remedy.startswith("resize first")


def test_weights_can_make_up_for_uneven_overlap() -> None:
    """The bilinear filter of size 3: every phase adds up to 1, though the phases have 1 to 4 taps."""
    line = np.array([0.5, 1, 0.5], np.float32)
    assert not checkerboards(upsampling(ConvTranspose.of(2, strides=2), np.outer(line, line)[None, None]))


def test_dilation_that_misses_phases() -> None:
    op = ConvTranspose.of(2, strides=2, dilations=2)
    (found,) = checkerboards(upsampling(op, np.ones((1, 1, 4, 4), np.float32)))
    assert "dilation 2x2 misses phases of stride 2x2" in found.what


def test_weights_from_outside_leave_the_geometry() -> None:
    def asked(size: int) -> list[Finding]:
        b = GraphBuilder("outside")
        x, weight = b.input("x", shape=(1, 2, 5, 4)), b.input("w", shape=(2, 3, size, size))
        y: Value = b.add(ConvTranspose.of(2, strides=2), x, weight)
        b.output(y)
        return checkerboards(b.build())

    assert not asked(4)
    (found,) = asked(3)
    assert "not constant" in found.what
