"""Two models that are to be compared, and whether a caller could exchange them."""

from dataclasses import dataclass

from onnx import ModelProto, numpy_helper

from convgraph.ir.tensor import Array
from convgraph.numerics.declared import Declared, declared
from convgraph.numerics.session import ModelSource, Unverifiable
from convgraph.numerics.structure import accepts, model_lengths, overridable_inputs, read, required_inputs
from convgraph.numerics.verdict import Different, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two models as they came and as protos."""

    before: ModelSource
    after: ModelSource
    old: ModelProto
    new: ModelProto

    def lengths(self) -> dict[str, float]:
        """Accumulated roundings of each output, the larger number of the two models."""
        old, new = model_lengths(self.old), model_lengths(self.new)
        return {name: max(length, new.get(name, 0.0)) for name, length in old.items()}

    def declared(self) -> Declared:
        """What a rewrite of the original may err by more than it rounds."""
        return declared(self.old, self.new)

    def check_interface(self) -> None:
        """Refuse models that a caller could not exchange."""
        outputs = [o.name for o in self.old.graph.output], [o.name for o in self.new.graph.output]
        if outputs[0] != outputs[1]:
            raise Different("outputs", listed(outputs[1]), listed(outputs[0]))
        inputs = list(old := required_inputs(self.old)), list(new := required_inputs(self.new))
        if inputs[0] != inputs[1]:
            raise Different("inputs", listed(inputs[1]), listed(inputs[0]))
        for name, asked in new.items():
            given = old[name]
            if asked is not None and given is not None and not accepts(asked, given):
                raise Different("inputs", f"{name} of type {asked}", f"type {given}")
        if not outputs[0]:
            raise Unverifiable("outputs", found="none", expected="something to compare")

    def defaults(self) -> dict[str, Array]:
        """The float initializers that a caller may override in both."""
        shared = overridable_inputs(self.old).keys() & overridable_inputs(self.new).keys()
        if not shared:
            return {}
        complete = overridable_inputs(read(self.before, weights=True))
        return {name: numpy_helper.to_array(complete[name]) for name in sorted(shared)}
