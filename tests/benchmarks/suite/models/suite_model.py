"""What the suite knows of a model: its network with weights drawn from one seed, and its input shapes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

SEED = 0
_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMALISED = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)
# Statistics over fewer values than this say nothing of a distribution.
_ENOUGH_VALUES = 32


@dataclass(frozen=True, kw_only=True)
class SuiteModel:
    """A model of the headline suite.

    ``network`` defines the layers; it may draw parameters of its own from torch's global generator, which
    ``build`` seeds. ``inputs`` holds the shapes of the float32 inputs, batch first, in ``forward``'s order.
    ``gain`` widens or narrows the drawn weights, where without norms a signal would fade or overflow.
    """

    name: str
    network: Callable[[], nn.Module]
    inputs: tuple[tuple[int, ...], ...]
    gain: float = 1.0

    def build(self) -> nn.Module:
        """The network in inference mode, the same weights at every call; the global generator is kept."""
        with torch.random.fork_rng(devices=()), torch.no_grad():
            torch.manual_seed(SEED)
            network = self.network().eval()
            draw_weights(network, gain=self.gain)
            settle_statistics(network, *self.example())
        return network

    def example(self) -> tuple[torch.Tensor, ...]:
        """Inputs drawn from the normal distribution by torch's global generator."""
        return tuple(torch.randn(shape) for shape in self.inputs)


def draw_weights(network: nn.Module, *, gain: float = 1.0) -> None:
    """Weights that keep a signal's power through a ReLU, and scales and shifts that are not one and zero."""
    for layer in network.modules():
        if isinstance(layer, _WEIGHTED):
            layer.weight.normal_(std=gain * (2 / _fan_in(layer)) ** 0.5)
            if layer.bias is not None:
                layer.bias.normal_(std=0.1)
        elif isinstance(layer, _NORMALISED) and layer.weight is not None:
            layer.weight.uniform_(0.5, 1.5)
            layer.bias.normal_(std=0.2)


def _fan_in(layer: nn.Module) -> float:
    """How many products one output sums up; of a transposed convolution, the mean over its phases."""
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    if isinstance(layer, _TRANSPOSED):
        taps, strides = weight[0, 0].numel(), torch.Size(layer.stride).numel()
        return weight.shape[0] // layer.groups * taps / strides
    return weight[0].numel()


def settle_statistics(network: nn.Module, *inputs: torch.Tensor) -> None:
    """Give every BatchNorm the statistics of what reaches it, as training does.

    One run in order: each layer sees what the settled ones before it make. Layers that see too few values
    for statistics keep a zero mean and a unit variance that are drawn a little off.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    hooks = [norm.register_forward_pre_hook(_settle) for norm in norms]
    network(*inputs)
    for hook in hooks:
        hook.remove()


def _settle(norm: nn.Module, inputs: tuple[torch.Tensor]) -> None:
    """Set the statistics of one BatchNorm from its input; dead channels get a share of the mean variance."""
    mean, variance = norm.running_mean, norm.running_var
    assert isinstance(mean, torch.Tensor)
    assert isinstance(variance, torch.Tensor)
    values = inputs[0].transpose(0, 1).flatten(1)
    if values.shape[1] < _ENOUGH_VALUES:
        mean.normal_(std=0.1)
        variance.uniform_(0.5, 2)
        return
    mean.copy_(values.mean(1))
    seen = values.var(1)
    variance.copy_(seen.clamp_min(0.1 * float(seen.mean())))
