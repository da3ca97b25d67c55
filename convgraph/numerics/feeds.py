"""Inputs to compare two models on: seeded, signed, with zeros and large values; or the user's own.

A trial has a character, so that a fault which one kind of input cannot show is shown by another: Relu for
Identity needs signs, a wrong border needs something at the border, a lost bias needs small inputs.
"""

import itertools
import math
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import Array, DataType, Shape, TensorType
from convgraph.numerics.images import from_pictures, pictures
from convgraph.numerics.sizes import Sizes, sized

Feeds = Mapping[str, Array]

LARGE = 30.0
TINY = 1e-3
_ADDRESSES = 1 << 48
_NARROW = 8  # bits: types of which all numbers are tried
_TOKENS = ("a", "bc", "def", "convolution")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the elements are drawn.

    ``character`` is that of the first sample, ``others`` those of the samples after it as far as they go; the
    samples that are left have the first one's. ``ceiling``: integers lie in [0, ceiling), or, ``wide``, in
    [-ceiling, ceiling), those of at most 8 bits in all of their range. ``gain`` scales floats, ``positive``
    takes their magnitude: for a model that overflows, or that takes a logarithm, on what its trial's
    character asks for.
    """

    character: str = "normal"
    others: tuple[str, ...] = ()
    ceiling: int = 64
    wide: bool = False
    gain: float = 1.0
    positive: bool = False


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def _sparse(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Half of the elements exactly zero."""
    return rng.standard_normal(shape) * rng.integers(0, 2, size=shape)


def _large(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return LARGE * rng.standard_normal(shape)


def _impulses(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Zero but at the corners of the spatial axes and in the middle of each edge and face."""
    extent = _spatial(shape)
    places = np.ones((), dtype=bool), np.ones((), dtype=bool)
    for n in extent:
        middle = np.arange(n) == n // 2
        end = (np.arange(n) == 0) | (np.arange(n) == n - 1)
        places = places[0][..., None] & (end | middle), places[1][..., None] & (middle & ~end)
    return 3.0 * rng.standard_normal(shape) * (places[0] & ~places[1])


def _checkerboard(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One number for each sample and channel, its sign changing from each position to the next."""
    extent = _spatial(shape)
    signs = 1.0 - 2.0 * (np.indices(extent).sum(axis=0) % 2)
    heights = rng.standard_normal(shape[: len(shape) - len(extent)])
    return np.asarray(heights.reshape(*heights.shape, *(1 for _ in extent)) * signs)


def _spatial(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The lengths of the spatial axes; of all axes of a vector or matrix."""
    return shape[2 if len(shape) > 2 else 0 :]


def _constant(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.full(shape, rng.choice((-1.0, 1.0)) * rng.uniform(0.5, 2.0))


def _tiny(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return TINY * rng.standard_normal(shape)


CHARACTERS: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = MappingProxyType(
    {
        "normal": _normal,
        "sparse": _sparse,
        "large": _large,
        "impulses": _impulses,
        "tiny": _tiny,
        "constant": _constant,
        "checkerboard": _checkerboard,
    }
)
_OTHERS = ("tiny", "impulses", "checkerboard", "constant")


def character_of(trial: int) -> str:
    """The character of a trial: the first three are normal, sparse and large; then they go round."""
    return tuple(CHARACTERS)[trial % len(CHARACTERS)]


def others_of(trial: int) -> tuple[str, ...]:
    """The characters of the samples of a trial after its first: across the first trials, each in turn."""
    start = max(0, trial - 1) % len(_OTHERS)
    return _OTHERS[start:] + _OTHERS[:start]


def make_feeds(
    types: Mapping[str, TensorType],
    *,
    shapes: Mapping[str, Shape],
    sizes: Sizes,
    seed: int,
    manner: Manner,
    bounds: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Array]:
    """One array for each input; the same seed, sizes and manner always give the same ones.

    ``bounds`` are ceilings of single inputs, where they are known. Raises MemoryError for more elements than
    there are addresses, too.
    """
    rng = np.random.default_rng(seed)
    whole = {name: sized(shapes[name], sizes=sizes) for name in types}
    for name, shape in whole.items():
        if math.prod(shape) > _ADDRESSES:
            raise MemoryError(f"{name} has the shape {shape}")
    manners = {name: replace(manner, ceiling=bounds.get(name, manner.ceiling)) for name in types}
    return {name: _draw(rng, type_.dtype, whole[name], manners[name]) for name, type_ in types.items()}


def _draw(rng: np.random.Generator, dtype: DataType, shape: tuple[int, ...], manner: Manner) -> Array:
    if dtype is DataType.STRING:
        return np.asarray(rng.choice(_TOKENS, size=shape), dtype=object)
    if dtype is DataType.BOOL:
        return rng.integers(0, 2, size=shape).astype(np.bool_)
    if not dtype.is_float and dtype not in (DataType.COMPLEX64, DataType.COMPLEX128):
        low, high = _integers(dtype, manner)
        return rng.integers(low, high, size=shape).astype(dtype.numpy)
    drawn = manner.gain * _samples(rng, shape, manner)
    return np.asarray(np.abs(drawn) if manner.positive else drawn).astype(dtype.numpy)


def _samples(rng: np.random.Generator, shape: tuple[int, ...], manner: Manner) -> Array:
    """Floats, each sample of a batch of its own character."""
    drawn = CHARACTERS[manner.character](rng, shape)
    if len(shape) > 1:
        for sample, other in zip(range(1, shape[0]), manner.others, strict=False):
            drawn[sample] = CHARACTERS[other](rng, (1, *shape[1:]))[0]
    return drawn


def _integers(dtype: DataType, manner: Manner) -> tuple[int, int]:
    """The least integer and the one after the largest."""
    half = 1 << (dtype.bits - 1)
    ceiling = min(manner.ceiling, half)
    if not manner.wide:
        return 0, ceiling
    if dtype.label.startswith("u"):
        return 0, 2 * half if dtype.bits <= _NARROW else ceiling
    return (-half, half) if dtype.bits <= _NARROW else (-ceiling, ceiling)


def perturbed(data: Array, *, seed: Sequence[int]) -> Array:
    """Another value for an overridable initializer: signs and integers stay.

    A positive float stays positive (it may be a variance), and within a factor of two of what it was. A zero
    becomes a number smaller than the others are: that nothing is added holds only while nobody overrides.
    """
    if data.dtype.kind in "biuOSU" or not DataType.of(data.dtype).is_float:
        return data
    rng = np.random.default_rng(seed)
    numbers = data.astype(np.float64)
    moved = numbers * rng.uniform(0.6, 1.6, size=data.shape)
    others = np.abs(numbers[(numbers != 0) & np.isfinite(numbers)])
    filling = rng.uniform(0.1, 0.5, size=data.shape) * (others.mean() if others.size else 1.0)
    return np.asarray(np.where(numbers == 0, filling, moved)).astype(data.dtype)


# ---- the user's own ----


def from_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of an ``.npz`` file, by input name. Raises InvalidModel for anything else."""
    at = os.fspath(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise InvalidModel(at, found="a single array without a name", expected="an .npz file of arrays")
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, InvalidModel):
            raise
        raise InvalidModel(at, found=str(error), expected="an .npz file of arrays") from error


def from_folder(path: str | os.PathLike[str], *, inputs: Sequence[str]) -> list[dict[str, Array]]:
    """The feeds of an ONNX test folder: ``input_0.pb``, … here, or in each ``test_data_set_*`` inside.

    A tensor without a name belongs to the input at its number among ``inputs``. Raises InvalidModel where no
    such file is found or one cannot be read.
    """
    folder = Path(path)
    sets = sorted(folder.glob("test_data_set_*")) or [folder]
    return [_data_set(one, inputs) for one in sets]


def _data_set(folder: Path, inputs: Sequence[str]) -> dict[str, Array]:
    files = [folder / f"input_{number}.pb" for number in range(len(inputs))]
    present = list(itertools.takewhile(Path.exists, files))
    if not present:
        raise InvalidModel(
            str(folder), found="no input_0.pb and no picture", expected="an ONNX test data set, or pictures"
        )
    return dict(_named_tensor(file, name) for file, name in zip(present, inputs, strict=False))


def _named_tensor(file: Path, name: str) -> tuple[str, Array]:
    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(file.read_bytes())
        return tensor.name or name, numpy_helper.to_array(tensor)
    except (DecodeError, TypeError, ValueError) as error:
        raise InvalidModel(str(file), found=str(error), expected="a serialised TensorProto") from error


def read_feeds(
    path: str | os.PathLike[str], *, inputs: Mapping[str, TensorType | None]
) -> list[dict[str, Array]]:
    """Feeds from an ``.npz`` file, an ONNX test data folder or a folder of pictures.

    ``inputs`` are those of the model, in order. Raises InvalidModel for anything else.
    """
    folder = Path(path)
    if not folder.is_dir():
        return [from_npz(path)]
    if pictures(folder) and not [*folder.glob("input_0.pb"), *folder.glob("test_data_set_*")]:
        return from_pictures(folder, inputs=inputs)
    return from_folder(path, inputs=list(inputs))


def check_feeds(feeds: Sequence[Feeds], *, types: Mapping[str, TensorType | None], known: set[str]) -> None:
    """Raise InvalidModel unless each of the user's feeds fits the inputs.

    ``known`` also holds the inputs that may stay unfed.
    """
    for number, feed in enumerate(feeds):
        at = f"feeds {number}"
        absent = [name for name in types if name not in feed]
        stray = [name for name in feed if name not in known]
        if absent or stray:
            found = f"nothing for input {absent[0]}" if absent else f"an array for {stray[0]}"
            raise InvalidModel(at, found=found, expected=f"arrays for {', '.join(types)}")
        for name, declared in types.items():
            given = TensorType(DataType.of(feed[name].dtype), shape=feed[name].shape)
            if declared is not None and not declared.admits(given):
                raise InvalidModel(at, found=f"{name} of type {given}", expected=f"type {declared}")
