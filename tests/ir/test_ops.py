"""What operations infer: against the shapes that evaluation gives, ONNX's own inference, and by hand."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convgraph.errors import InvalidModel
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir import ops
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import TYPED, Op
from convgraph.ir.tensor import Array, DataType, Shape, Tensor, TensorType
from convgraph.numerics.evaluate import evaluate_op

Drawn = tuple[Op, list[Array | None], int]


def vector(*numbers: int) -> Array:
    return np.asarray(numbers, dtype=np.int64)


def zeros(*shape: int) -> Array:
    return np.zeros(shape, dtype=np.float32)


def typed(shape: Shape, *, dtype: DataType = DataType.FLOAT) -> TensorType:
    return TensorType(dtype, shape=shape)


def known(*numbers: int) -> TensorType:
    return Tensor(vector(*numbers)).type


def shape_of(op: Op, *operands: TensorType | None) -> Shape:
    return op.infer_all(operands)[0].shape


small = st.integers(1, 4)


def sizes(draw: Any, rank: int, *, low: int = 3, high: int = 9) -> list[int]:
    return [draw(st.integers(low, high)) for _ in range(rank)]


@st.composite
def windows(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))
    return {
        "strides": tuple(draw(small) for _ in range(rank)),
        "pads": tuple(draw(st.integers(0, 1)) for _ in range(2 * rank)),
        "dilations": tuple(draw(st.integers(1, 2)) for _ in range(rank)),
        "auto_pad": draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
    }


@st.composite
def convolutions(draw: Any) -> Drawn:
    window, group = draw(windows()), draw(st.integers(1, 2))
    rank = len(window["strides"])
    kernel = [draw(st.integers(1, 2)) for _ in range(rank)]
    x = zeros(2, 2 * group, *sizes(draw, rank))
    if draw(st.booleans()):
        return ops.Conv(group=group, **window), [x, zeros(3 * group, 2, *kernel)], 1
    window["auto_pad"] = draw(st.sampled_from(["NOTSET", "VALID"]))
    return ops.ConvTranspose(group=group, **window), [x, zeros(2 * group, 3, *kernel)], 1


@st.composite
def pools(draw: Any) -> Drawn:
    window = draw(windows())
    rank = len(window["strides"])
    kind = draw(st.sampled_from([ops.MaxPool, ops.AveragePool]))
    kernel = tuple(draw(st.integers(2, 2)) for _ in range(rank))
    ceil_mode = draw(st.integers(0, 1)) if window["auto_pad"] == "NOTSET" else 0
    if window["auto_pad"].startswith("SAME"):
        window["dilations"] = (1,) * rank
        window["strides"] = tuple(min(stride, 2) for stride in window["strides"])
    op = kind(kernel_shape=kernel, ceil_mode=ceil_mode, **window)
    return op, [zeros(2, 3, *sizes(draw, rank))], 2 if kind is ops.MaxPool else 1


@st.composite
def pads(draw: Any) -> Drawn:
    rank = draw(st.integers(1, 4))
    numbers = [draw(st.integers(-1, 3)) for _ in range(2 * rank)]
    return ops.Pad(), [zeros(*sizes(draw, rank)), vector(*numbers)], 1


@st.composite
def slices(draw: Any) -> Drawn:
    rank = draw(st.integers(1, 3))
    axes = draw(st.permutations(range(rank)))[: draw(st.integers(1, rank))]
    bound = st.one_of(st.integers(-4, 4), st.sampled_from([2**63 - 1, -(2**63), 2**31 - 1]))
    starts, ends = ([draw(bound) for _ in axes] for _ in range(2))
    steps = [draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in axes]
    vectors = [vector(*numbers) for numbers in (starts, ends, axes, steps)]
    return ops.Slice(), [zeros(*sizes(draw, rank)), *vectors], 1


@st.composite
def gathers(draw: Any) -> Drawn:
    rank = draw(st.integers(1, 3))
    taken = draw(st.sampled_from([(), (4,), (2, 3)]))
    return (
        ops.Gather(axis=draw(st.integers(-rank, rank - 1))),
        [zeros(*sizes(draw, rank)), np.ones(taken, np.int64)],
        1,
    )


@st.composite
def reshapes(draw: Any) -> Drawn:
    shape = [draw(st.sampled_from([1, 2, 3, 4, 6])) for _ in range(4)]
    target = draw(st.permutations(shape))
    if draw(st.booleans()):
        target = [target[0] * target[1], *target[2:]]
    wanted = list(target)
    if draw(st.booleans()):
        wanted[draw(st.integers(0, len(wanted) - 1))] = -1
    wanted = [0 if i < 4 and n == shape[i] and draw(st.booleans()) else n for i, n in enumerate(wanted)]
    return ops.Reshape(), [zeros(*shape), vector(*wanted)], 1


@st.composite
def reductions(draw: Any) -> Drawn:
    rank = draw(st.integers(1, 4))
    axes = draw(st.permutations(range(-rank, 0)))[: draw(st.integers(0, rank))]
    op = ops.ReduceMax(keepdims=draw(st.integers(0, 1)), noop_with_empty_axes=draw(st.integers(0, 1)))
    return op, [zeros(*sizes(draw, rank)), vector(*axes) if axes else None], 1


@st.composite
def resizes(draw: Any) -> Drawn:
    rank = draw(st.integers(2, 4))
    x = zeros(*sizes(draw, rank))
    axes = tuple(draw(st.permutations(range(rank)))[: draw(st.integers(1, rank))])
    if draw(st.booleans()):
        scales = [draw(st.sampled_from([0.5, 0.75, 1.0, 1.3, 2.0, 3.0])) for _ in axes]
        return ops.Resize(axes=axes), [x, None, np.asarray(scales, dtype=np.float32)], 1
    return ops.Resize(axes=axes), [x, None, None, vector(*sizes(draw, len(axes)))], 1


@st.composite
def arrangements(draw: Any) -> Drawn:
    a, b, c = sizes(draw, 3, low=2, high=4)
    axis = draw(st.integers(-3, 2))
    count = draw(st.integers(1, 2))
    drawn: list[Drawn] = [
        (ops.Transpose(perm=tuple(draw(st.permutations(range(3))))), [zeros(a, b, c)], 1),
        (ops.Concat(axis=axis), [zeros(a, b, c), zeros(a, b, c)], 1),
        (ops.Split(axis=axis, num_outputs=count), [zeros(a, b, c)], count),
        (ops.Flatten(axis=axis), [zeros(a, b, c)], 1),
        (ops.Unsqueeze(), [zeros(a, b, c), vector(axis, 3)], 1),
        (ops.Squeeze(), [zeros(a, 1, c, 1), vector(1, -1)], 1),
        (ops.Expand(), [zeros(a, 1, c), vector(2, 1, b, 1)], 1),
        (ops.DepthToSpace(blocksize=2), [zeros(a, 4 * b, c, 3)], 1),
        (ops.SpaceToDepth(blocksize=2), [zeros(a, b, 2 * c, 6)], 1),
        (ops.MatMul(), [zeros(a, 1, b, c), zeros(3, c, 5)], 1),
        (ops.Gemm(transA=1), [zeros(a, b), zeros(a, c), zeros(c)], 1),
        (ops.GlobalAveragePool(), [zeros(a, b, c)], 1),
        (ops.Add(), [zeros(a, 1, c), zeros(b, 1)], 1),
        (ops.Softmax(axis=axis), [zeros(a, b, c)], 1),
    ]
    op, operands, outputs = draw(st.sampled_from(drawn))
    assume(not isinstance(op, ops.Unsqueeze) or axis not in (-2, 3))
    return op, operands, outputs


anything = st.one_of(
    convolutions(), pools(), pads(), slices(), gathers(), reshapes(), reductions(), resizes(), arrangements()
)


def types_of(operands: list[Array | None]) -> tuple[TensorType | None, ...]:
    return tuple(None if operand is None else Tensor(operand).type for operand in operands)


def inferred(op: Op, operands: list[Array | None]) -> tuple[TensorType, ...]:
    try:
        return op.infer_all(types_of(operands))
    except InvalidModel as error:
        assume("fits" not in error.expected and "cropped" not in error.expected)
        raise


@settings(max_examples=300, deadline=None)
@given(anything)
def test_numbers_in_numbers_out(drawn: Drawn) -> None:
    op, operands, outputs = drawn
    found = [result.static_shape for result in inferred(op, operands)[:outputs]]
    assert found == [y.shape for y in evaluate_op(op, operands, outputs=outputs)]


def value_of(dim: object, sizes: dict[str, int]) -> object:
    """A symbolic dimension's value once its symbols have values."""
    if not isinstance(dim, str):
        return dim
    assert re.fullmatch(r"[\w+\-*/() ]+", dim)
    return eval(dim, {"__builtins__": {}}, dict(sizes))  # noqa: S307 - only arithmetic, as just checked


@settings(max_examples=300, deadline=None)
@given(anything, st.integers(0, 2**6 - 1))
def test_a_symbol_stands_for_any_size(drawn: Drawn, chosen: int) -> None:
    op, operands, outputs = drawn
    inferred(op, operands)
    first, *others = types_of(operands)
    assert first is not None
    assert first.static_shape is not None
    values = {f"d{axis}": size for axis, size in enumerate(first.static_shape) if chosen >> axis & 1}
    shape = tuple(f"d{i}" if f"d{i}" in values else n for i, n in enumerate(first.static_shape))
    symbolic = op.infer_all((first.with_shape(shape), *others))
    results = evaluate_op(op, operands, outputs=outputs)
    for found, actual in zip(symbolic[:outputs], results, strict=True):
        assert found.rank in (None, actual.ndim)
        for dim, size in zip(found.shape or (), actual.shape, strict=False):
            assert dim is None or value_of(dim, values) == size


@settings(max_examples=100, deadline=None)
@given(anything)
def test_an_unknown_shape_is_tolerated(drawn: Drawn) -> None:
    op, operands, outputs = drawn
    inferred(op, operands)
    first, *others = types_of(operands)
    assert first is not None
    blank = op.infer_all((first.with_shape(None), *others))
    vague = op.infer_all((first.with_shape((None,) * len(first.shape or ())), *others))
    unread = op.infer_all((first, *(None if o is None else o.with_shape(None) for o in others)))
    for y, *guesses in zip(
        evaluate_op(op, operands, outputs=outputs), blank[:outputs], vague[:outputs], strict=False
    ):
        assert all(guess.admits(typed(y.shape, dtype=guess.dtype)) for guess in guesses)
    assert all(isinstance(guess, TensorType) for guess in unread)


@settings(max_examples=150, deadline=None)
@given(anything)
def test_agrees_with_onnx_shape_inference(drawn: Drawn) -> None:
    op, operands, outputs = drawn
    expected = [result.static_shape for result in inferred(op, operands)[:outputs]]
    b = GraphBuilder(opset=22)  # before 22 its inference counts pool windows that start in the padding
    assert operands[0] is not None
    x = b.input("x", shape=operands[0].shape)
    for index, result in enumerate(b.add_all(op, x, *operands[1:], names=("",) * outputs)):
        b.output(result, name=f"y{index}")
    model = to_onnx(b.build())
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    complete = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    for output, shape in zip(complete.graph.output, expected, strict=True):
        dims = output.type.tensor_type.shape.dim
        assert tuple(dim.dim_value for dim in dims) == shape


CONV = ops.Conv.of(2)
ILLEGAL: dict[str, tuple[type[Op], dict[str, Any]]] = {
    "pads of another rank": (ops.Conv, {"strides": (1, 1), "pads": (0, 0), "dilations": (1, 1)}),
    "a stride of 0": (ops.Conv, {"strides": (0,), "pads": (0, 0), "dilations": (1,)}),
    "no group": (ops.Conv, {"strides": (1,), "pads": (0, 0), "dilations": (1,), "group": 0}),
    "an empty window": (
        ops.MaxPool,
        {"kernel_shape": (0,), "strides": (1,), "pads": (0, 0), "dilations": (1,)},
    ),
    "a window of another rank": (
        ops.AveragePool,
        {"kernel_shape": (2, 2), "strides": (1,), "pads": (0, 0), "dilations": (1,)},
    ),
    "a negative pool pad": (
        ops.MaxPool,
        {"kernel_shape": (2,), "strides": (1,), "pads": (-1, 0), "dilations": (1,)},
    ),
    "an unknown auto_pad": (
        ops.MaxPool,
        {"kernel_shape": (2,), "strides": (1,), "pads": (0, 0), "dilations": (1,), "auto_pad": "SAME"},
    ),
    "an unknown storage order": (
        ops.MaxPool,
        {"kernel_shape": (2,), "strides": (1,), "pads": (0, 0), "dilations": (1,), "storage_order": 2},
    ),
    "an unknown resize mode": (ops.Resize, {"mode": "bilinear"}),
    "an unknown coordinate mode": (ops.Resize, {"coordinate_transformation_mode": "corners"}),
    "an unknown nearest mode": (ops.Resize, {"nearest_mode": "round"}),
    "a resize axis twice": (ops.Resize, {"axes": (1, 1)}),
    "an unknown pad mode": (ops.Pad, {"mode": "circular"}),
    "no pieces": (ops.Split, {"num_outputs": 0}),
    "not a permutation": (ops.Transpose, {"perm": (0, 2)}),
    "an empty block": (ops.DepthToSpace, {"blocksize": 0}),
    "an unknown block order": (ops.DepthToSpace, {"blocksize": 2, "mode": "RCD"}),
    "a flag of 2": (ops.ReduceSum, {"keepdims": 2}),
    "transA of 2": (ops.Gemm, {"transA": 2}),
    "allowzero of 2": (ops.Reshape, {"allowzero": 2}),
    "an unknown gelu": (ops.Gelu, {"approximate": "erf"}),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_attribute_cannot_be_built(name: str) -> None:
    kind, fields = ILLEGAL[name]
    with pytest.raises(InvalidModel, match=kind.__name__):
        kind(**fields)


IMAGE = typed((2, 6, 8, 9))
CONTRADICTIONS: dict[str, tuple[Op, list[TensorType | None]]] = {
    "transposed convolution padded away": (
        ops.ConvTranspose.of(2, pads=(0, 3, 0, 4)),
        [typed((1, 4, 5, 3)), typed((4, 2, 3, 3))],
    ),
    "channels": (CONV, [IMAGE, typed((4, 5, 3, 3))]),
    "a window that does not fit": (CONV, [IMAGE, typed((4, 6, 9, 3))]),
    "no weight": (CONV, [IMAGE]),
    "a pool of another rank": (ops.MaxPool.of((2,)), [IMAGE]),
    "concat of two ranks": (ops.Concat(axis=0), [IMAGE, typed((2, 6))]),
    "concat of other sizes": (ops.Concat(axis=1), [IMAGE, typed((2, 6, 8, 7))]),
    "concat of two dtypes": (ops.Concat(axis=1), [IMAGE, typed((2, 6, 8, 9), dtype=DataType.INT64)]),
    "an axis beyond": (ops.Concat(axis=4), [IMAGE, IMAGE]),
    "pieces of another whole": (ops.Split(axis=1), [IMAGE, known(2, 3)]),
    "too many pieces": (ops.Split(axis=1, num_outputs=8), [IMAGE]),
    "split and num_outputs": (ops.Split(axis=1, num_outputs=2), [IMAGE, known(3, 3)]),
    "reshape to more": (ops.Reshape(), [IMAGE, known(2, 6, 8, 10)]),
    "reshape that does not divide": (ops.Reshape(), [IMAGE, known(5, -1)]),
    "reshape with two unknowns": (ops.Reshape(), [IMAGE, known(-1, -1)]),
    "squeeze of a long axis": (ops.Squeeze(), [IMAGE, known(1)]),
    "unsqueeze twice": (ops.Unsqueeze(), [IMAGE, known(1, 1)]),
    "blocks that do not divide": (ops.DepthToSpace(blocksize=2), [IMAGE]),
    "pads for other axes": (ops.Pad(), [IMAGE, known(1, 1)]),
    "more cropped than there is": (ops.Pad(), [IMAGE, known(0, 0, 0, -9, 0, 0, 0, -1)]),
    "a fill of several numbers": (ops.Pad(), [IMAGE, known(*[1] * 8), known(0, 0)]),
    "starts without ends": (ops.Slice(), [IMAGE, known(0, 1), known(3)]),
    "gather of an axis beyond": (ops.Gather(axis=4), [IMAGE, known(0)]),
    "a step of 0": (ops.Slice(), [IMAGE, known(0), known(3), known(1), known(0)]),
    "neither scales nor sizes": (ops.Resize(), [IMAGE]),
    "sizes for other axes": (ops.Resize(), [IMAGE, None, None, known(3, 4)]),
    "a perm of another rank": (ops.Transpose(perm=(1, 0)), [IMAGE]),
    "gemm of other sizes": (ops.Gemm(), [typed((3, 4)), typed((5, 6))]),
    "matmul of a scalar": (ops.MatMul(), [IMAGE, typed(())]),
    "an axis to reduce beyond": (ops.ReduceSum(), [IMAGE, known(4)]),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_operands_that_contradict_the_operation_are_refused(name: str) -> None:
    op, operands = CONTRADICTIONS[name]
    with pytest.raises(InvalidModel, match=op.label):
        op.infer_all(tuple(operands))


def test_symbols_stay_where_sizes_do() -> None:
    x = typed(("N", 8, "H", "W"))
    assert shape_of(ops.Transpose(perm=(0, 2, 3, 1)), x) == ("N", "H", "W", 8)
    assert shape_of(ops.Pad(), x, known(0, 0, 1, 0, 0, 0, 1, -1)) == ("N", 8, "H+2", "W-1")
    assert shape_of(ops.DepthToSpace(blocksize=2), x) == ("N", 2, "H*2", "W*2")
    assert shape_of(ops.SpaceToDepth(blocksize=2), x) == ("N", 32, "H//2", "W//2")
    assert shape_of(ops.Reshape(), x, known(0, 8, -1)) == ("N", 8, None)
    assert shape_of(ops.Flatten(axis=1), typed(("N", 8, 2, 3))) == ("N", 48)
    assert shape_of(ops.Reshape(), typed(("N", 8, 2, 3)), known(-1, 48)) == ("N", 48)
    assert shape_of(ops.Reshape(), typed(("N", 8, 2, 3)), known(-1, 6)) == ("N*8", 6)
    assert shape_of(ops.Concat(axis=2), x, x) == ("N", 8, "H*2", "W")
    assert shape_of(ops.Concat(axis=1), x, typed((None, 3, None, "W"))) == ("N", 11, "H", "W")
    assert shape_of(ops.Resize(), x, None, Tensor(np.float32([1, 1, 2, 0.5])).type) == ("N", 8, "H*2", "W//2")
    assert shape_of(ops.Slice(), x, known(1), known(2**63 - 1), known(2)) == ("N", 8, "H-1", "W")
    assert shape_of(ops.Slice(), x, known(5), known(2**63 - 1), known(2)) == ("N", 8, None, "W")
    assert shape_of(ops.Gather(axis=1), x, typed(("K", 2))) == ("N", "K", 2, "H", "W")
    assert shape_of(ops.ReduceMean(), x, known(2, 3)) == ("N", 8, 1, 1)
    assert shape_of(ops.Expand(), typed(("N", 1)), known(1, 5)) == ("N", 5)


def test_shape_vectors_stay_known() -> None:
    head, tail = known(2, 3), known(-1)
    assert ops.Concat(axis=0).infer_all((head, tail))[0].ints == (2, 3, -1)
    assert ops.Slice().infer_all((known(4, 5, 6), known(1), known(3)))[0].ints == (5, 6)
    assert ops.Gather().infer_all((known(4, 5, 6), known(-1, 0)))[0].ints == (6, 4)
    assert (
        ops.Gather().infer_all((known(4, 5), known(2)))[0].ints is None
    )  # only running it says that it fails
    assert ops.Gather().infer_all((known(4, 5), Tensor(np.array(1)).type))[0].ints == (5,)
    scalar = ops.Squeeze().infer_all((tail, known(0)))[0]
    assert (scalar.shape, scalar.ints) == ((), (-1,))
    again = ops.Unsqueeze().infer_all((scalar, known(0)))[0]
    assert (again.shape, again.ints) == ((1,), (-1,))
    assert ops.Reshape().infer_all((scalar, known(1)))[0].ints == (-1,)
    assert ops.Reshape().infer_all((head, known(1, 2)))[0].ints is None


def test_split_knows_its_pieces_by_their_sizes_or_their_number() -> None:
    x = typed(("N", 7, 3))
    by_size = ops.Split(axis=1).infer_all((x, known(2, 5)))
    assert [piece.shape for piece in by_size] == [("N", 2, 3), ("N", 5, 3)]
    evenly = ops.Split(axis=1, num_outputs=3).infer_all((x,))
    assert [piece.shape for piece in evenly] == [("N", 3, 3), ("N", 3, 3), ("N", 1, 3)]
    computed = ops.Split(axis=1).infer_all((x, typed((2,), dtype=DataType.INT64)))
    assert [piece.shape for piece in computed] == [("N", None, 3)] * 2
    assert ops.Split(axis=1).infer_all((x, typed(None, dtype=DataType.INT64))) == ()


def test_the_table_holds_every_concrete_operation() -> None:
    public = {name: getattr(ops, name) for name in ops.__all__ if name != "TYPED"}
    abstract = {base for kind in public.values() for base in kind.__mro__[1:]}
    concrete = {name for name, kind in public.items() if kind not in abstract}
    assert set(TYPED) == concrete - {"Constant", "Input", "Opaque"}
    assert all(kind.__name__ == name for name, kind in TYPED.items())
    assert set(TYPED) < set(ops.__all__)


def test_explicit_pads_of_a_pool() -> None:
    pool = replace(ops.MaxPool.of((3, 2), strides=(2, 1)), auto_pad="SAME_LOWER")
    assert pool.padded_explicitly(typed((1, 3, 8, 5))) == (1, 1, 0, 0)
    assert pool.padded_explicitly(typed((1, 3, "H", 5))) is None
    dilated = replace(pool, dilations=(2, 1))
    assert dilated.padded_explicitly(typed((1, 3, 8, 5))) is None
    cropping = replace(ops.AveragePool.of((1,), strides=3), auto_pad="SAME_UPPER")
    assert cropping.padded_explicitly(typed((1, 3, 9))) is None
    assert cropping.padded_explicitly(typed((1, 3, 10))) == (0, 0)


def body(*types: TensorType) -> Graph:
    """A graph that returns values of these types."""
    b = GraphBuilder("body")
    for number, type_ in enumerate(types):
        x = b.input(f"x{number}", shape=type_.shape, dtype=type_.dtype)
        b.output(b.add(ops.Identity(), x), name=f"y{number}")
    return b.build()


def control(op_type: str, *bodies: Graph, arity: int, domain: str = "") -> ops.Opaque:
    return ops.Opaque(
        domain=domain, op_type=op_type, arity=arity, subgraphs={str(i): b for i, b in enumerate(bodies)}
    )


def test_what_an_if_returns_is_what_both_branches_agree_on() -> None:
    long = DataType.INT64
    then = body(typed(("N", 3, 7)), typed((2,)), typed((4, 5)), typed(None), typed((1,)))
    other = body(typed(("N", "C", 7)), typed((2, 1)), typed((4, 5)), typed((6,)), typed((1,), dtype=long))
    agreed = control("If", then, other, arity=1).infer()
    assert [type_.shape for type_ in agreed] == [("N", None, 7), None, (4, 5), None, None]
    assert [type_.dtype.label for type_ in agreed] == [*["float32"] * 4, "undefined"]


def test_a_loop_hands_on_its_state_in_any_shape_and_stacks_the_rest() -> None:
    repeated = body(typed((), dtype=DataType.BOOL), typed((2, 3)), typed((4, "W")), typed(None))
    state, *stacked = control("Loop", repeated, arity=3).infer()
    assert (state.dtype, state.shape) == (DataType.FLOAT, None)
    assert [type_.shape for type_ in stacked] == [(None, 4, "W"), None]


@pytest.mark.parametrize(
    "op",
    [
        control("Loop", arity=2),
        control("Scan", body(typed((3,))), arity=1),
        control("If", body(typed((3,))), arity=1, domain="custom"),
    ],
    ids=["a Loop without a body", "a Scan", "another domain's If"],
)
def test_of_other_control_flow_nothing_is_said(op: ops.Opaque) -> None:
    assert op.infer() == ()
