"""A folder of pictures as inputs."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import Array, DataType, TensorType
from convgraph.numerics.feeds import read_feeds
from convgraph.numerics.images import MOST


@pytest.fixture
def pixels(tmp_path: Path) -> list[Array]:
    """Two pictures, 6 high and 9 wide and the other way round, written to a folder; returns their pixels."""
    draw = np.random.default_rng(3)
    drawn = [draw.integers(0, 256, size=size, dtype=np.uint8) for size in ((6, 9, 3), (9, 6, 3))]
    for name, array in zip(("a.png", "b.PNG"), drawn, strict=True):
        Image.fromarray(array).save(tmp_path / name, format="png")
    (tmp_path / "labels.txt").write_text("no picture")
    return drawn


def _feeds(folder: Path, *shape: int | str | None, dtype: DataType = DataType.FLOAT) -> list[Array]:
    read = read_feeds(folder, inputs={"x": TensorType(dtype, shape=shape)})
    return [feed["x"] for feed in read]


def test_each_picture_is_a_feed_of_its_own_size(tmp_path: Path, pixels: list[Array]) -> None:
    first, second = _feeds(tmp_path, "N", 3, "H", "W")
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first[0], (np.moveaxis(pixels[0], -1, 0) / 255).astype(np.float32))
    np.testing.assert_array_equal(second[0], (np.moveaxis(pixels[1], -1, 0) / 255).astype(np.float32))


def test_channels_last_and_integers_stay_as_they_are(tmp_path: Path, pixels: list[Array]) -> None:
    first, _ = _feeds(tmp_path, None, None, None, 3, dtype=DataType.UINT8)
    np.testing.assert_array_equal(first[0], pixels[0])
    assert first.dtype == np.uint8


def test_a_fixed_batch_takes_so_many_and_begins_anew(tmp_path: Path, pixels: list[Array]) -> None:
    del pixels
    (batch,) = _feeds(tmp_path, 3, 3, 5, 4)
    assert batch.shape == (3, 3, 5, 4)
    np.testing.assert_array_equal(batch[0], batch[2])
    assert not np.array_equal(batch[0], batch[1])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_fixed_size_is_covered_and_the_middle_cut_out(tmp_path: Path, channels: int) -> None:
    stripes = np.zeros((10, 40, 3), np.uint8)
    stripes[:, 12:28] = 255  # twice as large, the middle 20 of 80 columns are white
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    (feed,) = _feeds(tmp_path, 1, channels, 20, 20)
    assert feed.shape == (1, channels, 20, 20)
    assert feed.min() == 1.0 if channels < 4 else feed[0, 3].min() == 1.0
    assert _feeds(tmp_path, 1, channels, 7, 40)[0].shape == (1, channels, 7, 40)


def test_only_the_first_pictures_are_taken(tmp_path: Path) -> None:
    for number in range(MOST + 2):
        Image.new("L", (2, 3), number).save(tmp_path / f"{number:03}.png")
    feeds = _feeds(tmp_path, "N", 1, "H", "W", dtype=DataType.UINT8)
    assert [int(feed.max()) for feed in feeds] == list(range(MOST))


@pytest.mark.parametrize("shape", [("N", 3), ("N", 7, "H", "W"), None])
def test_inputs_that_are_no_pictures_are_refused(
    tmp_path: Path, pixels: list[Array], shape: tuple[int | str, ...] | None
) -> None:
    del pixels
    types = {"x": TensorType(DataType.FLOAT, shape=shape)}
    with pytest.raises(InvalidModel, match=r"pictures for x of type .*; float or integer pictures"):
        read_feeds(tmp_path, inputs=types)
    with pytest.raises(InvalidModel, match="pictures for 2 inputs"):
        read_feeds(tmp_path, inputs={**types, "y": None})
    with pytest.raises(InvalidModel, match="of type bool"):
        read_feeds(tmp_path, inputs={"x": TensorType(DataType.BOOL, shape=("N", 3, "H", "W"))})


def test_what_is_only_named_like_a_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InvalidModel, match=r"broken\.jpg: .*; a picture"):
        _feeds(tmp_path, "N", 3, "H", "W")


def test_without_pillow_it_says_what_to_install(
    tmp_path: Path, pixels: list[Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    del pixels
    whole = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "PIL":
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidModel, match=r"pip install 'convgraph\[images\]'"):
        _feeds(tmp_path, "N", 3, "H", "W")
