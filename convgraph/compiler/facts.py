"""What a report says of a model as a file: its digest and size, read off the file a piece at a time."""

import hashlib
import os

import onnx

from convgraph.compiler.sources import Source, path_of
from convgraph.exporters.onnx_model import tensors
from convgraph.exporters.staged import Ready, serialised
from convgraph.ir.graph import Graph
from convgraph.report.summary import FileFacts


def facts_before(source: Source, model: onnx.ModelProto, graph: Graph) -> FileFacts:
    """What a report says of the file that a source is; of one that never was a file, of what it would be.

    ``model`` is the message read from it, ``graph`` what that became.
    """
    path = path_of(source)
    if path is None:
        content = serialised(model)
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
    else:
        with path.open("rb") as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
    beside = {tensor.origin for tensor in tensors(graph) if tensor.origin is not None}
    size += sum(origin.length for origin in beside)
    return FileFacts(
        path=None if path is None else os.fspath(path), sha256=digest, bytes=size, opset=_opset(model)
    )


def facts_after(result: Ready) -> FileFacts:
    """What a report says of a result that is not in its place yet."""
    return FileFacts(path=None, sha256=result.sha256, bytes=result.nbytes, opset=_opset(result.message))


def _opset(model: onnx.ModelProto) -> int:
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
