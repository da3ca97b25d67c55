"""What becomes of the normalising flows of normflows, nflows and FrEIA, in both directions.

Run it with ``python tests/benchmarks/flows.py`` where the libraries are installed (``pip install --no-deps
normflows nflows FrEIA``); what is missing is passed over. A row is one model in one direction by one way out
of PyTorch: operations and multiplications before and after, the largest error against PyTorch, and, for a
model that has both directions, the largest error of there and back by the two optimized models.
"""

import contextlib
import importlib.util
import io
import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

import convgraph as cg
from convgraph.analysis.cost import graph_cost
from convgraph.numerics.session import run_model

WAYS = ("from_torch", "torch.export", "TorchScript")
CHAINS = ("MatMul", "Gemm", "Gather", "GatherND", "Reshape", "Transpose")
SHAPE = (2, 3, 8, 12)


class Run(nn.Module):
    """One direction of a flow: a value and its log-determinants."""

    def __init__(self, flow: nn.Module, call: Callable[[nn.Module, torch.Tensor], Any]) -> None:
        super().__init__()
        self.flow, self.call = flow, call
        self.eval()

    def forward(self, x: torch.Tensor) -> Any:
        """The direction's outputs, without the tuples FrEIA puts around one value."""
        y, logdet = self.call(self.flow, x)
        return (y[0] if isinstance(y, tuple) else y), logdet


class Subnet(nn.Sequential):
    """The network of a coupling; nflows hands on a context, which there is none of."""

    def __init__(self, channels: int, outputs: int) -> None:
        first, last = nn.Conv2d(channels, 16, 3, padding=1), nn.Conv2d(16, outputs, 3, padding=1)
        super().__init__(first, nn.ReLU(), last, nn.Tanh())

    def forward(self, x: torch.Tensor, context: None = None) -> torch.Tensor:
        """Features of the half that stays."""
        del context
        return super().forward(x)  # type: ignore[no-any-return]


class Chain(nn.Module):
    """A row of normflows' flows, whose ``forward`` is the direction that samples."""

    def __init__(self, *flows: nn.Module) -> None:
        super().__init__()
        self.flows = nn.ModuleList(flows)

    def there(self, x: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """From data to noise."""
        total: Any = 0
        for flow in reversed(self.flows):
            x, logdet = flow.inverse(x)  # type: ignore[operator] - a Flow's
            total = total + logdet
        return x, total

    def back(self, z: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """From noise to data."""
        total: Any = 0
        for flow in self.flows:
            z, logdet = flow(z)
            total = total + logdet
        return z, total


def normflows_glow(*, use_lu: bool) -> nn.Module:
    """Two blocks at the second scale, one at the first."""
    import normflows as nf  # noqa: PLC0415 - an optional library

    blocks = [nf.flows.GlowBlock(12, 16, use_lu=use_lu, scale_map=scale) for scale in ("sigmoid", "exp")]
    return Chain(*blocks, nf.flows.Squeeze(), nf.flows.GlowBlock(3, 16, use_lu=use_lu))


def normflows_real_nvp() -> nn.Module:
    """Masks of a checkerboard and of channels, an ActNorm between."""
    import normflows as nf  # noqa: PLC0415

    board = ((torch.arange(8)[:, None] + torch.arange(12)) % 2).float().expand(SHAPE[1:]).contiguous()
    channels = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    masks = (board, 1 - board, channels, 1 - channels)
    flows = [nf.flows.MaskedAffineFlow(mask, Subnet(3, 3), Subnet(3, 3)) for mask in masks]
    return Chain(*flows[:2], nf.flows.ActNorm((3, 1, 1)), *flows[2:])


def nflows_glow() -> nn.Module:
    """Two steps and a last invertible convolution after a squeeze."""
    from nflows import transforms  # noqa: PLC0415

    half, even = torch.ones(12), torch.ones(12)
    half[6:], even[::2] = -1, -1
    steps: list[nn.Module] = [transforms.SqueezeTransform()]
    for mask in (half, even):
        steps += [
            transforms.ActNorm(12),
            transforms.OneByOneConvolution(12, identity_init=False),
            transforms.AffineCouplingTransform(mask, Subnet),
        ]
    return transforms.CompositeTransform([*steps, transforms.OneByOneConvolution(12)])  # type: ignore[no-any-return]


def nflows_real_nvp() -> nn.Module:
    """Its simplified Real-NVP: vectors, with batch normalisation between the couplings."""
    from nflows.flows import SimpleRealNVP  # noqa: PLC0415

    flow = SimpleRealNVP(6, 16, 3, 1, batch_norm_between_layers=True)
    return flow._transform  # type: ignore[no-any-return]


def freia_glow() -> nn.Module:
    """A squeeze by convolution, fixed 1x1 convolutions, and the library's block of everything."""
    import FrEIA.framework as ff  # noqa: PLC0415
    import FrEIA.modules as fm  # noqa: PLC0415

    flow = ff.SequenceINN(*SHAPE[1:])
    flow.append(fm.IRevNetDownsampling)
    flow.append(fm.Fixed1x1Conv, M=torch.linalg.qr(torch.randn(12, 12))[0])
    flow.append(fm.GLOWCouplingBlock, subnet_constructor=Subnet)
    flow.append(fm.AllInOneBlock, subnet_constructor=Subnet, permute_soft=True)
    flow.append(fm.AllInOneBlock, subnet_constructor=Subnet, learned_householder_permutation=2)
    return flow  # type: ignore[no-any-return]


def freia_real_nvp() -> nn.Module:
    """Wavelets, couplings and permutations of channels."""
    import FrEIA.framework as ff  # noqa: PLC0415
    import FrEIA.modules as fm  # noqa: PLC0415

    flow = ff.SequenceINN(*SHAPE[1:])
    flow.append(fm.HaarDownsampling, order_by_wavelet=True)
    for seed in range(2):
        flow.append(fm.RNVPCouplingBlock, subnet_constructor=Subnet)
        flow.append(fm.PermuteRandom, seed=seed)
    return flow  # type: ignore[no-any-return]


Call = Callable[[Any, torch.Tensor], Any]
DIRECTIONS: dict[str, tuple[Call, Call]] = {
    "normflows": (lambda flow, x: flow.there(x), lambda flow, z: flow.back(z)),
    "nflows": (lambda flow, x: flow(x), lambda flow, z: flow.inverse(z)),
    "FrEIA": (lambda flow, x: flow(x), lambda flow, z: flow(z, rev=True)),
}
MODELS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "Glow, PLU": ("normflows", lambda: normflows_glow(use_lu=True)),
    "Glow, W": ("normflows", lambda: normflows_glow(use_lu=False)),
    "Real-NVP": ("normflows", normflows_real_nvp),
    "Glow (nflows)": ("nflows", nflows_glow),
    "Real-NVP (nflows)": ("nflows", nflows_real_nvp),
    "Glow (FrEIA)": ("FrEIA", freia_glow),
    "Real-NVP (FrEIA)": ("FrEIA", freia_real_nvp),
}


def trained(flow: nn.Module) -> nn.Module:
    """The flow in inference mode, with parameters and statistics that matter."""
    for parameter in flow.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) / 10
    for name, buffer in flow.named_buffers():
        if name.endswith(("initialized", "data_dep_init_done")):
            buffer.fill_(1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return flow.eval()


def decide(flow: nn.Module) -> None:
    """Let PyTorch's exporters find a number where ActNorm asks a tensor, which they refuse to do."""
    for part in flow.modules():
        for name in ("initialized", "data_dep_init_done"):
            if name in part._buffers:
                delattr(part, name)
                setattr(part, name, 1.0)


def graph_by(way: str, module: nn.Module, x: torch.Tensor) -> cg.Graph:
    """The module as a graph, nothing optimized on the way."""
    if way == "from_torch":
        return cg.from_torch(module, x)
    if way == "torch.export":
        return cg.load(
            torch.onnx.export(module, (x,), dynamo=True, optimize=False, verbose=False).model_proto
        )
    file = io.BytesIO()
    torch.onnx.export(module, (x,), file, dynamo=False, opset_version=17, do_constant_folding=False)
    return cg.load(file.getvalue())


def run(result: cg.OptimizeResult, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The value that an optimized direction gives."""
    (name,) = (result.graph.value_name(value) for value in result.graph.inputs)
    return next(iter(run_model(result.proto, {name: x}).values()))


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep what PyTorch prints, some of it from C++, off the table."""
    sys.stdout.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - not a file of ours
        for number in (1, 2):
            os.dup2(nowhere.fileno(), number)
        try:
            yield
        finally:
            sys.stdout.flush()
            for number, old in enumerate(kept, start=1):
                os.dup2(old, number)
                os.close(old)


def row(name: str, way: str, direction: str, module: nn.Module, x: torch.Tensor) -> cg.OptimizeResult | None:
    """Print what optimizing does to one direction; None where this way out of PyTorch refuses it."""
    try:
        with silence():
            graph = graph_by(way, module, x.clone())
    except Exception as error:  # noqa: BLE001 - PyTorch's exporters raise all kinds
        print(f"| {name} | {direction} | {way} | refused: {type(error).__name__} | | | |")
        return None
    result = cg.optimize(graph)
    kinds = (Counter(g.op(node).label for node in g.compute_nodes()) for g in (graph, result.graph))
    (before, chains), (after, left) = ((sum(k.values()), sum(k[c] for c in CHAINS)) for k in kinds)
    macs, fewer = graph_cost(graph).macs, graph_cost(result.graph).macs
    with torch.no_grad():
        error = float(np.abs(run(result, x.numpy()) - module(x.clone())[0].numpy()).max())
    equal = result.verification is not None and result.verification.equal and not result.culprits
    print(
        f"| {name} | {direction} | {way} | {before} → {after} ({chains} → {left}) "
        f"| {macs:,} → {fewer:,} | {'yes' if equal else 'NO'} | {error:.0e} |",
        flush=True,
    )
    return result


def rows(name: str, library: str, build: Callable[[], nn.Module]) -> None:
    """The rows of one model."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - FrEIA's modules draw from it
    flow, (there, back) = trained(build()), DIRECTIONS[library]
    x = torch.randn((5, 6) if "nflows" in name and "Real" in name else SHAPE)
    forward, inverse = Run(flow, there), Run(flow, back)
    with torch.no_grad():
        z = forward(x.clone())[0]
    for way in WAYS:
        if way != "from_torch":
            decide(flow)
        first = row(name, way, "forward", forward, x)
        second = row(name, way, "inverse", inverse, z)
        if first and second:
            error = np.abs(run(second, run(first, x.numpy())) - x.numpy()).max()
            print(f"| {name} | there and back | {way} | | | | {error:.0e} |", flush=True)


def main() -> None:
    """Print the table as Markdown."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    print("| model | direction | way | operations (of which chains) | MACs | equal | error |")
    print("|---|---|---|---|---|---|---|")
    for name, (library, build) in MODELS.items():
        if importlib.util.find_spec(library) is not None:
            rows(name, library, build)


if __name__ == "__main__":
    main()
