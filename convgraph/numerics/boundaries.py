"""Where the changes in a rewritten model end: the values there that both models have by name.

A rewrite keeps the name of a value only while it is the same tensor. So what a changed node makes under a
name of the original can be compared inside, where a fault stands out that drowns on the way to the outputs.
What a changed node reads needs no look of its own: it is an input, made by another changed node, or by
unchanged ones from such values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, numpy_helper
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from convgraph.numerics.structure import named_tensors

_PIECE = 1 << 20  # bytes
_ONNX = ("", "ai.onnx")
_NEUTRAL = {"strides": 1, "dilations": 1, "pads": 0}


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models, and where its external data lies."""

    model: onnx.ModelProto
    folder: Path

    def constants(self) -> dict[str, TensorProto]:
        """The tensors that are values, by name."""
        return {name: tensor for tensor, name in named_tensors(self.model) if name}

    def made(self) -> dict[str, NodeProto]:
        """The node that computes each value."""
        nodes = (node for node in self.model.graph.node if node.op_type != "Constant")
        return {name: node for node in nodes for name in node.output if name}

    def said(self, node: NodeProto) -> tuple[object, ...]:
        """What a node does and to which values, whether its attributes are left out or written out."""
        opset = next((o.version for o in self.model.opset_import if o.domain in _ONNX), 1)
        defaults = _defaults(node, opset)
        written = (
            attribute.SerializeToString(deterministic=True)
            for attribute in node.attribute
            if attribute != defaults.get(attribute.name) and not _is_implied(attribute, node)
        )
        return node.domain, node.op_type, tuple(node.input), tuple(node.output), tuple(sorted(written))


def boundaries(before: Side, after: Side) -> list[str]:
    """The values of both models that a changed node of ``after`` makes, in its order.

    The outputs of the models are not among them, nor are inputs and constants.
    """
    old = before.made()
    outputs = {o.name for side in (before, after) for o in side.model.graph.output}
    made = (name for node in changed_nodes(before, after) for name in node.output)
    return [name for name in made if name in old and name not in outputs]


def changed_nodes(before: Side, after: Side) -> Iterator[NodeProto]:
    """The nodes of ``after`` that ``before`` has not: another operator, operand, attribute or constant."""
    old, weights = before.made(), _same_constants(before, after)
    for node in after.model.graph.node:
        if node.op_type == "Constant":
            continue
        counterpart = next((old[name] for name in node.output if name in old), None)
        same = counterpart is not None and before.said(counterpart) == after.said(node)
        if not (same and all(weights.get(name, True) for name in node.input)):
            yield node


def _defaults(node: NodeProto, opset: int) -> dict[str, AttributeProto]:
    """The attributes that an operator of ONNX has where a node does not say."""
    if node.domain not in _ONNX or not onnx.defs.has(node.op_type, max_inclusive_version=opset):
        return {}
    schema = onnx.defs.get_schema(node.op_type, max_inclusive_version=opset)
    return {name: attribute.default_value for name, attribute in schema.attributes.items()}


def _is_implied(attribute: AttributeProto, node: NodeProto) -> bool:
    """Whether a window says no more than one that does not say it."""
    if attribute.name == "kernel_shape":
        return node.op_type in ("Conv", "ConvTranspose")
    return attribute.name in _NEUTRAL and set(attribute.ints) <= {_NEUTRAL[attribute.name]}


def _same_constants(before: Side, after: Side) -> Mapping[str, bool]:
    """For each constant of ``after`` whether ``before`` has it, too."""
    old, known = before.constants(), {}
    for name, tensor in after.constants().items():
        other = old.get(name)
        known[name] = other is not None and _same(other, before.folder, tensor, after.folder)
    return known


def _same(one: TensorProto, here: Path, other: TensorProto, there: Path) -> bool:
    if one.data_type != other.data_type or one.dims != other.dims:
        return False
    pairs = zip_longest(_pieces(one, here), _pieces(other, there))
    return all(mine == theirs for mine, theirs in pairs)


def _pieces(tensor: TensorProto, folder: Path) -> Iterator[bytes]:
    """The elements of a tensor as bytes, never all of a large one at a time."""
    if not uses_external_data(tensor):
        whole = tensor.raw_data or np.ascontiguousarray(numpy_helper.to_array(tensor)).tobytes()
        yield from (whole[start : start + _PIECE] for start in range(0, len(whole), _PIECE))
        return
    info = ExternalDataInfo(tensor)
    with (folder / info.location).open("rb") as file:
        file.seek(info.offset or 0)
        left = info.length
        while piece := file.read(_PIECE if left is None else min(left, _PIECE)):
            left = None if left is None else left - len(piece)
            yield piece
