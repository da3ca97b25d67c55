"""What is counted of each operation that multiplies nothing, and what follows for its time."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from convgraph.analysis.cost import types_at_assumed_sizes
from convgraph.analysis.onnxruntime_cpu import convolutions, streams
from convgraph.analysis.onnxruntime_cpu.maps import ELEMENTWISE
from convgraph.analysis.onnxruntime_cpu.plan import Plan
from convgraph.analysis.onnxruntime_cpu.predict import seconds
from convgraph.analysis.onnxruntime_cpu.rates import Rates, committed
from convgraph.analysis.onnxruntime_cpu.work import LEVELS, Call, Work, level_name, seconds_of
from convgraph.compiler.calibration.streams import all_probes
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    TYPED,
    Add,
    AveragePool,
    Cast,
    Concat,
    Constant,
    Expand,
    Gather,
    GlobalAveragePool,
    Identity,
    LayerNormalization,
    MaxPool,
    Mish,
    Mul,
    Op,
    Opaque,
    Pad,
    Pow,
    ReduceL2,
    ReduceMean,
    Relu,
    Reshape,
    Resize,
    Sigmoid,
    Slice,
    Softmax,
    Split,
    Sum,
    Transpose,
)
from convgraph.ir.tensor import Array, DataType, TensorType

X = (2, 24, 10, 14)
NOTHING = Plan(fused={}, blocked=frozenset(), reordered=())


def ints(*numbers: int) -> Array:
    """A vector of integers."""
    return np.array(numbers, np.int64)


def call(op: Op, *operands: tuple[int, ...] | Array | None, block: int = 1, **facts: int) -> Call:
    """A call with inputs of these shapes, and these constants."""
    types = tuple(_type(operand) for operand in operands)
    return Call(op=op, operands=types, results=op.infer_all(types), block=block, **facts)  # type: ignore[arg-type]


def _type(operand: tuple[int, ...] | Array | None) -> TensorType | None:
    if operand is None:
        return None
    if isinstance(operand, tuple):
        return TensorType(DataType.FLOAT, shape=operand)
    return TensorType(DataType.of(operand.dtype), shape=operand.shape, known=tuple(operand.ravel().tolist()))


def counts(made: Call) -> dict[str, float]:
    """What is counted beside bytes, over all the work of a call."""
    found: dict[str, float] = {}
    for name, count in (pair for work in streams.work_of(made) for pair in work.counts):
        found[name] = found.get(name, 0) + count
    return found


def traffic(made: Call) -> float:
    """The bytes of all the work of a call."""
    return sum(work.bytes for work in streams.work_of(made))


def time(made: Call) -> float:
    """The seconds of a call by the table that comes with convgraph."""
    return streams.call_seconds(made, rates=committed())


# ---- the formula ----


def flat(*, byte: float, **rates: float) -> Rates:
    """A table in which every byte takes the same time."""
    levels = {level_name(level): byte for level in LEVELS}
    return Rates(block=8, table={**levels, "call": 0.0, **rates})


def test_the_longer_of_computing_and_waiting_decides() -> None:
    work = [Work(bytes=1000, counts=(("a", 10.0),))]
    assert seconds_of(work, rates=flat(byte=1.0, a=1.0)) == pytest.approx(1000)
    assert seconds_of(work, rates=flat(byte=1e-4, a=1.0)) == pytest.approx(10)
    assert seconds_of(work, rates=flat(byte=1e-2, a=1.0)) == pytest.approx(10 * 2**0.25)
    assert seconds_of(work, rates=flat(byte=0.0, a=0.0)) == 0


def test_a_byte_takes_longer_among_more_of_them() -> None:
    levels = {level_name(level): float(i + 1) for i, level in enumerate(LEVELS)}
    rates = Rates(block=8, table=levels)
    each = [seconds_of([Work(bytes=m * 2.0**20)], rates=rates) / (m * 2**20) for m in (0.5, 2, 4, 8, 64, 256)]
    assert each == pytest.approx([1, 1, 2, 2.5, 4, 4])


# ---- what is counted ----


def test_arithmetic_counts_how_often_an_operand_repeats() -> None:
    n = math.prod(X)
    expected = {X: 1, (24, 1, 1): n / 140, (2, 24, 1, 1): n / 140, (1,): 1, (14,): n / 14}
    runs = {shape: counts(call(Add(), X, shape))["arithmetic.run"] for shape in expected}
    assert runs == expected
    assert counts(call(Mul(), X, (1, 1, 10, 14)))["arithmetic.run"] == n / 140
    assert counts(call(Mul(), X, (2, 24, 10, 1)))["arithmetic.run"] == n / 14
    assert counts(call(Mul(), (24, 1, 1), X))["arithmetic.run"] == n / 140


def test_a_sum_adds_one_operand_after_the_other() -> None:
    once = traffic(call(Sum(), X, X))
    assert once == 3 * 4 * math.prod(X)
    assert traffic(call(Sum(), X, X, X)) == 2 * once


def test_squares_are_products_and_other_powers_are_not() -> None:
    assert "arithmetic.power" not in counts(call(Pow(), X, np.array(2, np.float32)))
    assert counts(call(Pow(), X, np.array(2.5, np.float32)))["arithmetic.power"] == math.prod(X)


PERMUTATIONS: dict[tuple[tuple[int, ...], tuple[int, ...]], dict[str, float]] = {
    (X, (0, 1, 2, 3)): {},
    ((1, 24, 1, 14), (2, 0, 1, 3)): {},  # only single elements change places
    (X, (0, 2, 3, 1)): {"turn.plane": 6720},
    (X, (0, 3, 1, 2)): {"turn.plane": 6720},
    (X, (0, 1, 3, 2)): {"turn.plane": 6720},
    (X, (0, 2, 1, 3)): {"copy.far": 480},
    (X, (0, 3, 2, 1)): {"turn.element": 6720},
    ((1, 2, 12, 10, 14), (0, 2, 1, 3, 4)): {"copy.far": 24},  # a channel shuffle
    ((1, 6, 5, 2, 7, 2), (0, 1, 3, 5, 2, 4)): {"turn.element": 840},
}


@pytest.mark.parametrize(("shape", "perm"), PERMUTATIONS)
def test_transpose_moves_rows_planes_or_elements(shape: tuple[int, ...], perm: tuple[int, ...]) -> None:
    assert counts(call(Transpose(perm=perm), shape)) == PERMUTATIONS[shape, perm]


def test_softmax_turns_its_axis_to_the_end_and_back() -> None:
    assert counts(call(Softmax(), X)) == {"softmax.element": 6720, "softmax.row": 480}
    across = counts(call(Softmax(axis=1), X))
    assert across == {"softmax.element": 6720, "softmax.row": 280, "turn.element": 2 * 6720}
    assert counts(call(Softmax(axis=1), (2, 24, 1, 1))).keys() == {"softmax.element", "softmax.row"}


REDUCTIONS = {
    (2, 3): {"reduce.last": 6720, "reduce.row": 48},
    (0, 1, 2, 3): {"reduce.last": 6720, "reduce.row": 1},
    (2,): {"reduce.last": 6720, "reduce.group": 48},
    (0,): {"reduce.across": 6720},
    (1, 3): {"reduce.across": 6720},
}


@pytest.mark.parametrize("axes", REDUCTIONS)
def test_reductions_go_by_what_they_keep(axes: tuple[int, ...]) -> None:
    assert counts(call(ReduceMean(), X, ints(*axes))) == REDUCTIONS[axes]
    assert counts(call(ReduceL2(), X, ints(*axes))) == {"reduce.other": 6720}


def test_a_layer_normalization_counts_rows() -> None:
    scale = np.ones(14, np.float32)
    assert counts(call(LayerNormalization(), X, scale)) == {"rows.element": 6720, "rows.row": 480}


def test_concat_and_split_count_pieces() -> None:
    assert counts(call(Concat(axis=1), X, X)) == {"copy.run": 4}
    assert counts(call(Concat(axis=-1), X, X, X)) == {"copy.run": 3 * 480}
    assert counts(call(Split(axis=1, num_outputs=2), X)) == {"copy.run": 4}
    assert traffic(call(Split(axis=1, num_outputs=2), X)) == 2 * 4 * 6720


def test_slice_and_gather_count_only_what_they_take() -> None:
    half = call(Slice(), X, ints(0), ints(12), ints(1))
    assert (traffic(half), counts(half)) == (2 * 4 * 3360, {"copy.cut": 2})
    strided = call(Slice(), X, ints(0), ints(14), ints(3), ints(2))
    assert (traffic(strided), counts(strided)) == (3 * 4 * 3360, {"copy.stride": 3360})
    assert counts(call(Slice(), X, ints(0), ints(10), ints(2), ints(2))) == {"copy.cut": 240}
    assert counts(call(Slice(), X, ints(1, 1), ints(9, 13), ints(2, 3))) == {"copy.cut": 2 * 24 * 8}
    assert counts(call(Gather(axis=1), X, ints(0, 5, 7))) == {"copy.far": 6}
    assert counts(call(Gather(axis=3), X, ints(0, 5, 7))) == {"copy.far": 480 * 3}


def test_pad_counts_rows_of_the_last_axis_that_grows() -> None:
    image = call(Pad(mode="reflect"), X, ints(0, 0, 1, 1, 0, 0, 1, 1))
    assert counts(image) == {"pad.reflect": 2 * 24 * 12}
    assert counts(call(Pad(), X, ints(0, 0, 0, 0, 0, 4, 0, 0))) == {"pad.constant": 2}


def test_expand_doubles_runs_until_they_are_long_enough() -> None:
    assert counts(call(Expand(), (2, 24, 1, 1), ints(*X))) == {"copy.far": 48 * 8}
    assert counts(call(Expand(), (14,), ints(*X))) == {"copy.far": 9}
    assert counts(call(Expand(), X, ints(*X))) == {"copy.far": 0}


def test_pools_have_four_kernels() -> None:
    pool = MaxPool.of((3, 3), strides=2, pads=1)
    n = 48 * 5 * 7
    assert counts(call(pool, X)) == {"pool.stride": n, "pool.line": 3 * n, "pool.row": n / 7}
    assert counts(call(pool, X, block=8)) == {"pool.block": n, "pool.tap": 9 * n}
    assert counts(call(pool, X, several=True)) == {"pool.general": 9 * n}
    mean = AveragePool.of((3, 3), strides=2, pads=1)
    assert counts(call(mean, X, opset=18)) == counts(call(pool, X))
    assert counts(call(mean, X, opset=19)) == {"pool.mean": 9 * n}
    assert counts(call(mean, X, opset=19, block=8)) == counts(call(pool, X, block=8))


def test_resize_is_a_copy_where_there_is_a_kernel_for_it() -> None:
    twice, thrice = np.array([1, 1, 2, 2], np.float32), np.array([1, 1, 3, 3], np.float32)
    exact = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    assert counts(call(exact, X, None, twice)) == {}
    assert counts(call(exact, X, None, thrice, block=8)) == {}
    assert counts(call(exact, X, None, thrice)) == {"resize.nearest": 9 * 6720}
    assert counts(call(Resize(), X, None, twice)) == {"resize.nearest": 4 * 6720}
    linear = Resize(mode="linear")
    assert counts(call(linear, X, None, twice)) == {"resize.linear": 4 * 6720}
    assert counts(call(linear, X, None, twice, block=8)) == {"resize.linear.block": 4 * 6720}


def test_in_blocks_channels_are_rounded_up() -> None:
    assert traffic(call(Relu(), (1, 20, 10, 14), block=16)) == traffic(call(Relu(), (1, 32, 10, 14)))


def test_a_cast_to_wide_integers_is_work() -> None:
    assert counts(call(Cast(to=DataType.INT64), X)) == {"map.integer": 6720}
    assert counts(call(Cast(to=DataType.BOOL), X)) == {}


def test_operators_without_a_class_are_known_by_name() -> None:
    shape = Call(
        op=Opaque(op_type="Shape", arity=1),
        operands=(TensorType(DataType.FLOAT, shape=X),),
        results=(TensorType(DataType.INT64, shape=(4,)),),
    )
    assert traffic(shape) == 4 * 8
    unknown = Call(op=Opaque(op_type="Unheard", arity=1), operands=shape.operands, results=shape.operands)  # type: ignore[arg-type]
    assert (traffic(unknown), counts(unknown)) == (2 * 4 * 6720, {})
    foreign = Opaque(op_type="LRN", domain="another", arity=1)
    assert counts(Call(op=foreign, operands=shape.operands, results=shape.results)) == {}


# ---- nodes of graphs ----


def node_seconds(graph: Graph, kind: type[Op], *, blocked: bool = False) -> float:
    """The seconds of the one node of this kind."""
    node = next(n for n in graph.compute_nodes() if isinstance(graph.op(n), kind))
    plan = Plan(fused={}, blocked=frozenset([node] if blocked else []), reordered=())
    types = types_at_assumed_sizes(graph)
    return streams.seconds(graph, node, types=types, plan=plan, rates=committed())


def test_a_reshape_is_free_between_two_operations_and_a_copy_at_the_boundary() -> None:
    between, outside = GraphBuilder(), GraphBuilder()
    inner = between.add(Reshape(), between.add(Relu(), between.input("x", shape=X)), ints(2, -1))
    between.output(between.add(Relu(), inner))
    outside.output(outside.add(Reshape(), outside.input("x", shape=X), ints(2, -1)))
    assert node_seconds(between.build(), Reshape) == committed()["call"]
    assert node_seconds(outside.build(), Reshape) > committed()["call"]


def test_an_opset_and_unused_indices_are_seen_in_the_graph() -> None:
    old, new = GraphBuilder(opset=18), GraphBuilder(opset=19)
    for builder in (old, new):
        builder.output(builder.add(AveragePool.of((5, 5), pads=2), builder.input("x", shape=(1, 24, 64, 64))))
    slow, fast = node_seconds(new.build(), AveragePool), node_seconds(old.build(), AveragePool)
    assert slow > 5 * fast
    assert node_seconds(new.build(), AveragePool, blocked=True) < fast


def test_control_flow_takes_as_long_as_its_bodies() -> None:
    branch, outer = GraphBuilder("branch"), GraphBuilder("outer")
    noise = Opaque(op_type="RandomUniform", arity=0)
    (drawn,) = branch.add_all(noise, types=[TensorType(DataType.FLOAT, shape=X)])
    branch.output(branch.add(Sigmoid(), drawn))
    body = branch.build()
    choice = Opaque(op_type="If", subgraphs={"then_branch": body, "else_branch": body}, arity=1)
    condition = outer.input("c", shape=(), dtype=DataType.BOOL)
    outer.output(outer.add(choice, condition))
    alone = seconds(body, committed())
    assert alone > committed()["call"]
    assert seconds(outer.build(), committed()) == pytest.approx(committed()["call"] + 2 * alone)


def test_open_sizes_are_assumed() -> None:
    builder = GraphBuilder()
    builder.output(builder.add(Sigmoid(), builder.input("x", shape=("N", 24, 64, "W"))))
    assert committed()["call"] < node_seconds(builder.build(), Sigmoid) < 1e-2


# ---- the table ----


def names_used() -> Iterator[str]:
    """Every rate that the graphs of the calibration count with."""
    for probe in all_probes():
        types = types_at_assumed_sizes(probe.graph)
        for node in probe.graph.compute_nodes():
            made = Call(
                op=probe.graph.op(node),
                operands=tuple(None if v is None else types[v] for v in probe.graph.operands(node)),
                results=tuple(types[v] for v in probe.graph.results(node)),
                opset=probe.graph.model.opset,
            )
            yield from counts(made)


def test_the_table_has_a_positive_rate_for_everything_that_is_measured() -> None:
    measured = {probe.rate for probe in all_probes()} | {"call"}
    assert set(names_used()) <= measured
    assert {f"map.{kind}" for kind in ELEMENTWISE.values()} <= measured
    assert measured <= committed().table.keys()
    assert all(committed()[name] >= 0 for name in measured)
    assert all(committed()[level_name(level)] > 0 for level in LEVELS)


def test_every_class_of_operation_is_accounted_for_once() -> None:
    multiplying = set(convolutions.MULTIPLYING)
    plain = {kind for kind in TYPED.values() if kind not in multiplying and kind is not Constant}
    missing = {k.__name__ for k in plain if not any(base in streams.ACCOUNTS for base in k.__mro__)}
    assert missing == set()


def test_what_is_known_of_this_runtime_shows_in_the_times() -> None:
    image = (1, 48, 64, 64)
    assert time(call(Mish(), image)) > 10 * time(call(Sigmoid(), image)) > 10 * time(call(Relu(), image)) / 5
    assert time(call(Softmax(axis=1), image)) > 5 * time(call(Softmax(), image))
    assert time(call(Add(), image, (64,))) > 1.2 * time(call(Add(), image, (1,)))
    assert time(call(Resize(mode="cubic"), image, None, np.array([1, 1, 2, 2], np.float32))) > 1e-2
    tiny = call(Mul(), (4,), (4,))
    assert committed()["call"] <= time(tiny) < 1.5 * committed()["call"]
    assert time(call(Identity(), image)) == committed()["call"]


def test_blocks_cost_a_pass_to_enter() -> None:
    once = TensorType(DataType.FLOAT, shape=(1, 64, 56, 56))
    twice = TensorType(DataType.FLOAT, shape=(2, 64, 56, 56))
    ragged = TensorType(DataType.FLOAT, shape=(1, 49, 56, 56))
    rates = committed()
    assert streams.reorder_seconds(twice, rates=rates) > 1.8 * streams.reorder_seconds(once, rates=rates)
    copy = streams.call_seconds(call(Relu(), (1, 64, 56, 56)), rates=rates)
    assert 0.5 * copy < streams.reorder_seconds(once, rates=rates) < 4 * copy
    assert streams.reorder_seconds(ragged, rates=rates) < streams.reorder_seconds(once, rates=rates)
    assert time(call(GlobalAveragePool(), (1, 64, 56, 56), block=8)) < copy


def test_a_number_of_axes_that_is_not_known_is_no_fault() -> None:
    unknown = TensorType(dtype=DataType.FLOAT, shape=None)
    for op in (Transpose(perm=(1, 0)), Concat(axis=1), Relu(), Softmax(axis=1)):
        call = Call(op=op, operands=(unknown,), results=(unknown,), opset=17)
        assert streams.call_seconds(call, rates=committed()) > 0
