"""ONNX Runtime behind one door: open a model, run it, and say in one line why it could not be.

The only module that imports onnxruntime. Nothing here judges results.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from convgraph.errors import ConvgraphError, InvalidModel
from convgraph.held import temporary_folder
from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.operators import UNKNOWN, foreign_operators, libraries, probe
from convgraph.numerics.placed import Placed
from convgraph.numerics.structure import read

ModelSource = onnx.ModelProto | bytes | str | os.PathLike[str] | Placed
Result = Any  # an Array; for sequences, maps and optionals lists, dicts and None as onnxruntime has them

_IN_MEMORY_LIMIT = 1_900_000_000  # bytes: protobuf cannot serialise 2 GB
_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
_SILENT = 4  # onnxruntime's severity for fatal messages only
_REASON_LIMIT = 300  # characters
_MOST_NAMED = 8  # operators in one message


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Every exception onnxruntime raises; its own do not share a base class."""
    members = (getattr(runtime_errors, name) for name in dir(runtime_errors))
    own = [m for m in members if isinstance(m, type) and issubclass(m, Exception)]
    return (*own, RuntimeError, ValueError, TypeError, MemoryError)


_RUNTIME_ERRORS = _runtime_errors()


class Unverifiable(ConvgraphError, RuntimeError):
    """A model that cannot be loaded or run here, so that nothing can be said about its results."""


class Spent(Unverifiable):
    """The time or memory allowed ran out, which says nothing about a model."""


class TimedOut(Spent):
    """A run that did not end before its deadline."""


class OutOfMemory(Spent):
    """A model that did not fit into the memory there was."""


def runtime_version() -> str:
    """The version of onnxruntime."""
    return str(onnxruntime.__version__)


def runtime_name() -> str:
    """The runtime and its version, as reports name it."""
    return f"onnxruntime {runtime_version()}"


class Session:
    """A model opened in onnxruntime on the CPU.

    ``optimized`` turns on every graph optimisation of the runtime, as in deployment; without it the model is
    executed node by node as written. ``deadline`` is a time of ``time.monotonic`` after which loading is
    given up. ``at`` is what messages call the model, ``kept`` a file for what the runtime makes of it,
    ``profile`` how a file begins into which it writes what each node took. Raises Unverifiable, with the
    runtime's own reason in one line, when the model does not load.
    """

    def __init__(
        self,
        source: ModelSource,
        *,
        optimized: bool = False,
        threads: int = 1,
        deadline: float | None = None,
        at: str = "model",
        kept: str = "",
        profile: str = "",
    ) -> None:
        self.at = at
        options = _options(optimized=optimized, threads=threads)
        options.optimized_model_filepath = kept
        if profile:
            options.enable_profiling, options.profile_file_prefix = True, profile
        try:
            self._session = _loaded(source, options, deadline=deadline, at=at)
        except Unverifiable as error:
            if UNKNOWN in error.found:
                raise _lacking(error, source) from error
            raise
        self._output_types = {o.name: o.type for o in self._session.get_outputs()}

    def profiled(self) -> str:
        """The file that says, in the runtime's JSON, what each node took in all runs so far; no run after."""
        return str(self._session.end_profiling())

    @property
    def output_names(self) -> tuple[str, ...]:
        """The graph outputs in order."""
        return tuple(self._output_types)

    def run(
        self,
        feeds: Mapping[str, Result],
        *,
        outputs: Sequence[str] | None = None,
        deadline: float | None = None,
    ) -> dict[str, Result]:
        """The named outputs (all when None) for these inputs.

        The runtime looks at ``deadline`` (a time of ``time.monotonic``) between two nodes. Raises TimedOut
        past it and Unverifiable, with the runtime's own reason, when the run fails.
        """
        names = list(self.output_names if outputs is None else outputs)
        options = onnxruntime.RunOptions()
        options.log_severity_level = _SILENT
        stop = _alarm(deadline, partial(_terminate, options), at=self.at)
        with _reported(self.at, "a run to the end", deadline=deadline), stop:
            return dict(zip(names, self._results(feeds, names, options), strict=True))

    def prepared(self, feeds: Mapping[str, Array]) -> Callable[[], object]:
        """The run of these inputs, into memory of its own: nothing but the run itself, to be timed.

        Runs it once. Raises Unverifiable, with the runtime's own reason, when that fails.
        """
        binding = self._session.io_binding()
        with _reported(self.at, "a run to the end", deadline=None):
            for name, array in feeds.items():
                binding.bind_ortvalue_input(name, _ort_value(array))
            for name in self.output_names:
                binding.bind_output(name)
            self._session.run_with_iobinding(binding)
            for name, result in zip(self.output_names, binding.get_outputs(), strict=True):
                binding.bind_ortvalue_output(name, result)
        return partial(self._session.run_with_iobinding, binding)

    def _results(
        self, feeds: Mapping[str, Result], names: list[str], options: onnxruntime.RunOptions
    ) -> list[Result]:
        if all(_has_numpy_type(self._output_types.get(name, "")) for name in names):
            given = {name: _input(array) for name, array in feeds.items()}
            return list(self._session.run(names, given, options))
        values = {name: _ort_value(array) for name, array in feeds.items()}
        return [_array(v) for v in self._session.run_with_ort_values(names, values, options)]


def check_libraries() -> None:
    """Load the libraries of operators that hold here.

    Raises InvalidModel, with the runtime's own reason, for one that cannot be.
    """
    for path in libraries():
        try:
            onnxruntime.SessionOptions().register_custom_ops_library(path)
        except _RUNTIME_ERRORS as error:
            raise unloadable(path, _one_line(error)) from error


def unloadable(path: str, reason: str) -> InvalidModel:
    """The error of a library that does not load."""
    return InvalidModel(path, found=reason, expected=f"a library of operators for {runtime_name()}")


def run_model(source: ModelSource, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every output of a model run once, node by node as written.

    Raises Unverifiable when the model does not load, does not run or returns something that is no tensor.
    """
    (results,) = run_each(source, [feeds])
    return results


def run_each(source: ModelSource, feeds: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    """Every output of a model for each of the feeds, as by ``run_model``."""
    session = Session(source)
    runs = [session.run(given) for given in feeds]
    for name, result in chain.from_iterable(results.items() for results in runs):
        if not isinstance(result, np.ndarray):
            raise Unverifiable(name, found=f"a {type(result).__name__}", expected="a tensor")
    return runs


def _loaded(
    source: ModelSource, options: onnxruntime.SessionOptions, *, deadline: float | None, at: str
) -> onnxruntime.InferenceSession:
    """The model opened. Raises Unverifiable with the runtime's reason."""
    with ExitStack() as stack, _reported(at, "a model that loads", deadline=deadline):
        for path in libraries():
            options.register_custom_ops_library(path)
        opened = openable(source, stack)
        if isinstance(source, Placed):
            options.add_session_config_entry(_DATA_FOLDER, source.folder)
        stack.enter_context(_alarm(deadline, partial(_cancel_load, options), at=at))
        return onnxruntime.InferenceSession(opened, sess_options=options, providers=["CPUExecutionProvider"])


def _lacking(error: Unverifiable, source: ModelSource) -> Unverifiable:
    """The error of a model with operators that the runtime does not know: it names the first alone."""
    names = [f"{domain}:{name}" for domain, name in foreign_operators(read(source)) if _is_new(domain, name)]
    if not names:
        return error
    named = ", ".join(names[:_MOST_NAMED]) + (
        f" and {more} more" if (more := len(names) - _MOST_NAMED) > 0 else ""
    )
    found = f"operators that {runtime_name()} does not know ({named})"
    return Unverifiable(error.at, found=found, expected="a library that has them (--custom-ops LIB)")


def _is_new(domain: str, op_type: str) -> bool:
    """Whether the runtime says that it does not know an operator."""
    options = _options(optimized=False, threads=1)
    try:
        _loaded(probe(domain, op_type), options, deadline=None, at=op_type)
    except Unverifiable as error:
        return UNKNOWN in error.found
    return False


def _options(*, optimized: bool, threads: int) -> onnxruntime.SessionOptions:
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads are idle
    options.log_severity_level = _SILENT
    return options


def _cancel_load(options: onnxruntime.SessionOptions) -> None:
    options.set_load_cancellation_flag(True)


def _terminate(options: onnxruntime.RunOptions) -> None:
    options.terminate = True


def openable(source: ModelSource, stack: ExitStack) -> str | bytes:
    """What InferenceSession takes: a path or bytes; a model too big for bytes goes through a folder."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, Placed):
        return source.data
    if not isinstance(source, onnx.ModelProto):
        return os.fspath(source)
    if source.ByteSize() <= _IN_MEMORY_LIMIT:
        return bytes(source.SerializeToString())
    folder = stack.enter_context(temporary_folder())
    copy = onnx.ModelProto()
    copy.CopyFrom(source)  # saving with external data empties the tensors of its argument
    onnx.save_model(copy, folder / "model.onnx", save_as_external_data=True, location="model.data")
    return str(folder / "model.onnx")


@contextmanager
def _alarm(deadline: float | None, ring: Callable[[], object], *, at: str) -> Iterator[None]:
    """Call ``ring`` from another thread if the deadline comes before the block ends."""
    if deadline is None:
        yield
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimedOut(at, found="no time left", expected="a run within the time allowed")
    timer = threading.Timer(left, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def _reported(at: str, expected: str, *, deadline: float | None) -> Iterator[None]:
    """Turn the runtime's errors into ours."""
    try:
        yield
    except Unverifiable:
        raise
    except _RUNTIME_ERRORS as error:
        if deadline is not None and time.monotonic() >= deadline:
            found = "a run past the time allowed"
            raise TimedOut(at, found=found, expected="a run within it") from error
        if _is_shortage(error):
            found = f"not enough memory ({_one_line(error)})"
            raise OutOfMemory(at, found=found, expected=expected) from error
        raise Unverifiable(at, found=_one_line(error), expected=expected) from error


def _is_shortage(error: Exception) -> bool:
    """Whether the runtime could not get the memory it asked for: it says so in words only."""
    words = ("bad_alloc", "bad allocation", "Failed to allocate memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def _one_line(error: Exception) -> str:
    """The runtime's message without its code, its source file and its line breaks."""
    text = " ".join(str(error).split()) or type(error).__name__
    if text.startswith("[ONNXRuntimeError]"):
        text = text.split(" : ", 3)[-1]
    text = " ".join(word for word in text.split(" ") if "onnxruntime_src" not in word)
    return text if len(text) <= _REASON_LIMIT else text[: _REASON_LIMIT - 1] + "…"


def _has_numpy_type(runtime_type: str) -> bool:
    """Whether onnxruntime can hand the type out as numpy: it has none for bfloat16 and narrower floats."""
    return not any(word in runtime_type for word in ("bfloat16", "float8", "float4", "int4", "int2"))


def _is_native(array: Array) -> bool:
    return array.dtype.kind != "V"  # the kind of every type that ml_dtypes adds


def _input(value: Result) -> object:
    """What the runtime takes for a value: sequences and absent optionals as they are."""
    if not isinstance(value, np.ndarray) or _is_native(value):
        return value
    return _ort_value(value)


def _ort_value(array: Array) -> onnxruntime.OrtValue:
    array = np.ascontiguousarray(array).reshape(array.shape)
    if _is_native(array):
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    kind = DataType.of(array.dtype)
    if kind.bits < 8:
        return _packed(array, kind)
    bits = array.view(np.uint16 if array.itemsize == 2 else np.uint8)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, int(kind))


def _packed(array: Array, kind: DataType) -> onnxruntime.OrtValue:
    """Several elements to a byte: the runtime knows no numpy array of that kind, so its memory is filled."""
    value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(array.shape, int(kind), "cpu")
    data = numpy_helper.from_array(array).raw_data
    ctypes.memmove(value.data_ptr(), data, len(data))
    return value


def _array(value: onnxruntime.OrtValue) -> Result:
    if not value.is_tensor() or _has_numpy_type(value.data_type()):
        return value.numpy()
    raw = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    packed = TensorProto(data_type=value.element_type(), dims=value.shape(), raw_data=raw)
    return numpy_helper.to_array(packed)
