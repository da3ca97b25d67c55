"""What transformed kernels are allowed: which weights of the original, and by how much."""

import numpy as np
import pytest
from laws.draw import Draw
from laws.forced import forced
from onnx import ModelProto, NodeProto, numpy_helper

from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, BatchNormalization, Conv, Relu
from convgraph.numerics.compare import verify_models
from convgraph.numerics.declared import FLOATS, moved_further
from convgraph.numerics.noise import measured_noise, nudged
from convgraph.numerics.reference import Reference
from convgraph.passes import CLEAN, Pipeline
from convgraph.passes.algebra.merge_parallel_branches import MergeParallelBranches
from convgraph.passes.algebra.transform_conv_into_winograd import TILES, Tile, TransformConvIntoWinograd


def network(*, channels: int = 8, branches: bool = False) -> Graph:
    """Two blocks of a 3×3 convolution, one with more branches or none, and a pointwise one."""
    draw = Draw(dyadic=False)
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(1, channels, 12, 12))
    for number in range(2):
        wide = b.constant(draw.weight(channels, channels, 3, 3), name=f"wide{number}")
        y = b.add(Conv.of(2, pads=1), x, wide, name=f"convolved{number}")
        if branches:
            single = b.constant(draw.weight(channels, channels, 1, 1), name=f"single{number}")
            statistics = [b.constant(draw.factor(channels) ** 2, name=f"bn{number}_{i}") for i in range(4)]
            y = b.add(BatchNormalization(), y, *statistics, name=f"normal{number}")
            y = b.add(Add(), y, b.add(Conv.of(2), x, single, name=f"beside{number}"), name=f"sum{number}")
        x = b.add(Relu(), y, name=f"block{number}")
    last = b.constant(draw.weight(channels, channels, 1, 1), name="last")
    b.output(b.add(Conv.of(2), x, last), name="y")
    return b.build()


def rewritten(graph: Graph, *, tile: Tile) -> Graph:
    """The graph with its branches merged, and its 3×3 convolutions transformed, paying or not."""
    merged, _ = Pipeline([*CLEAN[:2], MergeParallelBranches(), CLEAN[2]]).run(graph)
    return forced(TransformConvIntoWinograd(tile=tile), merged)


def shifted(model: ModelProto, name: str, *, by: float) -> ModelProto:
    """A copy with one initializer multiplied by 1 + ``by``."""
    copy = ModelProto()
    copy.CopyFrom(model)
    (tensor,) = (t for t in copy.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1 + by), name))
    return copy


@pytest.mark.parametrize(("tile", "sizes"), [((2, 2), (16, 9)), ((4, 4), (36, 9)), ((4, 1), (6, 3))])
def test_taps_of_transformed_kernels_are_moved_further(tile: Tile, sizes: tuple[int, int]) -> None:
    graph = network()
    further = moved_further(to_onnx(graph), to_onnx(rewritten(graph, tile=tile)))
    assert further == dict.fromkeys(["wide0", "wide1"], FLOATS[sizes])


def test_taps_of_all_branches_that_became_one_kernel_are() -> None:
    graph = network(branches=True)
    further = moved_further(to_onnx(graph), to_onnx(rewritten(graph, tile=(4, 4))))
    assert further == dict.fromkeys(["wide0", "wide1", "single0", "single1"], FLOATS[36, 9])


def test_a_weight_that_is_computed_is_moved_where_it_comes_from() -> None:
    model = to_onnx(network())
    (node,) = (n for n in model.graph.node if "wide0" in n.input)
    model.graph.node.insert(0, NodeProto(op_type="Neg", input=["wide0"], output=["negative"]))
    node.input[1] = "negative"
    further = moved_further(model, to_onnx(rewritten(network(), tile=(4, 4))))
    assert further == dict.fromkeys(["wide0", "wide1"], FLOATS[36, 9])


def test_nothing_is_where_nothing_was_transformed() -> None:
    graph = network()
    transformed = to_onnx(rewritten(graph, tile=(4, 4)))
    assert moved_further(to_onnx(graph), to_onnx(graph)) == {}
    assert moved_further(transformed, transformed) == {}


def test_floats_are_counted() -> None:
    array = np.full(10_000, 1.5, dtype=np.float32)
    for floats in (1, 8):
        moved = nudged(array, rng=np.random.default_rng(0), floats=floats)
        steps = (moved - array) / np.spacing(np.float32(1.5))
        assert sorted(set(steps.tolist())) == list(range(-floats, floats + 1))


def test_noise_grows_with_the_floats_of_the_weights_that_are_named() -> None:
    model = to_onnx(network())
    trials = Reference.open(model, model=model, deadline=None).seeded(trials=1, seed=0, overridable={})
    few, many, others = (
        measured_noise(model, trials, seed=0, further=further)[0].bound("y")
        for further in ({}, {"wide0": 32, "wide1": 32}, {"absent": 32})
    )
    assert few == others
    assert 8 * few < many < 32 * few


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("branches", [False, True])
def test_a_transformed_model_is_equal_and_a_fault_in_it_is_not(tile: Tile, branches: bool) -> None:
    graph = network(channels=32, branches=branches)
    model, other = to_onnx(graph), to_onnx(rewritten(graph, tile=tile))
    verdict = verify_models(model, other, names_are_kept=True)
    assert verdict.equal
    assert verdict.outputs[0].max_rel < 1e-5
    taps = next(t.name for t in other.graph.initializer if t.name.startswith("wide1"))
    assert verify_models(model, shifted(other, taps, by=1e-4), names_are_kept=True).status == "different"
