"""Tensor types with symbolic dimensions, and constant data that stays where it is until somebody reads it.

A dimension is an ``int``, a symbol (``str``, possibly a derived expression such as ``"(H-1)//2+1"``) or
``None`` when nothing is known. Two dimensions are known to be equal when they are the same int or symbol.
"""

import enum
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from convgraph.errors import InvalidModel

Dim = int | str | None
Shape = tuple[Dim, ...] | None
Known = tuple[int | float | bool, ...]
Array = NDArray[Any]

MOST_AXES = 64  # of a numpy array
KNOWN_LIMIT = 64  # elements: enough for any pads, axes or shape operand
_SYMBOL_LIMIT = 80  # characters: a longer derived expression becomes unknown, so chains stay linear


class DataType(enum.IntEnum):
    """Element types, with ONNX's ``TensorProto.DataType`` names and codes."""

    UNDEFINED = 0
    FLOAT = 1
    UINT8 = 2
    INT8 = 3
    UINT16 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    STRING = 8
    BOOL = 9
    FLOAT16 = 10
    DOUBLE = 11
    UINT32 = 12
    UINT64 = 13
    COMPLEX64 = 14
    COMPLEX128 = 15
    BFLOAT16 = 16
    FLOAT8E4M3FN = 17
    FLOAT8E4M3FNUZ = 18
    FLOAT8E5M2 = 19
    FLOAT8E5M2FNUZ = 20
    UINT4 = 21
    INT4 = 22
    FLOAT4E2M1 = 23
    FLOAT8E8M0 = 24
    UINT2 = 25
    INT2 = 26
    FLOAT6E2M3 = 27
    FLOAT6E3M2 = 28

    @property
    def label(self) -> str:
        """Numpy's name of the type (``float32``); ``string`` and ``undefined`` where numpy has none."""
        return _LABELS[self]

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype of one element (a byte each for 4- and 2-bit types, as in ml_dtypes)."""
        if self is DataType.STRING:
            return np.dtype(object)
        if self is DataType.UNDEFINED:
            raise InvalidModel("dtype", found="an undefined element type", expected="a concrete one")
        return _numpy_dtype(_LABELS[self])

    @property
    def bits(self) -> int:
        """Bits one element takes in a file; 0 for strings and the undefined type."""
        return _bits(self)

    @property
    def is_float(self) -> bool:
        """True for real floating-point types of any width."""
        return _LABELS[self].startswith(("float", "bfloat"))

    @staticmethod
    @cache
    def of(dtype: np.dtype[Any]) -> "DataType":
        """The element type of a numpy dtype. Raises InvalidModel for one that ONNX does not have."""
        name = "string" if dtype.kind in "OSU" else dtype.name
        if name not in _CODES:
            raise InvalidModel("dtype", found=f"numpy dtype {dtype}", expected="one that ONNX has")
        return _CODES[name]


_LABELS = {
    DataType.UNDEFINED: "undefined",
    DataType.FLOAT: "float32",
    DataType.UINT8: "uint8",
    DataType.INT8: "int8",
    DataType.UINT16: "uint16",
    DataType.INT16: "int16",
    DataType.INT32: "int32",
    DataType.INT64: "int64",
    DataType.STRING: "string",
    DataType.BOOL: "bool",
    DataType.FLOAT16: "float16",
    DataType.DOUBLE: "float64",
    DataType.UINT32: "uint32",
    DataType.UINT64: "uint64",
    DataType.COMPLEX64: "complex64",
    DataType.COMPLEX128: "complex128",
    DataType.BFLOAT16: "bfloat16",
    DataType.FLOAT8E4M3FN: "float8_e4m3fn",
    DataType.FLOAT8E4M3FNUZ: "float8_e4m3fnuz",
    DataType.FLOAT8E5M2: "float8_e5m2",
    DataType.FLOAT8E5M2FNUZ: "float8_e5m2fnuz",
    DataType.UINT4: "uint4",
    DataType.INT4: "int4",
    DataType.FLOAT4E2M1: "float4_e2m1fn",
    DataType.FLOAT8E8M0: "float8_e8m0fnu",
    DataType.UINT2: "uint2",
    DataType.INT2: "int2",
    DataType.FLOAT6E2M3: "float6_e2m3fn",
    DataType.FLOAT6E3M2: "float6_e3m2fn",
}
_CODES = {label: member for member, label in _LABELS.items()}


@cache
def _bits(dtype: DataType) -> int:
    packed = {"uint4": 4, "int4": 4, "float4_e2m1fn": 4, "uint2": 2, "int2": 2, "string": 0, "undefined": 0}
    packed |= {"float6_e2m3fn": 6, "float6_e3m2fn": 6}
    return packed[_LABELS[dtype]] if _LABELS[dtype] in packed else dtype.numpy.itemsize * 8


@cache
def _numpy_dtype(label: str) -> np.dtype[Any]:
    extended = getattr(ml_dtypes, label, None)
    return np.dtype(extended if extended is not None else label)


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape of a value; ``shape`` is None when not even the rank is known.

    ``known`` holds the elements of a small constant of rank 0 or 1 (pads, axes, scales), so that ``infer``
    can work from types alone. It is not part of the type's identity.
    """

    dtype: DataType
    shape: Shape = field(default=None, kw_only=True)
    known: Known | None = field(default=None, kw_only=True, compare=False)

    @property
    def rank(self) -> int | None:
        """Number of axes, or None."""
        return None if self.shape is None else len(self.shape)

    @property
    def static_shape(self) -> tuple[int, ...] | None:
        """The shape when every dimension is a number, else None."""
        return _numbers(self.shape)

    @property
    def size(self) -> int | None:
        """Number of elements when every dimension is a number, else None."""
        sizes = _numbers(self.shape)
        return None if sizes is None else math.prod(sizes)

    @property
    def nbytes(self) -> int | None:
        """Bytes the elements take in a file, else None."""
        size = self.size
        return None if size is None else (size * self.dtype.bits + 7) // 8

    @property
    def ints(self) -> tuple[int, ...] | None:
        """The known elements as ints, else None."""
        return None if self.known is None else tuple(int(v) for v in self.known)

    @property
    def floats(self) -> tuple[float, ...] | None:
        """The known elements as floats, else None."""
        return None if self.known is None else tuple(float(v) for v in self.known)

    def dim(self, axis: int) -> Dim:
        """One dimension, None when it or the rank is unknown."""
        if self.shape is None or not -len(self.shape) <= axis < len(self.shape):
            return None
        return self.shape[axis]

    def with_shape(self, shape: Shape) -> "TensorType":
        """The same element type with another shape, nothing known of the elements."""
        return TensorType(self.dtype, shape=shape)

    def refined(self, other: "TensorType") -> "TensorType":
        """The same type, its unknown parts filled in from ``other``; where they disagree this one stays."""
        dtype = other.dtype if self.dtype is DataType.UNDEFINED else self.dtype
        if self.shape == other.shape:
            shape = self.shape
        elif self.shape is None or other.shape is None or len(self.shape) != len(other.shape):
            shape = other.shape if self.shape is None else self.shape
        else:
            shape = tuple(_sharper(a, b) for a, b in zip(self.shape, other.shape, strict=True))
        known = self.known if self.known is not None else other.known
        return TensorType(dtype, shape=shape, known=known)

    def admits(self, other: "TensorType") -> bool:
        """True unless ``other`` contradicts this type in element type, rank or the length of an axis."""
        if DataType.UNDEFINED not in (self.dtype, other.dtype) and self.dtype is not other.dtype:
            return False
        if self.shape is None or other.shape is None or self.shape == other.shape:
            return True
        return len(self.shape) == len(other.shape) and not any(
            isinstance(a, int) and isinstance(b, int) and a != b
            for a, b in zip(self.shape, other.shape, strict=True)
        )

    def __str__(self) -> str:
        dims = ["?"] if self.shape is None else ["?" if d is None else str(d) for d in self.shape]
        return f"{self.dtype.label}[{', '.join(dims)}]"


@lru_cache(maxsize=1 << 12)  # a large network has thousands of values, and few shapes among them
def _numbers(shape: Shape) -> tuple[int, ...] | None:
    sizes = tuple(dim for dim in shape or () if isinstance(dim, int))
    return sizes if shape is not None and len(sizes) == len(shape) else None


UNKNOWN = TensorType(DataType.UNDEFINED)


def _sharper(a: Dim, b: Dim) -> Dim:
    """A number beats a symbol beats nothing; a tie keeps the first."""
    if isinstance(a, int) or b is None:
        return a
    return b if a is None or isinstance(b, int) else a


def affine(dim: Dim, *, add: int, divide: int = 1, then: int = 0) -> Dim:
    """``(dim + add) // divide + then``, as a number, a derived symbol or None."""
    if isinstance(dim, int):
        return (dim + add) // divide + then
    if dim is None:
        return None
    if divide == 1:
        return _plus(dim, add + then)
    expression = _plus(f"({_plus(dim, add)})//{divide}" if add else f"{_atom(dim)}//{divide}", then)
    return expression if len(expression) <= _SYMBOL_LIMIT else None


def times(dim: Dim, factor: int) -> Dim:
    """``dim * factor``, as a number, a derived symbol or None."""
    if factor == 1 or dim is None:
        return dim
    if isinstance(dim, int):
        return dim * factor
    expression = f"{_atom(dim)}*{factor}"
    return expression if len(expression) <= _SYMBOL_LIMIT else None


def _atom(symbol: str) -> str:
    return symbol if symbol.isidentifier() else f"({symbol})"


def _plus(symbol: str, number: int) -> str:
    """Append ``+number``, merged with a trailing constant so that ``H-2`` plus 2 is ``H`` again."""
    for cut in range(len(symbol) - 1, 0, -1):
        if not symbol[cut].isdigit():
            if (
                symbol[cut] in "+-"
                and cut + 1 < len(symbol)
                and symbol[:cut].count("(") == symbol[:cut].count(")")
            ):
                number += int(symbol[cut:])
                symbol = symbol[:cut]
            break
    return symbol if number == 0 else f"{symbol}{number:+d}"


def broadcast(*shapes: Shape) -> Shape:
    """Numpy broadcasting over symbolic shapes. Raises InvalidModel when two numbers cannot be broadcast."""
    if any(shape is None for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    rank = max((len(shape) for shape in known), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in known]
    return tuple(_broadcast_dim([shape[axis] for shape in padded], known) for axis in range(rank))


def _broadcast_dim(dims: Sequence[Dim], shapes: Sequence[Shape]) -> Dim:
    wide = {d for d in dims if d != 1}
    numbers = {d for d in wide if isinstance(d, int)}
    if len(numbers) > 1:
        raise InvalidModel(
            "shapes", found=" and ".join(str(s) for s in shapes), expected="shapes that broadcast"
        )
    if numbers:
        return numbers.pop()
    return wide.pop() if len(wide) == 1 else (1 if not wide else None)


class FileRange(NamedTuple):
    """Where in a file the raw elements of a tensor lie; ``offset`` and ``length`` in bytes."""

    path: Path
    offset: int
    length: int


class Tensor:
    """Constant data of a known type, read when first asked for.

    ``Tensor(array)`` holds an array; ``Tensor.deferred`` holds a loader (a memory map, a field of a protobuf
    message) that ``numpy()`` calls: once, or each time for what lies in a file of its own, at ``origin``, so
    that only what is in use takes memory. Arrays handed out are read-only. Two tensors are the same object or
    different: compare ``digest()`` for equal contents.
    """

    __slots__ = ("__weakref__", "_array", "_digest", "_load", "dtype", "origin", "shape")

    def __init__(self, array: Array) -> None:
        self.dtype = DataType.of(array.dtype)
        self.shape: tuple[int, ...] = array.shape
        self._array: Array | None = _read_only(array)
        self._load: Callable[[], Array] | None = None
        self._digest: str | None = None
        self.origin: FileRange | None = None

    @classmethod
    def deferred(
        cls,
        load: Callable[[], Array],
        *,
        dtype: DataType,
        shape: tuple[int, ...],
        origin: FileRange | None = None,
    ) -> Self:
        """A tensor whose elements ``load`` fetches (with this shape and ``dtype.numpy``) when read.

        ``origin`` says that they lie there, raw and little-endian, and need not be kept once read.
        """
        tensor = cls(np.empty(0, dtype=np.float32))
        tensor.dtype, tensor.shape, tensor.origin = dtype, shape, origin
        tensor._array, tensor._load = None, load
        return tensor

    def numpy(self) -> Array:
        """The elements, read-only. Raises InvalidModel when the data does not have the declared shape."""
        if self._array is not None:
            return self._array
        assert self._load is not None
        array = self._load()
        if array.shape != self.shape:
            found = f"data of shape {array.shape}"
            raise InvalidModel("tensor", found=found, expected=f"shape {self.shape}")
        if self.origin is None:
            self._array, self._load = _read_only(array), None
        return _read_only(array)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes the elements take in a file."""
        return (self.size * self.dtype.bits + 7) // 8

    @property
    def type(self) -> TensorType:
        """The type of the tensor, with its elements when it is small enough to steer shape inference."""
        small = len(self.shape) <= 1 and self.size <= KNOWN_LIMIT
        if not small or self.dtype in (DataType.STRING, DataType.COMPLEX64, DataType.COMPLEX128):
            return TensorType(self.dtype, shape=self.shape)
        return TensorType(self.dtype, shape=self.shape, known=tuple(self.numpy().reshape(-1).tolist()))

    def digest(self) -> str:
        """SHA-256 of type and contents, in hexadecimal."""
        if self._digest is None:
            array, contents = self.numpy(), hashlib.sha256(f"{self.dtype.label}{self.shape}".encode())
            is_text = array.dtype == object
            plain = np.empty(0) if is_text else np.ascontiguousarray(array).reshape(-1)
            contents.update(repr(array.tolist()).encode() if is_text else plain.view(np.uint8).data)
            self._digest = contents.hexdigest()
        return self._digest

    def __repr__(self) -> str:
        return f"Tensor({TensorType(self.dtype, shape=self.shape)})"


def _read_only(array: Array) -> Array:
    view = np.asanyarray(array).view()  # numpy makes a number, not an array, of one element without axes
    view.flags.writeable = False
    return view
