"""Functions, control flow, sizes that are computed while a model runs, and what must not be folded."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper

from parity.pattern import Pattern

_FUNCTIONS = "If/Loop bodies; local functions"
_SHAPES = "dynamic-batch shape chain → constant Reshape"
_OPEN = "D: shape arithmetic folded under dynamic batch and dynamic H, W"
_CHOICES = "E: If with constant condition"
_LIMIT = "E: constant folding with a size limit"
_QUANTISED = "QDQ structure"
_CARRIED = "sparse initializer; sequence ops"

_CONV = {"w": (6, 4, 3, 3), "b": (6,), "s": (6,), "t": (6,), "m": (6,), "v": (6,)}


def _drawn(*shape: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Numbers between a half and two, as scales and variances may be."""
    rng = np.random.default_rng(sum(shape) + 7 * len(shape) + seed)
    return rng.uniform(0.5, 2.0, shape).astype(np.float32)


def model(
    body: str,
    *functions: str,
    x: str = "N, 4, 9, 7",
    y: str = "A, B, C, D",
    more: str = "",
    weights: Mapping[str, tuple[int, ...]] | None = None,
    opset: int = 17,
) -> Callable[[], ModelProto]:
    """A model in ONNX's text form, from x to y, with drawn weights and functions of the domain ``own``."""
    dims = f"[{y}]" if y else ""
    head = f'<ir_version: 8, opset_import: ["" : {opset}, "own" : 1]>'
    text = [f"{head} g (float[{x}] x{more}) => (float{dims} y) {{ {body} }}"]
    text += [f'<domain: "own", opset_import: ["" : {opset}, "own" : 1]> {text}' for text in functions]

    def build() -> ModelProto:
        built: ModelProto = onnx.parser.parse_model("\n".join(text).replace("CONV", CONV))
        for seed, (name, shape) in enumerate((weights or {}).items()):
            built.graph.initializer.append(numpy_helper.from_array(_drawn(*shape, seed=seed), name))
        if not functions:
            del built.opset_import[1:]
        return built

    return build


def sizes(name: str, *numbers: int) -> str:
    """A vector of integers in ONNX's text form."""
    return f"{name} = Constant <value = int64[{len(numbers)}] {{{', '.join(map(str, numbers))}}}> () "


def number(name: str, value: int) -> str:
    """An integer in ONNX's text form."""
    return f"{name} = Constant <value = int64 {{{value}}}> () "


def measured(*names: str) -> str:
    """The sizes of x, one scalar for each name, axis by axis."""
    picks = (f"{number(f'{n}_axis', axis)} {n} = Gather(shape, {n}_axis)" for axis, n in enumerate(names))
    return f"shape = Shape(x) {' '.join(picks)} {sizes('zero', 0)} "


def vectors(*names: str) -> str:
    """Scalars as vectors of one, to be joined."""
    return " ".join(f"{name}_1 = Unsqueeze({name}, zero)" for name in names) + " "


def group(row: str, patterns: Mapping[str, Callable[[], ModelProto]]) -> tuple[Pattern, ...]:
    """Patterns that stand for one row."""
    return tuple(Pattern(name=name, row=row, build=build) for name, build in patterns.items())


CONV = "Conv <dilations = [1, 1], kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [1, 1]>"
NEAREST = '<mode = "nearest", nearest_mode = "floor", coordinate_transformation_mode = "asymmetric">'
BLOCK = """block (x, w, b, s, t, m, v) => (y) {
    c = CONV (x, w, b) n = BatchNormalization (c, s, t, m, v) y = Relu(n) }"""
CHOICE = (
    "f = If (c) <then_branch = a () => (float[N, 6, H, W] p) {{ {} }}, "
    "else_branch = o () => (float[N, 6, H, W] q) {{ {} }}> y = Relu(f)"
)

FUNCTIONS = {
    "function-conv-batchnorm": model("y = own.block(x, w, b, s, t, m, v)", BLOCK, weights=_CONV),
    "function-called-twice": model(
        "z = own.block(x, w, b, s, t, m, v) y = own.block(z, u, b, s, t, m, v)",
        BLOCK,
        weights={**_CONV, "u": (6, 6, 3, 3)},
    ),
    "function-in-function": model(
        "y = own.stage(x, w, b, s, t, m, v, u)",
        "stage (x, w, b, s, t, m, v, u) => (y) "
        "{ z = own.block(x, w, b, s, t, m, v) y = own.block(z, u, b, s, t, m, v) }",
        BLOCK,
        weights={**_CONV, "u": (6, 6, 3, 3)},
    ),
    "function-with-attributes": model(
        "z = own.act <alpha = 0.25> (x) y = own.act(z)",
        "act <alpha: float = 1.0, beta: float = 0.0> (x) => (y) {"
        "a = Constant <value_float: float = @alpha> () b = Constant <value_float: float = @beta> () "
        "t = Mul(x, a) u = Add(t, b) y = Relu(u) }",
    ),
    "function-called-in-vain": model("u = own.block(x, w, b, s, t, m, v) y = Relu(x)", BLOCK, weights=_CONV),
    "function-called-in-a-branch": model(
        CHOICE.format("p = own.block(x, w, b, s, t, m, v)", "n = own.block(x, w, b, s, t, m, v) q = Neg(n)"),
        BLOCK,
        more=", bool c",
        weights=_CONV,
    ),
    "function-whose-choice-is-constant": model(
        "k = Constant <value = bool {1}> () z = own.choose(x, k) y = Relu(z)",
        "choose (x, c) => (y) { y = If (c) <then_branch = a () => (p) { p = Neg(x) }, "
        "else_branch = o () => (q) { q = Abs(x) }> }",
    ),
    "batchnorm-in-branches": model(
        CHOICE.format(
            "k = CONV (x, w, b) p = BatchNormalization(k, s, t, m, v)",
            "k = CONV (x, u) q = BatchNormalization(k, s, t, m, v)",
        ),
        more=", bool c",
        weights={**_CONV, "u": (6, 4, 3, 3)},
    ),
    "batchnorm-in-a-loop": model(
        f"{number('n', 3)} k = Constant <value = bool {{1}}> () y = Loop (n, k, x) <body = body "
        "(int64 i, bool go, float[N, 4, H, W] z) => (bool on, float[N, 4, H, W] a) { on = Identity(go) "
        "p = CONV (z, w) o = BatchNormalization(p, s, t, m, v) a = Relu(o) }>",
        weights={"w": (4, 4, 3, 3), "s": (4,), "t": (4,), "m": (4,), "v": (4,)},
    ),
    "arithmetic-in-a-scan": model(
        "y = Scan <num_scan_inputs = 1, body = body (float[H, W, C] z) => (float[H, W, C] a) "
        "{ two = Constant <value_float = 2.0> () k = Mul(two, two) n = Identity(z) t = Mul(n, k) "
        "a = Relu(t) }> (x)",
    ),
    "constants-captured-by-branches": model(
        "k = Add(s, t) " + CHOICE.format("e = Mul(k, k) p = Mul(x, e)", "e = Neg(k) q = Mul(x, e)"),
        x="N, 6, 9, 7",
        more=", bool c",
        weights={"s": (6, 1, 1), "t": (6, 1, 1)},
    ),
}

CHOICES = {
    "if-constant": model(
        f"c = Constant <value = bool {{0}}> () {CHOICE.format('p = Neg(x)', 'q = Abs(x)')}", x="N, 6, H, W"
    ),
    "if-of-a-known-size": model(
        f"{measured('n', 'k')} {number('six', 6)} c = Equal(k, six) "
        + CHOICE.format("p = Neg(x)", "q = Abs(x)"),
        x="N, 6, H, W",
    ),
    "if-of-a-rank": model(
        f"shape = Shape(x) rank = Size(shape) {number('four', 4)} c = Equal(rank, four) "
        + CHOICE.format("p = Neg(x)", "q = Abs(x)"),
        x="N, 6, H, W",
    ),
    "if-in-a-branch": model(
        "k = Constant <value = bool {1}> () "
        + CHOICE.format(
            "p = If (k) <then_branch = d () => (float[N, 6, H, W] g) { g = Neg(x) }, "
            "else_branch = e () => (float[N, 6, H, W] h) { h = Relu(x) }>",
            "q = Abs(x)",
        ),
        x="N, 6, H, W",
        more=", bool c",
    ),
}

BATCH = {
    "flatten-by-sizes": model(
        measured("n")
        + vectors("n")
        + sizes("rest", -1)
        + "to = Concat <axis = 0> (n_1, rest) y = Reshape(x, to)",
        y="A, B",
    ),
    "pixels-to-columns": model(
        measured("n", "c", "h", "w")
        + "p = Mul(h, w) "
        + vectors("n", "c", "p")
        + "to = Concat <axis = 0> (n_1, c_1, p_1) y = Reshape(x, to)",
        y="A, B, C",
    ),
    "sizes-by-a-slice-of-the-shape": model(
        f"shape = Shape(x) {sizes('a', 0)} {sizes('b', 2)} {sizes('rest', 63)} head = Slice(shape, a, b) "
        "to = Concat <axis = 0> (head, rest) y = Reshape(x, to)",
        y="A, B, C",
    ),
    "sizes-by-a-part-of-the-shape": model(
        f"head = Shape <start = 0, end = 1> (x) {sizes('rest', 4, 63)} to = Concat <axis = 0> (head, rest) "
        "y = Reshape(x, to)",
        y="A, B, C",
    ),
    "sizes-by-a-gather-of-several": model(
        f"shape = Shape(x) {sizes('both', 0, 1)} {sizes('rest', 63)} head = Gather(shape, both) "
        "to = Concat <axis = 0> (head, rest) y = Reshape(x, to)",
        y="A, B, C",
    ),
    "sizes-through-casts": model(
        f"shape = Shape(x) {sizes('a', 0)} {sizes('b', 1)} {sizes('rest', 252)} head = Slice(shape, a, b) "
        "short = Squeeze(head, a) small = Cast <to = 6> (short) wide = Cast <to = 7> (small) "
        "n = Unsqueeze(wide, a) to = Concat <axis = 0> (n, rest) y = Reshape(x, to)",
        y="A, B",
    ),
    "sizes-by-arithmetic": model(
        measured("n", "c", "h", "w")
        + number("two", 2)
        + "half = Div(c, two) double = Mul(n, two) "
        + vectors("double", "half", "h", "w")
        + "to = Concat <axis = 0> (double_1, half_1, h_1, w_1) y = Reshape(x, to)",
    ),
    "channel-shuffle-by-sizes": model(
        measured("n", "c", "h", "w")
        + number("two", 2)
        + "k = Div(c, two) "
        + vectors("n", "two", "k", "c", "h", "w")
        + "apart = Concat <axis = 0> (n_1, two_1, k_1, h_1, w_1) z = Reshape(x, apart) "
        "t = Transpose <perm = [0, 2, 1, 3, 4]> (z) back = Concat <axis = 0> (n_1, c_1, h_1, w_1) "
        "y = Reshape(t, back)",
        y="A, B, C, D",
    ),
    "resize-by-floored-sizes": model(
        f"shape = Shape(x) {sizes('a', 2)} {sizes('b', 4)} {sizes('z', 0)} pixels = Slice(shape, a, b) "
        "real = Cast <to = 1> (pixels) k = Constant <value = float[2] {2.0, 2.0}> () "
        "wide = Mul(real, k) down = Floor(wide) whole = Cast <to = 7> (down) head = Slice(shape, z, a) "
        f"to = Concat <axis = 0> (head, whole) y = Resize {NEAREST} (x, , , to)",
    ),
    "resize-to-the-size-of-another": model(
        f"q = MaxPool <kernel_shape = [3, 1], strides = [3, 1]> (x) shape = Shape(x) {sizes('a', 2)} "
        f"{sizes('b', 4)} {sizes('z', 0)} pixels = Slice(shape, a, b) other = Shape(q) "
        "head = Slice(other, z, a) "
        f"to = Concat <axis = 0> (head, pixels) r = Resize {NEAREST} (q, , , to) "
        "y = Add(r, x)",
    ),
    "expand-to-computed-sizes": model(
        measured("n")
        + vectors("n")
        + sizes("rest", 4, 9, 7)
        + "to = Concat <axis = 0> (n_1, rest) "
        + sizes("minus", -1)
        + "shape_of_it = Shape(to) ones = ConstantOfShape <value = int64[1] {1}> (shape_of_it) "
        "open = Equal(to, minus) target = Where(open, ones, to) e = Expand(k, target) y = Add(x, e)",
        weights={"k": (4, 1, 1)},
    ),
    "tile-by-computed-repeats": model(
        measured("n", "c")
        + number("four", 4)
        + "r = Div(c, four) "
        + vectors("r")
        + "to = Concat <axis = 0> (r_1, r_1, r_1, r_1) z = Tile(x, to) y = Relu(z)",
    ),
    "range-of-known-size": model(
        measured("n", "c", "h", "w")
        + number("nil", 0)
        + number("one", 1)
        + "r = Range(nil, w, one) f = Cast <to = 1> (r) y = Add(x, f)",
    ),
    "zeros-of-known-pixels": model(
        f"shape = Shape(x) {sizes('a', 2)} {sizes('b', 4)} pixels = Slice(shape, a, b) "
        "o = ConstantOfShape <value = float[1] {0.5}> (pixels) y = Add(x, o)",
    ),
}

OPEN = {
    "flatten-open": model(
        measured("n", "c", "h", "w")
        + "p = Mul(h, w) "
        + vectors("n", "c", "p")
        + "to = Concat <axis = 0> (n_1, c_1, p_1) y = Reshape(x, to)",
        x="N, 4, H, W",
        y="A, B, C",
    ),
    "columns-to-pixels-open": model(
        measured("n", "c", "h", "w")
        + sizes("rest", -1)
        + vectors("n", "c", "h", "w")
        + "to = Concat <axis = 0> (n_1, c_1, rest) z = Reshape(x, to) r = Relu(z) "
        "back = Concat <axis = 0> (n_1, c_1, h_1, w_1) y = Reshape(r, back)",
        x="N, 4, H, W",
    ),
    "reshape-to-its-own-shape": model("shape = Shape(x) z = Reshape(x, shape) y = Relu(z)", x="N, 4, H, W"),
    "reshape-to-the-shape-of-its-like": model(
        "r = Abs(x) shape = Shape(r) z = Reshape(x, shape) y = Add(z, r)", x="N, 4, H, W"
    ),
    "expand-to-its-own-shape": model("shape = Shape(x) z = Expand(x, shape) y = Relu(z)", x="N, 4, H, W"),
    "expand-before-a-sum-of-its-like": model(
        "shape = Shape(x) z = Expand(k, shape) y = Add(x, z)", x="N, 4, H, W", weights={"k": (4, 1, 1)}
    ),
    "sizes-that-cancel": model(
        measured("n", "c", "h", "w")
        + number("two", 2)
        + "twice = Mul(n, two) again = Div(twice, two) p = Mul(h, w) "
        + vectors("again", "c", "p")
        + "to = Concat <axis = 0> (again_1, c_1, p_1) y = Reshape(x, to)",
        x="N, 4, H, W",
        y="A, B, C",
    ),
    "resize-by-sizes-open": model(
        measured("n", "c", "h", "w")
        + number("two", 2)
        + "hh = Mul(h, two) ww = Mul(w, two) "
        + vectors("n", "c", "hh", "ww")
        + f"to = Concat <axis = 0> (n_1, c_1, hh_1, ww_1) y = Resize {NEAREST} (x, , , to)",
        x="N, 4, H, W",
    ),
    "resize-by-floored-sizes-open": model(
        f"shape = Shape(x) {sizes('a', 2)} {sizes('b', 4)} {sizes('z', 0)} pixels = Slice(shape, a, b) "
        "real = Cast <to = 1> (pixels) k = Constant <value = float[2] {2.0, 2.0}> () "
        "wide = Mul(real, k) down = Floor(wide) whole = Cast <to = 7> (down) head = Slice(shape, z, a) "
        f"to = Concat <axis = 0> (head, whole) y = Resize {NEAREST} (x, , , to)",
        x="N, 4, H, W",
    ),
    "resize-to-the-size-of-a-resized": model(
        f"k = Constant <value = float[4] {{1.0, 1.0, 2.0, 2.0}}> () u = Resize {NEAREST} (x, , k) v = Abs(u) "
        f"n = Neg(x) shape = Shape(v) {sizes('a', 2)} {sizes('b', 4)} {sizes('z', 0)} "
        "pixels = Slice(shape, a, b) own = Shape(x) head = Slice(own, z, a) "
        f"to = Concat <axis = 0> (head, pixels) r = Resize {NEAREST} (n, , , to) y = Add(v, r)",
        x="N, 4, H, W",
    ),
    "zeros-in-the-shape-of-a-value": model(
        "shape = Shape(x) z = ConstantOfShape (shape) r = Relu(x) y = Sub(z, r)", x="N, 4, H, W"
    ),
    "channel-shuffle-open": model(
        measured("n", "c", "h", "w")
        + number("two", 2)
        + "k = Div(c, two) "
        + vectors("n", "two", "k", "c", "h", "w")
        + "apart = Concat <axis = 0> (n_1, two_1, k_1, h_1, w_1) z = Reshape(x, apart) "
        "t = Transpose <perm = [0, 2, 1, 3, 4]> (z) back = Concat <axis = 0> (n_1, c_1, h_1, w_1) "
        "y = Reshape(t, back)",
        x="N, 4, H, W",
    ),
}

LIMITED = {
    "fill-that-is-large": model(
        f"{sizes('to', 1, 4, 700, 700)} o = ConstantOfShape <value = float[1] {{0.5}}> (to) y = Add(x, o)",
        x="N, 4, 700, 700",
    ),
    "expand-that-is-large": model(
        f"{sizes('to', 1, 4, 700, 700)} e = Expand(k, to) y = Add(x, e)",
        x="N, 4, 700, 700",
        weights={"k": (4, 1, 1)},
    ),
}

CARRIED = {
    "sequence-of-two": model(
        f"r = Relu(x) n = Neg(x) q = SequenceConstruct(r, n) {number('one', 1)} {number('nil', 0)} "
        "a = SequenceAt(q, one) b = SequenceAt(q, nil) y = Sub(a, b)",
    ),
    "sequence-by-a-split": model(
        f"{number('two', 2)} q = SplitToSequence <axis = 1> (x, two) {number('one', 1)} {number('nil', 0)} "
        "a = SequenceAt(q, one) b = SequenceAt(q, nil) y = Sub(a, b)",
    ),
    "sequence-joined": model(
        "r = Relu(x) n = Neg(x) q = SequenceConstruct(r, n) y = ConcatFromSequence <axis = 1> (q)",
    ),
}


def sparse() -> ModelProto:
    """A sum with a constant that is stored sparsely."""
    built = model("z = Add(x, s) y = Relu(z)", y="A, 4, 9, 7")()
    place = numpy_helper.from_array(np.array([3, 70, 200]), "s_indices")
    values = numpy_helper.from_array(_drawn(3, seed=0), "s")
    built.graph.sparse_initializer.append(helper.make_sparse_tensor(values, place, [4, 9, 7]))
    return built


def quantised() -> ModelProto:
    """A convolution of numbers that are stored as integers, as tools that quantise write it."""
    built = model(
        "p = QuantizeLinear(x, h, z) q = DequantizeLinear(p, h, z) r = DequantizeLinear(k, h, z) "
        "c = CONV (q, r) a = Relu(c) d = QuantizeLinear(a, h, z) "
        "y = DequantizeLinear(d, h, z)"
    )()
    weight = np.random.default_rng(4).integers(-100, 100, (6, 4, 3, 3)).astype(np.int8)
    arrays = {"k": weight, "h": np.float32(0.0625), "z": np.int8(3)}
    for name, array in arrays.items():
        built.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return built


PATTERNS: tuple[Pattern, ...] = (
    *group(_FUNCTIONS, FUNCTIONS),
    *group(_CHOICES, CHOICES),
    *group(_SHAPES, BATCH),
    *group(_OPEN, OPEN),
    *group(_LIMIT, LIMITED),
    *group(_CARRIED, {**CARRIED, "sparse-initializer": sparse}),
    *group(_QUANTISED, {"quantised-conv-relu": quantised}),
)
