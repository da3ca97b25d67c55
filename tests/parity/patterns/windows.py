"""What is padded, cut, joined, enlarged and pooled."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import numpy_helper, parser, shape_inference

from convgraph.ir.tensor import Array
from parity.pattern import Pattern

END = 2**63 - 1


def written(
    body: str,
    *,
    x: str = "float[N, 4, 9, 7] x",
    y: str = "y",
    opset: int = 17,
    **constants: Array | list[int],
) -> Callable[[], onnx.ModelProto]:
    """The model of a body in ONNX's text form, of inputs ``x`` and the constants that are named."""

    def build() -> onnx.ModelProto:
        text = f'<ir_version: 8, opset_import: ["" : {opset}]> windows ({x}) => ({y}) {{ {body} }}'
        model = parser.parse_model(text)
        tensors = ((name, np.asarray(value)) for name, value in constants.items())
        model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in tensors)
        return shape_inference.infer_shapes(model, data_prop=True)

    return build


def weight(*shape: int) -> Array:
    """Signed numbers from a fixed seed."""
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


AROUND = [0, 0, 1, 2, 0, 0, 1, 0]
CONV = weight(6, 4, 3, 3)
LOWEST = np.array(-np.inf, np.float32)
ONE = np.array(1, np.float32)
TWO = np.array(2, np.float32)

PADS = {
    "pad-conv": written("p = Pad(x, pads) y = Conv(p, w)", pads=AROUND, w=CONV),
    "pad-conv-own-pads": written("p = Pad(x, pads) y = Conv<pads = [1, 0, 0, 1]>(p, w)", pads=AROUND, w=CONV),
    "pad-conv-axes": written(
        "p = Pad(x, pads, , axes) y = Conv(p, w)", opset=18, pads=[1, 2, 1, 0], axes=[2, -1], w=CONV
    ),
    "pad-conv-several-readers": written(
        "p = Pad(x, pads) y = Conv(p, w) z = Conv<strides = [2, 2]>(p, v)",
        y="y, z",
        pads=AROUND,
        w=CONV,
        v=2 * CONV,
    ),
    "pad-conv-1d": written(
        "p = Pad(x, pads) y = Conv<dilations = [2]>(p, w)",
        x="float[N, 4, 11] x",
        pads=[0, 0, 4, 0, 0, 0],
        w=weight(6, 4, 3),
    ),
    "pad-conv-3d": written(
        "p = Pad(x, pads) y = Conv<group = 2>(p, w)",
        x="float[N, 4, 5, 6, 7] x",
        pads=[0, 0, 1, 0, 2, 0, 0, 0, 1, 1],
        w=weight(6, 2, 2, 3, 3),
    ),
    "pad-conv-open-size": written(
        "p = Pad(x, pads) y = Conv(p, w)", x="float[N, 4, H, W] x", pads=AROUND, w=CONV
    ),
    "pad-conv-negative": written("p = Pad(x, pads) y = Conv(p, w)", pads=[0, 0, -1, 1, 0, 0, 0, -2], w=CONV),
    "pad-conv-of-ones": written("p = Pad(x, pads, one) y = Conv(p, w)", pads=AROUND, one=ONE, w=CONV),
    "pad-conv-reflected": written('p = Pad<mode = "reflect">(x, pads) y = Conv(p, w)', pads=AROUND, w=CONV),
    "pad-conv-channels": written(
        "p = Pad(x, pads) y = Conv(p, w)", pads=[0, 1, 1, 1, 0, 1, 1, 1], w=weight(6, 6, 3, 3)
    ),
    "pad-conv-transpose": written(
        "p = Pad(x, pads) y = ConvTranspose(p, w)", pads=AROUND, w=weight(4, 6, 3, 3)
    ),
    "pad-max-pool-lowest": written(
        "p = Pad(x, pads, low) y = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(p)",
        pads=AROUND,
        low=LOWEST,
    ),
    "pad-max-pool-zero": written(
        "p = Pad(x, pads) y = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(p)", pads=AROUND
    ),
    "pad-max-pool-after-relu": written(
        "r = Relu(x) p = Pad(r, pads) y = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(p)", pads=AROUND
    ),
    "pad-average-pool": written(
        "p = Pad(x, pads) y = AveragePool<kernel_shape = [3, 3], strides = [2, 2]>(p)", pads=AROUND
    ),
    "pad-average-pool-counted": written(
        """p = Pad(x, pads)
        y = AveragePool<kernel_shape = [3, 3], pads = [1, 0, 0, 1], count_include_pad = 1>(p)""",
        pads=AROUND,
    ),
    "pad-average-pool-own-pads": written(
        "p = Pad(x, pads) y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(p)", pads=AROUND
    ),
}

PAD_CHAINS = {
    "pad-pad": written("p = Pad(x, a) q = Pad(p, b) y = Relu(q)", a=AROUND, b=[0, 0, 2, 0, 0, 0, 0, 1]),
    "pad-pad-conv": written("p = Pad(x, a) q = Pad(p, a) y = Conv(q, w)", a=AROUND, w=CONV),
    "pad-pad-cropping": written(
        "p = Pad(x, a) q = Pad(p, b) y = Relu(q)", a=AROUND, b=[0, 0, -1, -1, 0, 0, -1, 0]
    ),
    "pad-pad-reflected": written(
        'p = Pad<mode = "reflect">(x, a) q = Pad<mode = "reflect">(p, b) y = Relu(q)',
        a=[0, 0, 1, 0, 0, 0, 1, 0],
        b=[0, 0, 0, 2, 0, 0, 0, 2],
    ),
    "pad-by-nothing": written("p = Pad(x, a) y = Relu(p)", a=[0] * 8),
    "pad-by-nothing-open-size": written("p = Pad(x, a) y = Relu(p)", x="float[N, 4, H, W] x", a=[0] * 8),
    "pad-slice-back": written(
        "p = Pad(x, a) q = Slice(p, s, e, axes) y = Relu(q)",
        a=AROUND,
        s=[1, 2],
        e=[-1, END],
        axes=[2, 3],
    ),
    "pad-slice-part": written(
        "p = Pad(x, a) q = Slice(p, s, e, axes) y = Relu(q)", a=AROUND, s=[1], e=[10], axes=[2]
    ),
    "pad-conv-computed-reflection": written(
        """zeros = ConstantOfShape<value = int64[1] {0}>(four) all = Concat<axis = 0>(given, zeros)
        table = Reshape(all, two_columns) turned = Slice(table, last, far_back, first_axis, back)
        columns = Transpose<perm = [1, 0]>(turned) row = Reshape(columns, flat)
        pads = Cast<to = 7>(row) p = Pad<mode = "reflect">(x, pads) y = Conv(p, w)""",
        given=[1, 1, 2, 1],
        four=[4],
        two_columns=[-1, 2],
        last=[-1],
        far_back=[-END],
        first_axis=[0],
        back=[-1],
        flat=[-1],
        w=CONV,
    ),
    "pad-conv-computed-replication-open-size": written(
        """shape = Shape(x) rank = Size(shape) twice = Mul(rank, two) stated = Size(given)
        left = Sub(twice, stated) left1 = Unsqueeze(left, first_axis)
        zeros = ConstantOfShape<value = int64[1] {0}>(left1)
        all = Concat<axis = 0>(given, zeros) table = Reshape(all, two_columns)
        turned = Slice(table, last, far_back, first_axis, back) columns = Transpose<perm = [1, 0]>(turned)
        row = Reshape(columns, flat) pads = Cast<to = 7>(row)
        p = Pad<mode = "edge">(x, pads) y = Conv(p, w)""",
        x="float[N, 4, H, W] x",
        given=[1, 1, 2, 1],
        two=np.array(2),
        two_columns=[-1, 2],
        last=[-1],
        far_back=[-END],
        first_axis=[0],
        back=[-1],
        flat=[-1],
        w=CONV,
    ),
}

_CIRCULAR = """left = Slice(x, m1, far, a3) right = Slice(x, s0, e1, a3)
    wide = Concat<axis = 3>(left, x, right)
    top = Slice(wide, m1, far, a2) bottom = Slice(wide, s0, e1, a2)
    torus = Concat<axis = 2>(top, wide, bottom) y = Conv(torus, w)"""
_ENDS = {"m1": [-1], "far": [END], "s0": [0], "e1": [1], "a2": [2], "a3": [3]}
_FOCUS = """even = Slice(x, s0, far, a2, two) odd = Slice(x, s1, far, a2, two)
    a = Slice(even, s0, far, a3, two) b = Slice(odd, s0, far, a3, two)
    c = Slice(even, s1, far, a3, two) d = Slice(odd, s1, far, a3, two)
    joined = Concat<axis = 1>(a, b, c, d) y = Conv(joined, w)"""

EDGES = {
    "circular-conv": written(_CIRCULAR, opset=19, **_ENDS, w=CONV),
    "circular-conv-open-size": written(_CIRCULAR, opset=19, x="float[N, 4, H, W] x", **_ENDS, w=CONV),
    "circular-conv-before-wrap": written(_CIRCULAR, **_ENDS, w=CONV),
    "circular-conv-wrap": written(
        'p = Pad<mode = "wrap">(x, a) q = Pad<mode = "wrap">(p, b) y = Conv(q, w)',
        opset=19,
        a=[0, 0, 0, 1, 0, 0, 0, 1],
        b=[0, 0, 1, 0, 0, 0, 1, 0],
        w=CONV,
    ),
    "focus-conv": written(
        _FOCUS,
        x="float[N, 3, 8, 12] x",
        s0=[0],
        s1=[1],
        far=[END],
        two=[2],
        a2=[2],
        a3=[3],
        w=weight(6, 12, 3, 3),
    ),
}

SLICES = {
    "slice-slice": written(
        "p = Slice(x, s, e, a) q = Slice(p, s, t, a) y = Relu(q)", s=[1], e=[8], t=[5], a=[2]
    ),
    "slice-slice-other-axes": written(
        "p = Slice(x, s, e, a) q = Slice(p, s, e, b) y = Relu(q)", s=[1], e=[6], a=[2], b=[3]
    ),
    "slice-slice-open-size": written(
        "p = Slice(x, s, e, a) q = Slice(p, s, e, b) y = Relu(q)",
        x="float[N, 4, H, W] x",
        s=[1],
        e=[END],
        a=[2],
        b=[3],
    ),
    "slice-slice-steps": written(
        "p = Slice(x, s, e, a, st) q = Slice(p, s, e, a, st) y = Relu(q)", s=[1], e=[END], a=[2], st=[2]
    ),
    "slice-slice-from-the-end": written(
        "p = Slice(x, s, e, a) q = Slice(p, z, f, a) y = Relu(q)", s=[2], e=[END], z=[0], f=[-2], a=[2]
    ),
    "slice-slice-turned-back": written(
        "p = Slice(x, s, e, a, st) q = Slice(p, s, e, a, st) y = Relu(q)", s=[-1], e=[-END], a=[3], st=[-1]
    ),
    "slice-of-all": written("p = Slice(x, s, e, a) y = Relu(p)", s=[0, 0], e=[9, END], a=[2, 3]),
    "slice-of-all-open-size": written(
        "p = Slice(x, s, e, a) y = Relu(p)", x="float[N, 4, H, W] x", s=[0], e=[END], a=[-1]
    ),
    "slice-of-all-but-one": written(
        "p = Slice(x, s, e, a) y = Relu(p)", x="float[N, 4, H, W] x", s=[0], e=[-1], a=[-1]
    ),
    "slice-of-all-by-steps": written("p = Slice(x, s, e, a, st) y = Relu(p)", s=[0], e=[9], a=[2], st=[2]),
    "slice-of-concat": written(
        "r = Relu(x) t = Tanh(x) c = Concat<axis = 1>(r, t) p = Slice(c, s, e, a) y = Sigmoid(p)",
        s=[4],
        e=[8],
        a=[1],
    ),
    "slice-of-concat-part": written(
        "r = Relu(x) t = Tanh(x) c = Concat<axis = 1>(r, t) p = Slice(c, s, e, a) y = Sigmoid(p)",
        s=[5],
        e=[7],
        a=[1],
    ),
    "slices-of-concat": written(
        """r = Relu(x) t = Tanh(x) c = Concat<axis = 1>(r, t) p = Slice(c, s, m, a) q = Slice(c, m, e, a)
        y = Mul(p, q)""",
        s=[0],
        m=[4],
        e=[8],
        a=[1],
    ),
    "slices-joined-again": written(
        "p = Slice(x, s, m, a) q = Slice(x, m, e, a) c = Concat<axis = 1>(p, q) y = Relu(c)",
        s=[0],
        m=[1],
        e=[END],
        a=[1],
    ),
    "split-concat": written(
        "p, q = Split<axis = 1>(x, parts) c = Concat<axis = 1>(p, q) y = Relu(c)", parts=[1, 3]
    ),
    "split-concat-turned": written(
        "p, q = Split<axis = 1>(x, parts) c = Concat<axis = 1>(q, p) y = Relu(c)", parts=[1, 3]
    ),
    "split-of-concat": written(
        """r = Relu(x) t = Tanh(x) c = Concat<axis = 1>(r, t) p, q = Split<axis = 1>(c, parts)
        y = Mul(p, q)""",
        parts=[4, 4],
    ),
    "split-into-one": written("p = Split<axis = 1>(x, parts) y = Relu(p)", parts=[4]),
    "split-half-unread": written("p, q = Split<axis = 1>(x, parts) y = Relu(q)", parts=[1, 3]),
    "chunk-by-slices": written(
        """shape = Shape(x) size = Gather<axis = 0>(shape, one) more = Add(size, one) half = Div(more, two)
        end0 = Mul(half, one1) p = Slice(x, zero1, end0, one1)
        end1 = Mul(half, two1) q = Slice(x, end0, end1, one1) s = Sigmoid(q) y = Mul(p, s)""",
        one=np.array(1),
        two=np.array(2),
        one1=[1],
        two1=[2],
        zero1=[0],
    ),
    "chunk-by-slices-open-size": written(
        """shape = Shape(x) size = Gather<axis = 0>(shape, one) more = Add(size, one) half = Div(more, two)
        end0 = Mul(half, one1) p = Slice(x, zero1, end0, one1)
        end1 = Mul(half, two1) q = Slice(x, end0, end1, one1) s = Sigmoid(q) y = Mul(p, s)""",
        x="float[N, 4, H, W] x",
        one=np.array(1),
        two=np.array(2),
        one1=[1],
        two1=[2],
        zero1=[0],
    ),
    "chunk-by-sequence": written(
        """pieces = SplitToSequence<axis = 1>(x, two) p = SequenceAt(pieces, zero) q = SequenceAt(pieces, one)
        s = Sigmoid(q) y = Mul(p, s)""",
        two=np.array(2),
        zero=np.array(0),
        one=np.array(1),
    ),
}

JOINS = {
    "concat-of-one": written("c = Concat<axis = 1>(x) y = Relu(c)"),
    "concat-concat": written(
        """r = Relu(x) t = Tanh(x) s = Sigmoid(x) c = Concat<axis = 1>(r, t) d = Concat<axis = -3>(c, s)
        y = Conv(d, w)""",
        w=weight(6, 12, 3, 3),
    ),
    "concat-concat-other-axis": written(
        """r = Relu(x) t = Tanh(x) c = Concat<axis = 1>(r, t) d = Concat<axis = 2>(c, c) y = Conv(d, w)""",
        w=weight(6, 8, 3, 3),
    ),
    "concat-of-nothing": written(
        "p = Slice(x, s, e, a) t = Tanh(x) c = Concat<axis = 2>(p, t) y = Relu(c)", s=[9], e=[END], a=[2]
    ),
    "tile-once": written("t = Tile(x, n) y = Relu(t)", n=[1, 1, 1, 1]),
    "expand-to-itself": written("t = Expand(x, n) y = Relu(t)", x="float[2, 4, 9, 7] x", n=[2, 4, 9, 7]),
    "expand-to-fewer-ones": written("t = Expand(x, n) y = Relu(t)", n=[1, 1, 1]),
    "expand-to-own-shape": written("n = Shape(x) t = Expand(x, n) y = Relu(t)", x="float[N, 4, H, W] x"),
}

RESIZES = {
    "resize-by-one": written(
        'r = Resize<mode = "linear">(x, , scales) y = Relu(r)', scales=np.ones(4, np.float32)
    ),
    "resize-to-itself": written(
        'r = Resize<mode = "cubic">(x, , , sizes) y = Relu(r)', x="float[2, 4, 9, 7] x", sizes=[2, 4, 9, 7]
    ),
    "resize-to-own-shape": written(
        'shape = Shape(x) r = Resize<mode = "nearest">(x, , , shape) y = Relu(r)', x="float[N, 4, H, W] x"
    ),
    "upsample-to-size": written(
        """shape = Shape(x) kept = Slice(shape, zero, two, zero) sizes = Concat<axis = 0>(kept, to)
        r = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric",
        nearest_mode = "floor">(x, , , sizes) y = Conv(r, w)""",
        zero=[0],
        two=[2],
        to=[18, 14],
        w=CONV,
    ),
    "upsample-to-size-uneven": written(
        """shape = Shape(x) kept = Slice(shape, zero, two, zero) sizes = Concat<axis = 0>(kept, to)
        r = Resize<mode = "linear">(x, , , sizes) y = Relu(r)""",
        zero=[0],
        two=[2],
        to=[20, 15],
    ),
    "upsample-like-another": written(
        """shape = Shape(x) kept = Slice(shape, zero, two, zero) other = Shape(z)
        to = Slice(other, two, four, zero) sizes = Concat<axis = 0>(kept, to)
        r = Resize<mode = "linear">(x, , , sizes) y = Add(r, z)""",
        x="float[N, 4, 9, 7] x, float[N, 4, 18, 14] z",
        zero=[0],
        two=[2],
        four=[4],
    ),
    "upsample-twice-open-size": written(
        """shape = Shape(x) h = Gather<axis = 0>(shape, two) w = Gather<axis = 0>(shape, three)
        hh = Mul(h, two) ww = Mul(w, two) h1 = Unsqueeze(hh, zero) w1 = Unsqueeze(ww, zero)
        kept = Slice(shape, zero, ends, zero) sizes = Concat<axis = 0>(kept, h1, w1)
        r = Resize<mode = "nearest">(x, , , sizes) y = Relu(r)""",
        x="float[N, 4, H, W] x",
        two=np.array(2),
        three=np.array(3),
        zero=[0],
        ends=[2],
    ),
    "resize-resize-nearest": written(
        """r = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric",
        nearest_mode = "floor">(x, , scales) s = Resize<mode = "nearest",
        coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">(r, , scales) y = Relu(s)""",
        scales=np.array([1, 1, 2, 2], np.float32),
    ),
    "nearest-exact": written(
        """t = Transpose<perm = [2, 3, 0, 1]>(x) g = GatherND(t, places)
        y = Transpose<perm = [2, 3, 0, 1]>(g)""",
        places=np.stack(np.meshgrid(np.arange(18) // 2, np.arange(14) // 2, indexing="ij"), axis=-1),
    ),
    "space-to-depth-and-back": written(
        "s = SpaceToDepth<blocksize = 2>(x) d = DepthToSpace<blocksize = 2>(s) y = Relu(d)",
        x="float[N, 4, 8, 6] x",
    ),
}

POOLS = {
    "max-pool-of-pixels": written("p = MaxPool<kernel_shape = [1, 1]>(x) y = Relu(p)"),
    "average-pool-of-pixels": written("p = AveragePool<kernel_shape = [1, 1]>(x) y = Relu(p)"),
    "global-pool-of-pixel": written("p = GlobalAveragePool(x) q = GlobalAveragePool(p) y = Relu(q)"),
    "adaptive-average-pool": written(
        "p = ReduceMean<axes = [2, 3], keepdims = 1>(x) y = Conv(p, w)", w=weight(6, 4, 1, 1)
    ),
    "average-pool-of-everything": written(
        "p = AveragePool<kernel_shape = [9, 7]>(x) f = Flatten(p) y = MatMul(f, w)", w=weight(4, 6)
    ),
    "mean-squeeze": written(
        "p = ReduceMean<axes = [2, 3], keepdims = 1>(x) f = Squeeze(p, a) y = MatMul(f, w)",
        a=[2, 3],
        w=weight(4, 6),
    ),
    "mean-flatten": written(
        "p = ReduceMean<axes = [2, 3], keepdims = 1>(x) f = Flatten(p) y = MatMul(f, w)", w=weight(4, 6)
    ),
    "mean-reshape": written(
        "p = ReduceMean<axes = [-1, -2], keepdims = 1>(x) f = Reshape(p, to) y = MatMul(f, w)",
        to=[-1, 4],
        w=weight(4, 6),
    ),
    "mean-unsqueeze": written(
        "p = ReduceMean<axes = [2, 3], keepdims = 0>(x) f = Unsqueeze(p, a) y = Conv(f, w)",
        a=[2, 3],
        w=weight(6, 4, 1, 1),
    ),
    "mean-mean": written(
        "p = ReduceMean<axes = [3], keepdims = 1>(x) q = ReduceMean<axes = [2], keepdims = 1>(p) y = Relu(q)"
    ),
    "max-unpool": written(
        """m, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
        j, first = MaxPool<kernel_shape = [1, 1], strides = [1, 1]>(x)
        begin = Slice(first, zeros, ones, axes) local = Sub(i, begin)
        zero = ConstantOfShape(whole) rows = Reshape(local, flat) values = Reshape(m, flat)
        scattered = ScatterElements<axis = 2>(zero, rows, values) y = Reshape(scattered, size)""",
        x="float[2, 4, 8, 6] x",
        zeros=[0, 0],
        ones=[1, 1],
        axes=[2, 3],
        whole=[2, 4, 48],
        flat=[2, 4, -1],
        size=[2, 4, 8, 6],
    ),
}

_BATCHES = """padded = Pad(x, pads) apart = Reshape(padded, blocks)
    moved = Transpose<perm = [3, 5, 0, 1, 2, 4]>(apart) batch = Reshape(moved, folded)
    c = Conv(batch, w) open = Reshape(c, unfolded) back = Transpose<perm = [2, 3, 4, 0, 5, 1]>(open)
    whole = Reshape(back, image) y = Slice(whole, s, e, axes)"""

DILATED = {
    "space-to-batch-conv": written(
        _BATCHES,
        x="float[1, 4, 9, 7] x",
        pads=[0, 0, 2, 2, 0, 0, 3, 3],
        blocks=[1, 4, 7, 2, 6, 2],
        folded=[4, 4, 7, 6],
        w=CONV,
        unfolded=[2, 2, 1, 6, 5, 4],
        image=[1, 6, 10, 8],
        s=[0, 0],
        e=[9, 7],
        axes=[2, 3],
    ),
}

ROWS = {
    "Pad→Conv / AveragePool / MaxPool": PADS,
    "Pad–Pad, no-op Pad, computed pads": PAD_CHAINS,
    "circular pads, focus": EDGES,
    "slice–slice, Split, chunk": SLICES,
    "no-op Concat, Tile and Expand": JOINS,
    "no-op Resize, Upsample(size=), nearest-exact": RESIZES,
    "adaptive pooling, MaxUnpool": POOLS,
    "SpaceToBatch chains": DILATED,
}

PATTERNS = tuple(
    Pattern(name=name, row=row, build=build) for row, builds in ROWS.items() for name, build in builds.items()
)
