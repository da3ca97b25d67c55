"""Tables for merge-parallel-branches."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from laws.draw import Draw
from laws.meaning import difference

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, AveragePool, BatchNormalization, Conv, LeakyRelu, Mul, Op, Relu, Sub, Sum
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.algebra.merge_parallel_branches import MergeParallelBranches

Branch = Callable[[GraphBuilder, Draw, Value], Value]


def conv(
    op: Conv,
    *kernel: int,
    channels: int = 4,
    bias: bool = True,
    dtype: type = np.float32,
    overridable: bool = False,
    fill: float | None = None,
    returned: bool = False,
) -> Branch:
    """A convolution from 4 channels; ``overridable`` by a caller, ``fill`` every number of its weight."""

    def build(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        weight = draw.weight(channels, 4 // op.group, *kernel, dtype=dtype)
        weight = weight if fill is None else np.full_like(weight, fill)
        w = b.overridable("weight", weight) if overridable else b.constant(weight)
        rest = [b.constant(draw.weight(channels, dtype=dtype))] if bias else []
        y = b.add(op, x, w, *rest, name="convolved")
        if returned:
            b.output(y)
        return y

    return build


def itself(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The identity branch."""
    del b, draw
    return x


def normalised(branch: Branch = itself, *, overridable: bool = False, training: int = 0) -> Branch:
    """A batch normalisation of a branch."""

    def build(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        drawn = [draw.factor(4), draw.weight(4), draw.weight(4), draw.variance(4)]
        statistics = [b.constant(array) for array in drawn]
        if overridable:
            statistics[1] = b.overridable("beta", drawn[1])
        norm = BatchNormalization(epsilon=draw.epsilon, training_mode=training)
        return b.add(norm, branch(b, draw, x), *statistics)

    return build


def scaled(branch: Branch = itself, *shape: int) -> Branch:
    """A branch times a constant of this shape."""
    return lambda b, draw, x: b.add(Mul(), branch(b, draw, x), draw.factor(*shape))


def pooled(op: AveragePool) -> Branch:
    """An AveragePool."""
    return lambda b, _, x: b.add(op, x)


def rectified(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Nothing linear."""
    del draw
    return b.add(Relu(), x)


def added(
    *branches: Branch,
    ops: Sequence[Op] = (),
    spatial: Sequence[Dim] = ("H", "W"),
    dtype: type = np.float32,
    channels: int = 4,
) -> Callable[[Draw], Graph]:
    """The branches of x (N, 4, …) added one by one, by ``ops`` where given; a single op takes all."""

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=19)
        x = b.input("x", shape=("N", channels, *spatial), dtype=DataType.of(np.dtype(dtype)))
        total, *others = [branch(b, draw, x) for branch in branches]
        if len(ops) == 1 and len(others) > 1:
            total = b.add(ops[0], total, *others)
        else:
            for number, value in enumerate(others):
                total = b.add(ops[number] if ops else Add(), total, value)
        b.output(b.add(LeakyRelu(), total), name="y")
        return b.build()

    return build


def pool(*kernel: int, count: int = 1, **of: object) -> Branch:
    """An average over a window; divided by a power of two."""
    return pooled(replace(AveragePool.of(kernel, **of), count_include_pad=count))  # type: ignore[arg-type] - the options of AveragePool.of


ONE, THREE = Conv.of(2), Conv.of(2, pads=1)
STRIDED = Conv.of(2, strides=(2, 1), pads=1)

EXAMPLES = {
    "RepVGG": added(conv(THREE, 3, 3), conv(ONE, 1, 1), itself),
    "RepVGG, identity first and normalised": added(normalised(), conv(ONE, 1, 1), conv(THREE, 3, 3)),
    "RepVGG, strided": added(
        conv(STRIDED, 3, 3, channels=6), conv(Conv.of(2, strides=(2, 1)), 1, 1, channels=6)
    ),
    "MobileOne": added(
        conv(replace(THREE, group=4), 3, 3),
        conv(replace(ONE, group=4), 1, 1),
        conv(replace(THREE, group=4), 3, 3),
    ),
    "ACNet": added(
        conv(Conv.of(2, pads=(0, 1, 0, 1)), 1, 3),
        conv(Conv.of(2, pads=(1, 0, 1, 0)), 3, 1),
        conv(THREE, 3, 3),
    ),
    "DBB, a box": added(conv(THREE, 3, 3), pool(2, 2, pads=(0, 1, 1, 0))),
    "minus a dilated box": added(
        conv(Conv.of(2, pads=(0, 1, 0, 0)), 3, 2), pool(2, 1, dilations=(2, 1)), ops=[Sub()]
    ),
    "a pool whose data alone count": added(conv(Conv.of(2), 2, 2), pool(2, 2, count=0)),
    "scaled": added(conv(THREE, 3, 3), scaled(itself, 4, 1, 1)),
    "scaled and normalised pool": added(
        conv(THREE, 3, 3), normalised(scaled(pool(1, 2, pads=(0, 0, 0, 1)), 1))
    ),
    "groups meet": added(
        conv(replace(THREE, group=2), 3, 3), itself, conv(ONE, 1, 1), conv(replace(THREE, group=2), 3, 3)
    ),
    "dilations meet": added(
        conv(Conv.of(2, pads=2, dilations=2), 3, 3),
        conv(ONE, 1, 1),
        conv(Conv.of(2, pads=(2, 0, 2, 0), dilations=(4, 1)), 2, 1),
    ),
    "kernels side by side": added(
        conv(Conv.of(2, pads=(2, 0, 0, 0)), 3, 1),
        conv(Conv.of(2, pads=(1, 0, 1, 0)), 3, 1),
        conv(Conv.of(2, pads=(0, 0, 2, 0)), 3, 1),
    ),
    "minus": added(conv(THREE, 3, 3), conv(THREE, 3, 3), ops=[Sub()]),
    "high pass": added(itself, conv(THREE, 3, 3), ops=[Sub()]),
    "minus a sum": added(rectified, conv(THREE, 3, 3), conv(ONE, 1, 1), ops=[Sub(), Sub()]),
    "with a residual": added(conv(THREE, 3, 3), rectified, conv(ONE, 1, 1)),
    "sum": added(conv(THREE, 3, 3), rectified, conv(ONE, 1, 1), rectified, itself, ops=[Sum()]),
    "no biases": added(conv(THREE, 3, 3, bias=False), conv(ONE, 1, 1, bias=False)),
    "one bias": added(conv(THREE, 3, 3, bias=False), conv(ONE, 1, 1)),
    "SAME at known sizes": added(
        conv(replace(Conv.of(2), auto_pad="SAME_UPPER"), 2, 2), conv(ONE, 1, 1), spatial=(5, 7)
    ),
    "one size by rounding": added(
        conv(Conv.of(2, strides=2), 3, 3), conv(Conv.of(2, strides=2), 2, 2), spatial=(7, 9)
    ),
    "one axis": added(conv(Conv.of(1, pads=1), 3), itself, spatial=("L",)),
    "three axes": added(
        conv(Conv.of(3, pads=(1, 0, 1, 1, 0, 1)), 3, 1, 3), conv(Conv.of(3), 1, 1, 1), spatial=("H", "W", 5)
    ),
    "half": added(conv(THREE, 3, 3, dtype=np.float16), conv(ONE, 1, 1, dtype=np.float16), dtype=np.float16),
    "double": added(conv(THREE, 3, 3, dtype=np.float64), itself, dtype=np.float64),
}

NEAR_MISSES = {
    "the_branches_are_constant": [
        added(conv(THREE, 3, 3, overridable=True), conv(ONE, 1, 1)),
        added(conv(THREE, 3, 3), conv(ONE, 1, 1, overridable=True)),
        added(conv(THREE, 3, 3), normalised(overridable=True)),
        added(conv(THREE, 3, 3), scaled(itself, 5, 1), spatial=(5, 7)),
    ],
    "the_branches_have_one_size": [
        added(conv(ONE, 1, 1), conv(ONE, 1, 7), spatial=("H", 7)),
        added(conv(ONE, 1, 1), conv(ONE, 1, 1, channels=1)),
        added(
            conv(Conv.of(2, strides=(2, 1)), 2, 1), conv(Conv.of(2, strides=(2, 1)), 4, 1), spatial=(4, "W")
        ),
        added(
            conv(Conv.of(2, strides=(4, 1)), 2, 1), conv(Conv.of(2, strides=(4, 1)), 5, 1), spatial=(None, 4)
        ),
    ],
    "every_pooled_window_counts_alike": [added(conv(THREE, 3, 3), pool(3, 3, pads=1, count=0))],
    "the_new_weights_are_finite": [
        added(
            *(conv(ONE, 1, 1, dtype=np.float16, fill=40000) for _ in range(2)),
            dtype=np.float16,
        )
    ],
    "it_is_cheaper_on_the_target": [
        added(conv(Conv.of(2, pads=(0, 1, 0, 1)), 1, 3), conv(Conv.of(2, pads=(1, 0, 1, 0)), 3, 1)),
        added(conv(THREE, 3, 3, returned=True), itself),
    ],
}


def test_branches_behind_an_activation_stay() -> None:
    graphs = (
        added(conv(replace(THREE, activation=LeakyRelu()), 3, 3), conv(ONE, 1, 1)),
        added(conv(THREE, 3, 3), rectified),
        added(conv(THREE, 3, 3), normalised(training=1)),
        added(itself, itself),
    )
    for graph in graphs:
        _, trace = Pipeline([MergeParallelBranches()]).run(graph(Draw(dyadic=True)))
        assert not trace.applications


def test_branches_that_a_caller_chooses_do_not_stand_in_the_way() -> None:
    chosen = conv(THREE, 3, 3, overridable=True)
    graph = added(chosen, conv(THREE, 3, 3), conv(ONE, 1, 1))(Draw(dyadic=True))
    result, trace = Pipeline([MergeParallelBranches()]).run(graph)
    assert len(trace.applications) == 1
    assert not difference(graph, result, dyadic=True)


def test_a_sum_of_thousands_is_looked_at_piece_by_piece() -> None:
    pair = (conv(THREE, 3, 3), conv(ONE, 1, 1))
    near = added(*[rectified] * 700, *pair, *[rectified] * 700)(Draw(dyadic=True))
    result, trace = Pipeline([MergeParallelBranches()]).run(near)
    assert len(trace.applications) == 1
    assert sum(isinstance(result.op(node), Add) for node in result.nodes()) == 1400
    far = added(pair[0], *[rectified] * 1400, pair[1])(Draw(dyadic=True))
    assert not Pipeline([MergeParallelBranches()]).run(far)[1].applications


def test_the_last_addition_stands_in_for_the_sum() -> None:
    graph = added(conv(THREE, 3, 3), conv(ONE, 1, 1), rectified, rectified)(Draw(dyadic=True))
    last = [node for node in graph.compute_nodes() if isinstance(graph.op(node), Add)][-1]
    graph.set_info(last, replace(graph.info(last), name="total"))
    result, _ = Pipeline([MergeParallelBranches()]).run(graph)
    names = [result.info(n).name for n in result.compute_nodes() if isinstance(result.op(n), Add)]
    assert names == ["", "total"]


def random_branches(seed: int) -> Graph:
    """Two convolutions of one size with any dilations, groups and offsets."""
    rng = np.random.default_rng(seed)
    rank, branches = int(rng.integers(1, 4)), []
    strides = rng.integers(1, 3, rank).tolist()
    for _ in range(2):
        kernel, dilations = rng.integers(1, 4, rank), rng.integers(1, 4, rank)
        reach = dilations * (kernel - 1)
        begin = rng.integers(0, reach + 1)
        pads = [*begin, *(reach - begin)]
        group = int(rng.choice([1, 2, 4]))
        op = Conv.of(
            rank, strides=strides, dilations=dilations.tolist(), pads=[int(p) for p in pads], group=group
        )
        branches.append(conv(op, *kernel.tolist()))
    return added(*branches, spatial=("H", "W", 5)[:rank])(Draw(dyadic=True, seed=seed))


def test_any_two_kernels_on_one_grid() -> None:
    merged = 0
    for seed in range(60):
        graph = random_branches(seed)
        result, trace = Pipeline([MergeParallelBranches()]).run(graph)
        merged += len(trace.applications)
        assert not difference(graph, result, dyadic=True), seed
    assert merged > 10


def test_one_other_term_is_added_by_an_add() -> None:
    graph = added(conv(THREE, 3, 3), rectified, conv(ONE, 1, 1), ops=[Sum()])(Draw(dyadic=True))
    result, _ = Pipeline([MergeParallelBranches()]).run(graph)
    assert {result.op(n).label for n in result.compute_nodes()} == {"Conv", "Relu", "Add", "LeakyRelu"}
