"""The decoder mirrors Chameleon's encoder: shapes, names and what its parts compute."""

import pytest
import torch
from torch.nn.functional import interpolate
from transformers import ChameleonVQVAEConfig
from transformers.models.chameleon.modeling_chameleon import (
    ChameleonVQVAEEncoderAttnBlock,
    ChameleonVQVAEEncoderResnetBlock,
)

from moss.backbones.pixel_decoder import Attention, Block, Decoder, Level, PixelDecoder

PUBLISHED = ChameleonVQVAEConfig(attn_resolutions=[])
"""transformers' defaults are the published model's."""


def config(**changes) -> ChameleonVQVAEConfig:
    small = dict(
        embed_dim=8,
        num_embeddings=16,
        latent_channels=16,
        resolution=32,
        base_channels=32,
        channel_multiplier=[1, 2, 2],
        num_res_blocks=1,
    )
    return ChameleonVQVAEConfig(**small | changes)


def test_a_grid_of_vectors_becomes_a_square_of_pixels():
    assert PixelDecoder(config())(torch.randn(2, 8, 8, 8)).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("wide, out", [(32, 32), (32, 64)])
def test_blocks_compute_what_the_encoders_do(wide, out):
    theirs, ours = ChameleonVQVAEEncoderResnetBlock(config(), wide, out), Block(wide, out)
    ours.load_state_dict(theirs.state_dict())
    hidden = torch.randn(2, wide, 8, 8)
    torch.testing.assert_close(ours(hidden.clone()), theirs(hidden.clone()))


def test_attention_computes_what_the_encoders_does():
    theirs, ours = ChameleonVQVAEEncoderAttnBlock(32), Attention(32)
    ours.load_state_dict(theirs.state_dict())
    hidden = torch.randn(2, 32, 4, 6)
    torch.testing.assert_close(ours(hidden), theirs(hidden))


def test_a_level_ends_with_doubling_each_place():
    level = Level(32, 32, blocks=1, attend=False, grow=True)
    hidden = torch.randn(1, 32, 4, 4)
    doubled = level.block[0](hidden).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(level(hidden), level.upsample["conv"](doubled))
    assert torch.equal(doubled, interpolate(level.block[0](hidden), scale_factor=2))


def test_names_and_shapes_of_the_published_checkpoint():
    with torch.device("meta"):
        shapes = {name: tuple(weight.shape) for name, weight in PixelDecoder(PUBLISHED).state_dict().items()}
    assert shapes["post_quant_conv.weight"] == (256, 256, 1, 1)
    assert shapes["decoder.conv_in.weight"] == (512, 256, 3, 3)
    assert shapes["decoder.mid.attn_1.proj_out.weight"] == (512, 512, 1, 1)
    assert shapes["decoder.up.4.block.2.conv2.weight"] == (512, 512, 3, 3)
    assert shapes["decoder.up.3.block.0.nin_shortcut.weight"] == (256, 512, 1, 1)
    assert shapes["decoder.up.1.upsample.conv.bias"] == (128,)
    assert shapes["decoder.conv_out.weight"] == (3, 128, 3, 3)
    assert "decoder.up.0.upsample.conv.weight" not in shapes
    assert not [name for name in shapes if ".up." in name and ".attn." in name]


def test_attention_sits_at_the_resolutions_the_config_names():
    names = Decoder(config(attn_resolutions=[16])).state_dict()
    assert {name.split(".")[1] for name in names if name.startswith("up.") and ".attn." in name} == {"1"}
    assert not [name for name in Decoder(config(attn_type="none")).state_dict() if "attn" in name]
