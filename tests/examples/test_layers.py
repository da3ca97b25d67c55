"""The gallery of layers: each is exported by PyTorch, optimized, and still computes what PyTorch does."""

import importlib.util
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from convgraph.analysis.cost import graph_cost
from convgraph.analysis.lint import lint
from convgraph.compiler.optimize import OptimizeResult, optimize
from convgraph.ir.ops import BatchNormalization
from convgraph.numerics.session import run_model

FOLDER = Path(__file__).parent.parent.parent / "examples" / "layers"
LAYERS = sorted(path.stem for path in FOLDER.glob("*.py"))
LONGEST = 40  # lines

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def layer(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"layers_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(example: ModuleType) -> nn.Module:
    """The example's module in inference mode, its normalisations holding statistics that matter."""
    torch.manual_seed(0)
    module: nn.Module = example.build()
    for norm in module.modules():
        if isinstance(norm, NORMS):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.3, 2)
    return module.eval()


def exported(module: nn.Module, x: torch.Tensor, *, dynamic: bool) -> bytes:
    """The module as ONNX, nothing folded on the way; ``dynamic`` leaves the batch open."""
    file = io.BytesIO()
    torch.onnx.export(
        module,
        (x,),
        file,
        dynamo=False,
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "N"}} if dynamic else None,
    )
    return file.getvalue()


def run(example: ModuleType, *, dynamic: bool) -> tuple[OptimizeResult, float]:
    """What optimizing made of an example, and its largest error relative to what PyTorch computes."""
    module = built(example)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=example.INPUT)).float()
    result = optimize(exported(module, x, dynamic=dynamic))
    (found,) = run_model(result.proto, {"x": x.numpy()}).values()
    expected = module(x).detach().numpy()
    assert expected.std() > 0, "an output that never varies shows nothing"
    return result, float(np.abs(found - expected).max() / np.abs(expected).max())


def test_layers_are_found_and_short() -> None:
    assert len(LAYERS) > 20
    long = {name for name in LAYERS if len((FOLDER / f"{name}.py").read_text().splitlines()) > LONGEST}
    assert not long


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamic", [False, True], ids=["fixed", "open batch"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str, dynamic: bool) -> None:
    example = layer(name)
    result, error = run(example, dynamic=dynamic)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert error <= 2e-6
    found = {done.rewrite for done in result.trace.applications}
    assert set(example.FINDS) <= found
    assert not any(isinstance(result.graph.op(n), BatchNormalization) for n in result.graph.compute_nodes())
    before, after = graph_cost(result.original), graph_cost(result.graph)
    assert before.approximate or after <= before, "what the model computes while it runs cannot be counted"
    assert not optimize(result.proto, verify=False).changed, "a second run has nothing left to do"


@pytest.mark.filterwarnings("ignore")
def test_lint_tells_transposed_convolution_from_resize_and_convolve() -> None:
    def rules(name: str) -> set[str]:
        return {finding.rule for finding in lint(run(layer(name), dynamic=False)[0].original)}

    assert "checkerboard" in rules("dcgan")
    assert "checkerboard" not in rules("vae_decoder")
    assert "dead-taps" in rules("pixelcnn")
