"""What `benchmarks.moss_gpu` measures: steps, decoding, the image tokenizer, equality. Import it after `ready_peft`."""

from __future__ import annotations

import copy
import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import DynamicCache, StaticCache

from benchmarks import moss_step

VARIANTS = {"feature k=2": {}, "feature k=3": {"kernel_size": 3}, "rank k=2": {"conv_space": "rank"}}
NOT = "not measured: "
"""How the reason begins where a report has no figure."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a run. samples: packed into a row, of which 8,192 tokens are kept. decoded: tokens a round."""

    width: int = 4096
    layers: int = 4
    decode_layers: int = 32
    rank: int = 128
    rounds: int = 9
    samples: int = 8
    decoded: int = 64
    resolution: int = 512
    images: int = 64


TINY = Shape(width=128, layers=1, decode_layers=2, rank=4, rounds=1, samples=1, decoded=4, resolution=32, images=2)


def packed(samples: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and positions (1, L): samples of 64 text tokens, an image of 1,024 and 64 text tokens."""
    text = (moss_step.GRID * moss_step.GRID) // 8
    generator = torch.Generator().manual_seed(0)
    low = moss_step.LOW
    parts = []
    for _ in range(samples):
        words = torch.randint(low + 8192, 8448, (text,), generator=generator)
        image = torch.randint(low, low + 8192, (moss_step.GRID**2,), generator=generator)
        parts.append(torch.cat([words[: text // 2], image, words[text // 2 :]]))
    length = len(parts[0])
    ids = torch.cat(parts)[:8192][None]
    positions = torch.arange(length).repeat(samples)[:8192][None]
    return ids.to(device), positions.to(device)


def step(shape: Shape, device: str, until: float) -> dict[str, Any]:
    """Ratio to LoRA of time and of peak memory, for each variant."""
    ids, positions = packed(shape.samples, device)
    names = ["PEFT LoRA", *VARIANTS]
    models, optimisers = {}, {}
    for name in names:
        base = moss_step.decoder(shape.layers, shape.width, torch.bfloat16, device)
        models[name] = moss_step.adapted(base, VARIANTS.get(name) if name in VARIANTS else None, shape.rank)
        optimisers[name] = torch.optim.AdamW([p for p in models[name].parameters() if p.requires_grad], lr=1e-4)
    peaks: dict[str, list[float]] = {name: [] for name in names}
    kind = torch.device(device).type

    def once(name: str, model: torch.nn.Module) -> None:
        if kind == "cuda":
            torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() if kind == "cuda" else 0
        with torch.autocast(kind, torch.bfloat16):
            core = model.get_base_model().model
            loss = (
                core(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state.float().square().mean()
            )
        loss.backward()
        optimisers[name].step()
        optimisers[name].zero_grad()
        if kind == "cuda":
            peaks[name].append((torch.cuda.max_memory_allocated() - before) / 2**20)

    times = turns(models, once, shape.rounds, device, until)
    return {
        "tokens": ids.shape[1],
        "layers": shape.layers,
        "width": shape.width,
        "rank": shape.rank,
        "rounds": rounds_of(times, shape),
        **{
            name: {
                "ratio": ratio(times, name),
                "seconds": statistics.median(times[name]),
                "peak_mib": statistics.median(peaks[name]) if peaks[name] else None,
                "peak_ratio": (
                    statistics.median(peaks[name]) / statistics.median(peaks["PEFT LoRA"]) if peaks[name] else None
                ),
            }
            for name in names
        },
    }


@torch.no_grad()
def decode(shape: Shape, device: str, until: float) -> dict[str, Any]:
    """Share of LoRA's tokens/s for each variant: with a CUDA graph, and token by token."""
    ids = moss_step.sequences(1, device)
    base = moss_step.decoder(shape.decode_layers, shape.width, torch.bfloat16, device)
    found: dict[str, Any] = {"layers": shape.decode_layers, "width": shape.width, "rank": shape.rank}
    for way in ("graph", "eager"):
        if way == "graph" and torch.device(device).type != "cuda":
            found[way] = f"{NOT}a CUDA graph needs a CUDA device, and this is {device}"
            continue
        runs: dict[str, Callable[[], None]] = {}
        for name in ("PEFT LoRA", *VARIANTS):
            # every variant wraps the same frozen decoder, which is copied by reference: only the adapters are new
            model = moss_step.adapted(_shared(base), VARIANTS.get(name) if name in VARIANTS else None, shape.rank)
            runs[name] = decoder_loop(model.to(torch.bfloat16).eval(), ids, shape, graph=way == "graph")
        times = turns(runs, lambda name, run: run(), shape.rounds, device, until)
        found[way] = {"rounds": rounds_of(times, shape)} | {
            name: {"share": 1 / ratio(times, name), "tokens_per_second": shape.decoded / statistics.median(times[name])}
            for name in runs
        }
    return found


def decoder_loop(model: torch.nn.Module, ids: torch.Tensor, shape: Shape, *, graph: bool) -> Callable[[], None]:
    """A function that decodes `shape.decoded` image tokens after a prompt, each time in the same static cache."""
    core, at = model.get_base_model().model, 72
    room = 1152 + 4 * shape.decoded
    cache = StaticCache(config=core.config, max_cache_len=room)
    core(input_ids=ids[:, :at], past_key_values=cache, use_cache=True)
    token, position = ids[:, at : at + 1].clone(), torch.full((1, 1), at, device=ids.device)

    def one() -> None:
        core(input_ids=token, position_ids=position, past_key_values=cache, use_cache=True)

    def restart() -> None:
        cache.reset()
        core(input_ids=ids[:, :at], past_key_values=cache, use_cache=True)

    if not graph:

        def eager() -> None:
            restart()
            for _ in range(shape.decoded):
                one()

        return eager
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            one()
    torch.cuda.current_stream().wait_stream(stream)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        one()
    # image tokens of one image at most: a graph is replayed within the grid that the prompt began
    return lambda: [captured.replay() for _ in range(shape.decoded)] and None


def images(shape: Shape, device: str, until: float) -> dict[str, Any]:
    """Images per second through a VQ tokenizer of Chameleon's published shape."""
    import numpy as np
    import PIL.Image
    from transformers import ChameleonVQVAEConfig
    from transformers.models.chameleon.modeling_chameleon import ChameleonVQVAE

    from moss.backbones.chameleon_pixels import ChameleonPixels

    settings = (
        {} if shape.resolution == 512 else {"resolution": shape.resolution, "base_channels": 32, "num_embeddings": 64}
    )
    config = ChameleonVQVAEConfig(**settings)
    pixels = ChameleonPixels(ChameleonVQVAE(config), None, np.arange(config.num_embeddings), torch.device(device))
    random = np.random.default_rng(0)
    given = [
        PIL.Image.fromarray(random.integers(0, 256, (shape.resolution, shape.resolution, 3), dtype=np.uint8))
        for _ in range(shape.images)
    ]
    pixels.encode(given[:2])
    began = moss_step.clock(device)
    pixels.encode(given)
    rate = len(given) / (moss_step.clock(device) - began)
    return {
        "images_per_second": rate,
        "resolution": shape.resolution,
        "device": str(next(pixels.vq.parameters()).device),
    }


@torch.no_grad()
def equal(shape: Shape, device: str, until: float) -> dict[str, Any]:
    """Largest differences, float32, of adapters with random weights: this device to the CPU; cached to whole."""
    torch.manual_seed(0)
    found = {}
    ids = moss_step.sequences(1, "cpu")[:, 40:200]
    for name, settings in VARIANTS.items():
        model = moss_step.adapted(moss_step.decoder(2, 256, torch.float32, "cpu"), settings, 8).eval()
        for key, value in model.named_parameters():
            if "moss_" in key:
                torch.nn.init.normal_(value, std=0.1)
        core = model.get_base_model().model
        expected = core(input_ids=ids).last_hidden_state
        core = model.to(device).get_base_model().model
        whole = core(input_ids=ids.to(device)).last_hidden_state
        cache, parts = DynamicCache(config=core.config), []
        for start, end in ((0, 60), *((n, n + 1) for n in range(60, ids.shape[1]))):
            parts.append(
                core(input_ids=ids[:, start:end].to(device), past_key_values=cache, use_cache=True).last_hidden_state
            )
        scale = expected.abs().max().item()
        found[name] = {
            "to_cpu": (whole.cpu() - expected).abs().max().item() / scale,
            "decoding": (torch.cat(parts, 1) - whole).abs().max().item() / scale,
        }
        if max(found[name].values()) > 1e-3:
            raise AssertionError(f"{name} differs: {found[name]}")
    return found


def turns(
    what: dict[str, Any], run: Callable[[str, Any], None], rounds: int, device: str, until: float
) -> dict[str, list[float]]:
    """The seconds of run(name, value), in turns, after a warm-up round.

    At least one round; then until the time `until`.
    """
    times: dict[str, list[float]] = {name: [] for name in what}
    for turn in range(rounds + 1):
        if turn > 1 and time.monotonic() > until:
            break
        for name, value in what.items():
            began = moss_step.clock(device)
            run(name, value)
            if turn:
                times[name].append(moss_step.clock(device) - began)
    return times


def rounds_of(times: dict[str, list[float]], shape: Shape) -> str:
    """How many rounds there was time for, of those wanted."""
    return f"{min(map(len, times.values()))} of {shape.rounds}"


def ratio(times: dict[str, list[float]], name: str) -> float:
    return statistics.median(t / b for t, b in zip(times[name], times["PEFT LoRA"], strict=False))


def _shared(model: torch.nn.Module) -> torch.nn.Module:
    """A copy of the modules that shares every weight."""
    memo = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, memo)
