"""Tables for fuse-scatter-into-max-unpool."""

import math
from collections.abc import Callable, Sequence

import onnx
import pytest
from laws.draw import Draw

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.ops import MaxPool, MaxUnpool
from convgraph.passes import FuseScatterIntoMaxUnpool, Pipeline

ZEROS = {
    "constant": "z = Constant <value = float[{sizes}] {{{zeros}}}> ()",
    "expanded": "n = Constant <value = float {{0}}> () zs = Shape (x) e = Expand (n, zs)"
    " z = Reshape (e, {flat})",
    "filled": "zs = Shape (x) e = ConstantOfShape (zs) z = Reshape (e, {flat})",
    "stated": "zs = Shape (x) e = ConstantOfShape <value = float[1] {{0}}> (zs) z = Reshape (e, {flat})",
    "cast": "zs = Shape (x) o = ConstantOfShape <value = int64[1] {{0}}> (zs) e = Cast <to = 1> (o)"
    " z = Reshape (e, {flat})",
    "ones": "zs = Shape (x) e = ConstantOfShape <value = float[1] {{1}}> (zs) z = Reshape (e, {flat})",
    "supplied": "z = Reshape (x, {flat})",
}


def numbers(*sizes: int) -> str:
    """A constant vector, as an operand."""
    return f"int64[{len(sizes)}] {{{', '.join(map(str, sizes))}}}"


def unpooled(
    pool: str = "kernel_shape = [2, 2], strides = [2, 2]",
    *,
    spatial: Sequence[int] = (6, 8),
    small: Sequence[int] = (3, 4),
    batch: int | str = "N",
    single: str = "",
    ends: str = "",
    zeros: str = "filled",
    how: str = "<axis = 2>",
    whole: bool = False,
    starts: Sequence[int] | None = None,
    starts_first: bool = False,
    between: str = "v = Neg (p)",
    result: Sequence[int] = (),
    also: str = "",
    dtype: str = "float",
) -> Callable[[Draw], Graph]:
    """Maxima of x (N, 3, …) put back where they were.

    ``single`` is the window of the pool that numbers pixels, ``ends`` where its first ones end; ``zeros`` is
    what the maxima are scattered into; ``how`` the attributes of the scattering. ``whole`` scatters through
    all channels, each from ``starts`` on (``starts_first`` in their sum).
    ``between`` makes v of the maxima p, ``result`` is the shape of the
    result, and ``also`` what else is returned.
    """
    pixels, count, first = math.prod(spatial), math.prod(small), [0] * len(spatial)
    fixed = batch if isinstance(batch, int) else 0
    data = (fixed * 3 * pixels,) if whole else (fixed, 3, pixels)
    constants = {
        "s": numbers(*first),
        "en": ends or numbers(*(1 for _ in spatial)),
        "ax": numbers(*range(2, 2 + len(spatial))),
        "flat": numbers(*((-1,) if whole else (0, 3, pixels))),
        "less": numbers(*((-1,) if whole else (0, 3, count))),
        "back": numbers(*(result or (fixed, 3, *spatial))),
        "last": numbers(-1),
    }
    ones = ", ".join("1" for _ in spatial)
    if whole:
        begins = starts or [pixels * channel for channel in range(3 * fixed)]
        constants["st"] = f"int64[{fixed}, 3, {ones}] {{{', '.join(map(str, begins))}}}"
    body = " ".join(f"{name} = Constant <value = {text}> ()" for name, text in constants.items())
    sizes, null = ", ".join(map(str, data)), ", ".join("0" for _ in range(math.prod(data)))
    shifted = (
        f"m = Add ({'st, w' if starts_first else 'w, st'}) wl = Reshape (m, less) wf = Unsqueeze (wl, last)"
    )
    body += f"""
        p, i = MaxPool <{pool}> (x)
        q, j = MaxPool <kernel_shape = [{single or ones}]> (x)
        f = Slice (j, s, en, ax)
        w = Sub (i, f)
        {between}
        {shifted if whole else "wf = Reshape (w, less)"}
        vf = Reshape (v, less)
        {ZEROS[zeros].format(sizes=sizes, zeros=null, flat="flat")}
        g = {"ScatterND" if whole else "ScatterElements"} {how} (z, wf, vf)
        u = Reshape (g, back)
        y = Neg (u)"""
    shape = ", ".join(map(str, (batch, 3, *spatial)))
    outputs = f"{dtype}[{', '.join('ABCDE'[: 2 + len(spatial)])}] y"
    outputs += f", float[{batch}, 3, {pixels}] {also}" if also else ""
    text = f'<ir_version: 8, opset_import: ["" : 17]> g ({dtype}[{shape}] x) => ({outputs}) {{ {body} }}'
    return lambda _: from_onnx(onnx.parser.parse_model(text))


OVERLAPPING = "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]"

EXAMPLES = {
    "open batch": unpooled(),
    "constant zeros": unpooled(batch=2, zeros="constant"),
    "expanded zeros": unpooled(zeros="expanded"),
    "zeros of a stated kind": unpooled(zeros="stated"),
    "zeros of whole numbers": unpooled(zeros="cast"),
    "the maxima themselves": unpooled(between="v = Identity (p)"),
    "an image of another form": unpooled(result=(0, 3, 4, 12)),
    "a row left over": unpooled(spatial=(7, 9)),
    "rounded up": unpooled(
        "kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1", spatial=(5, 7), small=(3, 4)
    ),
    "padded": unpooled(OVERLAPPING, spatial=(6, 7)),
    "more maxima than pixels": unpooled(
        "kernel_shape = [2, 3], pads = [1, 2, 1, 1]", spatial=(3, 4), small=(4, 5)
    ),
    "column by column": unpooled("kernel_shape = [2, 2], strides = [2, 2], storage_order = 1"),
    "1-D": unpooled("kernel_shape = [3], strides = [3]", spatial=(13,), small=(4,)),
    "3-D": unpooled("kernel_shape = [1, 2, 1], strides = [1, 2, 1]", spatial=(2, 6, 3), small=(2, 3, 3)),
    "through all channels": unpooled(batch=2, whole=True, how=""),
    "through all channels, starts first": unpooled(batch=2, whole=True, how="", starts_first=True),
    "through all channels, constant zeros": unpooled(batch=2, whole=True, how="", zeros="constant"),
}

NEAR_MISSES = {
    "the_first_pixel_is_taken_away": [
        unpooled(single="2, 2"),
        unpooled(ends=numbers(1, 4)),
    ],
    "each_maximum_has_a_place": [unpooled(between="v = Transpose <perm = [0, 1, 3, 2]> (p)")],
    "channels_lie_one_after_the_other": [
        unpooled(batch=2, whole=True, how="", starts=(0, 48, 96, 48, 96, 144)),
        unpooled(batch=2, whole=True, how="", starts=(144, 192, 240, 0, 48, 96)),
    ],
    "they_replace_zeros": [
        unpooled(zeros="ones"),
        unpooled(zeros="supplied"),
        unpooled(OVERLAPPING, spatial=(6, 7), how='<axis = 2, reduction = "add">'),
    ],
    "the_result_has_the_channels_that_were_pooled": [
        unpooled(result=(0, 6, 4, 6)),
        unpooled(result=(0, 3, 48)),
    ],
    "nothing_else_reads_what_is_scattered": [unpooled(also="g")],
}


def test_what_runtimes_do_not_unpool_is_left() -> None:
    graph = unpooled(dtype="double", zeros="supplied")(Draw(dyadic=True))
    assert not Pipeline([FuseScatterIntoMaxUnpool()]).run(graph)[1].applications


@pytest.mark.parametrize(
    ("example", "kernel", "pads"),
    [
        ("open batch", (2, 2), (0, 0, 0, 0)),
        ("a row left over", (3, 3), (0, 0, 0, 0)),
        ("more maxima than pixels", (2, 2), (1, 1, 1, 1)),
    ],
)
def test_the_window_gives_back_the_size(example: str, kernel: tuple[int, ...], pads: tuple[int, ...]) -> None:
    result, _ = Pipeline([FuseScatterIntoMaxUnpool()]).run(EXAMPLES[example](Draw(dyadic=True)))
    ops = [result.op(node) for node in result.compute_nodes()]
    (pool,), (unpool,) = ([op for op in ops if isinstance(op, kind)] for kind in (MaxPool, MaxUnpool))
    assert unpool == MaxUnpool(kernel_shape=kernel, strides=pool.strides, pads=pads)
