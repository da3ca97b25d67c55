"""How a PyTorch module arrives: settled on a copy, captured by torch.export, read as ONNX.

    module -> copy, its weights plain tensors -> ExportedProgram -> ONNX -> Graph

The translation of ATen to ONNX is PyTorch's own (``torch.onnx.export(dynamo=True)``, which needs onnxscript),
without its rewrites: those are convgraph's to make and to prove. What PyTorch's exporter cannot say is
settled before it runs. Parametrizations become the tensors they compute, weights that ``forward`` overwrites
in place (masks) take the values they end up with, branches on weights alone go as the weights say
(torch_decisions), and linear algebra on them (the inverse of an invertible convolution, its log-determinant)
is computed in float64 (torch_algebra). Needs the extra ``convgraph[torch]``.
"""

import copy
import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from convgraph.errors import ConvgraphError, InvalidModel, UnsupportedOp
from convgraph.importers.onnx_model import from_onnx
from convgraph.importers.torch_algebra import done_on_weights
from convgraph.importers.torch_decisions import Decisions
from convgraph.ir.graph import Graph

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

_PACKAGES = ("torch", "onnxscript")


def from_torch(
    module: "torch.nn.Module",
    example_inputs: "torch.Tensor | tuple[Any, ...]",
    *,
    dynamic_shapes: Any = None,
    opset: int | None = None,
) -> Graph:
    """The Graph of a PyTorch module in evaluation mode; the module stays as it is.

    ``example_inputs`` are the positional arguments of ``forward``, ``dynamic_shapes`` says as in
    ``torch.export.export`` which of their dimensions may vary, ``opset`` is the version of ONNX's operator
    set (PyTorch's choice when None). Weights keep the names they have in the module's ``state_dict``.

    Raises ConvgraphError when PyTorch or onnxscript is not installed, InvalidModel for a module in training
    mode (whose dropout and batch statistics are no function of the input alone), UnsupportedOp for one that
    changes its own state at every call, that inverts a singular matrix or that PyTorch cannot export. Warns
    of an inverse of a matrix with a condition number of 1e4 or more.
    """
    _require_packages()
    _require_evaluation(module)
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    with _quiet():
        settled, decisions = _settled(module, inputs)
        at = type(module).__name__
        program = _captured(settled, inputs, dynamic_shapes, decisions=decisions, at=at)
        model = _translated(program, dynamic_shapes, opset=opset, at=at)
        return from_onnx(model)


def _require_packages() -> None:
    for package in _PACKAGES:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            found, expected = f"{package} is not installed", "pip install 'convgraph[torch]'"
            raise ConvgraphError("from_torch", found=found, expected=expected) from error


def _require_evaluation(module: "torch.nn.Module") -> None:
    for name, part in module.named_modules():
        if part.training:
            at = f"{type(module).__name__}{'.' if name else ''}{name}"
            raise InvalidModel(at, found="training mode", expected="a module after module.eval()")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what PyTorch's exporter says of its own code from the user, who cannot change it."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# ---- settling: weights become plain tensors that stay ----


def _settled(module: "torch.nn.Module", inputs: tuple[Any, ...]) -> "tuple[torch.nn.Module, Decisions]":
    """A copy whose weights are plain tensors that another call does not change, and what they decide."""
    import torch  # noqa: PLC0415 - torch is imported when a module is

    with torch.no_grad(), torch.random.fork_rng():
        twin = copy.deepcopy(module, _derived_tensors(module))
        for part in list(twin.modules()):
            _resolve_parametrizations(part)
        twin(*_copied(inputs))
        before = {name: tensor.clone() for name, tensor in _state(twin).items()}
        decisions = Decisions(_state(twin).values())
        with _watching(decisions):
            twin(*_copied(inputs))
        for name, tensor in _state(twin).items():
            old = before.get(name)
            if old is None or not ((tensor == old) | ((tensor != tensor) & (old != old))).all():
                at, found = f"{type(module).__name__}.{name}", "a tensor that every call changes"
                raise UnsupportedOp(at, found=found, expected="a function of the input")
    return twin, decisions


@contextmanager
def _watching(decisions: Decisions) -> Iterator[None]:
    """Let the decisions see every call on tensors."""
    from torch.overrides import TorchFunctionMode  # noqa: PLC0415

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            decisions.watch(func, args, kwargs or {}, result=result)
            return result

    with Watch():
        yield


def _copied(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Inputs that ``forward`` may write on."""
    import torch  # noqa: PLC0415

    return copy.deepcopy(inputs, {id(x): x.detach().clone() for x in inputs if isinstance(x, torch.Tensor)})


def _state(module: "torch.nn.Module") -> "dict[str, torch.Tensor]":
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _derived_tensors(module: "torch.nn.Module") -> dict[int, Any]:
    """Copies of the tensors that hooks have computed: Python can copy only those that are not computed."""
    import torch  # noqa: PLC0415

    held = (value for part in module.modules() for value in vars(part).values())
    return {id(t): t.detach().clone() for t in held if isinstance(t, torch.Tensor) and not t.is_leaf}


def _resolve_parametrizations(part: "torch.nn.Module") -> None:
    """Make each parametrized tensor the one it stands for, whichever of PyTorch's two ways computes it."""
    from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm  # noqa: PLC0415

    if parametrize.is_parametrized(part):
        _with_own_class(part)
        for name in list(part.parametrizations):  # type: ignore[arg-type]  # a ModuleDict: its names
            parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    removers = {"WeightNorm": remove_weight_norm, "SpectralNorm": remove_spectral_norm}
    for hook in list(part._forward_pre_hooks.values()):  # noqa: SLF001 - PyTorch tells of them nowhere else
        remove = removers.get(type(hook).__name__)
        if remove is not None:
            remove(part, getattr(hook, "name", "weight"))


def _with_own_class(part: "torch.nn.Module") -> None:
    """Give a parametrized module its own class: removal changes the class, which a copy shares."""
    shared = type(part)
    own = {name: value for name, value in vars(shared).items() if name not in ("__dict__", "__weakref__")}
    part.__class__ = type(shared.__name__, shared.__bases__, own)


# ---- capturing: one call, as a graph of ATen operations ----


def _captured(
    module: "torch.nn.Module",
    inputs: tuple[Any, ...],
    dynamic_shapes: Any,
    *,
    decisions: Decisions,
    at: str,
) -> "ExportedProgram":
    """The program of one call, in which linear algebra on weights alone is done."""
    import torch  # noqa: PLC0415

    try:
        with torch.no_grad(), _still_weights(module, decisions):
            program = torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes)
            plain = _without_algebra(program, at=at)
            if plain is None:
                return program
            return torch.export.export(plain, inputs, dynamic_shapes=dynamic_shapes)
    except RuntimeError as error:  # what torch.export raises, or an operation that fails on example_inputs
        raise UnsupportedOp(at, found=_first_line(error), expected="a module torch.export takes") from error


def _without_algebra(program: "ExportedProgram", *, at: str) -> "torch.fx.GraphModule | None":
    """A program as a module, linear algebra on its weights done; None where there is none.

    What becomes of weights that are written in place shows once every operation is a function: such a program
    is spelled out in simpler ones, which a program that can stay as it is need not be.
    """
    plain = program.module(check_guards=False)
    done, left = done_on_weights(plain, at=at)
    if left:
        plain = program.run_decompositions({}).module(check_guards=False)
        done, _ = done_on_weights(plain, at=at)
    return plain if done else None


@contextmanager
def _still_weights(module: "torch.nn.Module", decisions: Decisions) -> Iterator[None]:
    """Let weights decide what they do, and changes of them pass: they have their final values already."""
    import torch  # noqa: PLC0415
    from torch.overrides import TorchFunctionMode  # noqa: PLC0415

    data = torch.Tensor.data

    class Still(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            if args and isinstance(args[0], torch.nn.Parameter):
                if func == data.__get__:  # type: ignore[attr-defined]  # declared a tensor, is a descriptor
                    return args[0].detach().clone()
                if func == data.__set__:  # type: ignore[attr-defined]
                    return None
                if _writes(getattr(func, "__name__", "")):
                    return args[0]
            decided = decisions.answer(func, args)
            if decided is not None:
                return decided
            result = func(*args, **(kwargs or {}))
            decisions.follow(args, kwargs or {}, result=result)
            return result

    beginning = module.register_forward_pre_hook(lambda *_: decisions.start())
    try:
        with Still():
            yield
    finally:
        beginning.remove()


def _writes(name: str) -> bool:
    """Whether a tensor method of this name writes the elements of its tensor."""
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in _NOT_IN_PLACE)
    return name.endswith("_") and name not in ("requires_grad_", "detach_")


_NOT_IN_PLACE = ("__init__", "__invert__", "__index__", "__int__", "__iter__")


# ---- translating: ATen to ONNX ----


def _translated(program: "ExportedProgram", dynamic_shapes: Any, *, opset: int | None, at: str) -> Any:
    """The ModelProto of a program, its shape arithmetic folded and nothing else rewritten."""
    import torch  # noqa: PLC0415
    from onnxscript import optimizer  # noqa: PLC0415

    _generalise_conv3d(program)
    try:
        result = torch.onnx.export(
            program,
            (),
            dynamo=True,
            optimize=False,
            verbose=False,
            opset_version=opset,
            dynamic_shapes=dynamic_shapes,  # captured already: this is for the names of dimensions
        )
    except torch.onnx.OnnxExporterError as error:
        found = f"PyTorch's exporter fails ({_first_line(error.__cause__ or error)})"
        raise UnsupportedOp(at, found=found, expected="operations that ONNX can say") from error
    assert result is not None
    optimizer.fold_constants(result.model)
    optimizer.remove_unused_nodes(result.model)
    return result.model_proto


def _generalise_conv3d(program: "ExportedProgram") -> None:
    """Say conv3d as a convolution over any axes: PyTorch gives one without a bias a bias of shape (M, 2)."""
    import torch  # noqa: PLC0415

    aten = torch.ops.aten
    for node in program.graph.find_nodes(op="call_function", target=aten.conv3d.default):
        names = ("bias", "stride", "padding", "dilation", "groups")
        given = {**dict(zip(names, node.args[2:], strict=False)), **node.kwargs}
        window = (given.get("stride", [1]), given.get("padding", [0]), given.get("dilation", [1]))
        node.target, node.kwargs = aten.convolution.default, {}
        node.args = (*node.args[:2], given.get("bias"), *window, False, [0], given.get("groups", 1))
    program.graph_module.recompile()


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
