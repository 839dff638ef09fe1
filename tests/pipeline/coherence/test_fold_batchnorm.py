"""Folding batch normalisation into convolutions."""

import torch_compat  # noqa: F401 - before timm, which imports torchvision

# isort: split
import open_clip
import pytest
import timm
import torch
from torch import nn

from pipeline.coherence.fold_batchnorm import fold

PICTURE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def lively(tower: nn.Module) -> nn.Module:
    """With normalisations that do something, as after training."""
    torch.manual_seed(0)
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return tower.eval()


def norms(tower: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in tower.modules())


@pytest.mark.parametrize(
    "make",
    [
        lambda: timm.create_model("tf_efficientnet_lite0", num_classes=0),
        lambda: open_clip.modified_resnet.ModifiedResNet([1, 1, 1, 1], 32, 4, image_size=64, width=16),
    ],
    ids=["the embedded model's tower", "CLIP's own ResNet"],
)
def test_a_folded_tower_gives_the_same_vectors_without_normalisations(make):
    tower = lively(make())
    folded = fold(tower, PICTURE)
    assert norms(tower) > 10 and norms(folded) == 0
    with torch.inference_mode():
        torch.testing.assert_close(folded(PICTURE), tower(PICTURE), rtol=1e-3, atol=1e-4)


def test_a_tower_that_applies_them_in_another_order_is_left_as_it_is():
    class NormFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.conv(self.norm(x))

    tower = lively(NormFirst())
    assert fold(tower, PICTURE) is tower and norms(tower) == 1


def test_a_tower_without_any_is_left_as_it_is():
    tower = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()).eval()
    assert fold(tower, PICTURE) is tower
