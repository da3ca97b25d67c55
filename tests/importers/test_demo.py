"""The demo models: reproducible, valid, lively, and full of what rewrites are there to find."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from convgraph.analysis.cost import graph_cost, parameters
from convgraph.analysis.target import OnnxruntimeCpu
from convgraph.compiler.optimize import optimize
from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.demo import demo, demo_names
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    BatchNormalization,
    Constant,
    Conv,
    ConvTranspose,
    Dropout,
    Identity,
    Op,
    Pad,
    Resize,
    Slice,
)
from convgraph.ir.tensor import Array
from convgraph.ir.wellformed import check

EVERY = pytest.mark.parametrize("name", demo_names())


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    return {name: demo(name) for name in demo_names()}


def feeds(graph: Graph, *, seed: int, batch: int = 1) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    types = {graph.value_name(value): graph.type(value) for value in graph.inputs}
    shapes = {n: [batch if isinstance(d, str) else d for d in t.shape or ()] for n, t in types.items()}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def run(graph: Graph, *runs: dict[str, Array]) -> list[dict[str, Array]]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        to_onnx(graph).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(None, feed), strict=True)) for feed in runs]


def test_the_models() -> None:
    assert demo_names() == (
        *("resnet", "unet", "mobilenet", "pixelcnn", "glow"),
        *("alexnet", "inception", "resnext", "shufflenet", "textcnn", "video"),
        *("deeplab", "dcgan", "inpainting", "panorama", "wavenet"),
    )


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(InvalidModel, match=r"demo:vgg: no demo model .*one of resnet, unet"):
        demo("vgg")


@EVERY
def test_a_model_is_the_same_each_time(name: str, graphs: dict[str, Graph]) -> None:
    assert to_onnx(demo(name)).SerializeToString(deterministic=True) == to_onnx(
        graphs[name]
    ).SerializeToString(deterministic=True)


@EVERY
def test_a_model_is_sound_valid_onnx_and_of_moderate_size(name: str, graphs: dict[str, Graph]) -> None:
    graph = graphs[name]
    check(graph)
    onnx.checker.check_model(to_onnx(graph), full_check=True)
    assert graph.model.opset == 17
    assert 80_000 < parameters(graph) < 15_000_000


@EVERY
def test_outputs_are_finite_and_depend_on_the_input_at_every_element(
    name: str, graphs: dict[str, Graph]
) -> None:
    """A flat or saturated output would be equal whatever a rewrite did."""
    graph = graphs[name]
    first, second = run(graph, feeds(graph, seed=1), feeds(graph, seed=2))
    assert first
    for output, values in first.items():
        spread = float(np.std(values)) if values.size > 1 else float(abs(values).max())
        moved = values - second[output]
        assert np.isfinite(values).all()
        assert spread > 1e-3
        assert float(np.sqrt(np.mean(moved**2))) > 0.02 * spread
        if name != "pixelcnn":  # there the first pixel sees nothing
            assert (moved != 0).all()


@EVERY
def test_a_model_is_optimized_into_an_equal_one(name: str, graphs: dict[str, Graph]) -> None:
    result = optimize(graphs[name], trials=1)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert result.changed
    before, after = graph_cost(graphs[name]), graph_cost(result.graph)
    price = OnnxruntimeCpu().price
    assert after < before or price(result.graph) < price(graphs[name])
    assert count(result.graph, BatchNormalization) == 0


FIXED = {"resnet", "panorama"}  # these take one image


@pytest.mark.parametrize("name", [name for name in demo_names() if name not in FIXED])
def test_a_dynamic_batch_is_so_many_samples(name: str, graphs: dict[str, Graph]) -> None:
    graph = graphs[name]
    feed = feeds(graph, seed=3, batch=2)
    alone = [{key: array[i : i + 1] for key, array in feed.items()} for i in range(2)]
    whole, *parts = run(graph, feed, *alone)
    for output, values in whole.items():
        stacked = np.concatenate([part[output] for part in parts])
        bound = 1e-4 * float(abs(stacked).max())
        assert stacked.shape == values.shape
        assert float(abs(values - stacked).max()) <= bound


def test_pixelcnn_sees_only_pixels_before_its_own(graphs: dict[str, Graph]) -> None:
    graph = graphs["pixelcnn"]
    feed = feeds(graph, seed=4)
    other = {key: array.copy() for key, array in feed.items()}
    row, column = 11, 17
    other["image"][0, 0, row, column] += 1
    before, after = (result["logits"][0] for result in run(graph, feed, other))
    changed = (before != after).any(axis=0)
    assert not changed.reshape(-1)[: row * 28 + column + 1].any()
    assert changed[row, column + 1]
    assert changed[row + 1, column]


def test_glow_maps_no_two_images_to_one_latent(graphs: dict[str, Graph]) -> None:
    """As many latent numbers as pixels, and every mixing matrix has an inverse."""
    graph = graphs["glow"]
    (result,) = run(graph, feeds(graph, seed=5))
    assert sum(v.size for name, v in result.items() if name.startswith("latent")) == 3 * 32 * 32


def constant_computations(graph: Graph) -> int:
    """Operations all of whose operands are constants."""
    return sum(
        all(value is None or isinstance(graph.producer(value), Constant) for value in graph.operands(node))
        for node in graph.compute_nodes()
    )


def after_convolutions(graph: Graph) -> Counter[str]:
    """What reads a convolution together with constants only."""
    found: Counter[str] = Counter()
    for node in graph.compute_nodes():
        operands = [value for value in graph.operands(node) if value is not None]
        computed = [value for value in operands if not isinstance(graph.producer(value), Constant)]
        if len(computed) == 1 and isinstance(graph.producer(computed[0]), (Conv, ConvTranspose)):
            found[graph.op(node).label] += 1
    return found


def dead(graph: Graph) -> int:
    return sum(graph.is_unread(node) for node in graph.compute_nodes())


def test_resnet_holds_what_rewrites_find(graphs: dict[str, Graph]) -> None:
    graph = graphs["resnet"]
    assert after_convolutions(graph)["BatchNormalization"] == 20
    assert constant_computations(graph) == 2
    assert dead(graph) == 1
    assert count(graph, Identity) == 4
    assert count(graph, Dropout) == 1


def test_unet_holds_what_rewrites_find(graphs: dict[str, Graph]) -> None:
    graph = graphs["unet"]
    found = after_convolutions(graph)
    assert found["BatchNormalization"] == 18 + 4 + 1
    assert found["Div"] == 1
    assert count(graph, ConvTranspose) == 4
    assert dead(graph) == 1
    assert count(graph, Dropout) == 1


def test_mobilenet_holds_what_rewrites_find(graphs: dict[str, Graph]) -> None:
    graph = graphs["mobilenet"]
    assert after_convolutions(graph)["BatchNormalization"] == 52
    depthwise = [graph.op(node) for node in graph.compute_nodes()]
    assert sum(isinstance(op, Conv) and op.group > 1 for op in depthwise) == 17
    assert count(graph, Identity) == 1


def test_pixelcnn_and_glow_hold_what_rewrites_find(graphs: dict[str, Graph]) -> None:
    pixelcnn, glow = graphs["pixelcnn"], graphs["glow"]
    assert constant_computations(pixelcnn) == 7
    assert after_convolutions(pixelcnn) == {"Relu": 14, "Mul": 6, "Identity": 1}
    assert constant_computations(glow) == 2 * 12
    assert after_convolutions(glow)["Relu"] == 24


def test_the_smaller_models_hold_what_they_are_for(graphs: dict[str, Graph]) -> None:
    def groups(name: str) -> set[int]:
        ops = map(graphs[name].op, graphs[name].compute_nodes())
        return {op.group for op in ops if isinstance(op, Conv)}

    assert groups("alexnet") == {1, 2}
    assert groups("resnext") == {1, 32}
    assert groups("shufflenet") == {1, 4, 68}
    assert after_convolutions(graphs["inception"]) == {"BatchNormalization": 13}
    assert after_convolutions(graphs["dcgan"]) == {"BatchNormalization": 3, "Tanh": 1}
    assert count(graphs["wavenet"], Pad) == 6
    assert count(graphs["deeplab"], Resize) == 2
    assert count(graphs["panorama"], Slice) == 6
    assert after_convolutions(graphs["inpainting"]) == {"Elu": 5, "Sigmoid": 5, "Tanh": 1}
    ranks = {
        name: len(graphs[name].type(graphs[name].inputs[0]).shape or ()) for name in ("textcnn", "video")
    }
    assert ranks == {"textcnn": 3, "video": 5}


def test_wavenet_hears_nothing_that_comes_later(graphs: dict[str, Graph]) -> None:
    graph = graphs["wavenet"]
    feed = feeds(graph, seed=6)
    other = {key: array.copy() for key, array in feed.items()}
    other["sound"][0, 0, 300] += 1
    before, after = (result["levels"][0] for result in run(graph, feed, other))
    changed = (before != after).any(axis=0)
    assert not changed[:300].any()
    assert changed[300:364].all(), "1 + 1 + 2 + 4 + … + 32 steps"
    assert not changed[364:].any()


def test_panorama_has_no_left_and_right_end(graphs: dict[str, Graph]) -> None:
    graph = graphs["panorama"]
    feed = feeds(graph, seed=7)
    turned = {key: np.roll(array, 29, axis=3) for key, array in feed.items()}
    upside_down = {key: np.roll(array, 3, axis=2) for key, array in feed.items()}
    here, there, below = (result["scores"] for result in run(graph, feed, turned, upside_down))
    bound = 1e-5 * float(abs(here).max())
    assert abs(np.roll(here, 29, axis=3) - there).max() <= bound
    assert abs(np.roll(here, 3, axis=2) - below)[:, :, 8:24].max() > 100 * bound, "rows are told apart"


def test_normalisations_are_not_trivial(graphs: dict[str, Graph]) -> None:
    graph = graphs["mobilenet"]
    norms = [node for node in graph.compute_nodes() if isinstance(graph.op(node), BatchNormalization)]
    for role, slot in (("scale", 1), ("bias", 2), ("mean", 3), ("variance", 4)):
        values = np.concatenate([data(graph, graph.operand(node, slot)) for node in norms])
        assert values.std() > 0.1, role
        assert (values < 0).any() == (role != "variance"), role


def count(graph: Graph, kind: type[Op]) -> int:
    return sum(isinstance(graph.op(node), kind) for node in graph.compute_nodes())


def data(graph: Graph, value: Value | None) -> Array:
    tensor = graph.constant(value)
    assert tensor is not None
    return tensor.numpy()
