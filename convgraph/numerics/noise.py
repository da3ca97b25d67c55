"""A model's own rounding noise: how far its results move when what it reads moves by one rounding.

A network amplifies roundings, averages them out, or decides on them (a comparison, an argmax, a floor): by
how much, no formula knows. So the reference is run again with its inputs and weights each moved to a
neighbouring float or left, at random. A rewrite that only rounds differently cannot be asked to do better
than that; one that is wrong differs by more, or in more places.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.deviation import Errors, errors, mismatch
from convgraph.numerics.feeds import Feeds
from convgraph.numerics.reference import Trial, run
from convgraph.numerics.session import ModelSource, Session, TimedOut, Unverifiable
from convgraph.numerics.structure import computed, read

FACTOR = 4.0
RUNS = 3
MANY_RUNS = 12
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


@dataclass(frozen=True, slots=True)
class Noise:
    """Element-wise largest movement of each result, by the result's place."""

    movements: Mapping[str, Errors]

    def of(self, place: str) -> Errors | None:
        """The movement of a result; None where it is not known, or none of it moved: that excuses nothing."""
        movement = self.movements.get(place)
        return movement if movement is not None and movement.any() else None

    def explains(self, place: str, distance: Errors, *, derived: float) -> bool:
        """Whether the errors above a tolerance are no more in number than noise makes them.

        That is FACTOR times the elements which FACTOR times their movement carries past the tolerance.
        """
        movement = self.of(place)
        if movement is None:
            return False
        moved = int(np.count_nonzero(FACTOR * movement > derived))
        return int(np.count_nonzero(distance > derived)) <= FACTOR * moved

    def bound(self, place: str) -> float:
        """FACTOR times the largest movement of a result; 0 when it was not measured."""
        movement = self.movements.get(place)
        return 0.0 if movement is None else FACTOR * float(movement.max(initial=0.0))


def measured_noise(
    source: ModelSource,
    trials: Sequence[Trial],
    *,
    seed: int,
    runs: int = RUNS,
    deadline: float | None = None,
) -> list[Noise]:
    """How far the results of each trial of a model move by one rounding of what it reads, in so many runs.

    What does not run when moved is not measured. Raises TimedOut past the deadline (``time.monotonic``).
    """
    model = _with_weights(source)
    movements: list[dict[str, Errors]] = [{} for _ in trials]
    for number in range(runs):
        rng = np.random.default_rng([seed, number])
        session = _opened(source if model is None else _moved(model, rng=rng), deadline=deadline)
        for trial, known in zip(trials, movements, strict=True):
            feeds = {name: nudged(array, rng=rng) for name, array in trial.feeds.items()}
            for place, movement in _movements(session, trial, feeds, deadline=deadline):
                known[place] = np.maximum(known.get(place, movement), movement)
    return [Noise(known) for known in movements]


def _opened(model: ModelSource, *, deadline: float | None) -> Session | None:
    try:
        return Session(model, deadline=deadline)
    except TimedOut:
        raise
    except Unverifiable:
        return None


def _movements(
    session: Session | None, trial: Trial, feeds: Feeds, *, deadline: float | None
) -> Iterator[tuple[str, Errors]]:
    """The distance of each result from the trial's; nothing where the run fails or ends elsewhere."""
    try:
        found = {} if session is None else run(session, feeds, deadline=deadline)
    except TimedOut:
        raise
    except Unverifiable:
        return
    for place, reference in trial.results.items():
        if place in found and mismatch(reference, found[place]) is None:
            yield place, errors(reference, found[place])


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
    data = computed(model)
    names: set[str] = set()
    for node in model.graph.node:
        if node.op_type in _ARITHMETIC:
            names |= set(node.input) if data.intersection(node.input) else vectors.intersection(node.input)
        names.update(node.input[slot] for slot in _WEIGHTS.get(node.op_type, ()) if slot < len(node.input))
    return names
