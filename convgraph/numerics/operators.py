"""Operators that neither ONNX nor the runtime has: libraries that bring them, and which ones are lacking.

Which libraries there are is a matter of a whole run. Its sessions are opened in many places that have no
other business with them, so they hold for all that is called inside a block.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import onnx
from onnx import helper

from convgraph.numerics.structure import nodes_within

Library = str | os.PathLike[str]

UNKNOWN = "is not a registered function/op"
"""What the runtime says of an operator that it does not have."""

_OPSET = 17  # any that every runtime of these years loads
_libraries: ContextVar[tuple[str, ...]] = ContextVar("libraries", default=())


def libraries() -> tuple[str, ...]:
    """The paths of the libraries that hold here."""
    return _libraries.get()


@contextmanager
def loading(paths: Sequence[Library]) -> Iterator[None]:
    """Have every session opened in the block, in the worker process too, load these shared libraries."""
    token = _libraries.set(tuple(str(Path(path).absolute()) for path in paths))
    try:
        yield
    finally:
        _libraries.reset(token)


def foreign_operators(model: onnx.ModelProto) -> list[tuple[str, str]]:
    """Domain and type of the operators in a model that are neither ONNX's nor functions of its own."""
    own = {(function.domain, function.name) for function in model.functions}
    nodes = [*nodes_within(model.graph.node), *(n for f in model.functions for n in nodes_within(f.node))]
    used = dict.fromkeys((node.domain, node.op_type) for node in nodes)
    return [
        (domain, name)
        for domain, name in used
        if (domain, name) not in own and not onnx.defs.has(name, "" if domain == "ai.onnx" else domain)
    ]


def probe(domain: str, op_type: str) -> onnx.ModelProto:
    """A model that shows, whatever else is wrong with it, whether the runtime has an operator."""
    node = helper.make_node(op_type, [], ["result"], domain=domain)
    graph = helper.make_graph([node], "probe", [], [helper.make_empty_tensor_value_info("result")])
    opsets = [helper.make_opsetid("", _OPSET)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
