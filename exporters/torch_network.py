"""The module a graph becomes: one step for each operation, one parameter for each float constant."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from convgraph.errors import InvalidModel, UnsupportedOp
from convgraph.exporters import torch_layout, torch_pointwise, torch_windows
from convgraph.exporters.torch_pointwise import Meaning, Numbers, torch_dtype
from convgraph.ir import ops
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op
from convgraph.ir.ops.base import slots_of
from convgraph.ir.tensor import Tensor

MEANINGS: Mapping[type[Op], Meaning] = MappingProxyType(
    {**torch_pointwise.MEANINGS, **torch_layout.MEANINGS, **torch_windows.MEANINGS}
)
# Operands that steer an operation: no gradient reaches them, and PyTorch wants them as numbers.
_STEERING: Mapping[type[Op], frozenset[str]] = {
    ops.Clip: frozenset({"low", "high"}),
    ops.Dropout: frozenset({"ratio", "training_mode"}),
    ops.Expand: frozenset({"shape"}),
    ops.Pad: frozenset({"pads", "constant_value", "axes"}),
    ops.Reduction: frozenset({"axes"}),
    ops.Reshape: frozenset({"shape"}),
    ops.Resize: frozenset({"roi", "scales", "sizes"}),
    ops.Slice: frozenset({"starts", "ends", "axes", "steps"}),
    ops.Split: frozenset({"split"}),
    ops.Squeeze: frozenset({"axes"}),
    ops.Unsqueeze: frozenset({"axes"}),
}
_STATISTICS = frozenset({"mean", "var"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation, values by number: what it reads, makes, and lets go of.

    An operand is a value's number, the numbers of a steering constant, or None; ``steering`` are the slots
    whose values are read as numbers when the step runs.
    """

    op: Op
    operands: tuple[int | tuple[float, ...] | None, ...]
    steering: frozenset[int]
    results: tuple[int, ...]
    released: tuple[int, ...]


class Network(nn.Module):
    """A graph as a PyTorch module. Arguments (*inputs) and results as ``to_torch`` says.

    Raises UnsupportedOp, naming the node, for an operation that has no form in PyTorch here.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.onnx_names: dict[str, str] = {}
        numbers = {value: i for i, value in enumerate(_values(graph))}
        defaulted = [v for v in graph.inputs if isinstance(op := graph.producer(v), ops.Input) and op.default]
        required = [value for value in graph.inputs if value not in defaulted]
        self.input_names = tuple(graph.value_name(value) for value in (*required, *defaulted))
        self.output_names = tuple(graph.value_name(value) for value in graph.outputs)
        self._required = len(required)
        self._inputs = tuple(numbers[value] for value in (*required, *defaulted))
        self._outputs = tuple(numbers[value] for value in graph.outputs)
        self._held: dict[int, str] = {}
        for value in _data(graph):
            self._held[numbers[value]] = self._hold(graph, value)
        self._steps = _steps(graph, numbers, kept={*self._held, *self._inputs, *self._outputs})

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """The graph's output, or a tuple of them. Raises InvalidModel for a wrong number of inputs."""
        if not self._required <= len(inputs) <= len(self._inputs):
            found = f"{len(inputs)} inputs"
            raise InvalidModel("forward", found=found, expected=f"inputs {', '.join(self.input_names)}")
        values: dict[int, torch.Tensor] = {n: getattr(self, name) for n, name in self._held.items()}
        values.update(zip(self._inputs, inputs, strict=False))
        for step in self._steps:
            _run(step, values)
        outputs = tuple(values[number] for number in self._outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def _hold(self, graph: Graph, value: Value) -> str:
        """Register a constant; the name it is registered under."""
        op, onnx_name = graph.producer(value), graph.value_name(value)
        tensor = (
            op.tensor if isinstance(op, ops.Constant) else op.default if isinstance(op, ops.Input) else None
        )
        assert tensor is not None
        name = self._free_name(onnx_name)
        data = _tensor(tensor, at=onnx_name)
        if data.is_floating_point() and not _is_statistic(graph, value):
            self.register_parameter(name, nn.Parameter(data))
        else:
            self.register_buffer(name, data)
        self.onnx_names[name] = onnx_name
        return name

    def _free_name(self, onnx_name: str) -> str:
        stem = re.sub(r"\W", "_", onnx_name) or "constant"
        stem = f"_{stem}" if stem[0].isdigit() else stem
        name, number = stem, 0
        while hasattr(self, name):  # another constant, or something every module has
            number += 1
            name = f"{stem}_{number}"
        return name


def _run(step: Step, values: dict[int, torch.Tensor]) -> None:
    operands: list[torch.Tensor | Numbers | None] = []
    for slot, operand in enumerate(step.operands):
        if not isinstance(operand, int):
            operands.append(operand)
        elif slot in step.steering:
            operands.append(values[operand].reshape(-1).tolist())
        else:
            operands.append(values[operand])
    found = MEANINGS[type(step.op)](step.op, *operands)
    results = found if isinstance(found, tuple) else (found,)
    values.update(zip(step.results, results, strict=False))
    for number in step.released:
        values.pop(number, None)


# ---- taking a graph apart ----


def _values(graph: Graph) -> list[Value]:
    return list(chain.from_iterable(graph.results(node) for node in graph.nodes()))


def _steps(graph: Graph, numbers: Mapping[Value, int], *, kept: set[int]) -> tuple[Step, ...]:
    nodes = list(graph.compute_nodes())
    last = {v: node for node in nodes for v in (*graph.results(node), *graph.operands(node)) if v is not None}
    dead: dict[int, list[int]] = {}
    for value, node in last.items():
        if numbers[value] not in kept:
            dead.setdefault(node, []).append(numbers[value])
    return tuple(_step(graph, node, numbers, released=tuple(dead.get(node, ()))) for node in nodes)


def _step(graph: Graph, node: int, numbers: Mapping[Value, int], *, released: tuple[int, ...]) -> Step:
    op = graph.op(node)
    reason = _refusal(graph, node)
    if reason is not None:
        raise UnsupportedOp(graph.describe(node), found=reason, expected="one that PyTorch can take over")
    steering = _steering_slots(op)
    operands: list[int | tuple[float, ...] | None] = []
    for slot, value in enumerate(graph.operands(node)):
        tensor = graph.constant(value) if slot in steering else None
        if tensor is not None:
            operands.append(tuple(np.asarray(tensor.numpy()).reshape(-1).tolist()))
        else:
            operands.append(None if value is None else numbers[value])
    results = tuple(numbers[value] for value in graph.results(node))
    return Step(op=op, operands=tuple(operands), steering=steering, results=results, released=released)


def _steering_slots(op: Op) -> frozenset[int]:
    """The operand slots of an operation, its fused activation's included, that are read as numbers."""
    if isinstance(op, ops.Convolution) and op.activation is not None:
        return frozenset(3 + slot - 1 for slot in _steering_slots(op.activation))
    named = next((names for kind, names in _STEERING.items() if isinstance(op, kind)), frozenset())
    return frozenset(slot for slot, name in enumerate(slots_of(op).names) if name in named)


def _data(graph: Graph) -> list[Value]:
    """Constants, and defaults of inputs, that flow through the graph as tensors."""
    found = []
    for node in graph.nodes():
        op = graph.op(node)
        for value in graph.results(node):
            defaulted = isinstance(op, ops.Input) and op.default is not None
            if defaulted or (isinstance(op, ops.Constant) and _is_data(graph, value)):
                found.append(value)
    return found


def _is_data(graph: Graph, value: Value) -> bool:
    uses = graph.readers(value)
    steers = (use.slot in _steering_slots(graph.op(use.node)) for use in uses)
    return graph.is_output(value) or not all(steers)


def _is_statistic(graph: Graph, value: Value) -> bool:
    """Whether a constant is nothing but the mean or variance of batch normalisations."""
    uses = graph.readers(value)
    roles = (
        isinstance(op := graph.op(use.node), ops.BatchNormalization)
        and slots_of(op).names[use.slot] in _STATISTICS
        for use in uses
    )
    return bool(uses) and all(roles)


def _tensor(tensor: Tensor, *, at: str) -> torch.Tensor:
    """A copy of a constant in PyTorch."""
    dtype = torch_dtype(tensor.dtype)
    if dtype is None:
        raise UnsupportedOp(at, found=f"a constant of {tensor.dtype.label}", expected="a type PyTorch has")
    array = np.array(tensor.numpy())
    if array.dtype.kind != "V":
        return torch.from_numpy(array)
    bits = array.view(np.int16 if array.dtype.itemsize == 2 else np.uint8)  # numpy's own types have no name
    return torch.from_numpy(bits).view(dtype)


# ---- what has no form ----


def _refusal(graph: Graph, node: int) -> str | None:
    """What keeps a node from PyTorch; None when nothing does."""
    op = graph.op(node)
    if type(op) not in MEANINGS:
        return "no form in PyTorch"
    if isinstance(op, ops.Convolution | ops.Pool) and op.spatial_rank not in (1, 2, 3):
        return f"{op.spatial_rank} spatial axes"
    if isinstance(op, ops.Resize):
        return _resize_refusal(op)
    if isinstance(op, ops.Cast) and (torch_dtype(op.to) is None or (op.to.is_float and op.to.bits < 16)):
        return f"a cast to {op.to.label}"
    return _dropout_refusal(graph, graph.operands(node)) if isinstance(op, ops.Dropout) else None


def _resize_refusal(op: ops.Resize) -> str | None:
    if op.coordinate_transformation_mode == "tf_crop_and_resize":
        return "a crop"
    return None if op.keep_aspect_ratio_policy == "stretch" else "sizes that keep the aspect ratio"


def _dropout_refusal(graph: Graph, operands: Sequence[Value | None]) -> str | None:
    mode = operands[2] if len(operands) > 2 else None
    if mode is None:
        return None
    tensor = graph.constant(mode)
    return None if tensor is not None and not tensor.numpy().any() else "training mode"
