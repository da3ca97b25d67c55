"""Pictures as inputs: every file of a folder, fitted to what the model asks for.

The input's channels are axis 1 when that has 1, 3 or 4 (NCHW), else the last axis (NHWC); 1 means grey, 3 RGB
and 4 RGBA. Where height and width are fixed, a picture is scaled until it covers them, its middle cut out;
open ones are the picture's own. Floats lie in [0, 1], integers in [0, 255]. Each picture is one feed, or as
many as the batch is fixed to, begun anew at the end; the first sixteen in the order of their names are taken.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import Array, DataType, Dim, TensorType

if TYPE_CHECKING:
    from PIL import Image

MOST = 16
_SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"))
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def pictures(folder: Path) -> list[Path]:
    """The files of a folder that are named like pictures, in order."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def from_pictures(folder: Path, *, inputs: Mapping[str, TensorType | None]) -> list[dict[str, Array]]:
    """One feed for each picture, or for as many as a fixed batch takes.

    Raises InvalidModel when the model asks for anything but one batch of pictures, or one cannot be read.
    """
    if len(inputs) != 1:
        found = f"pictures for {len(inputs)} inputs"
        raise InvalidModel(str(folder), found=found, expected="a model with one input, or an .npz file")
    ((name, type_),) = inputs.items()
    wanted = None if type_ is None or type_.rank != 4 else type_
    axis = None if wanted is None else _channel_axis(wanted)
    if wanted is None or axis is None:
        expected = "float or integer pictures, (N, C, H, W) or (N, H, W, C), with C of 1, 3 or 4"
        raise InvalidModel(str(folder), found=f"pictures for {name} of type {type_}", expected=expected)
    paths = pictures(folder)[:MOST]
    batch = wanted.dim(0)
    several = batch if isinstance(batch, int) and batch > 0 else 1
    arrays = [_fitted(path, wanted, axis=axis) for path in paths]
    return [{name: _stacked(arrays, at, several)} for at in range(0, len(arrays), several)]


def _channel_axis(type_: TensorType) -> int | None:
    if type_.dtype in (DataType.BOOL, DataType.STRING):
        return None
    return next((axis for axis in (1, 3) if type_.dim(axis) in _MODES), None)


def _stacked(arrays: list[Array], start: int, several: int) -> Array:
    """So many pictures from one on; after the last comes the first."""
    return np.stack([arrays[(start + n) % len(arrays)] for n in range(several)])


def _fitted(path: Path, type_: TensorType, *, axis: int) -> Array:
    """A picture as the model takes it, without the batch."""
    height, width = (type_.dim(a) for a in ((2, 3) if axis == 1 else (1, 2)))
    channels = type_.dim(axis)
    assert isinstance(channels, int)
    image = _opened(path, mode=_MODES[channels])
    image = _covering(image, width=_or(width, image.width), height=_or(height, image.height))
    pixels = np.asarray(image).reshape(image.height, image.width, channels)
    if axis == 1:
        pixels = np.moveaxis(pixels, -1, 0)
    return np.asarray(pixels / 255 if type_.dtype.is_float else pixels).astype(type_.dtype.numpy)


def _or(dim: Dim, own: int) -> int:
    return dim if isinstance(dim, int) and dim > 0 else own


def _opened(path: Path, *, mode: str) -> "Image.Image":
    try:
        from PIL import Image  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        found = "pictures, and Pillow is not installed"
        raise InvalidModel(str(path), found=found, expected="pip install 'convgraph[images]'") from error
    try:
        with Image.open(path) as image:
            return image.convert(mode)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidModel(str(path), found=str(error), expected="a picture") from error


def _covering(image: "Image.Image", *, width: int, height: int) -> "Image.Image":
    """Scaled until it covers a size, and the middle of that cut out."""
    scale = max(width / image.width, height / image.height)
    covering = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    left, top = (covering[0] - width) // 2, (covering[1] - height) // 2
    return image.resize(covering).crop((left, top, left + width, top + height))
