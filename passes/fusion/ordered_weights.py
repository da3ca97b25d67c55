"""Parameters of convolutions with their channels in another order."""

from collections.abc import Sequence

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Value
from convgraph.ir.ops import Convolution, ConvTranspose
from convgraph.ir.tensor import Array


def with_channels(edit: Edit, parameter: Value | None, *, taken: Sequence[int]) -> Value | None:
    """The constant whose entry c along the first axis is the parameter's ``taken[c]``; None for None."""
    tensor = edit.graph.constant(parameter)
    return None if tensor is None else edit.constant(tensor.numpy()[list(taken)], like=parameter)


def with_outputs(edit: Edit, op: Convolution, weight: Value | None, *, taken: Sequence[int]) -> Value | None:
    """The constant weight whose output channel c is the weight's ``taken[c]``, of the same group.

    A ConvTranspose weight (C, M/group, *kernel) holds its output channels group by group along axis 1.
    """
    if not isinstance(op, ConvTranspose):
        return with_channels(edit, weight, taken=taken)
    tensor = edit.graph.constant(weight)
    assert tensor is not None
    array = tensor.numpy()
    grouped = array.reshape(op.group, -1, *array.shape[1:])
    places = np.asarray(taken).reshape(op.group, -1) % array.shape[1]
    parts = [block[:, own] for block, own in zip(grouped, places, strict=True)]
    return edit.constant(np.concatenate(parts), like=weight)


def of_inputs(op: Convolution, weight: Array, *, places: Sequence[int], count: int) -> Array:
    """The weight for ``count`` input channels, its channel c added to that numbered ``places[c]``.

    Each group's channels are added to those of the group of the same number.
    """
    transposed = isinstance(op, ConvTranspose)
    # One block a group, the input channels of the group in front: (group, C/group, …).
    grouped = weight.reshape(op.group, -1, *weight.shape[1:])
    blocks = grouped if transposed else np.moveaxis(grouped, 2, 1)
    inside = count // op.group
    wide = np.zeros((op.group, inside, *blocks.shape[2:]))
    for number, (block, own) in enumerate(zip(blocks, np.asarray(places).reshape(op.group, -1), strict=True)):
        np.add.at(wide[number], own - number * inside, block.astype(np.float64))
    back = wide if transposed else np.moveaxis(wide, 1, 2)
    shape = (count, *weight.shape[1:]) if transposed else (len(weight), inside, *weight.shape[2:])
    return back.reshape(shape).astype(weight.dtype)
