"""Where two models begin to differ: the first value, what makes it in each, and the last that agree."""

import numpy as np
import pytest
from onnx import numpy_helper

import convgraph as cg
from convgraph.ir.ops import Add, BatchNormalization, Concat, Conv, Op, Relu, Sigmoid
from convgraph.ir.tensor import Array

ALL_OTHER: dict[str, str] = {}


def drawn(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def network(
    *, activation: Op | None = None, pads: int | tuple[int, ...] = 1, names: dict[str, str] | None = None
) -> cg.Graph:
    """Two branches, the second of a convolution, a normalisation and a convolution, joined and activated.

    ``names`` are other names for some values and nodes; ALL_OTHER for all inside.
    """

    def name(plain: str) -> str:
        return (names or {}).get(plain, f"{plain[::-1]}!" if names is ALL_OTHER else plain)

    b = cg.GraphBuilder("network", opset=17)
    x = b.input("x", shape=("N", 3, 9, 7))
    stem = b.add(Conv.of(2, pads=1), x, drawn(4, 3, 3, 3), name=name("stem"), node=name("conv0"))
    left = b.add(Relu(), stem, name=name("left"))
    right = b.add(Conv.of(2, pads=pads), stem, drawn(4, 4, 3, 3), name=name("wide"), node=name("conv1"))
    vectors = [np.abs(drawn(4, seed=seed)) + np.float32(0.5) for seed in range(4)]
    right = b.add(BatchNormalization(), right, *vectors, name=name("normed"))
    right = b.add(Conv.of(2), right, drawn(4, 4, 1, 1), name=name("narrow"), node=name("conv2"))
    both = b.add(Add(), left, right, name=name("sum"))
    b.output(b.add(activation or Relu(), both), name="y")
    b.output(b.add(Concat(axis=1), left, stem), name="z")
    return b.build()


@pytest.mark.parametrize("names", [None, ALL_OTHER], ids=["names", "structure"])
def test_the_first_value_that_differs_and_the_last_that_agree(names: dict[str, str] | None) -> None:
    other = network(pads=(2, 1, 0, 1), names=names)
    found = cg.locate(network(), other)
    assert found is not None
    assert (found.value, found.made_by) == ("wide", "Conv conv1")
    assert other.describe(other.value(found.other).node) == found.other_made_by
    assert other.op(other.value(found.other).node) == Conv.of(2, pads=(2, 1, 0, 1))
    assert found.other == ("wide" if names is None else "ediw!")
    assert found.agreeing == ("stem",)
    assert "off at" in found.disagreement.found
    assert found.compared == 8


def test_equal_models_differ_nowhere() -> None:
    assert cg.locate(network(), network(names=ALL_OTHER)) is None
    assert cg.locate(network(), cg.optimize(network(), verify=False).graph) is None


def test_what_was_optimized_away_is_passed_over() -> None:
    model = cg.optimize(network(), passes=["fold-batchnorm-into-conv"], verify=False).proto
    (bias,) = (t for t in model.graph.initializer if list(t.dims) == [4])
    data = numpy_helper.to_array(bias) + np.float32([0, 0.01, 0, 0])
    bias.CopyFrom(numpy_helper.from_array(data, bias.name))
    found = cg.locate(network(), model)
    assert found is not None
    assert found.value == "normed", "the convolution before it is not there any more"
    assert found.made_by.startswith("BatchNormalization")
    assert found.other_made_by.startswith("Conv")
    assert found.agreeing == ("stem",)


def test_an_output_alone() -> None:
    found = cg.locate(network(), network(activation=Sigmoid()))
    assert found is not None
    assert (found.value, found.agreeing) == ("y", ("sum",))
    assert (found.made_by, found.other_made_by) == ("Relu y", "Sigmoid y")


def test_a_name_for_another_value_is_not_the_place() -> None:
    """Two values have changed names: both differ, and what is made of them does not."""
    other = network(activation=Sigmoid(), names={"left": "wide", "wide": "left"})
    found = cg.locate(network(), other)
    assert found is not None
    assert (found.value, found.agreeing) == ("y", ("sum",))


def test_models_that_cannot_be_exchanged() -> None:
    b = cg.GraphBuilder("other", opset=17)
    b.output(b.add(Relu(), b.input("x", shape=("N", 3, 9, 7))), name="other")
    assert cg.locate(network(), b.build()) is None
