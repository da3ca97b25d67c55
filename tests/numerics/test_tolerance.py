"""The tolerance: its unit, its length, its scale."""

import numpy as np
import onnx
import pytest
from numerics.conftest import MakeProto

from convgraph.ir.build import GraphBuilder
from convgraph.ir.ops import Conv, GlobalAveragePool, Relu, Reshape
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.ops.pointwise import Add, Cast
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.compare import verify_models
from convgraph.numerics.structure import model_lengths
from convgraph.numerics.tolerance import SAFETY, UNKNOWN_SIZE, accumulated_length, tolerance, unit_roundoff


def _weight(*shape: int, dtype: str = "float32") -> Array:
    return np.ones(shape, dtype)


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [(DataType.FLOAT, 24), (DataType.DOUBLE, 53), (DataType.FLOAT16, 11), (DataType.BFLOAT16, 8)],
)
def test_unit_roundoff_is_half_a_step_at_one(dtype: DataType, bits: int) -> None:
    assert unit_roundoff(dtype) == 2.0**-bits


@pytest.mark.parametrize("dtype", [DataType.INT64, DataType.UINT8, DataType.BOOL, DataType.STRING])
def test_exact_types_are_compared_exactly(dtype: DataType) -> None:
    assert tolerance(dtype, length=1e6, scale=1e6) == 0.0


def test_tolerance_grows_with_the_root_of_the_length_and_with_the_scale() -> None:
    one = tolerance(DataType.FLOAT, length=1, scale=1)
    assert one == SAFETY * 2.0**-24
    assert tolerance(DataType.FLOAT, length=100, scale=3) == pytest.approx(30 * one)
    assert tolerance(DataType.FLOAT, length=0, scale=1) == one


def test_the_only_floor_is_a_subnormal() -> None:
    assert 0 < tolerance(DataType.FLOAT, length=1e6, scale=0) < 1e-44


def test_a_rounding_error_of_a_sum_stays_within_the_bound_and_a_thousandth_does_not() -> None:
    draw = np.random.default_rng(3)
    terms = draw.standard_normal((200, 576)).astype(np.float32)
    forward, backward = terms.sum(axis=1), np.cumsum(terms[:, ::-1], axis=1)[:, -1]
    scale = float(np.abs(forward).max())
    bound = tolerance(DataType.FLOAT, length=576, scale=scale)
    assert 0 < np.abs(forward - backward).max() <= bound < 1e-3 * scale / 30


def test_length_adds_up_along_the_longest_path() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 6, 11, 7))
    wide = b.add(Conv.of(2, pads=1, group=2), x, _weight(4, 3, 3, 3))
    narrow = b.add(Conv.of(2), x, _weight(4, 6, 1, 1))
    joined = b.add(Add(), b.add(Relu(), wide), narrow)
    b.output(joined, name="y")
    b.output(b.add(GlobalAveragePool(), joined), name="mean")
    assert accumulated_length(b.build()) == pytest.approx({"y": 27 + 1 + 1, "mean": 29 + (77 * 3 / 16) ** 2})


def test_unknown_dimensions_count_generously() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=("N", 3, "H", None))
    b.output(b.add(GlobalAveragePool(), x), name="y")
    assert accumulated_length(b.build()) == pytest.approx({"y": (UNKNOWN_SIZE**2 * 3 / 16) ** 2})


@pytest.mark.parametrize(("height", "width"), [(7, 8), (28, 30), (56, 59), (112, 113), (224, 227)])
def test_means_of_maps_that_a_bias_fills_are_told_from_wrong_ones(
    proto: MakeProto, height: int, width: int
) -> None:
    """Their roundings go the same way; a mean over one row or column less is off by far more."""

    def pooled(last: str) -> onnx.ModelProto:
        text = f"""(float[1,3,{height},{width}] x) => (float[1,24,1,1] y) {{
            h = Conv (x, w, b)
            {last}
        }}"""
        draw = np.random.default_rng(0)
        weights = {"w": draw.normal(size=(24, 3, 1, 1)), "b": draw.normal(size=24)}
        return proto(text, **{name: array.astype(np.float32) for name, array in weights.items()})

    original = pooled("y = GlobalAveragePool (h)")
    verdict = verify_models(original, pooled("y = ReduceMean <axes = [2,3]> (h)"), trials=4)
    assert verdict.equal, verdict.reason
    cropped = pooled(f"y = AveragePool <kernel_shape = [{height},{width - 1}], strides = [1,2]> (h)")
    assert verify_models(original, cropped, trials=4).status == "different"


def test_a_narrow_type_on_the_way_weighs_in_the_units_of_the_output() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 3, 11, 7), dtype=DataType.FLOAT16)
    conv = b.add(Conv.of(2), x, _weight(4, 3, 3, 3, dtype="float16"))
    b.output(b.add(Cast(to=DataType.FLOAT), conv), name="wide")
    b.output(conv, name="narrow")
    lengths = accumulated_length(b.build())
    assert lengths["narrow"] == pytest.approx(28)
    half = tolerance(DataType.FLOAT16, length=29, scale=5.0)  # the cast counts as one rounding
    assert tolerance(DataType.FLOAT, length=lengths["wide"], scale=5.0) == pytest.approx(half)


def test_values_that_no_arithmetic_made_have_length_one() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 15), dtype=DataType.INT32)
    b.output(b.add(Reshape(), x, np.array([5, 6])), name="y")
    assert accumulated_length(b.build()) == {"y": 1.0}


@pytest.mark.parametrize(
    ("op_type", "length"), [("CumSum", 30), ("LSTM", 1024), ("Whatever", 1), ("LayerNormalization", 15)]
)
def test_operators_without_a_class_are_judged_by_name(op_type: str, length: float) -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 15))
    (y,) = b.add_all(Opaque(op_type=op_type, arity=1), x, types=[b.type(x)])
    b.output(y, name="y")
    assert accumulated_length(b.build()) == pytest.approx({"y": length})


def test_a_proto_has_the_same_lengths_as_its_graph(proto: MakeProto) -> None:
    model = proto(
        """(float[N,3,11,7] x) => (float[N,5,P,Q] y, float[N,4,R,S] z, float[N,5] m) {
            y = Conv <pads = [1,1,1,1], strides = [2,1]> (x, w, b)
            t = ConvTranspose <strides = [2,2]> (y, v)
            z = AveragePool <kernel_shape = [3,2]> (t)
            m = ReduceMean <axes = [2,3], keepdims = 0> (y)
        }""",
        w=_weight(5, 3, 3, 3),
        b=_weight(5),
        v=_weight(5, 4, 2, 2),
    )
    assert model_lengths(model) == pytest.approx({"y": 28, "z": 28 + 21 + 6, "m": 28 + 42})


def test_what_a_body_captures_counts(proto: MakeProto) -> None:
    model = proto(
        """(float[2,3,11,7] x, bool c) => (float[2,5,9,5] y) {
            h = Conv (x, w)
            y = If (c) <then_branch = t () => (float[2,5,9,5] p) { p = Neg(h) },
                        else_branch = e () => (float[2,5,9,5] q) { q = Identity(h) }>
        }""",
        w=_weight(5, 3, 3, 3),
    )
    assert model_lengths(model)["y"] > 28
