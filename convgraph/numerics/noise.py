"""A model's own rounding noise: how far its results move when what it reads moves by one rounding.

Where the derived tolerance does not cover a difference, because the network amplifies roundings or decides
on them (a comparison, an argmax, a floor), the reference is run again with its inputs and weights each moved
to a neighbouring float or left, at random. A rewrite that only rounds differently cannot be asked to do
better than that; one that is wrong differs by more, or in more places.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.deviation import Errors, errors, leaves, mismatch
from convgraph.numerics.session import ModelSource, Session
from convgraph.numerics.structure import read, required_inputs

FACTOR = 4.0
_RUNS = 3
_SIZE_LIMIT = 1_000_000_000  # bytes: a larger model's weights are not moved, only its inputs
_WEIGHTS = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2, 3, 4),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "PRelu": (1,),
}
_ARITHMETIC = ("Add", "Sub", "Mul", "Div")  # where a scalar beside what is no data may steer a size
_MEASURES = ("Shape", "Size")


@dataclass(frozen=True, slots=True)
class Noise:
    """Element-wise largest movement of each result, by the result's place."""

    movements: Mapping[str, Errors]

    def covers(self, place: str, distance: Errors, *, derived: float, counted: bool = False) -> bool:
        """Whether errors above the derived tolerance are the model's own noise.

        They are when none is more than FACTOR times the largest movement, and they are not many more than
        the elements which FACTOR times their movement carries past the tolerance. ``counted``: only their
        number matters (an index or a truth value that flips).
        """
        movement = self.movements.get(place)
        if movement is None or movement.shape != distance.shape:
            return False
        moved = int(np.count_nonzero(FACTOR * movement > derived))
        beyond = int(np.count_nonzero(distance > derived))
        small = counted or float(distance.max(initial=0.0)) <= self.bound(place)
        return small and beyond <= FACTOR * moved

    def bound(self, place: str) -> float:
        """FACTOR times the largest movement of a result; 0 when it was not measured."""
        movement = self.movements.get(place)
        return 0.0 if movement is None else FACTOR * float(movement.max(initial=0.0))


def measured_noise(
    source: ModelSource,
    feeds: Mapping[str, Array],
    wanted: Mapping[str, Array],
    *,
    seed: int,
    deadline: float | None = None,
) -> Noise:
    """How far ``wanted``, the results of a model on ``feeds``, move by one rounding of what it reads.

    Raises Unverifiable when the moved model does not run.
    """
    model = _with_weights(source)
    movements: dict[str, Errors] = {}
    for run in range(_RUNS):
        rng = np.random.default_rng([seed, run])
        moved = source if model is None else _moved(model, rng=rng)
        results = Session(moved, deadline=deadline).run(
            {name: nudged(array, rng=rng) for name, array in feeds.items()}, deadline=deadline
        )
        found = dict(leaf for name, result in results.items() for leaf in leaves(name, result))
        for place, reference in wanted.items():
            if place in found and mismatch(reference, found[place]) is None:
                movement = errors(reference, found[place])
                movements[place] = np.maximum(movements.get(place, movement), movement)
    return Noise(movements)


def nudged(array: Array, *, rng: np.random.Generator) -> Array:
    """Each element moved to the float above or below it, or left; zeros and what is no float stay."""
    if array.dtype.kind in "biucOSU" or not DataType.of(array.dtype).is_float:
        return array
    way = rng.integers(-1, 2, size=array.shape).astype(np.int8)
    toward = np.where(way > 0, np.inf, -np.inf).astype(array.dtype)
    return np.asarray(np.where((way == 0) | (array == 0), array, np.nextafter(array, toward)))


def _with_weights(source: ModelSource) -> onnx.ModelProto | None:
    model = read(source)
    external = any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer)
    if external and not isinstance(source, (bytes, onnx.ModelProto)):
        model = read(source, weights=True)
    return model if model.ByteSize() <= _SIZE_LIMIT else None


def _moved(model: onnx.ModelProto, *, rng: np.random.Generator) -> onnx.ModelProto:
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    weights = _weight_names(model)
    for name, tensor in _constants(moved):
        if name in weights and tensor.data_location != onnx.TensorProto.EXTERNAL:
            array = nudged(numpy_helper.to_array(tensor), rng=rng)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return moved


def _constants(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Initializers and Constant nodes, by the name of their value."""
    yield from ((tensor.name, tensor) for tensor in model.graph.initializer)
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], node.attribute[0].t


def _weight_names(model: onnx.ModelProto) -> set[str]:
    """The constants that are numbers of the function, none that may steer a size."""
    vectors = {name for name, tensor in _constants(model) if math.prod(tensor.dims) > 1}
    data = _data(model)
    names: set[str] = set()
    for node in model.graph.node:
        if node.op_type in _ARITHMETIC:
            names |= set(node.input) if data.intersection(node.input) else vectors.intersection(node.input)
        names.update(node.input[slot] for slot in _WEIGHTS.get(node.op_type, ()) if slot < len(node.input))
    return names


def _data(model: onnx.ModelProto) -> set[str]:
    """The values computed from the elements of an input, not from its shape."""
    data = set(required_inputs(model))
    for node in model.graph.node:
        if node.op_type not in _MEASURES and data.intersection(node.input):
            data.update(node.output)
    return data
