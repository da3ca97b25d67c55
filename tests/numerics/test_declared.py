"""What transformed kernels are allowed: which weights and results of the original, and by how much."""

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
from convgraph.numerics.declared import FLOATS, Declared, declared
from convgraph.numerics.noise import measured_noise, nudged
from convgraph.numerics.reference import Reference
from convgraph.numerics.session import Session
from convgraph.passes import CLEAN, Pipeline
from convgraph.passes.algebra.merge_parallel_branches import MergeParallelBranches
from convgraph.passes.algebra.tiles import TRANSFORMS, Tile, tiles
from convgraph.passes.algebra.transform_conv_into_winograd import TransformConvIntoWinograd

TILES = tiles((3, 3), (1, 1))
ROUNDING = 2.0**-24  # of a float


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


def taps(model: ModelProto, weight: str) -> str:
    """The initializer that a weight's transform is computed from."""
    return next(t.name for t in model.graph.initializer if t.name.startswith(weight))


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
    found = declared(to_onnx(graph), to_onnx(rewritten(graph, tile=tile)))
    assert found.weights == dict.fromkeys(["wide0", "wide1"], FLOATS[sizes])
    assert found.results == dict.fromkeys(["convolved0", "convolved1"], FLOATS[sizes] * ROUNDING)


def test_taps_of_all_branches_that_became_one_kernel_are() -> None:
    graph = network(branches=True)
    found = declared(to_onnx(graph), to_onnx(rewritten(graph, tile=(4, 4))))
    assert found.weights == dict.fromkeys(["wide0", "wide1", "single0", "single1"], FLOATS[36, 9])
    convolutions = ["convolved0", "convolved1", "beside0", "beside1"]
    assert found.results == dict.fromkeys(convolutions, FLOATS[36, 9] * ROUNDING)


def test_a_weight_that_is_computed_is_moved_where_it_comes_from() -> None:
    model = to_onnx(network())
    (node,) = (n for n in model.graph.node if "wide0" in n.input)
    model.graph.node.insert(0, NodeProto(op_type="Neg", input=["wide0"], output=["negative"]))
    node.input[1] = "negative"
    found = declared(model, to_onnx(rewritten(network(), tile=(4, 4))))
    assert found.weights == dict.fromkeys(["wide0", "wide1"], FLOATS[36, 9])
    assert found.results == dict.fromkeys(["convolved0", "convolved1"], FLOATS[36, 9] * ROUNDING)


@pytest.mark.parametrize("tile", [*TILES, (1, 4)])
def test_stored_transforms_are_told_by_what_turns_their_products_back(tile: Tile) -> None:
    graph = network()
    spelled = rewritten(graph, tile=tile)
    stored = forced(TransformConvIntoWinograd(tile=tile, store_transforms=True), graph)
    assert declared(to_onnx(graph), to_onnx(stored)) == declared(to_onnx(graph), to_onnx(spelled))
    assert declared(to_onnx(stored), to_onnx(stored)) == Declared({}, {})


def test_every_transform_is_known() -> None:
    assert FLOATS.keys() == TRANSFORMS


def test_nothing_is_where_nothing_was_transformed() -> None:
    graph = network()
    transformed = to_onnx(rewritten(graph, tile=(4, 4)))
    assert declared(to_onnx(graph), to_onnx(graph)) == Declared({}, {})
    assert declared(transformed, transformed) == Declared({}, {})


def test_floats_are_counted() -> None:
    array = np.full(10_000, 1.5, dtype=np.float32)
    for floats in (1, 8, max(FLOATS.values())):
        moved = nudged(array, rng=np.random.default_rng(0), floats=floats)
        steps = (moved - array) / np.spacing(np.float32(1.5))
        assert sorted(set(steps.tolist())) == list(range(-floats, floats + 1))


def test_noise_grows_with_the_floats_of_the_weights_that_are_named() -> None:
    model = to_onnx(network())
    trials = Reference.open(model, model=model, deadline=None).seeded(trials=1, seed=0, overridable={})
    few, many, others = (
        measured_noise(model, trials, seed=0, declared=Declared(weights=floats))[0].bound("y")
        for floats in ({}, {"wide0": 32, "wide1": 32}, {"absent": 32})
    )
    assert few == others
    assert 8 * few < many < 32 * few


def single(channels: int, size: int, *, scale: float = 1.0) -> Graph:
    """One convolution with a bias, whose result is returned."""
    draw = Draw(dyadic=False)
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(1, channels, size, size))
    weight = draw.weight(channels, channels, 3, 3) / np.float32(3 * channels**0.5)
    bias = b.constant(np.full(channels, scale, dtype=np.float32), name="bias")
    b.output(b.add(Conv.of(2, pads=1), x, b.constant(weight, name="weight"), bias), name="y")
    return b.build()


@pytest.mark.parametrize("bias", [False, True])
def test_results_seep_into_what_is_around_them(bias: bool) -> None:
    """At an impulse in the middle: as far as a tile reaches, no further, and not from the bias."""
    model = to_onnx(single(4, 33, scale=1.0 if bias else 0.0))
    if not bias:
        del model.graph.node[0].input[2]
    original = Session(model)
    impulse = np.zeros((1, 4, 33, 33), dtype=np.float32)
    impulse[0, :, 16, 16] = 1.0
    (kernel,) = (a for a in model.graph.node[0].attribute if a.name == "kernel_shape")
    model.graph.node[0].attribute.remove(kernel)  # not every exporter writes it
    Declared(results={"y": 1e-3}).seep(model, rng=np.random.default_rng(0))
    (want,), (got,) = (session.run({"x": impulse}).values() for session in (original, Session(model)))
    moved = np.abs(got - want).max(axis=(0, 1))
    around = slice(16 - 1 - 7, 16 + 1 + 7 + 1)
    assert np.all(moved[around, around] > 0.0)
    assert moved.max() <= 1.001e-3 * np.abs(want - float(bias)).max()
    moved[around, around] = 0.0
    assert not moved.any()


@pytest.mark.parametrize(
    ("channels", "size", "tile"), [(64, 28, (4, 4)), (16, 56, (2, 2)), (64, 14, (4, 4)), (512, 7, (4, 1))]
)
def test_a_single_convolution_is_equal_beside_impulses_too(channels: int, size: int, tile: Tile) -> None:
    graph = single(channels, size, scale=0.1)
    transformed = forced(TransformConvIntoWinograd(tile=tile), graph)
    model, other = to_onnx(graph), to_onnx(transformed)
    verdict = verify_models(model, other, names_are_kept=True)
    assert verdict.equal, verdict.reason
    wrong = shifted(other, taps(other, "weight"), by=1e-4)
    assert verify_models(model, wrong, names_are_kept=True).status == "different"


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("taps", [5, 7])
def test_long_kernels_are_equal_too(taps: int, stored: bool) -> None:
    """Those at the most points, whose taps seem to be the most floats beside their own."""
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    x = b.input("x", shape=(1, 64, 21, 18))
    b.output(b.add(Conv.of(2, pads=taps // 2), x, draw.weight(32, 64, taps, taps)), name="y")
    graph = b.build()
    for tile in tiles((taps, taps), (1, 1)):
        after = forced(TransformConvIntoWinograd(tile=tile, store_transforms=stored), graph)
        verdict = verify_models(to_onnx(graph), to_onnx(after), names_are_kept=True)
        assert verdict.equal, (tile, verdict.reason)


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("branches", [False, True])
def test_a_transformed_model_is_equal_and_a_fault_in_it_is_not(tile: Tile, branches: bool) -> None:
    graph = network(channels=32, branches=branches)
    model, other = to_onnx(graph), to_onnx(rewritten(graph, tile=tile))
    verdict = verify_models(model, other, names_are_kept=True)
    assert verdict.equal
    assert verdict.outputs[0].max_rel < 1e-5
    wrong = shifted(other, taps(other, "wide1"), by=1e-4)
    assert verify_models(model, wrong, names_are_kept=True).status == "different"
