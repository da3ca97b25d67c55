"""What error is allowed in a result: what the caller says, or what the model's sums suggest."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx

from convgraph.ir.tensor import Array, DataType
from convgraph.numerics.deviation import magnitude
from convgraph.numerics.parts import MEMBERS, Bound
from convgraph.numerics.structure import model_lengths
from convgraph.numerics.tolerance import LEAST, TIGHT, is_exact, tolerance


@dataclass(slots=True, kw_only=True)
class Limits:
    """The errors allowed in the results of ``model``.

    ``lengths`` are the accumulated roundings of each output, ``singles`` those of the longest sum alone on
    the way to it, read off the model when they are needed. ``rtol`` and ``atol`` replace what is derived
    from them; ``rtol`` has no meaning for a type that is exact, where a result is an index as likely as a
    quantity. ``coarse`` makes do with what is derived, without measuring.
    """

    model: onnx.ModelProto
    lengths: Mapping[str, float]
    rtol: float | None
    atol: float | None
    coarse: bool = False
    singles: Mapping[str, float] = field(default_factory=dict)

    @property
    def are_given(self) -> bool:
        """Whether the caller has set them."""
        return self.rtol is not None or self.atol is not None

    def allowed(self, place: str, want: Array) -> float:
        """The largest error allowed in one tensor."""
        if want.dtype.kind in "bOSU":
            return 0.0
        if self.are_given:
            relative = 0.0 if is_exact(DataType.of(want.dtype)) else self.rtol or 0.0
            return (self.atol or 0.0) + relative * magnitude(want)
        derived = self.derived(place, want)
        return max(derived.relative * magnitude(want), derived.step)

    def derived(self, place: str, want: Array) -> Bound:
        """What all sums on the way to a result may come to."""
        return _bound(want, length=_looked_up(self.lengths, place), safety=TIGHT)

    def least(self, place: str, want: Array) -> Bound:
        """What the longest sum alone may come to: beyond it, the model's own noise is measured.

        A result too small to show how far it moves has the derived bound at once.
        """
        if self.coarse or want.size < MEMBERS:
            return self.derived(place, want)
        if not self.singles:
            self.singles = model_lengths(self.model, combine=max)
        return _bound(want, length=_looked_up(self.singles, place), safety=LEAST)


def _bound(want: Array, *, length: float, safety: float) -> Bound:
    dtype = DataType.of(want.dtype)
    step = tolerance(dtype, length=length, scale=0.0, safety=safety)
    # one step is the floor, and must not count again for each unit of a magnitude
    relative = tolerance(dtype, length=length, scale=1.0, safety=safety)
    return Bound(relative, step)


def _looked_up(lengths: Mapping[str, float], place: str) -> float:
    """The length of the output that a place belongs to: ``y`` itself, ``y[0]`` inside it."""
    names = [name for name in lengths if place == name or place.startswith(f"{name}[")]
    return lengths[max(names, key=len)] if names else 1.0
