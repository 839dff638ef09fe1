"""The decoder of Chameleon's VQGAN, which transformers leaves out: from codebook vectors back to pixels.

The network is the decoder of Esser et al., Taming Transformers for High-Resolution Image Synthesis (CVPR 2021,
https://arxiv.org/abs/2012.09841), which Chameleon and Anole took over, and mirrors transformers' ChameleonVQVAEEncoder
under the same config. Weights keep the names of the published vqgan.ckpt, so loading it is a matter of taking its keys
that start with `post_quant_conv.` or `decoder.`:

    post_quant_conv                                   1 x 1, embed_dim -> latent_channels
    decoder.conv_in, decoder.norm_out, decoder.conv_out
    decoder.mid.{block_1, attn_1, block_2}
    decoder.up.L.block.N, decoder.up.L.attn.N         L is 0 at full size; num_res_blocks + 1 blocks
    decoder.up.L.upsample.conv                        for L > 0: from level L's size to twice that
    block: norm1, conv1, norm2, conv2, nin_shortcut   nin_shortcut (1 x 1) where the channels change
    attn: norm, q, k, v, proj_out
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention, silu
from transformers import ChameleonVQVAEConfig


class PixelDecoder(nn.Module):
    """(N, embed_dim, rows, columns) codebook vectors -> (N, 3, resolution, resolution) pixels, about -1..1."""

    def __init__(self, config: ChameleonVQVAEConfig) -> None:
        super().__init__()
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.latent_channels, 1)
        self.decoder = Decoder(config)

    def forward(self, vectors: Tensor) -> Tensor:
        pixels: Tensor = self.decoder(self.post_quant_conv(vectors))
        return pixels


class Decoder(nn.Module):
    """The decoder proper: (N, latent_channels, rows, columns) -> (N, 3, resolution, resolution)."""

    def __init__(self, config: ChameleonVQVAEConfig) -> None:
        super().__init__()
        widths = [config.base_channels * multiplier for multiplier in config.channel_multiplier]
        vanilla = config.attn_type == "vanilla"
        width = widths[-1]
        self.conv_in = nn.Conv2d(config.latent_channels, width, 3, padding=1)
        self.mid = nn.ModuleDict(
            {
                "block_1": Block(width, width),
                "attn_1": Attention(width) if vanilla else nn.Identity(),
                "block_2": Block(width, width),
            }
        )
        levels: list[Level] = []
        for level in reversed(range(len(widths))):  # built from the coarsest, kept from the finest: see the names
            attend = vanilla and config.resolution >> level in (config.attn_resolutions or ())
            levels.insert(0, Level(width, widths[level], config.num_res_blocks + 1, attend, grow=level > 0))
            width = widths[level]
        self.up = nn.ModuleList(levels)
        self.norm_out = norm(width)
        self.conv_out = nn.Conv2d(width, config.in_channels, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = self.conv_in(hidden)
        for layer in self.mid.values():
            hidden = layer(hidden)
        for level in reversed(self.up):
            hidden = level(hidden)
        pixels: Tensor = self.conv_out(silu(self.norm_out(hidden)))
        return pixels


class Level(nn.Module):
    """The blocks of one size, and the step to twice that size."""

    def __init__(self, wide: int, out: int, blocks: int, attend: bool, grow: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList([Block(wide if n == 0 else out, out) for n in range(blocks)])
        self.attn = nn.ModuleList([Attention(out) for _ in range(blocks if attend else 0)])
        self.upsample = nn.ModuleDict({"conv": nn.Conv2d(out, out, 3, padding=1)}) if grow else None

    def forward(self, hidden: Tensor) -> Tensor:
        for n, block in enumerate(self.block):
            hidden = block(hidden)
            if len(self.attn):
                hidden = self.attn[n](hidden)
        if self.upsample is not None:
            hidden = self.upsample["conv"](interpolate(hidden, scale_factor=2.0, mode="nearest"))
        return hidden


class Block(nn.Module):
    """Two normalised 3 x 3 convolutions beside a shortcut."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(wide), nn.Conv2d(wide, out, 3, padding=1)
        self.norm2, self.conv2 = norm(out), nn.Conv2d(out, out, 3, padding=1)
        if wide != out:
            self.nin_shortcut = nn.Conv2d(wide, out, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        inner = self.conv1(silu(self.norm1(hidden)))
        inner = self.conv2(silu(self.norm2(inner)))
        found: Tensor = (self.nin_shortcut(hidden) if hasattr(self, "nin_shortcut") else hidden) + inner
        return found


class Attention(nn.Module):
    """One attention head over all positions of the grid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, hidden: Tensor) -> Tensor:
        normed = self.norm(hidden)
        # each (N, places, width)
        q, k, v = (layer(normed).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(hidden.shape)
        found: Tensor = hidden + self.proj_out(mixed)
        return found


def norm(width: int) -> nn.GroupNorm:
    """Group normalisation with the settings of the published VQGAN."""
    return nn.GroupNorm(32, width, eps=1e-6)
