"""How an ONNX model arrives: from a file, bytes, a file object or a ModelProto.

``read`` gets the message and refuses what is not a model, ``from_onnx`` makes the Graph, ``load`` is both.
"""

import os
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import IO

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto

from convgraph.errors import InvalidModel
from convgraph.importers.onnx_fields import check_text, header_of, strings, without
from convgraph.importers.onnx_graph import Setting, read_graph
from convgraph.importers.onnx_order import sorted_nodes
from convgraph.importers.onnx_tensors import embedded
from convgraph.importers.onnx_types import infer_types
from convgraph.ir.collecting import collecting_rarely
from convgraph.ir.graph import Graph, ModelInfo

Source = str | os.PathLike[str] | bytes | IO[bytes] | ModelProto

_FIRST_FREE_IR = 4  # the first IR version in which an initializer need not be an input
_KNOWN_FIELDS = (
    "ir_version",
    "opset_import",
    "producer_name",
    "producer_version",
    "domain",
    "model_version",
    "doc_string",
    "graph",
    "metadata_props",
)


def load(source: Source, *, freeze_defaults: bool = False) -> Graph:
    """Read a model and make its Graph; external data is looked for beside the file.

    ``freeze_defaults`` turns initializers that a caller could override into constants. Raises InvalidModel
    when there is no valid model, naming the file first.
    """
    model = read(source)
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    try:
        base_dir = None if path is None else path.parent
        return from_onnx(model, freeze_defaults=freeze_defaults, base_dir=base_dir)
    except InvalidModel as error:
        if path is None:
            raise
        raise InvalidModel(str(path), found=f"{error.at}: {error.found}", expected=error.expected) from error


def read(source: Source) -> ModelProto:
    """The ModelProto of a source, external data left where it is.

    Raises InvalidModel, naming the file first, for one that cannot be read or is not an ONNX model.
    """
    if isinstance(source, ModelProto):
        return _sane(source, at="model")
    if isinstance(source, (str, os.PathLike)):
        at = os.fspath(source)
        try:
            return _parsed(Path(source).read_bytes(), at=at)
        except OSError as error:
            found = f"an unreadable file ({error.strerror or error})"
            raise InvalidModel(at, found=found, expected="an ONNX model") from error
    if isinstance(source, bytes):
        return _parsed(source, at="model")
    return _parsed(source.read(), at=str(getattr(source, "name", "model")))


def _parsed(data: bytes, *, at: str) -> ModelProto:
    if not data:
        raise InvalidModel(at, found="an empty file", expected="an ONNX model")
    try:
        model = ModelProto.FromString(data)
    except DecodeError as error:
        found = "text" if _is_text(data) else f"{len(data)} bytes that do not parse (truncated or corrupted)"
        raise InvalidModel(at, found=found, expected="an ONNX model") from error
    try:
        check_text(model)
    except InvalidModel as error:
        raise InvalidModel(at, found=error.found, expected=error.expected) from error
    return _sane(model, at=at)


def _is_text(data: bytes) -> bool:
    return all(byte in b"\t\n\r\f\b\x1b" or byte >= 32 for byte in data[:1024])


def _sane(model: ModelProto, *, at: str) -> ModelProto:
    """Refuse messages that parse but are no model: protobuf accepts much garbage."""
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise InvalidModel(at, found="no graph", expected="an ONNX model")
    if not 1 <= model.ir_version <= onnx.IR_VERSION:
        found = f"IR version {model.ir_version}"
        raise InvalidModel(at, found=found, expected=f"an ONNX model, IR version 1 to {onnx.IR_VERSION}")
    return model


@collecting_rarely()
def from_onnx(model: ModelProto, *, freeze_defaults: bool = False, base_dir: Path | None = None) -> Graph:
    """The Graph of a ModelProto, which is left as it is and must not change while the graph is used.

    ``base_dir`` is the folder of its external data. Raises InvalidModel, naming the value or node, for a
    model that breaks ONNX's rules.
    """
    opsets = _opsets(_sane(model, at="model"))
    nodes = sorted_nodes(model.graph, outer=frozenset())
    setting = Setting(
        opset=opsets.get("", 1),
        base_dir=base_dir,
        freeze_defaults=freeze_defaults or model.ir_version < _FIRST_FREE_IR,
        functions=frozenset((f.domain, f.name) for f in model.functions),
    )
    carried = embedded(without(model, _KNOWN_FIELDS), base_dir=base_dir, at="tensor")
    info = ModelInfo(
        ir_version=max(_FIRST_FREE_IR, model.ir_version),
        opsets=MappingProxyType(opsets),
        producer=(model.producer_name, model.producer_version),
        domain=model.domain,
        version=model.model_version,
        doc=model.doc_string,
        metadata=strings(model.metadata_props),
        carried=carried.SerializeToString(deterministic=True),
    )
    inferred = infer_types(model, [node for _, node in nodes], base_dir=base_dir)
    header = replace(header_of(model.graph), model=info)
    return read_graph(model.graph, setting=setting, header=header, inferred=inferred, nodes=nodes)


def _opsets(model: ModelProto) -> dict[str, int]:
    """The version of each operator set; ONNX's own must be one that onnx knows."""
    opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    needs_onnx = any(node.domain in ("", "ai.onnx") for node in model.graph.node)
    newest = onnx.defs.onnx_opset_version()
    version = opsets.get("")
    if (needs_onnx and version is None) or (version is not None and not 1 <= version <= newest):
        found = "no ONNX opset" if version is None else f"ONNX opset {version}"
        raise InvalidModel("opset_import", found=found, expected=f"opset 1 to {newest}")
    return opsets
