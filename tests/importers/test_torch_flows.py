"""Normalising flows come through in both directions: one convolution for each invertible one, and back again.

The modules are spelled as three libraries spell theirs: weights assembled from PLU, an ActNorm that asks
whether it has been initialized, and squeezes (as normflows); permutation, two triangular products, pixels in
one axis, triangular solves back (as nflows); fixed matrices with a global scale and shift (as FrEIA).
"""

import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import convgraph as cg
from convgraph.numerics.session import run_model

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"
)

Both = tuple[torch.Tensor, torch.Tensor]


class Flow(nn.Module):
    """``run`` and ``back`` give a value and the log-determinant of each sample."""

    def run(self, x: torch.Tensor) -> Both:
        raise NotImplementedError

    def back(self, z: torch.Tensor) -> Both:
        raise NotImplementedError


class Direction(nn.Module):
    def __init__(self, flow: Flow, *, back: bool) -> None:
        super().__init__()
        self.flow, self.is_back = flow, back
        self.eval()

    def forward(self, x: torch.Tensor) -> Both:
        return self.flow.back(x) if self.is_back else self.flow.run(x)


class Row(Flow):
    def __init__(self, *flows: Flow) -> None:
        super().__init__()
        self.flows = nn.ModuleList(flows)

    def run(self, x: torch.Tensor) -> Both:
        total = x.new_zeros(x.shape[0])
        for flow in self.flows:
            x, logdet = flow.run(x)  # type: ignore[operator] - a Flow
            total += logdet
        return x, total

    def back(self, z: torch.Tensor) -> Both:
        total = z.new_zeros(z.shape[0])
        for flow in reversed(self.flows):
            z, logdet = flow.back(z)
            total += logdet
        return z, total


class ActNorm(Flow):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("initialized", torch.tensor(1.0))
        self.log_s = nn.Parameter(torch.randn(1, channels, 1, 1) / 4)
        self.t = nn.Parameter(torch.randn(1, channels, 1, 1))

    def run(self, x: torch.Tensor) -> Both:
        if not self.initialized > 0.0:
            self.t.data = -x.mean(dim=(0, 2, 3), keepdim=True)
        return x * torch.exp(self.log_s) + self.t, x.shape[2] * x.shape[3] * self.log_s.sum()

    def back(self, z: torch.Tensor) -> Both:
        if not self.initialized:
            self.t.data = z.mean(dim=(0, 2, 3), keepdim=True)
        return (z - self.t) * torch.exp(-self.log_s), -z.shape[2] * z.shape[3] * self.log_s.sum()


class Squeeze(Flow):
    def run(self, x: torch.Tensor) -> Both:
        n, c, h, w = x.shape
        y = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
        return y.reshape(n, 4 * c, h // 2, w // 2), x.new_zeros(n)

    def back(self, z: torch.Tensor) -> Both:
        n, c, h, w = z.shape
        x = z.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3)
        return x.reshape(n, c // 4, 2 * h, 2 * w), z.new_zeros(n)


class Assembled(Flow):
    """W = P·L·(U + diag s), inverted factor by factor in double precision."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        p, low, high = torch.linalg.lu(torch.linalg.qr(torch.randn(channels, channels))[0])
        self.register_buffer("p", p)
        self.register_buffer("sign", high.diagonal().sign())
        self.register_buffer("eye", torch.eye(channels))
        self.low, self.high = nn.Parameter(low), nn.Parameter(high)
        self.log_s = nn.Parameter(high.diagonal().abs().log())

    def factors(self) -> Both:
        low = torch.tril(self.low, diagonal=-1) + self.eye
        return low, torch.triu(self.high, diagonal=1) + self.eye * (self.sign * torch.exp(self.log_s))

    def run(self, x: torch.Tensor) -> Both:
        low, high = self.factors()
        y = nn.functional.conv2d(x, (self.p @ low @ high)[:, :, None, None])
        return y, self.log_s.sum() * x.size(2) * x.size(3)

    def back(self, z: torch.Tensor) -> Both:
        low, high = (torch.inverse(factor.double()).type(torch.float32) for factor in self.factors())
        x = nn.functional.conv2d(z, (high @ low @ self.p.t())[:, :, None, None])
        return x, -self.log_s.sum() * z.size(2) * z.size(3)


class Triangular(Flow):
    """A permutation and two triangular products, the pixels rows; solved with in the other direction."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("order", torch.randperm(channels))
        self.indices = np.tril_indices(channels, k=-1)
        entries = len(self.indices[0])
        self.low, self.high = (nn.Parameter(torch.randn(entries) / channels) for _ in range(2))
        self.diagonal, self.bias = nn.Parameter(torch.randn(channels)), nn.Parameter(torch.randn(channels))

    def factors(self) -> Both:
        size = len(self.bias)
        low, high = self.low.new_zeros(size, size), self.high.new_zeros(size, size)
        low[self.indices[0], self.indices[1]] = self.low
        low[range(size), range(size)] = 1.0
        high[self.indices[1], self.indices[0]] = self.high
        high[range(size), range(size)] = nn.functional.softplus(self.diagonal) + 0.3
        return low, high

    def logdet(self, x: torch.Tensor) -> torch.Tensor:
        return x.shape[2] * x.shape[3] * (nn.functional.softplus(self.diagonal) + 0.3).log().sum()

    def run(self, x: torch.Tensor) -> Both:
        n, c, h, w = x.shape
        low, high = self.factors()
        pixels = torch.index_select(x, 1, self.order).permute(0, 2, 3, 1).reshape(n * h * w, c)
        y = nn.functional.linear(nn.functional.linear(pixels, high), low, self.bias)
        return y.reshape(n, h, w, c).permute(0, 3, 1, 2), self.logdet(x) * x.new_ones(n)

    def back(self, z: torch.Tensor) -> Both:
        n, c, h, w = z.shape
        low, high = self.factors()
        pixels = z.permute(0, 2, 3, 1).reshape(n * h * w, c) - self.bias
        x = torch.linalg.solve_triangular(low, pixels.t(), upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(high, x, upper=True).t()
        x = x.reshape(n, h, w, c).permute(0, 3, 1, 2)
        return torch.index_select(x, 1, torch.argsort(self.order)), -self.logdet(z) * z.new_ones(n)


class Fixed(Flow):
    """A rotation after one scale and shift a channel, as convolutions by parameters that stay."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels))[0]
        self.w, self.w_back = (nn.Parameter(m[:, :, None, None]) for m in (rotation, rotation.T.clone()))
        self.scale = nn.Parameter(torch.randn(1, channels, 1, 1))
        self.offset = nn.Parameter(torch.randn(1, channels, 1, 1))

    def run(self, x: torch.Tensor) -> Both:
        scale = 10 * torch.sigmoid(self.scale - 2.0)
        y = nn.functional.conv2d(x * scale + self.offset, self.w)
        return y, x[0, :1].numel() * scale.log().sum()

    def back(self, z: torch.Tensor) -> Both:
        scale = 10 * torch.sigmoid(self.scale - 2.0)
        x = (nn.functional.conv2d(z, self.w_back) - self.offset) / scale
        return x, -z[0, :1].numel() * scale.log().sum()


class Coupling(Flow):
    """The second half of the channels scaled and shifted by what the first says."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden, last = nn.Conv2d(channels // 2, 8, 3, padding=1), nn.Conv2d(8, channels, 3, padding=1)
        self.net = nn.Sequential(hidden, nn.ReLU(), last)

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        kept, changed = x.chunk(2, dim=1)
        shift, scale = self.net(kept).chunk(2, dim=1)
        return kept, changed, shift, torch.sigmoid(scale + 2)

    def run(self, x: torch.Tensor) -> Both:
        kept, changed, shift, scale = self.parts(x)
        return torch.cat([kept, changed * scale + shift], 1), scale.log().sum(dim=(1, 2, 3))

    def back(self, z: torch.Tensor) -> Both:
        kept, changed, shift, scale = self.parts(z)
        return torch.cat([kept, (changed - shift) / scale], 1), -scale.log().sum(dim=(1, 2, 3))


class Masked(Flow):
    """Real-NVP's coupling: where the mask is 1, x stays and says what becomes of the rest."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask[None])
        self.scale = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Tanh())
        self.shift = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))

    def run(self, x: torch.Tensor) -> Both:
        kept = self.mask * x
        scale, shift = self.scale(kept), self.shift(kept)
        y = kept + (1 - self.mask) * (x * torch.exp(scale) + shift)
        return y, ((1 - self.mask) * scale).sum(dim=(1, 2, 3))

    def back(self, z: torch.Tensor) -> Both:
        kept = self.mask * z
        scale, shift = self.scale(kept), self.shift(kept)
        x = kept + (1 - self.mask) * (z - shift) * torch.exp(-scale)
        return x, -((1 - self.mask) * scale).sum(dim=(1, 2, 3))


def real_nvp() -> Flow:
    board = ((torch.arange(8)[:, None] + torch.arange(6)) % 2).float().expand(4, 8, 6).contiguous()
    channels = torch.tensor([1.0, 1.0, 0.0, 0.0])[:, None, None]
    return Row(*map(Masked, (board, 1 - board, channels, 1 - channels)))


def steps(invertible: type[Flow], *, norm: bool = True) -> Flow:
    """Two steps of Glow at the second scale."""
    parts = [part for _ in range(2) for part in (ActNorm(12), invertible(12), Coupling(12))]
    return Row(Squeeze(), *(part for part in parts if norm or not isinstance(part, ActNorm)))


FLOWS = {
    "Glow, assembled weights": lambda: steps(Assembled),
    "Glow, triangular products": lambda: steps(Triangular),
    "Glow, fixed rotations": lambda: steps(Fixed, norm=False),
    "Real-NVP": real_nvp,
}
SIZES = {"Real-NVP": (2, 4, 8, 6)}


def made(name: str) -> tuple[Flow, torch.Tensor]:
    torch.manual_seed(1)
    flow = FLOWS[name]().eval()
    return flow, torch.randn(SIZES.get(name, (2, 3, 8, 6)))


def run(result: cg.OptimizeResult, x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    (name,) = (result.graph.value_name(value) for value in result.graph.inputs)
    return list(run_model(result.proto, {name: x}).values())


def kinds(graph: cg.Graph) -> Counter[str]:
    return Counter(graph.op(node).label for node in graph.compute_nodes())


def check(found: list[np.ndarray[Any, Any]], expected: Both) -> None:
    for got, want in zip(found, expected, strict=True):
        assert np.abs(got - want.detach().numpy()).max() <= 1e-5 * max(1.0, float(want.abs().max()))


@pytest.mark.parametrize("name", FLOWS)
def test_there_and_back(name: str) -> None:
    flow, x = made(name)
    there = cg.optimize(cg.from_torch(Direction(flow, back=False), x))
    z = flow.run(x)[0].detach()
    back = cg.optimize(cg.from_torch(Direction(flow, back=True), z))
    check(run(there, x.numpy()), flow.run(x))
    check(run(back, z.numpy()), flow.back(z))
    assert np.abs(run(back, run(there, x.numpy())[0])[0] - x.numpy()).max() <= 1e-4


@pytest.mark.parametrize("back", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("name", [name for name in FLOWS if "Glow" in name])
def test_an_invertible_convolution_is_one_convolution(name: str, *, back: bool) -> None:
    flow, x = made(name)
    given = flow.run(x)[0].detach() if back else x
    result = cg.optimize(cg.from_torch(Direction(flow, back=back), given))
    count = kinds(result.graph)
    assert count["Conv"] == 2 * (1 + 2), count  # in each step: the invertible one, and two in the coupling
    assert not {"MatMul", "Gemm", "Gather", "GatherND", "ScatterND", "Exp"} & set(count)
    assert count["Transpose"] <= back, "the squeeze goes into the first; backwards it is the end"
    assert count["Reshape"] <= 2 * back


@pytest.mark.parametrize("dynamo", [False, True], ids=["TorchScript", "torch.export"])
@pytest.mark.parametrize("name", [name for name in FLOWS if name != "Glow, triangular products"])
def test_forward_through_the_exporters_of_pytorch(name: str, *, dynamo: bool) -> None:
    flow, x = made(name)
    for part in flow.modules():
        if isinstance(part, ActNorm):
            del part.initialized  # torch.export asks no tensor, and tracing asks once and for all
            part.initialized = True
    module = Direction(flow, back=False)
    if dynamo:
        model = torch.onnx.export(module, (x,), dynamo=True, optimize=False, verbose=False).model_proto
    else:
        file = io.BytesIO()
        torch.onnx.export(module, (x,), file, dynamo=False, opset_version=17, do_constant_folding=False)
        model = file.getvalue()
    result = cg.optimize(model)
    check(run(result, x.numpy()), flow.run(x))
    if "Glow" in name:
        assert kinds(result.graph)["Conv"] == 2 * (1 + 2)
