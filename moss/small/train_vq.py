"""Trains the small VQ tokenizer: `python -m moss.small.train_vq --corpus ../shared/corpora/howto.tar`.

64 x 64 pixels become 8 x 8 codes of 512. Encoder, codebook and decoder are a small version of Chameleon's (1.1M
parameters), trained from scratch on the images of the training sources, without a discriminator and a perceptual
network. A plain codebook collapses onto a few codes, so the first part of the training runs without one. It is then set
to the k-means centres of the encoder's vectors and follows them as a moving average (van den Oord et al., arXiv
1711.00937, appendix A.1); unused codes are moved to vectors. Reconstructions are blurred and nearly grey: a training
this short mostly learns light and shade.

Writes config.json, vq.safetensors, pixel_decoder.safetensors (float16) and figures.json, measured on held-out sources
with the weights as written. With --sheet it also writes a picture of held-out originals above their reconstructions.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, mse_loss
from tqdm import tqdm
from transformers import ChameleonVQVAEConfig
from transformers.models.chameleon.modeling_chameleon import ChameleonVQVAE

from moss.backbones.chameleon_pixels import as_bytes, as_input
from moss.backbones.pixel_decoder import PixelDecoder
from moss.small.corpus import squares

HERE = Path(__file__).parent / "vq"
SIDE, JITTER = 64, 8
"""The image's side in pixels; in training it is cropped at random from an image with sides JITTER pixels longer."""
BATCH, RATE = 16, 2e-3
FREE, RENEWED = 0.2, 0.8
"""Shares of the steps: until the first there is no codebook, until the second unused codes are moved."""
COMMITMENT, DECAY, COLOUR = 0.25, 0.98, 4.0


class Tokenizer(nn.Module):
    """Chameleon's VQ encoder and our decoder, with a codebook that follows the encoder."""

    def __init__(self, config: ChameleonVQVAEConfig) -> None:
        super().__init__()
        self.vq, self.decoder = ChameleonVQVAE(config), PixelDecoder(config)
        for layer in self.vq.encoder.modules():  # transformers' first weights give all images alike codes
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
        self.codebook = self.vq.quantize.embedding.weight.requires_grad_(False)
        self.uses = torch.zeros(len(self.codebook))  # moving averages of the number of a code's vectors in a step,
        self.sums = torch.zeros_like(self.codebook)  # and their sum

    def vectors(self, pixels: Tensor) -> Tensor:
        """(N, 3, side, side) -> (N, embed_dim, rows, columns), float32."""
        found: Tensor = self.vq.quant_conv(self.vq.encoder(pixels)).float()
        return found

    def start_codebook(self, pixels: Tensor, rounds: int = 10) -> None:
        """Set the codebook to the k-means centres of the encoder's vectors."""
        points = _points(self.vectors(pixels))
        self.codebook.copy_(points[torch.randperm(len(points))[: len(self.codebook)]])
        for _ in range(rounds):
            self.uses.zero_(), self.sums.zero_()
            self.follow(points, _nearest(points, self.codebook), decay=0.0)
            self.renew(points, below=0.5)
        self.uses.clamp_(min=1.0)
        self.sums.copy_(self.codebook * self.uses[:, None])

    def follow(self, points: Tensor, numbers: Tensor, decay: float = DECAY) -> None:
        taken = torch.zeros_like(self.uses).index_add_(0, numbers, torch.ones(len(points)))
        total = torch.zeros_like(self.sums).index_add_(0, numbers, points)
        self.uses.lerp_(taken, 1 - decay)
        self.sums.lerp_(total, 1 - decay)
        live = self.uses > 1e-3
        self.codebook[live] = self.sums[live] / self.uses[live, None]

    def renew(self, points: Tensor, below: float) -> None:
        """Move codes that are used less than `below` to random points."""
        dead = self.uses < below
        fresh = points[torch.randint(len(points), (int(dead.sum()),))]
        self.codebook[dead] = self.sums[dead] = fresh
        self.uses[dead] = 1.0


def _points(vectors: Tensor) -> Tensor:
    return vectors.detach().permute(0, 2, 3, 1).flatten(0, 2)


def _nearest(points: Tensor, codebook: Tensor) -> Tensor:
    return torch.cat([torch.cdist(part, codebook).argmin(1) for part in torch.split(points, 1 << 14)])


def reconstruction_loss(made: Tensor, pixels: Tensor) -> Tensor:
    """L1 + L2 at full size and at a quarter of it, and L1 of the differences between neighbours.

    Colour, the distance from grey, counts again: most pictures of the corpus have little of it. (At this length of
    training, it hardly helps.)
    """
    off = made.float() - pixels
    coarse = avg_pool2d(off, 4)
    edges = off.diff(dim=2).abs().mean() + off.diff(dim=3).abs().mean()
    colour = coarse - coarse.mean(dim=1, keepdim=True)
    return (
        off.abs().mean()
        + off.square().mean()
        + coarse.abs().mean()
        + coarse.square().mean()
        + 0.5 * edges
        + COLOUR * (colour.abs().mean() + colour.square().mean())
    )


def train(pictures: np.ndarray, config: ChameleonVQVAEConfig, steps: int, seed: int = 0) -> Tokenizer:
    """Train on images, uint8 (N, side, side, 3), with a side of at least the configuration's resolution."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = Tokenizer(config).train()
    learnt = [weight for weight in tokenizer.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=RATE, betas=(0.9, 0.98), weight_decay=1e-4)
    autocast = torch.autocast("cpu", torch.bfloat16)
    free, renewed = int(FREE * steps), int(RENEWED * steps)
    with tqdm(range(steps), desc="VQ", unit="step", mininterval=10) as bar:
        for step in bar:
            pixels = _draw(pictures, config.resolution, BATCH, rng)
            if step == free:
                with torch.no_grad(), autocast:
                    tokenizer.start_codebook(_draw(pictures, config.resolution, 16 * BATCH, rng))
            with autocast:
                vectors = tokenizer.vectors(pixels)
            loss, taken = torch.zeros(()), vectors
            if step >= free:
                points = _points(vectors)
                numbers = _nearest(points, tokenizer.codebook)
                chosen = tokenizer.codebook[numbers].view(vectors.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
                loss = COMMITMENT * mse_loss(vectors, chosen)
                taken = vectors + (chosen - vectors).detach()
                tokenizer.follow(points, numbers)
                if step % 20 == 0 and step < renewed:
                    tokenizer.renew(points, below=0.05)
            with autocast:
                made = tokenizer.decoder(taken)
            restored = reconstruction_loss(made, pixels)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss + restored)
            nn.utils.clip_grad_norm_(learnt, 1.0)
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / 50) * max(0.01, 0.5 + 0.5 * math.cos(math.pi * step / steps))
            optimizer.step()
            bar.set_postfix_str(f"restored {restored:.3f} commitment {loss:.4f}", refresh=False)
    return tokenizer


def _draw(pictures: np.ndarray, side: int, count: int, rng: np.random.Generator) -> Tensor:
    """Random images, cropped at random, half of them mirrored."""
    spare = pictures.shape[1] - side
    cut = []
    for n in rng.integers(len(pictures), size=count):
        y, x = rng.integers(spare + 1, size=2)
        picture = pictures[n, y : y + side, x : x + side]
        cut.append(picture[:, ::-1] if rng.random() < 0.5 else picture)
    return as_input(torch.from_numpy(np.stack(cut)))


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the weights in float16. `vq.safetensors` has the names of transformers' ChameleonVQVAE."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.vq.post_quant_conv.load_state_dict(tokenizer.decoder.post_quant_conv.state_dict())
    tokenizer.vq.config.to_json_file(folder / "config.json")
    for name, part in (("vq", tokenizer.vq), ("pixel_decoder", tokenizer.decoder)):
        save_file(
            {key: weight.half().contiguous() for key, weight in part.state_dict().items()},
            folder / f"{name}.safetensors",
        )


def load(folder: Path = HERE) -> tuple[ChameleonVQVAE, PixelDecoder]:
    """The encoder with the codebook, and the decoder, in float32."""
    config = ChameleonVQVAEConfig.from_json_file(folder / "config.json")
    vq, decoder = ChameleonVQVAE(config), PixelDecoder(config)
    vq.load_state_dict({key: weight.float() for key, weight in load_file(folder / "vq.safetensors").items()})
    weights = load_file(folder / "pixel_decoder.safetensors")
    decoder.load_state_dict({key: weight.float() for key, weight in weights.items()})
    return vq.train(False), decoder.train(False)


@torch.no_grad()
def measure(vq: ChameleonVQVAE, decoder: PixelDecoder, pictures: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """Figures over pictures, uint8 (N, side, side, 3), and their reconstructions.

    psnr: decibels, mean over pictures. perplexity: of the codes' frequencies, at most the codebook's size. used: share
    of the codes that occur.
    """
    made, counts = [], torch.zeros(vq.config.num_embeddings)
    for part in torch.split(torch.from_numpy(pictures), 64):
        encoded = vq.encode(as_input(part), return_dict=True)
        counts += torch.bincount(encoded.image_tokens.flatten(), minlength=len(counts))
        made.append(as_bytes(decoder(encoded.quantized_last_hidden_state)).numpy())
    made = np.concatenate(made)
    error = np.square(made.astype(np.float32) - pictures).mean((1, 2, 3)).clip(min=1e-3)
    share = counts / counts.sum()
    return {
        "pictures": len(pictures),
        "psnr": round(float((10 * np.log10(255**2 / error)).mean()), 2),
        "perplexity": round(float(torch.special.entr(share).sum().exp()), 1),
        "used": round(float((counts > 0).float().mean()), 3),
    }, made


def run(corpus: Path, out: Path, steps: int, sheet: Path | None = None) -> dict[str, dict[str, float]]:
    """Train, write the weights, and measure them as written; returns the figures."""
    config = ChameleonVQVAEConfig(
        resolution=SIDE,
        num_embeddings=512,
        embed_dim=16,
        latent_channels=64,
        base_channels=32,
        channel_multiplier=[1, 1, 2, 2],
        num_res_blocks=1,
    )
    save(train(squares(corpus, SIDE + JITTER).train, config, steps), out)
    parts = load(out)
    seen = squares(corpus, SIDE)
    held_out, made = measure(*parts, seen.held_out)
    figures = {"held_out": held_out, "train": measure(*parts, seen.train[::5])[0]}
    (out / "figures.json").write_text(json.dumps({"steps": steps, **figures}, indent=1) + "\n")
    if sheet:
        rows = [
            np.concatenate(np.concatenate([side[n : n + 16] for side in (seen.held_out, made)], axis=1), axis=1)
            for n in range(0, 96, 16)
        ]
        PIL.Image.fromarray(np.concatenate(rows)).save(sheet)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpora/howto.tar"))
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--steps", type=int, default=1600, help="of 16 pictures each")
    parser.add_argument("--sheet", type=Path, help="write originals and reconstructions there, a PNG")
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.corpus, arguments.out, arguments.steps, arguments.sheet), indent=1))


if __name__ == "__main__":
    main()
