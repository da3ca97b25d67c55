"""Two models too large to run compared region by region: only what was changed, one piece at a time.

What is not in a region is the same node with the same constants in both. A region is fed with inputs made up
for it, which need not be such as the rest of the model makes: so regions that differ do not say that the
models do, only that nobody knows.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import onnx
from networkx.utils import UnionFind
from onnx import NodeProto, helper

from convgraph.ir.tensor import TensorType
from convgraph.numerics.boundaries import Side, changed_nodes
from convgraph.numerics.pair import Pair
from convgraph.numerics.placed import Placed, folder_of
from convgraph.numerics.session import Unverifiable
from convgraph.numerics.structure import read, value_types
from convgraph.numerics.verdict import Different, OutputComparison, Verification

SLACK = 16.0  # made-up inputs cancel where the model's own do not; a fault here is a hundred times larger
_INITIALIZERS_ALONE = 4  # the IR version from which an initializer need not be an input

Compare = Callable[[Pair], Sequence[OutputComparison]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Changed nodes, the values they read from elsewhere, and those of both models that they make."""

    nodes: Sequence[NodeProto]
    inputs: Sequence[str]
    outputs: Sequence[str]


def available_memory() -> int | None:
    """Bytes that the system could give a process now; None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def verified_in_regions(pair: Pair, *, verdict: Verification, compare: Compare) -> Verification:
    """The verdict on two models that keep the names of values, from those on their changed regions.

    Equal when every region is. Raises Unverifiable where one cannot be cut out, compared or found equal.
    """
    pair.check_interface()
    before, after = (Side(m, folder_of(s)) for m, s in ((pair.old, pair.before), (pair.new, pair.after)))
    _refuse_other_foundations(before, after)
    types, compared = value_types(pair.old), list[OutputComparison]()
    found = list(regions(before, after))
    for number, region in enumerate(found, start=1):
        old, new = (_cut(side, region, types) for side in (before, after))
        try:
            compared += compare(Pair(before=old, after=new, old=read(old), new=read(new)))
        except Different as error:
            at, wrong = f"region {number} of {len(found)}, to {region.outputs[0]}", str(error.disagreement)
            raise Unverifiable(at, found=wrong, expected="the same results on made-up inputs") from error
    text = f"{verdict.reference}; too large to run whole: {len(found)} changed regions, one at a time"
    return Verification(status="equal", reference=text, trials=verdict.trials, outputs=tuple(compared))


def _refuse_other_foundations(before: Side, after: Side) -> None:
    """Only where operators mean the same is an unchanged node one; only computed outputs are looked at."""
    for field in ("opset_import", "functions"):
        one, other = (sorted(map(repr, getattr(side.model, field))) for side in (before, after))
        if one != other:
            raise Unverifiable(field, found="others in the result", expected="the same, to compare parts")
    made = before.made().keys() & after.made().keys()
    for output in after.model.graph.output:
        if output.name not in made:
            raise Unverifiable(output.name, found="an output that is not computed", expected="one that is")


def regions(before: Side, after: Side) -> Iterator[Region]:
    """Changed nodes that pass values to each other which the original does not have, set by set."""
    old, changed = before.made(), list(changed_nodes(before, after))
    makers = {name: number for number, node in enumerate(changed) for name in node.output}
    together = UnionFind(range(len(changed)))
    for number, node in enumerate(changed):
        for name in _read(node):
            if name in makers and name not in old:
                together.union(number, makers[name])
    order = sorted(range(len(changed)), key=lambda number: together[number])
    sets = [[changed[n] for n in sorted(same)] for _, same in groupby(order, key=lambda n: together[n])]
    constants = after.constants()
    for nodes in sets:
        made = {name for node in nodes for name in node.output}
        read = dict.fromkeys(name for node in nodes for name in _read(node))
        inputs = [name for name in read if name not in made and name not in constants]
        if outputs := [name for node in nodes for name in node.output if name in old]:
            yield Region(nodes=nodes, inputs=inputs, outputs=outputs)


def _read(node: NodeProto) -> list[str]:
    """What a node reads. Raises Unverifiable for one whose body may read anything."""
    if any(a.HasField("g") or a.graphs for a in node.attribute):
        raise Unverifiable(node.output[0], found="a body in what was changed", expected="a region to cut out")
    return [name for name in node.input if name]


def _cut(side: Side, region: Region, types: Mapping[str, TensorType]) -> Placed:
    """What one of the models has between the inputs and the outputs of a region, as a model."""
    known, made, kept = side.constants(), side.made(), set[str]()
    wanted, given = list(region.outputs), set(region.inputs)
    while wanted:
        name = wanted.pop()
        if name in known:
            kept.add(name)
        elif name not in given and name not in kept:
            if name not in made:
                raise Unverifiable(name, found="a value from outside a region", expected="one made in it")
            kept.update(made[name].output)
            wanted += _read(made[name])
    graph = onnx.GraphProto(name="region")
    graph.node.extend(node for node in side.model.graph.node if not kept.isdisjoint(node.output))
    graph.initializer.extend(tensor for tensor in side.model.graph.initializer if tensor.name in kept)
    graph.input.extend(_typed(name, types) for name in region.inputs)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in region.outputs)
    version = max(side.model.ir_version, _INITIALIZERS_ALONE)
    part = onnx.ModelProto(graph=graph, ir_version=version, functions=side.model.functions)
    part.opset_import.extend(side.model.opset_import)
    return Placed(part.SerializeToString(), os.fspath(side.folder.absolute()))


def _typed(name: str, types: Mapping[str, TensorType]) -> onnx.ValueInfoProto:
    type_ = types.get(name)
    if type_ is None:
        raise Unverifiable(name, found="a value of unknown type", expected="one that inference can type")
    return helper.make_tensor_value_info(name, int(type_.dtype), type_.shape)
