"""The gallery as a table: ``python examples/layers`` takes every layer through convgraph and prints a row.

A module is built, exported by PyTorch, optimized and run in onnxruntime, and compared with what PyTorch
computes.
"""

import copy
import importlib
import io
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import convgraph as cg
from convgraph.analysis.cost import graph_cost
from convgraph.numerics.session import run_model

# What the articles describe, and the modules that show it.
ROWS: Mapping[str, tuple[str, ...]] = {
    "convolution in 1-D, 2-D, 3-D, and flipped": ("textcnn", "conv_variants", "conv_3d", "true_conv"),
    "1x1 convolution, Network in Network": ("network_in_network", "bottleneck"),
    "pooling and max unpooling": ("unpooling",),
    "padding; panoramas": ("paddings",),
    "classic networks": ("lenet", "alexnet", "zfnet", "vgg", "inception", "densenet_transition"),
    "residual block; highway": ("resnet_block", "highway", "repvgg", "acnet"),
    "upsampling: U-Net, generator, decoder": ("unet", "dcgan", "vae_decoder", "segmentation_head"),
    "dilated convolution, ASPP": ("aspp",),
    "masked convolution": (
        "pixelcnn",
        "gated_pixelcnn",
        "pixelcnnpp",
        "pixel_vae",
        "vqvae_prior",
        "causal_conv",
    ),
    "gated convolution": ("gated_conv",),
    "invertible convolution": (
        "invertible_conv",
        "glow_step",
        "real_nvp",
        "nice",
        "emerging_conv",
        "periodic_conv",
    ),
    "separable and flattened": ("separable", "inverted_residual", "xception", "flattened"),
    "grouped; channel shuffle; focus; pruned": (
        "shufflenet",
        "shufflenet_v2",
        "grouped_resnext",
        "focus",
        "pruned",
    ),
    "CoordConv, SphConv, SpherePHD, UGSCNN": (
        "coordconv",
        "sphconv",
        "sphere_phd",
        "mesh_conv",
        "graph_conv",
    ),
    "convolution as matrix multiplication": ("conv_as_matmul",),
}

# Layers this small show what there is to find, not how long anything takes: operations are counted.
TARGET = "generic"

# Modules that a way out of PyTorch refuses, or that it writes as a model that is not valid; and the message.
REFUSED: Mapping[tuple[str, str], str] = {
    ("conv_3d", "dynamo"): "bias of type",
    ("true_conv", "dynamo"): "bias of type",
    ("vqvae_prior", "dynamo"): "torch.export",
}


def example(name: str) -> ModuleType:
    """A module of the gallery; they stand beside this one."""
    if (folder := str(Path(__file__).parent)) not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def built(layer: ModuleType) -> tuple[nn.Module, torch.Tensor]:
    """The module in inference mode, its normalisations holding statistics that matter, and an input."""
    torch.manual_seed(0)
    module: nn.Module = layer.build()
    for norm in module.modules():
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.3, 2)
    rng = np.random.default_rng(0)
    if (codes := getattr(layer, "CODES", None)) is not None:
        return module.eval(), torch.from_numpy(rng.integers(0, codes, layer.INPUT))
    return module.eval(), torch.from_numpy(rng.normal(size=layer.INPUT)).float()


def exported(module: nn.Module, x: torch.Tensor, *, way: str, open_batch: bool, opset: int = 17) -> Any:
    """What ``optimize`` takes, by one of three ways and not rewritten yet; ``open_batch`` leaves N open.

    ``opset`` is what TorchScript is asked for; the others have their own.
    """
    if way == "torchscript":
        return _by_torchscript(module, x, open_batch=open_batch, opset=opset)
    inputs = (torch.cat([x, x]),) if open_batch else (x,)  # a batch of 1 would be taken for a constant
    shapes = ({0: torch.export.Dim("N")},) if open_batch else None
    if way == "from_torch":
        return cg.from_torch(module, inputs, dynamic_shapes=shapes)
    options: dict[str, Any] = {"dynamo": True, "optimize": False, "verbose": False}
    return torch.onnx.export(copy.deepcopy(module), inputs, dynamic_shapes=shapes, **options).model_proto


def _by_torchscript(module: nn.Module, x: torch.Tensor, *, open_batch: bool, opset: int) -> bytes:
    file = io.BytesIO()
    torch.onnx.export(
        copy.deepcopy(module),
        (x,),
        file,
        dynamo=False,
        opset_version=opset,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "N"}} if open_batch else None,
    )
    return file.getvalue()


def macs(module: nn.Module, x: torch.Tensor) -> int:
    """The multiply-accumulates of one run as PyTorch itself counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.deepcopy(module)(x)
    return counter.get_total_flops() // 2


def worst_error(result: cg.OptimizeResult, module: nn.Module, x: torch.Tensor) -> float:
    """The largest error of what was optimized, relative to the largest value that PyTorch computes."""
    with torch.no_grad():
        outputs = copy.deepcopy(module)(x)
    expected = [y.numpy() for y in (outputs if isinstance(outputs, tuple) else (outputs,))]
    (fed,) = (result.graph.value_name(value) for value in result.graph.inputs)
    found = run_model(result.proto, {fed: x.numpy()}).values()
    pairs = list(zip(found, expected, strict=True))
    assert all(want.std() > 0 for want in expected if want.size > 1), (
        "an output that never varies shows nothing"
    )
    return max(float(np.abs(got - want).max() / np.abs(want).max()) for got, want in pairs)


def line(name: str) -> str:
    """A row of the table for one module."""
    layer = example(name)
    module, x = built(layer)
    way = "from_torch" if (name, "torchscript") in REFUSED else "torchscript"
    opset = getattr(layer, "OPSET", 17)
    result = cg.optimize(exported(module, x, way=way, open_batch=False, opset=opset), target=TARGET)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    cleaning = {rewrite.name for rewrite in cg.passes.CLEANUP}
    counts = Counter(done.rewrite for done in result.trace.applications if done.rewrite not in cleaning)
    found = ", ".join(rewrite if times == 1 else f"{times} {rewrite}" for rewrite, times in counts.items())
    numbers = (
        f"{macs(module, x):,} | {graph_cost(result.graph).macs:,} | {worst_error(result, module, x):.0e}"
    )
    return f"{name} | {found or 'cleanup only'} | {numbers} |"


def main() -> None:
    """Print the table as Markdown."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    print("| system | example | rewrites found | MACs before | after | max error |")
    print("|---|---|---|---:|---:|---:|")
    for row, names in ROWS.items():
        for number, name in enumerate(names):
            print("|", row if number == 0 else "", "|", line(name), flush=True)


if __name__ == "__main__":
    main()
