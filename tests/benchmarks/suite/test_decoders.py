"""Networks that answer with images or sound have the published sizes, and signals that say something."""

from dataclasses import replace

import pytest
import torch
from benchmarks.suite.models import by_name
from benchmarks.suite.models.classifiers import ResNet
from benchmarks.suite.models.deeplab import DeepLabV3
from torch import nn

# Parameters as the implementations have them that everybody takes: Pytorch-UNet with two classes, diffusers'
# AutoencoderKL, HiFi-GAN without weight norm, torchvision without the auxiliary head, pytorch/examples, EDSR.
PUBLISHED = {
    "unet_convt": 31_037_698,
    "vae_decoder": 49_490_179,
    "hifigan": 13_926_017,
    "deeplabv3": 42_004_074 - 2_365_205,
    "style_transfer": 1_679_235,
    "espcn": 22_729,
    "edsr_baseline": 1_369_859,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        network = by_name(name).network()
    assert sum(value.numel() for value in network.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "shape"), [("hifigan", (1, 80, 4)), ("inpainting", (1, 4, 64, 64)), ("dcgan", (1, 100, 1, 1))]
)
def test_answers_are_not_at_the_ends_of_their_range(name: str, shape: tuple[int, ...]) -> None:
    model = replace(by_name(name), inputs=(shape,))
    with torch.no_grad():
        (answer,) = model.build()(*model.example())
    assert float(answer.std()) > 0.05
    assert float((answer.abs() > 0.99).float().mean()) < 0.2


def test_the_last_stage_sees_twice_as_far_without_its_stride() -> None:
    torch.manual_seed(0)
    spread, plain = DeepLabV3().features.eval(), nn.Sequential(*list(ResNet(bottlenecks=True))[:-3]).eval()
    parts = zip(spread.parameters(), plain.parameters(), strict=True)
    with torch.no_grad():
        for given, taken in parts:
            taken.copy_(given)
        x = torch.randn(1, 3, 64, 96)
        # Every other pixel of the spread map is what the plain one has at that place.
        torch.testing.assert_close(spread(x)[:, :, ::2, ::2], plain(x), rtol=1e-4, atol=1e-4)
