"""Modules as PyTorch's own exporter writes them go through whole, and still compute what PyTorch does."""

import io

import numpy as np
import pytest
import torch
from torch import nn

from convgraph.compiler.optimize import optimize
from convgraph.ir.ops import BatchNormalization
from convgraph.numerics.session import run_model

MODULES = {
    "1-D": (lambda: nn.Sequential(nn.Conv1d(3, 6, 3, padding=1), nn.BatchNorm1d(6), nn.PReLU(6)), (2, 3, 17)),
    "2-D": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, (3, 5), stride=2, groups=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Dropout(),
            nn.Conv2d(8, 8, 3, groups=8, dilation=2),
            nn.BatchNorm2d(8),
            nn.Hardswish(),
        ),
        (2, 3, 31, 26),
    ),
    "3-D": (
        lambda: nn.Sequential(nn.Conv3d(2, 4, (3, 2, 1), bias=False), nn.BatchNorm3d(4), nn.ELU()),
        (1, 2, 7, 6, 5),
    ),
    "transposed": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1, groups=2),
            nn.BatchNorm2d(6),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(6, 3, 3, stride=2, output_padding=1),
            nn.BatchNorm2d(3),
            nn.Tanh(),
        ),
        (1, 4, 9, 6),
    ),
}


def with_statistics(module: nn.Module) -> nn.Module:
    """The module in inference mode, its normalisations holding statistics that matter."""
    torch.manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.3, 2)
    return module.eval()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("folding", [True, False], ids=["folded by the exporter", "as written"])
@pytest.mark.parametrize("name", MODULES)
def test_torch_modules(name: str, folding: bool) -> None:
    build, shape = MODULES[name]
    module, x = (
        with_statistics(build()),
        torch.from_numpy(np.random.default_rng(0).normal(size=shape)).float(),
    )
    file = io.BytesIO()
    mode = torch.onnx.TrainingMode.EVAL if folding else torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(
        module, (x,), file, dynamo=False, opset_version=17, training=mode, do_constant_folding=folding
    )
    result = optimize(file.getvalue())
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert not any(isinstance(result.graph.op(n), BatchNormalization) for n in result.graph.compute_nodes())
    (input_name,) = (result.graph.value_name(v) for v in result.graph.inputs)
    (found,) = run_model(result.proto, {input_name: x.numpy()}).values()
    expected = module(x).detach().numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
