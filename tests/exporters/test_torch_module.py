"""Graphs as PyTorch modules: the same function for every typed operation, trainable, and back again."""

import copy
import io
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numerics.test_evaluate import CASES, Case, build

import convgraph as cg
from convgraph.errors import ConvgraphError, InvalidModel, UnsupportedOp
from convgraph.importers.demo import demo_names
from convgraph.ir import ops
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Opaque, Resize
from convgraph.ir.tensor import Array, TensorType
from convgraph.numerics.evaluate import evaluate
from convgraph.numerics.session import run_model

SLACK = 32  # roundings beyond those a case counts: PyTorch sums and approximates in an order of its own


def to_tensor(array: Array) -> torch.Tensor:
    if array.dtype.isbuiltin == 1:
        return torch.from_numpy(np.array(array))
    bits = np.array(array).view(np.int16 if array.dtype.itemsize == 2 else np.uint8)
    return torch.from_numpy(bits).view(getattr(torch, array.dtype.name))


def results(module: torch.nn.Module, *inputs: Array) -> list[Array]:
    found = module(*map(to_tensor, inputs))
    return [y.detach().numpy() for y in (found if isinstance(found, tuple) else (found,))]


def has_no_form(case: Case) -> bool:
    """What PyTorch has no way, or another way, to do."""
    op = case.op
    if isinstance(op, Resize):
        crops = op.coordinate_transformation_mode == "tf_crop_and_resize"
        return crops or op.keep_aspect_ratio_policy != "stretch"
    return isinstance(op, ops.Cast) and op.to.label.startswith("float8")


@pytest.mark.parametrize("name", CASES)
def test_every_operation_means_the_same(name: str) -> None:
    case = CASES[name]
    graph, feeds = build(case)
    if has_no_form(case):
        with pytest.raises(UnsupportedOp, match=f"^{case.op.label} .*; one that PyTorch can take over$"):
            cg.to_torch(graph)
        return
    found = results(cg.to_torch(graph), feeds["x"])
    expected = evaluate(graph, feeds)
    for got, value in zip(found, graph.outputs, strict=True):
        want = expected[graph.value_name(value)]
        assert got.shape == want.shape
        assert got.dtype == graph.type(value).dtype.numpy
        close(got, want, case=case)


def close(got: Array, want: Array, *, case: Case) -> None:
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    finite = np.isfinite(want)
    reach = max(case.reach or 0, float(np.abs(want[finite]).max(initial=0)))
    # The coarsest type on the way rounds: a narrow float is cast to float32 before it leaves.
    floats = [o.dtype for o in case.operands if o is not None and o.dtype.kind in "fV"]
    eps = max(float(torch.finfo(to_tensor(np.zeros(1, dtype=d)).dtype).eps) for d in (*floats, got.dtype))
    np.testing.assert_array_equal(np.where(finite, 0, got), np.where(finite, 0, want))
    tolerance = eps * (case.roundings + SLACK) * reach
    np.testing.assert_allclose(np.where(finite, got, 0), np.where(finite, want, 0), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", demo_names())
def test_demo_models_are_the_same_function(name: str) -> None:
    graph = cg.load(f"demo:{name}")
    rng = np.random.default_rng(0)
    feeds = {}
    for value in graph.inputs:
        shape = [2 if not isinstance(d, int) else d for d in graph.type(value).shape or ()]
        feeds[graph.value_name(value)] = rng.normal(size=shape).astype(np.float32)
    module = cg.to_torch(graph)
    with torch.no_grad():
        found = results(module, *feeds.values())
    expected = run_model(cg.to_onnx(graph), feeds)
    assert module.output_names == tuple(expected)
    for got, want in zip(found, expected.values(), strict=True):
        # A log-determinant is a difference of sums: its last bits are those of its largest term.
        assert np.abs(got - want).max() <= (1e-3 if want.ndim < 2 else 1e-5) * np.abs(want).max()


# ---- training ----


def small(*, activation: ops.Activation | None = None) -> Graph:
    """Convolution with a fused activation, normalisation, pool, matrix product; N, C, H, W all different."""
    rng = np.random.default_rng(5)

    def weight(*shape: int) -> Array:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    b = GraphBuilder("small")
    x = b.input("x", shape=("N", 3, 9, 8))
    conv = ops.Conv(strides=(2, 1), pads=(1, 0, 0, 1), dilations=(1, 1), activation=activation or ops.Relu())
    y = b.add(conv, x, b.constant(weight(5, 3, 3, 2), name="stem.conv.weight"), weight(5), name="a")
    statistics = [
        b.constant(np.abs(weight(5)) + 0.5, name=f"norm.{n}") for n in ("scale", "bias", "mean", "var")
    ]
    y = b.add(ops.BatchNormalization(), y, *statistics)
    y = b.add(ops.Flatten(), b.add(ops.MaxPool.of((2, 2)), y))
    y = b.add(ops.Gemm(), y, b.constant(weight(5 * 3 * 7, 4), name="head.weight"), weight(4))
    b.output(y, name="y")
    return b.build()


def test_constants_are_parameters_and_statistics_buffers() -> None:
    module = cg.to_torch(small())
    parameters, buffers = dict(module.named_parameters()), dict(module.named_buffers())
    assert set(buffers) == {"norm_mean", "norm_var"}
    assert {"stem_conv_weight", "norm_scale", "norm_bias", "head_weight"} <= set(parameters)
    assert module.onnx_names["stem_conv_weight"] == "stem.conv.weight"
    assert len(parameters) == 6


def test_training_lowers_the_loss_and_reaches_every_parameter() -> None:
    module = cg.to_torch(small(activation=ops.LeakyRelu(alpha=0.1))).train()
    torch.manual_seed(1)
    x, target = torch.randn(7, 3, 9, 8), torch.randn(7, 4)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.02)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = (module(x) - target).square().mean()
        loss.backward()
        assert all(p.grad is not None and p.grad.any() for p in module.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]


def test_the_graph_is_not_trained_along() -> None:
    graph = small()
    before = cg.to_onnx(graph).SerializeToString(deterministic=True)
    module = cg.to_torch(graph)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert cg.to_onnx(graph).SerializeToString(deterministic=True) == before


def test_state_goes_out_and_comes_in() -> None:
    graph = small()
    trained, file = cg.to_torch(graph), io.BytesIO()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(1.5)
    torch.save(trained.state_dict(), file)
    file.seek(0)
    fresh, x = cg.to_torch(graph), torch.randn(2, 3, 9, 8)
    assert not torch.equal(fresh(x), trained(x))
    fresh.load_state_dict(torch.load(file))
    assert torch.equal(fresh(x), trained(x))
    assert torch.equal(copy.deepcopy(trained)(x), trained(x))
    assert torch.equal(trained.double()(x.double()).float().round(decimals=3), fresh(x).round(decimals=3))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_trained_module_comes_back_and_is_optimized() -> None:
    module = cg.to_torch(cg.optimize(small()).graph)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.25)
    x = torch.randn(3, 3, 9, 8)
    result = cg.optimize(cg.from_torch(module, x, dynamic_shapes=(({0: torch.export.Dim("N")},),)))
    assert result.verification is not None
    assert result.verification.equal
    assert "Relu" not in [result.graph.op(node).label for node in result.graph.compute_nodes()]
    wide = torch.randn(5, 3, 9, 8)
    (found,) = run_model(
        result.proto, {result.graph.value_name(result.graph.inputs[0]): wide.numpy()}
    ).values()
    expected = module(wide).detach().numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


# ---- names, inputs, refusals ----


def test_names_are_made_legal_and_unique() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 3))
    names = ["a.b", "a_b", "forward", "1/weight", "type"]
    for number, name in enumerate(names):
        x = b.add(ops.Mul(), x, b.constant(np.full(3, number + 2, dtype=np.float32), name=name))
    b.output(x, name="y")
    module = cg.to_torch(b.build())
    found = {onnx: name for name, onnx in module.onnx_names.items()}
    assert found == {
        "a.b": "a_b",
        "a_b": "a_b_1",
        "forward": "forward_1",
        "1/weight": "_1_weight",
        "type": "type_1",
    }
    assert results(module, np.ones((2, 3), dtype=np.float32))[0].tolist() == [[720.0] * 3] * 2


def test_integer_constants_are_buffers() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 3), dtype=cg.DataType.INT64)
    b.output(b.add(ops.Add(), x, b.constant(np.array([4, 5, 6]), name="shift")), name="y")
    module = cg.to_torch(b.build())
    assert [name for name, _ in module.named_buffers()] == ["shift"]
    assert not list(module.parameters())


def test_sizes_may_be_computed() -> None:
    b = GraphBuilder()
    shape = b.input("shape", shape=(2,), dtype=cg.DataType.INT64)
    x = b.input("x", shape=(2, 6))
    b.output(b.add(ops.Reshape(), x, shape), name="y")
    x_fed = np.arange(12, dtype=np.float32).reshape(2, 6)
    (y,) = results(cg.to_torch(b.build()), np.array([3, -1]), x_fed)
    assert y.tolist() == x_fed.reshape(3, 4).tolist()


def test_an_input_with_a_default_may_be_left_out() -> None:
    b = GraphBuilder()
    scale = b.overridable("scale", np.array([2, 3], dtype=np.float32))
    x = b.input("x", shape=(1, 2))
    b.output(b.add(ops.Mul(), x, scale), name="y")
    module = cg.to_torch(b.build())
    one, ten = np.ones((1, 2), dtype=np.float32), np.array([10, 20], dtype=np.float32)
    assert module.input_names == ("x", "scale")
    assert results(module, one)[0].tolist() == [[2, 3]]
    assert results(module, one, ten)[0].tolist() == [[10, 20]]
    with pytest.raises(InvalidModel, match=r"^forward: 3 inputs; inputs x, scale$"):
        results(module, one, ten, ten)
    with pytest.raises(InvalidModel, match="0 inputs"):
        module()


def test_an_operation_without_a_class_is_named() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 3))
    op = Opaque(op_type="NonZero", arity=1)
    (y,) = b.add_all(op, x, node="find", types=[TensorType(cg.DataType.INT64, shape=(2, None))])
    b.output(y, name="y")
    with pytest.raises(
        UnsupportedOp, match=r"^NonZero find: no form in PyTorch; one that PyTorch can take over$"
    ):
        cg.to_torch(b.build())


def test_dropout_in_training_mode_is_refused() -> None:
    b = GraphBuilder()
    x = b.input("x", shape=(2, 3))
    b.output(b.add(ops.Dropout(), x, 0.5, np.array(True)), name="y")
    with pytest.raises(UnsupportedOp, match="training mode"):
        cg.to_torch(b.build())


def test_without_torch_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ConvgraphError, match=r"^to_torch: torch is not installed; pip install 'convgraph\[torch\]'$"
    ):
        cg.to_torch(small())


def test_what_a_case_is_judged_by() -> None:
    wrong: Any = CASES[next(name for name, case in CASES.items() if isinstance(case.op, ops.Relu))]
    graph, feeds = build(wrong)
    expected = evaluate(graph, feeds)["y0"]
    with pytest.raises(AssertionError):
        close(feeds["x"], expected, case=wrong)
