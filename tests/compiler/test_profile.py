"""Which layer a node of the runtime's counts for, and what a profile finds."""

from collections.abc import Sequence

import numpy as np

from convgraph.compiler.bench import bench
from convgraph.compiler.profile import REORDERS, layer_seconds, titles_of, value_names
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Relu, Slice

WIDE = 32


def weight(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def convolved(*layers: Sequence[str]) -> Graph:
    """Convolutions in a row; of a layer of several names all but the last are its parts."""
    b = GraphBuilder("g", opset=17)
    y = b.input("x", shape=(1, WIDE, 9, 7))
    for layer in layers:
        for part in layer:
            y = b.add(Conv.of(2), y, weight(WIDE, WIDE, 1, 1), name=part)
    b.output(b.add(Relu(), y), name="y")
    return b.build()


def test_parts_count_for_the_layer_they_are_parts_of() -> None:
    titles = titles_of(convolved(["one_left", "one"], ["two"], ["unknown"]), known=["one", "two", "y"])
    assert titles == {"one_left": "one", "one": "one", "two": "two", "unknown": "y", "y": "y"} | {
        name: title
        for name, title in titles.items()
        if name not in ("one_left", "one", "two", "unknown", "y")
    }
    assert set(titles.values()) == {"one", "two", "y"}


def test_what_nothing_known_is_made_from_goes_by_its_own_name() -> None:
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=(1, 4))
    b.output(b.add(Relu(), x), name="y")
    b.output(b.add(Slice(), x, *(np.array([n]) for n in (0, 2, 1))), name="z")
    titles = titles_of(b.build(), known=["y"])
    assert (titles["y"], titles["z"]) == ("y", "z")


def test_values_are_named_in_order() -> None:
    assert value_names(convolved(["one"], ["two"]))[:2] == ["one", "two"]


def test_a_profile_names_layers_reorders_and_nothing_else() -> None:
    graph = convolved(["one"], ["two_left", "two"])
    titles = titles_of(graph, known=["one", "two", "y"])
    found = layer_seconds(to_onnx(graph), feeds={"x": np.ones((1, WIDE, 9, 7), np.float32)}, titles=titles)
    assert found.keys() <= {"one", "two", "y", REORDERS}
    assert {"one", "two"} <= found.keys() or {"one", "y"} <= found.keys()
    assert all(seconds >= 0 for seconds in found.values())


def test_layers_are_those_that_all_models_have() -> None:
    models = {"before": convolved(["one"], ["two"]), "after": convolved(["one"], ["two_left", "two"])}
    found = bench(models, seconds=0, layers=True)
    assert {"one"} <= found.layers.keys() <= {"one", "two", "y", REORDERS}
    assert all(seconds.keys() <= models.keys() for seconds in found.layers.values())
