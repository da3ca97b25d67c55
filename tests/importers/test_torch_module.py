"""PyTorch modules come through whole: what they compute, their weights' names, and what is refused."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import convgraph as cg
from convgraph.errors import ConvgraphError, InvalidModel, UnsupportedOp
from convgraph.ir.ops import BatchNormalization, Constant, Conv, Opaque
from convgraph.numerics.session import run_model

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


class Masked(nn.Conv2d):
    """A convolution that masks its own weight at every call, as PixelCNN's do."""

    def __init__(self, *arguments: Any, how: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        mask = torch.ones_like(self.weight)
        mask[:, :, 1, 2:] = 0
        mask[:, :, 2:] = 0
        self.register_buffer("mask", mask > 0)
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "assigned":
            self.weight.data *= self.mask
        elif self.how == "through data":
            self.weight.data.mul_(self.mask)
        elif self.how == "element by element":
            with torch.no_grad():
                self.weight[self.mask == 0] = 0
        else:
            with torch.no_grad():
                self.weight *= self.mask
        return super().forward(x)


class Unpooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, where = self.pool(x)
        return self.unpool(2 * y, where)


class GlowInReverse(nn.Module):
    """An invertible 1 × 1 convolution backwards, with its log-determinant; its matrix is made from PLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        p, low, high = torch.linalg.lu(torch.linalg.qr(torch.randn(channels, channels))[0])
        self.register_buffer("p", p)
        self.low, self.high = nn.Parameter(low), nn.Parameter(high)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        w = self.p @ self.low.tril(-1).add(torch.eye(len(self.p))) @ self.high.triu()
        sign, logdet = torch.slogdet(w)
        y = nn.functional.conv2d(x, torch.inverse(w)[:, :, None, None])
        return y * sign.abs(), -logdet * x.shape[2] * x.shape[3]


def normalised() -> nn.Module:
    """Both of PyTorch's ways to parametrize a weight."""
    module = nn.Sequential(
        weight_norm(nn.Conv2d(3, 4, 3)),
        spectral_norm(nn.Conv2d(4, 5, (3, 2))),
        parametrizations.weight_norm(nn.Conv2d(5, 4, 1)),
        parametrizations.spectral_norm(nn.Conv2d(4, 3, 1)),
        parametrizations.orthogonal(nn.Linear(4, 4)),
    )
    module(torch.randn(2, 3, 9, 7))
    return module


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "shuffled channels": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.ChannelShuffle(3)), (2, 3, 9, 7)),
    "unpooled": (Unpooled, (2, 3, 8, 6)),
    "normalised weights": (normalised, (2, 3, 9, 7)),
    "Glow in reverse": (lambda: GlowInReverse(5), (2, 5, 4, 6)),
    **{
        f"mask {how}": (lambda how=how: Masked(3, 5, 3, padding=1, how=how), (2, 3, 9, 7))
        for how in ("assigned", "through data", "element by element", "in place")
    },
    "many layers": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3, bias=False),
            nn.BatchNorm2d(6),
            nn.Dropout(),
            nn.Hardswish(),
            nn.GroupNorm(2, 6),
            nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2),
            nn.PReLU(4),
            nn.Upsample(scale_factor=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 7),
        ),
        (2, 3, 9, 8),
    ),
}


def made(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(3)
    build, shape = MODULES[name]
    module = build().eval()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.3, 2)
    return module, torch.randn(shape)


def outputs(graph: cg.Graph, *inputs: torch.Tensor) -> list[np.ndarray[Any, Any]]:
    names = (graph.value_name(value) for value in graph.inputs)
    feeds = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
    return list(run_model(cg.to_onnx(graph), feeds).values())


def expect(found: list[np.ndarray[Any, Any]], expected: Any) -> None:
    wanted = expected if isinstance(expected, tuple) else (expected,)
    for got, want in zip(found, wanted, strict=True):
        assert got.shape == tuple(want.shape)
        assert np.abs(got - want.detach().numpy()).max() <= 1e-5 * max(1, want.abs().max())


@pytest.mark.parametrize("name", MODULES)
def test_a_module_comes_through(name: str) -> None:
    module, x = made(name)
    kept, before = {k: v.clone() for k, v in module.state_dict().items()}, x.clone()
    graph = cg.from_torch(module, x)
    assert kept.keys() == module.state_dict().keys()
    assert all(torch.equal(kept[k], v) for k, v in module.state_dict().items()), "the module was changed"
    assert torch.equal(x, before)
    expected = module(x)
    expect(outputs(graph, x), expected)
    result = cg.optimize(graph)
    assert result.verification is not None
    assert result.verification.equal
    expect(outputs(result.graph, x), expected)


def test_nothing_is_rewritten_on_the_way_in() -> None:
    graph = cg.from_torch(*made("many layers"))
    kinds = [type(graph.op(node)) for node in graph.compute_nodes()]
    assert BatchNormalization in kinds
    assert Opaque not in kinds
    held = {
        graph.value_name(v)
        for n in graph.nodes()
        if isinstance(graph.op(n), Constant)
        for v in graph.results(n)
    }
    assert {"0.weight", "1.weight", "1.running_var", "5.weight", "5.bias", "10.bias"} <= held


def test_parametrized_weights_are_plain_ones() -> None:
    module, x = made("normalised weights")
    graph = cg.from_torch(module, x)
    assert [graph.op(node).label for node in graph.compute_nodes()] == ["Conv"] * 4 + ["MatMul", "Add"]
    convs = [node for node in graph.compute_nodes() if isinstance(graph.op(node), Conv)]
    for node, layer in zip(convs, module, strict=False):
        tensor = graph.constant(graph.operand(node, 1))
        assert tensor is not None
        np.testing.assert_allclose(tensor.numpy(), layer.weight.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_masked_weights_are_masked_once() -> None:
    module, x = made("mask assigned")
    graph = cg.from_torch(module, x)
    assert [graph.op(node).label for node in graph.compute_nodes()] == ["Conv"]
    tensor = graph.constant(graph.value("weight"))
    assert tensor is not None
    assert not tensor.numpy()[:, :, 2:].any()
    assert tensor.numpy()[:, :, :2, 0].all()


def test_an_inverse_is_computed_in_double_precision() -> None:
    torch.manual_seed(0)
    module, x = GlowInReverse(6).eval(), torch.randn(1, 6, 2, 3)
    with torch.no_grad():
        module.high[5, 5] *= 1e-3
    graph = cg.from_torch(module, x)
    wide = GlowInReverse(6).double()
    wide.load_state_dict({name: tensor.double() for name, tensor in module.state_dict().items()})
    w = wide.p @ wide.low.tril(-1).add(torch.eye(6)) @ wide.high.triu()
    expected = nn.functional.conv2d(x.double(), torch.inverse(w).detach()[:, :, None, None]).numpy()
    assert np.abs(outputs(graph, x)[0] - expected).max() <= 2e-6 * np.abs(expected).max()


def test_dimensions_may_stay_open() -> None:
    module, _ = made("shuffled channels")
    shapes = ({0: torch.export.Dim("N"), 3: torch.export.Dim("W", min=4)},)
    graph = cg.from_torch(module, (torch.randn(2, 3, 9, 7),), dynamic_shapes=shapes)
    assert graph.type(graph.inputs[0]).shape == ("N", 3, 9, "W")
    x = torch.randn(5, 3, 9, 12)
    expect(outputs(graph, x), module(x))


def test_opset_is_as_asked_for() -> None:
    module, x = made("shuffled channels")
    graph = cg.from_torch(module, x, opset=18)
    assert graph.model.opset == 18
    expect(outputs(graph, x), module(x))


def test_a_buffer_that_settles_is_no_output() -> None:
    class Floored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("low", torch.tensor([-1.0, 2.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.low.clamp_(min=0)
            return x + self.low[:, None]

    module, x = Floored().eval(), torch.randn(3, 2, 5)
    graph = cg.from_torch(module, x)
    expect(outputs(graph, x), module(x))


# ---- what is refused ----


def test_training_mode_is_refused_by_name() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    module[1].train()
    with pytest.raises(
        InvalidModel, match=r"^Sequential\.1: training mode; a module after module\.eval\(\)$"
    ):
        cg.from_torch(module, torch.randn(2, 3, 4, 5))


def test_state_that_never_settles_is_refused() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x + self.calls

    module = Counting().eval()
    with pytest.raises(UnsupportedOp, match=r"^Counting\.calls: a tensor that every call changes"):
        cg.from_torch(module, torch.randn(2, 3))
    assert module.calls == 0


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Untranslatable(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svdvals(x)


@pytest.mark.parametrize("module", [Branching(), Untranslatable()], ids=lambda m: type(m).__name__)
def test_what_cannot_be_exported_is_refused_in_one_line(module: nn.Module) -> None:
    with pytest.raises(UnsupportedOp) as caught:
        cg.from_torch(module.eval(), torch.randn(3, 4))
    assert str(caught.value).startswith(f"{type(module).__name__}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("package", ["torch", "onnxscript"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"^from_torch: {package} is not installed; pip install 'convgraph\[torch\]'$"
    with pytest.raises(ConvgraphError, match=message):
        cg.from_torch(nn.ReLU().eval(), torch.zeros(1))


def test_the_face_does_not_import_torch() -> None:
    code = "import sys, convgraph as cg; cg.from_torch, cg.to_torch; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
