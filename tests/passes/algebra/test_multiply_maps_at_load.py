"""Tables for multiply-maps-at-load."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from laws.draw import Draw

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Add, Concat, Conv, Identity, MatMul, Mul, Relu
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.session import Session
from convgraph.passes import Pipeline
from convgraph.passes.algebra.multiply_maps_at_load import MultiplyMapsAtLoad
from convgraph.passes.cleanup.fold_constants import FoldConstants

Map = Callable[[Draw], Array]


def bordered(*outer: int, size: int = 16, border: int = 1, dtype: type = np.float32) -> Map:
    """The same all over, but for ``border`` rows and columns on each side."""

    def build(draw: Draw) -> Array:
        kinds = 2 * border + 1
        of = np.clip(np.arange(size), 0, border) + np.clip(np.arange(size) - (size - border - 1), 0, border)
        return draw.weight(*outer, kinds, kinds, dtype=dtype)[..., of, :][..., of]

    return build


def slope(channels: int, *, size: int = 17) -> Map:
    """A plane in each channel: multiples of the coordinates, and a number."""

    def build(draw: Draw) -> Array:
        down, across = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij")
        planes = [x * down + y * across + z for x, y, z in draw.weight(channels, 3).astype(np.float64)]
        return np.stack(planes)[None].astype(np.float32)

    return build


def noise(*shape: int) -> Map:
    return lambda draw: draw.factor(*shape)


def added(map_: Map, *, left: bool = False, given: str = "", also: str = "") -> Callable[[Draw], Graph]:
    """A Relu of x plus a map; ``also`` something else reads it, too, as another sum does."""

    def build(draw: Draw) -> Graph:
        array = map_(draw)
        b = GraphBuilder("g", opset=17)
        shape = (2 if len(array) > 1 else "N", *array.shape[1:])
        x = b.input("x", shape=shape, dtype=DataType.of(array.dtype))
        value = b.overridable("map", array) if given == "overridable" else b.constant(array, name="map")
        b.output(b.add(Relu(), b.add(Add(), value, x) if left else b.add(Add(), x, value)), name="y")
        if also == "sum":
            b.output(b.add(Add(), b.add(Relu(), x), value), name="z")
        if also == "product":
            b.output(b.add(Mul(), x, value), name="z")
        if also == "output":
            b.output(value)
        return b.build()

    return build


EXAMPLES = {
    "a border": added(bordered(1, 8)),
    "a wide border": added(bordered(1, 8, size=24, border=3)),
    "on the left": added(bordered(1, 8), left=True),
    "one image": added(bordered(1, size=32)),
    "a map for each of two samples": added(bordered(2, 4)),
    "volumes": added(bordered(1, 3, 4)),
    "double": added(bordered(1, 4, dtype=np.float64)),
    "coordinates": added(slope(8)),
    "the same everywhere": added(
        lambda draw: np.broadcast_to(draw.weight(1, 4, 1, 1), (1, 4, 16, 16)).copy()
    ),
    "nothing": added(lambda _: np.zeros((1, 4, 16, 16), np.float32)),
    "two sums": added(bordered(1, 8), also="sum"),
}

NEAR_MISSES = {
    "the_map_is_constant": [added(bordered(1, 8), given="overridable")],
    "few_rows_make_all_others": [
        added(noise(1, 2, 16, 16)),
        added(noise(1, 20, 8, 16)),
        added(lambda draw: np.concatenate([bordered(1, 8)(draw), noise(1, 1, 16, 16)(draw)], axis=1)),
        added(lambda draw: np.where(np.arange(16) == 0, np.float32(2**24), draw.factor(1, 1, 32, 16))),
        added(lambda draw: np.where(draw.weight(1, 4, 16, 16) > 1, np.inf, 0).astype(np.float32)),
    ],
    "it_takes_less_room": [
        added(noise(1, 8, 8)),
        added(bordered(1, 8), also="product"),
    ],
}


def test_a_map_is_the_same_bit_for_bit_where_it_repeats() -> None:
    graph = added(bordered(1, 8, border=2))(Draw(dyadic=False))
    result, trace = Pipeline([MultiplyMapsAtLoad()]).run(graph)
    assert len(trace.applications) == 1
    x = np.zeros((1, 8, 16, 16), np.float32)
    before, after = (Session(to_onnx(g), optimized=False).run({"x": x})["y"] for g in (graph, result))
    np.testing.assert_array_equal(before, after)


def test_a_map_that_is_returned_stays() -> None:
    graph = added(bordered(1, 8), also="output")(Draw(dyadic=False))
    assert not Pipeline([MultiplyMapsAtLoad()]).run(graph)[1].applications


def test_a_product_that_makes_a_map_is_not_computed_before_the_model_is_stored() -> None:
    graph, _ = Pipeline([MultiplyMapsAtLoad()]).run(added(bordered(1, 8))(Draw(dyadic=True)))
    _, trace = Pipeline([FoldConstants()]).run(graph)
    assert not trace.applications
    assert {r.requirement for r in trace.refusals} == {"expansions_stay"}


def multiplied(also: str) -> Graph:
    """x plus a product of three matrices; ``also`` is what keeps it from being a map's spelling."""
    draw, b = Draw(dyadic=True), GraphBuilder("g", opset=17)
    size = 8 if also == "small" else 32
    x = b.input("x", shape=(1, size, size))
    thin, core, wide = (b.constant(draw.weight(*shape)) for shape in ((size, 3), (1, 3, 3), (3, size)))
    inner = b.add(MatMul(), core, wide) if also == "from the right" else b.add(MatMul(), thin, core)
    operands = (thin, inner) if also == "from the right" else (inner, wide)
    outer = b.add(MatMul(), *operands)
    b.output(b.add(Mul() if also == "a product" else Add(), x, outer), name="y")
    if also == "the inner one is returned":
        b.output(inner)
    if also == "the outer one is returned":
        b.output(outer)
    if also == "another product":
        b.output(b.add(Mul(), x, outer), name="z")
    if also == "the inner one is read again":
        b.output(b.add(MatMul(), b.input("v", shape=(1, 3, size)), inner), name="z")
    return b.build()


@pytest.mark.parametrize(
    "also",
    [
        "small",
        "a product",
        "another product",
        "from the right",
        "the inner one is returned",
        "the inner one is read again",
        "the outer one is returned",
    ],
)
def test_other_products_are_computed(also: str) -> None:
    assert not _folded(multiplied(""))
    assert _folded(multiplied(also)) == 2


def _folded(graph: Graph) -> int:
    """How many products are computed."""
    return len(Pipeline([FoldConstants()]).run(graph)[1].applications)


def coordinates(channels: int = 16, size: int = 64) -> Graph:
    """Convolutions that also see where they are."""
    draw, b = Draw(dyadic=False), GraphBuilder("g", opset=17)
    y = b.input("x", shape=(1, channels, size, size))
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, size)] * 2))[None].astype(np.float32)
    for _ in range(2):
        y = b.add(Concat(axis=1), y, b.constant(places, name="places"))
        y = b.add(Conv.of(2, pads=1), y, b.constant(draw.weight(channels, channels + 2, 3, 3), name="weight"))
        y = b.add(Relu(), y)
    b.output(b.add(Identity(), y), name="y")
    return b.build()


def test_coordinates_that_are_folded_do_not_make_the_file_larger(tmp_path: Path) -> None:
    model = to_onnx(coordinates())
    result = optimize(model)
    assert result.verification is not None
    assert result.verification.equal
    assert "Concat" not in {node.op_type for node in result.proto.graph.node}
    assert result.proto.ByteSize() < 1.05 * model.ByteSize()
    assert optimize(model, skip=["multiply-maps-at-load"]).proto.ByteSize() > 4 * model.ByteSize()
    kept = str(tmp_path / "kept.onnx")
    Session(result.proto, optimized=True, kept=kept)
    assert "MatMul" not in {node.op_type for node in onnx.load(kept).graph.node}
    assert not optimize(result.proto, verify=False).changed
