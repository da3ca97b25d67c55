"""What is calculated from sizes without numbers is what comes out for whatever numbers they have."""

import math
from collections.abc import Sequence
from itertools import product

import pytest

from convgraph.analysis.infer import evaluated
from convgraph.ir.ops import Add, Ceil, Div, Equal, Floor, Mul, Neg, Op, Sub, Where
from convgraph.passes.cleanup.size_arithmetic import Size, calculated, multiple

SIZES: tuple[Size, ...] = (
    0,
    1,
    2,
    6,
    -1,
    "H",
    "H*2",
    "(H*2)*3",
    "H*6",
    "(H-1)//2",
    "((H-1)//2)*2",
    "W",
    None,
)
BINARY = (Add(), Sub(), Mul(), Div(), Equal())


def at(size: Size, **numbers: int) -> float | bool | None:
    """A size where its symbols have numbers."""
    found = evaluated(size, numbers) if isinstance(size, str) else size
    assert not isinstance(found, str)
    return found


def expected(op: Op, sizes: Sequence[float]) -> float | bool:
    """What ONNX says of two integers."""
    a, b = sizes
    if isinstance(op, Div):
        return math.trunc(a / b)
    return (
        a + b
        if isinstance(op, Add)
        else a - b
        if isinstance(op, Sub)
        else a * b
        if isinstance(op, Mul)
        else a == b
    )


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.label)
def test_what_is_found_holds_for_every_size(op: Op) -> None:
    told = 0
    for sizes in product(SIZES, SIZES):
        found = calculated(op, sizes, whole=True)
        told += found is not None
        for h, w in ((1, 5), (4, 3), (7, 7), (10, 2)) if found is not None else ():
            numbers = [at(size, H=h, W=w) for size in sizes]
            known = [number for number in numbers if number is not None]
            assert len(known) == 2, "of what is not known, nothing is known"
            if not (isinstance(op, Div) and known[1] == 0):
                assert at(found, H=h, W=w) == expected(op, known), sizes
    assert told > len(SIZES), "half of it is None"


def test_multiples_are_recognised_however_they_are_written() -> None:
    assert multiple("(H*2)*3", "H*6") == 1
    assert multiple("H*6", "H*2") == 3
    assert multiple("((H-1)//2)*4", "(H-1)//2") == 4
    assert multiple(12, 4) == 3
    assert multiple("H", "H") == multiple(0, 0) == 1


@pytest.mark.parametrize(
    ("size", "of"), [("H", "H*2"), ("H*3", "H*2"), ("H", "W"), ("H", 1), (None, None), (5, 0), (0, 5), (7, 2)]
)
def test_what_may_be_no_multiple_is_none(size: Size, of: Size) -> None:
    assert multiple(size, of) is None


def test_an_expression_that_ends_like_a_multiple_is_none() -> None:
    assert multiple("(H)*3+(W)*2", "(H)*3+(W)") is None


def test_floats_are_floored_where_they_are_numbers() -> None:
    assert calculated(Floor(), [2.5], whole=False) == 2.0
    assert calculated(Ceil(), [2.5], whole=False) == 3.0
    assert calculated(Floor(), ["H*2"], whole=False) == "H*2"
    assert calculated(Floor(), [math.inf], whole=False) is None
    assert calculated(Mul(), [math.nan, 2.0], whole=False) is None
    assert calculated(Div(), ["H", 2.0], whole=False) is None


def test_a_choice_needs_its_condition_or_none() -> None:
    assert calculated(Where(), [True, "H", None], whole=True) == "H"
    assert calculated(Where(), [False, "H", None], whole=True) is None
    assert calculated(Where(), [None, "H", "H"], whole=True) == "H"
    assert calculated(Where(), [None, "H", "W"], whole=True) is None


def test_no_other_operation_is_known() -> None:
    assert calculated(Neg(), [3], whole=True) is None
