"""What a model means in float64, as far as its operations are typed."""

from collections.abc import Mapping

from convgraph.compiler.functions import without_functions
from convgraph.errors import ConvgraphError
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.tensor import Array
from convgraph.numerics.evaluate import evaluate
from convgraph.numerics.placed import folder_of
from convgraph.numerics.session import ModelSource
from convgraph.numerics.structure import read


def in_float64(model: ModelSource, feeds: Mapping[str, Array], until: float) -> Mapping[str, Array]:
    """The outputs of a model in float64 arithmetic, computed until a time of ``time.monotonic``.

    None of them where an operation has no meaning here, or time or memory do not suffice.
    """
    try:
        graph = from_onnx(read(model), base_dir=folder_of(model))
        return evaluate(without_functions(graph), feeds, until=until)
    except (ConvgraphError, MemoryError):
        return {}
