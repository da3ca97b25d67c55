"""Models that others break or misread, with something in them that can be tidied all the same.

They are written as text, as their files would hold them: old operators, missing operands, types and tensors
that a graph has no class for, and what only callers see.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper, parser

from convgraph.ir.tensor import Array
from parity.pattern import Pattern

WEIGHT = {"w": (6, 4, 3, 3), "b": (6,)}
"""What most models here hold: a convolution from 4 to 6 channels."""
NORM = {"s": (6,), "t": (6,), "m": (6,), "v": (6,)}
"""A normalisation's parameters; the variance is positive, as all that is called v is."""


def model(
    text: str,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    *,
    opset: int = 17,
    ir: int = 8,
    dtype: type = np.float32,
    arrays: Mapping[str, Array] | None = None,
) -> onnx.ModelProto:
    """A model of a text, of ``arrays``, and of drawn initializers of these shapes."""
    made = parser.parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}]> {text}')
    rng = np.random.default_rng(6)
    for name, shape in (WEIGHT if shapes is None else shapes).items():
        drawn = rng.normal(size=shape)
        array = abs(drawn) + 1 if name == "v" else drawn
        made.graph.initializer.append(numpy_helper.from_array(np.asarray(array, dtype), name))
    for name, array in (arrays or {}).items():
        made.graph.initializer.append(numpy_helper.from_array(array, name))
    return made


def sparse() -> onnx.ModelProto:
    """A convolution's weight is a sparse tensor."""
    made = model(
        """g (float[N, 4, 9, 7] x) => (float[N, 6, 9, 7] y) {
            c = Conv <pads = [1, 1, 1, 1]> (x, sparse, b)
            i = Identity (c)
            y = Relu (i)
        }""",
        {"b": (6,)},
    )
    values = numpy_helper.from_array(np.asarray([1.5, -2, 3, 0.5, -1], np.float32), "sparse")
    indices = numpy_helper.from_array(np.asarray([0, 40, 77, 130, 215]), "sparse_indices")
    made.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, indices, [6, 4, 3, 3]))
    return made


def described() -> onnx.ModelProto:
    """What people and callers read: metadata, an unread input, a weight that a caller may override."""
    made = model(
        """g (float[N, 4, H, W] x, float[3] unread, float[6, 4, 3, 3] w) => (float[N, 6, H, W] y) {
            c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
            d = Identity (c)
            y = Relu (d)
        }"""
    )
    onnx.helper.set_model_props(made, {"author": "somebody", "classes": "cat,dog"})
    return made


def constants_as_inputs() -> onnx.ModelProto:
    """Before version 4 of the format every initializer is also an input, and none can be overridden."""
    made = model(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 7, 5] y) {
            c = Conv (x, w, b)
            n = BatchNormalization (c, s, t, m, v)
            y = Relu (n)
        }""",
        {**WEIGHT, **NORM},
        opset=8,
        ir=3,
    )
    for tensor in made.graph.initializer:
        made.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, 1, tensor.dims))
    return made


def half() -> onnx.ModelProto:
    """A normalised convolution in half precision."""
    return model(
        """g (float16[N, 4, 9, 7] x) => (float16[N, 6, 4, 7] y) {
            c = Conv <strides = [2, 1], pads = [0, 1, 0, 1]> (x, w, b)
            n = BatchNormalization <epsilon = 0.001> (c, s, t, m, v)
            y = Relu (n)
        }""",
        {**WEIGHT, **NORM},
        dtype=np.float16,
    )


def quantised() -> onnx.ModelProto:
    """A quantised convolution: the weight is stored as integers and stays so."""
    weight = np.random.default_rng(6).integers(-120, 120, (6, 4, 3, 3)).astype(np.int8)
    zero = {"xz": np.asarray(3, np.uint8), "wz": np.zeros(6, np.int8), "q": weight}
    scale = {"xs": np.asarray(0.05, np.float32), "ws": np.full(6, 0.01, np.float32)}
    return model(
        """g (float[N, 4, 9, 7] x) => (float[N, 6, 7, 5] y) {
            xq = QuantizeLinear (x, xs, xz)
            xd = DequantizeLinear (xq, xs, xz)
            wd = DequantizeLinear <axis = 0> (q, ws, wz)
            c = Conv (xd, wd, b)
            i = Identity (c)
            y = Relu (i)
        }""",
        {"b": (6,)},
        arrays={**zero, **scale},
    )


def text(
    body: str, shapes: Mapping[str, tuple[int, ...]] | None = None, *, opset: int = 17
) -> Callable[[], onnx.ModelProto]:
    """A model of a text alone."""
    return lambda: model(body, shapes, opset=opset)


_STORED: dict[str, Callable[[], onnx.ModelProto]] = {
    "sparse-weight": sparse,
    "callers-and-readers": described,
    "initializers-that-are-inputs": constants_as_inputs,
    "conv-batchnorm-half": half,
    "quantised-conv-identity": quantised,
}
_OLD = {
    "old-conv-batchnorm": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 7, 5] y) {
            c = Conv (x, w, b)
            d = Dropout <ratio = 0.25> (c)
            n = BatchNormalization (d, s, t, m, v)
            y = Relu (n)
        }""",
        {**WEIGHT, **NORM},
        opset=7,
    ),
    "old-pad-conv": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 9, 9] y) {
            p = Pad <mode = "constant", pads = [0, 0, 1, 2, 0, 0, 1, 2]> (x)
            c = Conv (p, w, b)
            y = Clip <min = 0.0, max = 6.0> (c)
        }""",
        opset=10,
    ),
    "old-upsample": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 18, 14] y) {
            c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
            k = Constant <value = float[4] {1.0, 1.0, 2.0, 2.0}> ()
            u = Upsample <mode = "nearest"> (c, k)
            i = Identity (u)
            y = Relu (i)
        }""",
        opset=9,
    ),
    "old-softmax": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 7, 5] y) {
            c = Conv (x, w, b)
            i = Identity (c)
            y = Softmax <axis = 1> (i)
        }""",
        opset=11,
    ),
    "old-unsqueeze": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 7, 5] y) {
            c = Conv (x, w, b)
            u = Unsqueeze <axes = [0, 3]> (c)
            q = Squeeze <axes = [0, 3]> (u)
            y = Relu (q)
        }""",
        opset=11,
    ),
}
_OMITTED = {
    "clip-without-lower-bound": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 7, 5] y) {
            c = Conv (x, w, b)
            i = Identity (c)
            k = Constant <value = float {0.5}> ()
            y = Clip (i, , k)
        }"""
    ),
    "resize-without-region": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 14, 10] y) {
            c = Conv (x, w, b)
            k = Constant <value = float[4] {1.0, 1.0, 2.0, 2.0}> ()
            r = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
                        nearest_mode = "floor"> (c, , k)
            i = Identity (r)
            y = Relu (i)
        }"""
    ),
    "recurrent-without-lengths": text(
        """g (float[5, 2, 4] x, float[1, 2, 3] h) => (float[5, 2, 3] y) {
            i = Identity (x)
            all, last = GRU <hidden_size = 3> (i, win, wrec, bias, , h)
            k = Constant <value = int64[1] {1}> ()
            y = Squeeze (all, k)
        }""",
        {"win": (1, 9, 4), "wrec": (1, 9, 3), "bias": (1, 18)},
    ),
    "pool-with-numbers": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 3, 2] y, int64[2, 6, 3, 2] at) {
            c = Conv (x, w, b)
            i = Identity (c)
            y, at = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (i)
        }"""
    ),
}
_KINDS = {
    "sequence-of-tensors": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 12, 7, 5] y) {
            c = Conv (x, w, b)
            r = Relu (c)
            i = Identity (c)
            s = SequenceConstruct (r, i)
            y = ConcatFromSequence <axis = 1> (s)
        }"""
    ),
    "indices-of-largest": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 3, 7, 5] y, int64[2, 3, 7, 5] at) {
            c = Conv (x, w, b)
            k = Constant <value = int64[1] {3}> ()
            i = Identity (c)
            y, at = TopK <axis = 1> (i, k)
        }"""
    ),
    "whole-number-quotient": text(
        """g (int64[2, 4, 9] x) => (int64[2, 4, 9] y) {
            two = Constant <value = int64 {2}> ()
            h = Div (x, two)
            d = Mul (h, two)
            i = Identity (d)
            y = Abs (i)
        }""",
        {},
    ),
    "einsum-of-channels": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 9, 7] y) {
            i = Identity (x)
            e = Einsum <equation = "nchw,oc->nohw"> (i, w)
            y = Relu (e)
        }""",
        {"w": (6, 4)},
    ),
}
_ENDS = {
    "one-value-twice": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 7, 5] y, float[2, 6, 7, 5] z) {
            c = Conv (x, w, b)
            y = Relu (c)
            z = Identity (y)
        }"""
    ),
    "input-is-output": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 4, 9, 7] y, float[2, 6, 7, 5] z) {
            y = Identity (x)
            i = Identity (x)
            z = Conv (i, w, b)
        }"""
    ),
    "constant-is-output": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 7, 5] y, float[6] k) {
            y = Conv (x, w, b)
            k = Neg (b)
        }"""
    ),
    "one-operand": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 6, 7, 5] y) {
            a = Concat <axis = 1> (x)
            c = Conv (a, w, b)
            d = Sum (c)
            y = Max (d)
        }"""
    ),
}
_GEOMETRY = {
    "same-upper-conv-batchnorm": text(
        """g (float[N, 4, H, W] x) => (float[N, 6, P, Q] y) {
            c = Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (x, w, b)
            n = BatchNormalization (c, s, t, m, v)
            y = Relu (n)
        }""",
        {**WEIGHT, **NORM},
    ),
    "transposed-output-shape": text(
        """g (float[2, 4, 5, 3] x) => (float[2, 6, 10, 7] y) {
            c = ConvTranspose <strides = [2, 2], output_shape = [10, 7]> (x, w, b)
            n = BatchNormalization (c, s, t, m, v)
            y = Relu (n)
        }""",
        {"w": (4, 6, 3, 3), "b": (6,), **NORM},
    ),
    "ceiling-average-pool": text(
        """g (float[2, 4, 9, 7] x) => (float[2, 4, 5, 4] y) {
            k = Constant <value = int64[8] {0, 0, 0, 0, 0, 0, 0, 0}> ()
            p = Pad (x, k)
            a = AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (p)
            y = Relu (a)
        }""",
        {},
    ),
}

_ROWS: dict[str, Mapping[str, Callable[[], onnx.ModelProto]]] = {
    "sparse initializers, overridable ones, metadata, types": _STORED,
    "old operator sets": _OLD,
    "omitted operands and further results": _OMITTED,
    "sequence ops, indices, whole numbers": _KINDS,
    "no-op removal at inputs and outputs": _ENDS,
    "geometry that is not written out": _GEOMETRY,
}
PATTERNS = tuple(
    Pattern(name=name, row=row, build=build)
    for row, builds in _ROWS.items()
    for name, build in builds.items()
)
