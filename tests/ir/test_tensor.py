"""Symbolic dimensions, types and deferred tensors."""

import ml_dtypes
import numpy as np
import pytest

from convgraph.errors import InvalidModel
from convgraph.ir.tensor import DataType, Tensor, TensorType, affine, broadcast, times


@pytest.mark.parametrize(
    ("dim", "arguments", "expected"),
    [
        (33, {"add": -1, "divide": 2, "then": 1}, 17),
        ("H", {"add": 0}, "H"),
        ("H", {"add": -2}, "H-2"),
        ("H-2", {"add": 2}, "H"),
        ("H-2", {"add": 5}, "H+3"),
        ("H", {"add": -1, "divide": 2, "then": 1}, "(H-1)//2+1"),
        ("(H-1)//2+1", {"add": -1}, "(H-1)//2"),
        ("batch_1", {"add": 1}, "batch_1+1"),
        (None, {"add": 3}, None),
    ],
)
def test_affine(dim: object, arguments: dict[str, int], expected: object) -> None:
    assert affine(dim, **arguments) == expected  # type: ignore[arg-type]


def test_long_expressions_become_unknown() -> None:
    dim: object = "H"
    for _ in range(40):
        dim = affine(dim, add=-1, divide=2, then=1)  # type: ignore[arg-type]
    assert dim is None


def test_times_brackets_what_it_must() -> None:
    assert times("H-2", 2) == "(H-2)*2"
    assert times("H", 1) == "H"


def test_broadcast() -> None:
    assert broadcast(("N", 1, 5), (3, 1)) == ("N", 3, 5)
    assert broadcast(("N", 2), ("M", 2)) == (None, 2)
    assert broadcast((1,), (None,)) == (None,)
    assert broadcast(None, (2,)) is None
    with pytest.raises(InvalidModel, match="shapes that broadcast"):
        broadcast((2, 3), (4,))


def test_refining_prefers_numbers_then_symbols_then_itself() -> None:
    mine = TensorType(DataType.FLOAT, shape=(None, "H", 3, "W"))
    other = TensorType(DataType.FLOAT, shape=("N", 4, 5, "V"))
    assert mine.refined(other).shape == ("N", 4, 3, "W")
    assert mine.admits(TensorType(DataType.FLOAT, shape=(1, 2, 3, 4)))
    assert not mine.admits(TensorType(DataType.FLOAT, shape=(1, 2, 4, 4)))
    assert not mine.admits(TensorType(DataType.DOUBLE, shape=(1, 2, 3, 4)))


def test_every_element_type_has_a_numpy_type() -> None:
    for kind in DataType:
        if kind is not DataType.UNDEFINED:
            array = np.zeros(2, kind.numpy)
            assert DataType.of(array.dtype) is kind
    assert DataType.BFLOAT16.numpy == np.dtype(ml_dtypes.bfloat16)
    assert (DataType.INT4.bits, DataType.BFLOAT16.bits, DataType.DOUBLE.bits) == (4, 16, 64)


def test_a_deferred_tensor_is_read_once_and_checked() -> None:
    calls = []

    def load() -> np.ndarray:
        calls.append(1)
        return np.arange(6, dtype=np.float32).reshape(2, 3)

    tensor = Tensor.deferred(load, dtype=DataType.FLOAT, shape=(2, 3))
    assert not calls
    assert tensor.numpy()[1, 2] == tensor.numpy()[1, 2] == 5
    assert len(calls) == 1
    assert not tensor.numpy().flags.writeable
    wrong = Tensor.deferred(load, dtype=DataType.FLOAT, shape=(3, 2))
    with pytest.raises(InvalidModel, match="data of shape"):
        wrong.numpy()


def test_equal_contents_have_equal_digests() -> None:
    a, b = Tensor(np.arange(4, dtype=np.float32)), Tensor(np.arange(4, dtype=np.float32))
    assert a.digest() == b.digest()
    assert a.digest() != Tensor(np.arange(4, dtype=np.float64)).digest()
    assert a.digest() != Tensor(np.arange(4, dtype=np.float32).reshape(2, 2)).digest()
