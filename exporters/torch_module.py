"""How a graph leaves for PyTorch: as a ``torch.nn.Module`` with the graph's constants as its parameters.

PyTorch is imported when the first graph leaves; without it everything else works.
"""

import importlib
from typing import TYPE_CHECKING

from convgraph.errors import ConvgraphError
from convgraph.ir.graph import Graph

if TYPE_CHECKING:
    from convgraph.exporters.torch_network import Network


def to_torch(graph: Graph) -> "Network":
    """A ``torch.nn.Module`` that computes what the graph does, to be trained further or used from PyTorch.

    Its arguments are the graph's inputs in order (those with a default last, which may be left out), its
    result the output, or a tuple of them. Float constants are parameters, under their ONNX names with what
    PyTorch does not allow in a name replaced (``onnx_names`` has the originals); statistics of batch
    normalisations and integer constants are buffers; sizes, axes and bounds are part of the code.
    Normalisation and dropout stay in inference form, whatever the module's mode.

    Raises ConvgraphError when PyTorch is not installed, UnsupportedOp, naming the node, for an operation it
    has no form for.
    """
    try:
        importlib.import_module("torch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        found, expected = "torch is not installed", "pip install 'convgraph[torch]'"
        raise ConvgraphError("to_torch", found=found, expected=expected) from error
    from convgraph.exporters.torch_network import Network  # noqa: PLC0415 - torch is imported when needed

    return Network(graph).eval()
