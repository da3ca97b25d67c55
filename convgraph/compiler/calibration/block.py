"""How many channels onnxruntime's blocked layout keeps side by side on this machine."""

from functools import cache

import numpy as np
import onnx

from convgraph.exporters.onnx_model import to_onnx
from convgraph.held import temporary_folder
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv
from convgraph.numerics.session import Session

_BLOCKED = "com.microsoft.nchwc"  # the domain of what runs on blocks of channels
_PLAIN, _WIDE = 1, 64  # channels: no block; a whole number of blocks of any size


@cache
def block_here() -> int:
    """The number of channels; 1 where the runtime has no such layout.

    Read off the weight of a convolution, which it pads to whole blocks.
    """
    with temporary_folder() as folder:
        kept = folder / "kept.onnx"
        Session(to_onnx(_narrow_conv()), optimized=True, kept=str(kept))
        made = onnx.load(kept).graph
    weights = {node.input[1] for node in made.node if node.domain == _BLOCKED and node.op_type == "Conv"}
    return next((tensor.dims[0] for tensor in made.initializer if tensor.name in weights), _PLAIN)


def _narrow_conv() -> Graph:
    """A convolution to a single channel."""
    builder = GraphBuilder("block", opset=17)
    x = builder.input("x", shape=(1, _WIDE, 8, 8))
    weight = np.ones((1, _WIDE, 3, 3), np.float32)
    builder.output(builder.add(Conv.of(2, pads=1), x, weight), name="y")
    return builder.build()
