"""Whether two graphs mean the same: in float64 by ``evaluate``, and exported, in onnxruntime unoptimised."""

from collections.abc import Callable, Mapping

import numpy as np
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

from convgraph.errors import InvalidModel, UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.evaluate import evaluate
from convgraph.numerics.tolerance import accumulated_length, tolerance
from laws.draw import feeds_for

Outputs = Mapping[str, Array]


def in_onnxruntime(graph: Graph, feeds: Mapping[str, Array], *, optimized: bool = False) -> Outputs:
    """The graph's outputs by onnxruntime, its optimisations off or on, at the second run of a session.

    A session's first random numbers are the same in every session; its second are others. Raises
    UnsupportedOp where onnxruntime has no kernel for an element type (Conv of float64).
    """
    options, levels = ort.SessionOptions(), ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    model = to_onnx(graph).SerializeToString()
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except NoKernel as error:
        raise UnsupportedOp("onnxruntime", found=str(error), expected="a kernel") from error
    session.run(None, dict(feeds))
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, dict(feeds)), strict=True))


def difference(before: Graph, after: Graph, *, dyadic: bool, bound: float = 0.0) -> str:
    """Where two graphs differ over all feeds, in words; "" when nowhere.

    Dyadic feeds are compared bit for bit (−0 equal to 0); real ones within the tolerance that element type
    and reduction length give, plus ``bound`` times the output's largest value.
    """
    lengths = accumulated_length(before)
    for feeds in feeds_for(before, dyadic=dyadic):
        runs = ((run, _both(run, before, after, feeds)) for run in (evaluate, in_onnxruntime))
        judged = [(run, *pair) for run, pair in runs if pair is not None]
        assert judged, "neither the oracle nor onnxruntime could compute it"
        for run, expected, found in judged:
            for name, reference in expected.items():
                allowed = 0.0 if dyadic and not bound else _allowed(before, name, reference, lengths, bound)
                where = _mismatch(reference, found[name], allowed)
                if where:
                    return f"{run.__name__}: {name}{where}"
    return ""


def deployed_difference(before: Graph, after: Graph, *, dyadic: bool, bound: float = 0.0) -> str:
    """Where onnxruntime's own optimisations break the second graph, and not the first; "" when nowhere."""
    lengths = accumulated_length(before)
    for feeds in feeds_for(before, dyadic=dyadic):
        try:
            wanted, as_it_is = (in_onnxruntime(before, feeds, optimized=flag) for flag in (False, True))
        except (UnsupportedOp, Fail, InvalidArgument):
            return ""
        found = in_onnxruntime(after, feeds, optimized=True)
        for name, reference in wanted.items():
            allowed = _allowed(before, name, reference, lengths, bound)
            fine = not _mismatch(reference, as_it_is[name], allowed)
            where = _mismatch(reference, found[name], allowed)
            if fine and where:
                return f"onnxruntime, optimised: {name}{where}"
    return ""


def _both(
    run: Callable[[Graph, Mapping[str, Array]], Outputs],
    before: Graph,
    after: Graph,
    feeds: Mapping[str, Array],
) -> tuple[Outputs, Outputs] | None:
    """The outputs of both graphs; None where this way of computing has no meaning for one of them.

    The oracle has none for a window that does not fit, of which a runtime makes what it can.
    """
    try:
        expected = run(before, feeds)
    except (UnsupportedOp, InvalidModel):
        return None
    try:
        return expected, run(after, feeds)
    except UnsupportedOp:
        return None


def _allowed(graph: Graph, name: str, reference: Array, lengths: Mapping[str, float], bound: float) -> float:
    dtype = graph.type(graph.value(name)).dtype
    if not dtype.is_float or not reference.size:
        return 0.0
    scale = float(np.max(np.abs(reference[np.isfinite(reference)]), initial=0.0))
    return tolerance(dtype, length=lengths[name], scale=scale) + bound * scale


def _mismatch(reference: Array, found: Array, allowed: float) -> str:
    if reference.shape != found.shape:
        return f" has shape {found.shape}, not {reference.shape}"
    if DataType.of(reference.dtype).is_float:
        both_nan = np.isnan(reference) & np.isnan(found)
        with np.errstate(invalid="ignore"):
            near = np.abs(found.astype(np.float64) - reference) <= allowed
        wrong = ~(near | both_nan | (reference == found))
    else:
        wrong = reference != found
    if not wrong.any():
        return ""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{list(index)} is {found[index]!r}, not {reference[index]!r} within {allowed}"
