"""How far one result lies from another: tensor by tensor, element by element."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from convgraph.ir.tensor import Array
from convgraph.numerics.session import Result

Errors = NDArray[np.float64]


def leaves(name: str, result: Result) -> Iterator[tuple[str, Array]]:
    """The tensors inside a result, each with its place: ``y``, ``y[0]`` of a sequence, ``y['k']`` of a map.

    An absent optional has none; a number or string inside a map counts as a tensor.
    """
    if isinstance(result, dict):
        for key in sorted(result, key=repr):
            yield from leaves(f"{name}[{key!r}]", result[key])
    elif isinstance(result, (list, tuple)):
        for index, item in enumerate(result):
            yield from leaves(f"{name}[{index}]", item)
    elif result is not None:
        yield name, np.asarray(result)


def same_bits(a: Array, b: Array) -> bool:
    """Whether two tensors are the same in type, shape and every element, NaN being NaN."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype == object:
        return bool(np.array_equal(a, b))
    return np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


def mismatch(want: Array, got: Array) -> tuple[str, str] | None:
    """What tells two tensors apart before any arithmetic: (found, expected), or None.

    Element type, shape, and where NaN and the infinities stand.
    """
    if want.dtype != got.dtype:
        return f"element type {got.dtype}", f"{want.dtype}"
    if want.shape != got.shape:
        return f"shape {got.shape}", f"{want.shape}"
    wanted, given = _numbers(want), _numbers(got)
    if wanted is None or given is None:
        return None
    differs = ~((wanted == given) | (np.isnan(wanted) & np.isnan(given)))
    wild = differs & ~(np.isfinite(wanted) & np.isfinite(given))
    if not wild.any():
        return None
    index = first_index(wild)
    return f"{given[index]} at {index}", f"{wanted[index]}"


def errors(want: Array, got: Array) -> Errors:
    """|want - got| for each element; 1 where strings differ, 0 where both are the same non-finite number."""
    wanted, given = _numbers(want), _numbers(got)
    if wanted is None or given is None:
        return np.asarray(want != got).astype(np.float64).reshape(want.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.where(np.isfinite(wanted), np.abs(wanted - given), 0.0)
    if want.dtype.kind in "iu":  # int64 beyond 2^53 has neighbours that float64 cannot tell apart
        distance = np.where(want == got, 0.0, np.maximum(distance, 1.0))
    return np.asarray(distance, dtype=np.float64)


def magnitude(array: Array) -> float:
    """The largest finite magnitude; 0 without one, and for strings."""
    return float(magnitudes(array).max(initial=0.0))


def magnitudes(array: Array) -> Errors:
    """The magnitude of each element; 0 for those that are not finite, and for strings."""
    numbers = _numbers(array)
    if numbers is None:
        return np.zeros(array.shape)
    return np.where(np.isfinite(numbers), np.abs(numbers), 0.0)


def is_telling(array: Array) -> bool:
    """Whether a reference can tell a right result from a wrong one: no NaN, and something finite."""
    numbers = _numbers(array)
    if numbers is None or array.size == 0:
        return True
    return bool(np.isfinite(numbers).any() and not np.isnan(numbers).any())


def is_constant(arrays: Sequence[Array]) -> bool:
    """Whether several results cannot tell functions apart: one number throughout, or the same each time."""
    numbers = [n for array in arrays if (n := _numbers(array)) is not None and n.size]
    first = next((n.flat[0] for n in numbers), None)
    if sum(n.size for n in numbers) > 1 and all((n == first).all() for n in numbers):
        return True
    return len(arrays) > 1 and all(same_bits(arrays[0], array) for array in arrays[1:])


def has_finite(array: Array) -> bool:
    """Whether any element is finite; strings are."""
    numbers = _numbers(array)
    return bool(array.size) if numbers is None else bool(np.isfinite(numbers).any())


def is_finite(array: Array) -> bool:
    """Whether every element is finite; strings are."""
    numbers = _numbers(array)
    return numbers is None or bool(np.isfinite(numbers).all())


def first_index(mask: Array) -> tuple[int, ...]:
    """Index of the first true element."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def _numbers(array: Array) -> Array | None:
    """The elements in double precision (complex stays complex); None for strings."""
    if array.dtype.kind in "OSU":
        return None
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
