"""Tables for sum-kernels-at-load."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from laws.draw import Draw
from laws.enlarged import COPY
from laws.meaning import difference
from laws.weighted import Weight, convolved

from convgraph.analysis.cost import parameters
from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, ConvTranspose, MatMul, Relu, Split
from convgraph.ir.tensor import Array
from convgraph.numerics.session import Session
from convgraph.passes import Pipeline
from convgraph.passes.algebra.sum_kernels_at_load import SumKernelsAtLoad, Sums
from convgraph.passes.cleanup.fold_constants import FoldConstants


def repeated(*shape: int, times: tuple[int, ...], spoilt: bool = False, dtype: type = np.float32) -> Weight:
    """A kernel of this shape moved over as many ones; ``spoilt``: not that of the last channels."""

    def weight(draw: Draw) -> Array:
        taps = draw.weight(*shape).astype(np.float64)
        sizes = [k + s - 1 for k, s in zip(shape[2:], times, strict=True)]
        kernel = np.zeros((*shape[:2], *sizes))
        for shift in np.ndindex(*times):
            place = tuple(slice(at, at + size) for at, size in zip(shift, shape[2:], strict=True))
            kernel[:, :, *place] += taps
        kernel[-1, -1].flat[0] += spoilt
        return kernel.astype(dtype)

    return weight


def moved(*strides: int, **options: int) -> ConvTranspose:
    return ConvTranspose.of(len(strides), strides=strides, **options)


def phases(
    kernel: int = 3,
    *,
    times: tuple[int, ...] = (2, 2),
    pad: int = 1,
    channels: int = 8,
    overridable: bool = False,
    shared: bool = False,
) -> Callable[[Draw], Graph]:
    """One convolution of x for each phase of an image ``times`` as large, side by side."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", channels, "H", "W")[: 2 + len(times)])
        taps = draw.weight(channels, channels, *(kernel,) * len(times)).astype(np.float64)
        for number, place in enumerate(np.ndindex(*times)):
            array = taps
            for axis, (q, s) in enumerate(zip(place, times, strict=True), start=2):
                pixels = (np.arange(kernel) + q - pad) // s
                met = (array.compress(pixels == p, axis=axis) for p in range(pixels[0], pixels[-1] + 1))
                array = np.concatenate([some.sum(axis=axis, keepdims=True) for some in met], axis=axis)
            array, first = array.astype(np.float32), number == 0
            given = b.overridable("weight", array) if overridable and first else b.constant(array)
            b.output(b.add(Conv.of(len(times), pads=1), x, given), name=f"y{number}")
            if shared and first:
                b.output(b.add(Relu(), given), name="weights")
        return b.build()

    return build


EXAMPLES = {
    "moved over ones": convolved(moved(2, 2), repeated(8, 8, 3, 3, times=(2, 2))),
    "moved along one axis": convolved(moved(1, 2), repeated(16, 8, 3, 3, times=(1, 2))),
    "one spatial axis": convolved(moved(4), repeated(16, 16, 3, times=(4,))),
    "three spatial axes": convolved(moved(2, 2, 2), repeated(8, 8, 2, 2, 2, times=(2, 2, 2))),
    "groups": convolved(moved(2, 2, group=2), repeated(8, 8, 3, 3, times=(2, 2))),
    "long": convolved(moved(3, 3), repeated(8, 8, 5, 5, times=(3, 3))),
    "double": convolved(moved(2, 2), repeated(8, 8, 3, 3, times=(2, 2), dtype=np.float64), dtype=np.float64),
    "phases": phases(),
    "phases without padding": phases(pad=0),
    "phases of five taps": phases(5, pad=2, channels=16),
    "phases by three": phases(times=(3, 3)),
    "phases along one axis": phases(times=(1, 2), channels=16),
    "weights that something else reads": phases(shared=True),
    "phases of one spatial axis": phases(5, times=(4,), channels=16),
}

NEAR_MISSES = {
    "the_weights_are_constant": [
        convolved(moved(2, 2), repeated(8, 8, 3, 3, times=(2, 2)), given="overridable"),
        phases(overridable=True),
    ],
    "it_takes_less_room": [convolved(moved(2, 2), repeated(4, 4, 3, 3, times=(2, 2)))],
    "every_kernel_adds_up": [
        convolved(moved(2, 2), repeated(65, 65, 3, 3, times=(2, 2), spoilt=True)),
    ],
}


@pytest.mark.parametrize(("kernel", "times"), [(3, (2, 2)), (3, (3, 3)), (5, (4,)), (3, (1, 2))])
def test_the_taps_are_those_that_phases_were_made_of(kernel: int, times: tuple[int, ...]) -> None:
    """Others add up to the same, with the phases in another order; they are larger, and of either sign."""
    graph = phases(kernel, times=times, channels=16)(Draw(dyadic=True))
    taps = Draw(dyadic=True).weight(16, 16, *(kernel,) * len(times))
    result, trace = Pipeline([SumKernelsAtLoad()]).run(graph)
    assert len(trace.applications) == 1
    stored = [result.constant(v) for n in result.nodes() for v in result.results(n)]
    (found,) = [tensor.numpy() for tensor in stored if tensor is not None and tensor.shape[:2] == (16, 16)]
    np.testing.assert_array_equal(found, taps.reshape(16, 16, -1))


@pytest.mark.parametrize("example", [name for name in EXAMPLES if "phases" in name])
def test_all_phases_are_found_at_once(example: str) -> None:
    graph = EXAMPLES[example](Draw(dyadic=True))
    convs = [node for node in graph.nodes() if isinstance(graph.op(node), Conv)]
    match = SumKernelsAtLoad().find(graph, convs[0])
    assert match is not None
    assert match.convs == tuple(convs)


def test_many_kernels_are_sums_of_taps_that_differences_tell() -> None:
    """Of a quarter of a million kernels some have a tap that is told by a difference of much larger sums."""
    _, trace = Pipeline([SumKernelsAtLoad()]).run(phases(channels=512)(Draw(dyadic=False)))
    assert len(trace.applications) == 1


def upsampling(channels: int = 64) -> Graph:
    """A 3×3 convolution of an image that is enlarged by repeating its pixels."""
    draw = Draw(dyadic=False)
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(1, channels, 16, 16))
    scales = b.constant(np.array([1, 1, 2, 2], dtype=np.float32))
    large = b.add(COPY, x, None, scales)
    weight = b.constant(draw.weight(channels, channels, 3, 3), name="weight")
    b.output(b.add(Conv.of(2, pads=1), large, weight), name="y")
    return b.build()


def test_a_folded_resize_does_not_make_the_file_larger(tmp_path: Path) -> None:
    model = to_onnx(upsampling())
    result = optimize(model)
    assert result.verification is not None
    assert result.verification.equal
    assert "Resize" not in {node.op_type for node in result.proto.graph.node}
    assert result.proto.ByteSize() < 1.05 * model.ByteSize()
    assert optimize(model, skip=["sum-kernels-at-load"]).proto.ByteSize() > 1.5 * model.ByteSize()
    kept = str(tmp_path / "kept.onnx")
    Session(result.proto, optimized=True, kept=kept)
    assert {"MatMul", "Split"}.isdisjoint(node.op_type for node in onnx.load(kept).graph.node)


def test_what_is_read_again_is_left_as_it_is() -> None:
    result = optimize(to_onnx(upsampling()), verify=False)
    again = optimize(result.proto, verify=False)
    assert not again.changed


def test_the_largest_sum_decides_which_tap_is_told_first() -> None:
    """Beside 2²⁰ a tap near 1 is lost in one sum, and told from the other."""
    sums = Sums(((0, 1), (0, 2), (1, 3), (2, 3)), 3)
    taps = np.array([[2.0**20, 1.25, 0.5], [0.5, 1.25, 2.0**20]])
    elements = (taps @ sums.matrix.T).astype(np.float32).astype(np.float64)
    elements[0, 1] += 1.0
    elements[1, 2] += 1.0
    found = sums.taps_of(elements)
    assert found is not None
    assert np.array_equal(found, taps)


def test_sums_without_a_single_tap_tell_nothing() -> None:
    assert Sums(((0, 2), (1, 3)), 3).taps_of(np.ones((1, 2))) is None


@pytest.mark.parametrize("times", [(2, 2), (1, 2), (2, 1), (3, 3)])
def test_phases_are_told_whatever_pads_they_have(times: tuple[int, int]) -> None:
    for pad in range(3):
        graph = phases(times=times, pad=pad, channels=32)(Draw(dyadic=False))
        result, trace = Pipeline([SumKernelsAtLoad()]).run(graph)
        assert len(trace.applications) == 1, pad
        assert parameters(result) < 1.1 * 32 * 32 * 9
        assert not difference(graph, result, dyadic=False)


def test_sums_that_make_weights_are_not_computed_before_the_model_is_stored() -> None:
    graph, _ = Pipeline([SumKernelsAtLoad()]).run(phases()(Draw(dyadic=True)))
    result, trace = Pipeline([FoldConstants()]).run(graph)
    assert not trace.applications
    assert {r.requirement for r in trace.refusals} == {"expansions_stay"}
    (product,) = (node for node in result.compute_nodes() if isinstance(result.op(node), MatMul))
    edit, taken = Edit(result), result.operand(product, 1)
    assert taken is not None
    edit.replace(taken, edit.constant(np.full((9, 16), 2.0, dtype=np.float32)))
    edit.sweep()
    assert is_folded(result)


def test_sums_that_are_returned_are_computed() -> None:
    graph, _ = Pipeline([SumKernelsAtLoad()]).run(phases()(Draw(dyadic=True)))
    pieces = next(node for node in graph.compute_nodes() if isinstance(graph.op(node), Split))
    graph.outputs = (*graph.outputs, graph.results(pieces)[0])
    assert is_folded(graph)


def is_folded(graph: Graph) -> bool:
    """Whether no product is left once constants are folded."""
    result, _ = Pipeline([FoldConstants()]).run(graph)
    return not any(isinstance(result.op(node), MatMul) for node in result.compute_nodes())
