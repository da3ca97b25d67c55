"""The networks in onnx's own backend test data go through whole, with weights that make their outputs speak.

As shipped every weight is one constant and every output flat, so that equality would prove nothing: each
constant-filled weight is replaced by seeded random numbers of a network's size.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx import numpy_helper

from convgraph.compiler.optimize import optimize
from convgraph.exporters.staged import serialised
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Convolution
from convgraph.numerics.session import run_model

FOLDER = Path(onnx.backend.test.__file__).parent / "data" / "light"
WINOGRAD = ("transform-conv-into-winograd", "transform-conv-transpose-into-winograd")
LARGER = 1.0002  # of many operations in the place of one where that is faster
MODELS = sorted(path.stem for path in FOLDER.glob("light_*.onnx"))


def with_random_weights(path: Path) -> onnx.ModelProto:
    """The model with each ConstantOfShape replaced by an initializer of seeded random numbers."""
    model = onnx.load(path)
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    readers = {name: (node, slot) for node in nodes for slot, name in enumerate(node.input)}
    del model.graph.node[:]
    for node in nodes:
        if node.op_type != "ConstantOfShape":
            model.graph.node.append(node)
            continue
        shape = tuple(int(size) for size in shapes[node.input[0]])
        drawn = random_weight(rng, shape, *end_reader(node.output[0], readers))
        model.graph.initializer.append(numpy_helper.from_array(drawn.astype(np.float32), node.output[0]))
    return model


def end_reader(name: str, readers: Mapping[str, tuple[onnx.NodeProto, int]]) -> tuple[str, int]:
    """The operator, and its slot, that a weight reaches through any Unsqueeze."""
    node, slot = readers[name]
    while node.op_type == "Unsqueeze":
        node, slot = readers[node.output[0]]
    return node.op_type, slot


def random_weight(rng: np.random.Generator, shape: tuple[int, ...], op_type: str, slot: int) -> np.ndarray:
    """Numbers that keep the activations of a deep network within sane bounds."""
    if (op_type, slot) == ("BatchNormalization", 4):
        return rng.uniform(0.5, 2, shape)
    if (op_type, slot) == ("BatchNormalization", 1) or op_type == "Mul":
        return rng.uniform(0.2, 1, shape)
    if len(shape) > 1:
        return rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
    return rng.normal(size=shape) / 10


def unfolded(graph: Graph) -> list[str]:
    """Inference-mode normalisations whose data is a convolution's result that nothing else reads."""
    return [
        graph.describe(node)
        for node in graph.compute_nodes()
        if isinstance(op := graph.op(node), BatchNormalization)
        and not op.training_mode
        and (x := graph.operand(node, 0)) is not None
        and isinstance(graph.producer(x), Convolution)
        and graph.sole_reader(x) is not None
    ]


def test_the_models_are_there() -> None:
    assert len(MODELS) == 9


@pytest.mark.parametrize("name", MODELS)
def test_backend_models(name: str) -> None:
    model = with_random_weights(FOLDER / f"{name}.onnx")
    image = {"data_0", "data", "gpu_0/data_0", "input"} & {i.name for i in model.graph.input}
    (input_name,) = image
    shape = [
        d.dim_value for i in model.graph.input if i.name == input_name for d in i.type.tensor_type.shape.dim
    ]
    feeds = {input_name: np.random.default_rng(0).normal(size=shape).astype(np.float32)}
    reference = run_model(model, feeds)
    assert all(y.std() > 1e-3 * abs(y).max() > 0 for y in reference.values())

    result = optimize(model, trials=1, power="off")
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert unfolded(result.graph) == []
    onnx.checker.check_model(result.proto, full_check=True)

    same = optimize(model, passes=["none"], verify=False)
    for output, again in zip(reference.values(), run_model(same.proto, feeds).values(), strict=True):
        assert output.tobytes() == again.tobytes()
    assert not optimize(result.proto, verify=False).changed
    assert len(serialised(result.proto)) <= LARGER * len(serialised(model))
    direct = optimize(model, skip=WINOGRAD, verify=False)
    assert len(serialised(direct.proto)) <= len(serialised(model))
