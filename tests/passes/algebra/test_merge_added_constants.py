"""Tables for merge-added-constants."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Neg, Sub
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.merge_added_constants import MergeAddedConstants

Part = tuple[int, ...] | float | str


def summed(
    spelling: str,
    *parts: Part,
    sizes: Sequence[Dim] = ("N", 4, 5),
    second: Sequence[Dim] | None = None,
    dtype: type = np.float32,
    read: int = 0,
) -> Callable[[Draw], Graph]:
    """A sum in postfix: x and y vary, digits are the constants, drawn in shapes or given as numbers.

    ``read``: the result of that operation, counted from 1, is returned as well.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        kind = DataType.of(np.dtype(dtype))
        stack: list[Value] = []
        varying: dict[str, Value] = {}
        done = 0
        for letter in spelling:
            if letter in "xy":
                shape = tuple(sizes if letter == "x" or second is None else second)
                if letter not in varying:
                    varying[letter] = b.input(letter, shape=shape, dtype=kind)
                stack.append(varying[letter])
            elif letter in "+-":
                right, left = stack.pop(), stack.pop()
                stack.append(b.add(Add() if letter == "+" else Sub(), left, right))
                done += 1
                if done == read:
                    b.output(b.add(Neg(), stack[-1]), name="z")
            else:
                part = parts[int(letter)]
                if isinstance(part, str):
                    stack.append(b.overridable(part, draw.weight(5, dtype=dtype)))
                else:
                    array = (
                        draw.weight(*part, dtype=dtype) if isinstance(part, tuple) else np.array(part, dtype)
                    )
                    stack.append(b.constant(array, name=f"c{letter}"))
        b.output(b.add(Neg(), stack.pop()), name="y_out")
        return b.build()

    return build


EXAMPLES = {
    "one after the other": summed("x0+1+", (5,), (5,)),
    "constants first": summed("01x++", (4, 1), (5,)),
    "subtracted": summed("x0-1-", (5,), ()),
    "from a constant": summed("01x--", (5,), (5,)),
    "two that vary": summed("x0+y1-+", (4, 5), (4, 1)),
    "only subtracted ones": summed("0x-y-1+", (4, 5), (5,)),
    "the same twice": summed("x0+x1++", (5,), (5,)),
    "three layers": summed("x0+y+1+2+", (5,), (5,), (5,)),
    "double": summed("x0+1+", (5,), (5,), dtype=np.float64),
    "whole numbers": summed("x0+1-", (5,), (5,), dtype=np.int64),
    "one number a sample": summed("x0+y+1+", (1,), (1,), sizes=("N",)),
    "a part read elsewhere": summed("x0+1+2+", (5,), (5,), (5,), read=1),
}

NEAR_MISSES = {
    "the_merged_constant_is_finite": [summed("x0+1+", 3e38, 3e38)],
    "it_is_cheaper_on_the_target": [
        summed("x0+1+", (40, 1), (50,), sizes=(1, 1)),
    ],
}


def test_what_a_caller_may_override_is_no_constant() -> None:
    graph = summed("x0+1+", (5,), "given")(Draw(dyadic=True))
    assert not Pipeline([MergeAddedConstants()]).run(graph)[1].applications


def test_a_part_read_elsewhere_stays_a_part() -> None:
    result, _ = Pipeline([MergeAddedConstants()]).run(EXAMPLES["a part read elsewhere"](Draw(dyadic=True)))
    shared, last = (node for node in result.compute_nodes() if isinstance(result.op(node), Add))
    assert Value(shared, 0) in result.operands(last)
