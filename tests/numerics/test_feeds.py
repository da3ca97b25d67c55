"""Feeds: drawn, sized, read from files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numerics.conftest import MakeProto
from onnx import numpy_helper

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import Array, DataType, TensorType
from convgraph.numerics.feeds import (
    CHARACTERS,
    Manner,
    character_of,
    check_feeds,
    from_npz,
    make_feeds,
    others_of,
    perturbed,
    read_feeds,
)
from convgraph.numerics.sizes import candidates, open_shapes, sized
from convgraph.numerics.structure import Reader, overridable_inputs, readers, required_inputs

SHAPE = (2, 3, 11, 7)


def _draw(character: str, *, seed: int = 0, dtype: DataType = DataType.FLOAT, **manner: object) -> Array:
    types = {"x": TensorType(dtype, shape=SHAPE)}
    how = Manner(character=character, **manner)  # type: ignore[arg-type]  # the tests' own shorthand
    return make_feeds(types, shapes={"x": SHAPE}, sizes={}, seed=seed, manner=how)["x"]


@pytest.mark.parametrize("character", CHARACTERS)
def test_feeds_are_seeded(character: str) -> None:
    np.testing.assert_array_equal(_draw(character), _draw(character))
    assert not np.array_equal(_draw(character), _draw(character, seed=1))
    assert _draw(character).dtype == np.float32
    assert _draw(character).shape == SHAPE


def test_the_first_three_trials_hold_signs_zeros_and_large_values() -> None:
    first, second, third = (_draw(character_of(trial)) for trial in range(3))
    for array in (first, second, third):
        assert array.min() < 0 < array.max()
    assert 0.3 < np.mean(second == 0) < 0.7
    assert np.abs(third).max() > 50


def test_impulses_stand_at_the_corners_and_in_the_middle_of_each_border() -> None:
    array = _draw("impulses")
    places = array[:, :, [0, 0, -1, -1, 0, -1, 5, 5], [0, -1, 0, -1, 3, 3, 0, -1]]
    assert np.all(places != 0)
    assert np.count_nonzero(array) == places.size


def test_a_checkerboard_changes_sign_at_every_step_and_nothing_else() -> None:
    array = _draw("checkerboard")
    np.testing.assert_array_equal(array[:, :, 1:], -array[:, :, :-1])
    np.testing.assert_array_equal(array[:, :, :, 1:], -array[:, :, :, :-1])
    assert len(np.unique(np.abs(array))) == 2 * 3


def test_the_samples_of_a_batch_have_characters_of_their_own() -> None:
    plain = _draw("large")
    array = _draw("large", others=("checkerboard",))
    np.testing.assert_array_equal(array[0], plain[0])
    np.testing.assert_array_equal(array[1, :, 1:], -array[1, :, :-1])
    assert _draw("large", others=("tiny", "constant")).shape == SHAPE  # one more than there are samples


def test_three_trials_of_an_open_batch_hold_every_character() -> None:
    found = {character_of(trial) for trial in range(3)}
    for trial in range(3):
        batch = _first({"x": _float("N", 3, 8, 8)}, trial=trial)["x"][0]
        found |= set(others_of(trial)[: batch - 1])
    assert found == set(CHARACTERS)


def test_constant_and_tiny() -> None:
    assert len(np.unique(_draw("constant"))) == 1
    assert 0 < np.abs(_draw("tiny")).max() < 0.01


def test_a_calmer_manner() -> None:
    np.testing.assert_allclose(_draw("large", gain=0.1), 0.1 * _draw("large"), rtol=1e-6)
    np.testing.assert_array_equal(_draw("normal", positive=True), np.abs(_draw("normal")))


@pytest.mark.parametrize("dtype", [DataType.FLOAT16, DataType.BFLOAT16, DataType.DOUBLE])
def test_other_float_types(dtype: DataType) -> None:
    assert _draw("large", dtype=dtype).dtype == dtype.numpy


@pytest.mark.parametrize("dtype", [DataType.INT64, DataType.INT8, DataType.UINT8, DataType.INT32])
def test_integers_lie_below_the_ceiling(dtype: DataType) -> None:
    array = _draw("normal", dtype=dtype, ceiling=5)
    assert set(np.unique(array).tolist()) == {0, 1, 2, 3, 4}
    assert array.dtype == dtype.numpy


def test_booleans_and_strings() -> None:
    assert set(np.unique(_draw("normal", dtype=DataType.BOOL)).tolist()) == {False, True}
    assert all(isinstance(item, str) for item in _draw("normal", dtype=DataType.STRING).reshape(-1))


def test_a_perturbed_default_keeps_signs_and_integers_but_no_zero() -> None:
    data = np.array([0.0, -2.0, 3.0], np.float32)
    moved = perturbed(data, seed=[1])
    assert moved.dtype == data.dtype
    assert np.sign(moved).tolist() == [1, -1, 1]
    assert np.all(perturbed(np.zeros(7, np.float16), seed=[1]) > 0)
    assert not np.array_equal(moved, data)
    sizes = np.array([1, 2])
    assert perturbed(sizes, seed=[1]) is sizes


# ---- sizes ----


def _first(
    types: Mapping[str, TensorType], *, trial: int = 0, known: Mapping[str, Reader] | None = None
) -> dict[str, tuple[int, ...]]:
    (shapes, *_) = open_shapes(types, readers=known or {})
    sizes = next(candidates(shapes, readers=known or {}, trial=trial))
    return {name: sized(shape, sizes=sizes) for name, shape in shapes.items()}


def _float(*shape: int | str | None) -> TensorType:
    return TensorType(DataType.FLOAT, shape=shape)


def test_a_batch_axis_starts_at_one_and_grows() -> None:
    found = [_first({"x": _float("N", 3, 11, 7)}, trial=trial)["x"][0] for trial in range(3)]
    assert found == [1, 2, 4]


def test_spatial_axes_differ_from_each_other_and_from_trial_to_trial() -> None:
    found = [_first({"x": _float(2, 3, None, "W")}, trial=trial)["x"][2:] for trial in range(3)]
    assert all(height != width for height, width in found)
    assert len(set(found)) == 3


def test_symbols_are_shared_between_inputs_and_expressions_follow_them() -> None:
    found = _first({"x": _float("N", 3, "H", 7), "y": _float("N", 5, "2*H+1", "H//2")}, trial=1)
    (n, _, h, _), y = found["x"], found["y"]
    assert n == 2
    assert y == (n, 5, 2 * h + 1, h // 2)


def test_a_symbol_that_only_looks_like_arithmetic_is_one_symbol() -> None:
    assert _first({"x": _float("batch-size", 3)})["x"] == (1, 3)


def test_channels_follow_the_weight_that_reads_them(proto: MakeProto) -> None:
    model = proto(
        "(float x, float[N,C] z) => (float y, float[N,4] t) { y = Conv<group=2>(x, w) t = MatMul(z, m) }",
        w=np.ones((4, 5, 3, 3), np.float32),
        m=np.ones((9, 4), np.float32),
    )
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    model.graph.input[0].type.tensor_type.ClearField("shape")
    types = {name: type_ for name, type_ in required_inputs(model).items() if type_ is not None}
    assert types["x"].shape is None
    found = _first(types, known=readers(model))
    assert len(found["x"]) == 4
    assert found["x"][1] == 10
    assert found["z"][1] == 9


def test_only_inputs_without_a_default_are_required(proto: MakeProto) -> None:
    text = "(float[2,3] x, float[3] w) => (float[2,3] y) { y = Add(x, w) }"
    model = proto(text, w=np.ones(3, np.float32))
    assert list(required_inputs(model)) == ["x"]
    assert list(overridable_inputs(model)) == ["w"]
    assert not overridable_inputs(proto(text, ir_version=3, w=np.ones(3, np.float32)))


# ---- the user's own ----


def test_reads_npz_and_test_data_folders(tmp_path: Path) -> None:
    x, z = np.ones((2, 3), np.float32), np.arange(4)
    np.savez(tmp_path / "feeds.npz", x=x, z=z)
    (feed,) = read_feeds(tmp_path / "feeds.npz", inputs={"x": None, "z": None})
    assert feed.keys() == {"x", "z"}
    np.testing.assert_array_equal(feed["x"], x)
    for number in range(2):
        folder = tmp_path / f"test_data_set_{number}"
        folder.mkdir()
        for index, (array, name) in enumerate([(x + number, ""), (z, "z")]):
            tensor = numpy_helper.from_array(array, name)
            (folder / f"input_{index}.pb").write_bytes(tensor.SerializeToString())
    sets = read_feeds(tmp_path, inputs={"x": None, "z": None})
    assert [feed["x"][0, 0] for feed in sets] == [1, 2]
    np.testing.assert_array_equal(sets[1]["z"], z)


def test_refuses_what_holds_no_feeds(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no")
    np.save(tmp_path / "one.npy", np.ones(3))
    for path in (tmp_path / "text.npz", tmp_path / "absent.npz", tmp_path / "one.npy"):
        with pytest.raises(InvalidModel, match="npz"):
            from_npz(path)
    with pytest.raises(InvalidModel, match=r"no input_0\.pb"):
        read_feeds(tmp_path, inputs={"x": None})
    (tmp_path / "input_0.pb").write_bytes(b"\xff\xff")
    with pytest.raises(InvalidModel, match="TensorProto"):
        read_feeds(tmp_path, inputs={"x": None})


@pytest.mark.parametrize(
    ("feed", "found"),
    [
        ({}, "nothing for input x"),
        ({"x": np.ones((2, 3), np.float32), "q": np.ones(3)}, "an array for q"),
        ({"x": np.ones((2, 3))}, "x of type float64"),
        ({"x": np.ones((2, 4), np.float32)}, r"x of type float32\[2, 4\]"),
    ],
)
def test_refuses_feeds_that_do_not_fit(feed: dict[str, Array], found: str) -> None:
    with pytest.raises(InvalidModel, match=found):
        check_feeds([feed], types={"x": _float("N", 3)}, known={"x"})
