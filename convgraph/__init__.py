"""convgraph: a model compiler for convolutional networks.

ONNX in, a networkx graph of typed operations, proven rewrites, ONNX out. Everything here is imported when it
is first used, so that ``import convgraph`` stays cheap.

    import convgraph as cg
    result = cg.optimize("model.onnx")
    cg.save(result.graph, "model.opt.onnx")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convgraph import exporters, passes
    from convgraph.compiler.locate import locate
    from convgraph.compiler.optimize import optimize
    from convgraph.compiler.result import OptimizeResult
    from convgraph.compiler.sources import load
    from convgraph.compiler.verify import verify
    from convgraph.errors import (
        ConvgraphError,
        InvalidModel,
        NotEquivalent,
        NotLowered,
        PassFailed,
        UnsupportedOp,
    )
    from convgraph.exporters.onnx_model import save, to_onnx
    from convgraph.exporters.torch_module import to_torch
    from convgraph.importers.torch_module import from_torch
    from convgraph.ir import ops
    from convgraph.ir.build import GraphBuilder
    from convgraph.ir.edit import Edit
    from convgraph.ir.graph import Graph, Use, Value
    from convgraph.ir.tensor import DataType, Tensor, TensorType
    from convgraph.numerics.compare import Verification
    from convgraph.passes.rewrite import Rewrite, requirement

    __version__: str

__all__ = [
    "ConvgraphError",
    "DataType",
    "Edit",
    "Graph",
    "GraphBuilder",
    "InvalidModel",
    "NotEquivalent",
    "NotLowered",
    "OptimizeResult",
    "PassFailed",
    "Rewrite",
    "Tensor",
    "TensorType",
    "UnsupportedOp",
    "Use",
    "Value",
    "Verification",
    "__version__",
    "exporters",
    "from_torch",
    "load",
    "locate",
    "ops",
    "optimize",
    "passes",
    "requirement",
    "save",
    "to_onnx",
    "to_torch",
    "verify",
]

_HOMES = {
    "convgraph.compiler.locate": ("locate",),
    "convgraph.compiler.optimize": ("optimize",),
    "convgraph.compiler.result": ("OptimizeResult",),
    "convgraph.compiler.sources": ("load",),
    "convgraph.compiler.verify": ("verify",),
    "convgraph.errors": (
        "ConvgraphError",
        "InvalidModel",
        "NotEquivalent",
        "NotLowered",
        "PassFailed",
        "UnsupportedOp",
    ),
    "convgraph.exporters.onnx_model": ("save", "to_onnx"),
    "convgraph.exporters.torch_module": ("to_torch",),
    "convgraph.importers.torch_module": ("from_torch",),
    "convgraph.ir.build": ("GraphBuilder",),
    "convgraph.ir.edit": ("Edit",),
    "convgraph.ir.graph": ("Graph", "Use", "Value"),
    "convgraph.ir.tensor": ("DataType", "Tensor", "TensorType"),
    "convgraph.numerics.compare": ("Verification",),
    "convgraph.passes.rewrite": ("Rewrite", "requirement"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = {
    "exporters": "convgraph.exporters",
    "ops": "convgraph.ir.ops",
    "passes": "convgraph.passes",
}


if not TYPE_CHECKING:  # a type checker would take any misspelt name for one that this function knows

    def __getattr__(name: str) -> Any:
        """Import a name of the face when it is first used."""
        value = _found(name)
        globals()[name] = value
        return value


def _found(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - slow to import, seldom needed

        return version("convgraph")
    if name not in _HOME and name not in _MODULES:
        raise AttributeError(f"module 'convgraph' has no attribute {name!r}")
    from convgraph.installed import part  # noqa: PLC0415 - the face imports nothing until it is used

    return part(_MODULES[name]) if name in _MODULES else getattr(part(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
