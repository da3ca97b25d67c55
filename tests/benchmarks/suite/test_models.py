"""The suite's models are what they say: sizes as published, sane signals, the same weights every time."""

import math

import pytest
import torch
from benchmarks.suite.models import MODELS, by_name
from benchmarks.suite.models.autoregressive import GatedPixelCNN, PixelCNN
from benchmarks.suite.models.flow import Glow
from benchmarks.suite.models.suite_model import SuiteModel, draw_weights, settle_statistics
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

# Parameters and multiply-accumulates as torchvision states them. RepVGG-A1's paper says 14.09 M as trained;
# what it multiplies then is counted here.
PUBLISHED = {
    "vgg16": (138_357_544, 15.47e9),
    "resnet34": (21_797_672, 3.66e9),
    "resnet50": (25_557_032, 4.09e9),
    "googlenet": (6_624_904, 1.50e9),
    "densenet121": (7_978_856, 2.83e9),
    "mobilenet_v2": (3_504_872, 0.301e9),
    "shufflenet_v2": (2_278_604, 0.145e9),
    "efficientnet_b0": (5_288_548, 0.386e9),
    "repvgg": (14_092_264, 2.63e9),
}
OUTPUTS = {
    **dict.fromkeys(PUBLISHED, ((1, 1000),)),
    "coordconv": ((1, 20),),
    "unet_convt": ((1, 2, 256, 256),),
    "unet_nearest": ((1, 2, 256, 256),),
    "unet_3d": ((1, 2, 64, 64, 64),),
    "segmentation_head": ((1, 150, 128, 128),),
    "pyramid_head": ((1, 21, 256, 256),),
    "deeplabv3": ((1, 21, 512, 512),),
    "edsr": ((1, 3, 96, 96),),
    "edsr_baseline": ((1, 3, 256, 256),),
    "espcn": ((1, 1, 672, 672),),
    "hifigan": ((1, 1, 8192),),
    "vae_decoder": ((1, 3, 256, 256),),
    "dcgan": ((1, 3, 64, 64),),
    "style_transfer": ((1, 3, 256, 256),),
    "inpainting": ((1, 3, 256, 256),),
    "pixelcnn": ((1, 256, 32, 32),),
    "gated_pixelcnn": ((1, 256, 32, 32),),
    "glow": ((1, 6, 32, 32), (1, 12, 16, 16), (1, 48, 8, 8), (1,)),
}


def outputs(model: SuiteModel, network: nn.Module) -> tuple[tuple[int, ...], ...]:
    """Shapes that the network answers with."""
    with torch.no_grad():
        answer = network(*(torch.empty(shape) for shape in model.inputs))
    return tuple(tuple(value.shape) for value in (answer if isinstance(answer, tuple) else (answer,)))


def test_names_are_theirs_alone() -> None:
    names = [model.name for model in MODELS]
    assert len(names) == len(set(names)) >= 23
    assert set(OUTPUTS) == set(names)
    assert by_name("glow") is MODELS[names.index("glow")]
    with pytest.raises(KeyError, match=r"no model 'alexnet' in the suite: vgg16, resnet34"):
        by_name("alexnet")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_models_run_at_their_size(model: SuiteModel) -> None:
    with torch.device("meta"):
        network = model.network().eval()
        with FlopCounterMode(display=False) as counter:
            shapes = outputs(model, network)
    assert shapes == OUTPUTS[model.name]
    if model.name in PUBLISHED:
        parameters, macs = PUBLISHED[model.name]
        assert sum(value.numel() for value in network.parameters()) == parameters
        assert counter.get_total_flops() / 2 == pytest.approx(macs, rel=0.005)


def test_building_is_repeatable_and_leaves_the_generator_alone() -> None:
    model = by_name("shufflenet_v2")
    state = torch.random.get_rng_state()
    first, second = model.build(), model.build()
    assert torch.equal(state, torch.random.get_rng_state())
    assert not first.training
    weights = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
    with torch.no_grad():
        (answer,) = first(*model.example())
    assert 0.1 < float(answer.std()) < 10


def test_signals_neither_vanish_nor_explode() -> None:
    torch.manual_seed(1)
    layers: list[nn.Module] = []
    for _ in range(10):
        layers += [nn.Conv2d(16, 32, 3, padding=1, padding_mode="circular"), nn.ReLU()]
        layers += [nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU(), nn.AvgPool2d(1, 2)]
    network = nn.Sequential(*layers, nn.Conv2d(16, 64, 1))
    with torch.no_grad():
        draw_weights(network)
        answer = network(torch.randn(1, 16, 12, 20))
    assert 0.3 < float(answer.std()) < 4


def test_statistics_are_those_of_what_arrives() -> None:
    torch.manual_seed(2)
    norm = nn.BatchNorm2d(8)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), norm).eval()
    x = torch.randn(2, 3, 17, 13)
    with torch.no_grad():
        draw_weights(network)
        settle_statistics(network, x)
        answer = network(x).transpose(0, 1).flatten(1)
    assert float((norm.weight.detach() - 1).abs().min()) > 0
    torch.testing.assert_close(answer.mean(1), norm.bias.detach(), atol=1e-3, rtol=0)
    torch.testing.assert_close(answer.std(1), norm.weight.detach(), atol=1e-2, rtol=0)
    assert not norm._forward_pre_hooks


def test_few_values_or_a_dead_channel_decide_no_scale() -> None:
    torch.manual_seed(3)
    pooled, dead = nn.BatchNorm2d(4).eval(), nn.BatchNorm2d(2).eval()
    values = torch.randn(1, 2, 9, 9) * torch.tensor([1.0, 0.0])[:, None, None]
    with torch.no_grad():
        settle_statistics(pooled, torch.full((1, 4, 1, 1), 1e6))
        settle_statistics(dead, values)
    assert pooled.running_var is not None
    assert dead.running_var is not None
    assert 0.5 <= float(pooled.running_var.min()) <= float(pooled.running_var.max()) <= 2
    assert float(dead.running_var[1]) == pytest.approx(0.05 * float(dead.running_var[0]), rel=1e-3)


@pytest.mark.parametrize("network", [PixelCNN, GatedPixelCNN])
def test_a_pixel_sees_only_those_before_it(network: type[nn.Module]) -> None:
    torch.manual_seed(4)
    model = network()
    image = torch.randn(1, 1, 32, 32, requires_grad=True)
    model(image)[0, :, 20, 11].sum().backward()
    assert image.grad is not None
    seen = image.grad[0, 0] != 0
    assert not bool(seen.flatten()[20 * 32 + 11 :].any())
    assert bool(seen[20, 10])
    assert bool(seen[19, 11:14].all())


def test_glow_tells_a_density() -> None:
    torch.manual_seed(5)
    model = Glow(levels=2, steps=2, hidden=8).double()
    image = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.splits.parameters():
            parameter.zero_()  # so that the first latent's distribution, too, is the standard normal one
        *latents, likelihood = model(image)

    def everything(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([latent.flatten() for latent in model(x)[:-1]])

    jacobian = torch.func.jacrev(everything)(image).view(48, 48)
    standard = sum(-(latent.square() + math.log(2 * math.pi)).sum() / 2 for latent in latents)
    torch.testing.assert_close(likelihood[0], standard + torch.linalg.slogdet(jacobian).logabsdet)
