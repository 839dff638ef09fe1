"""Training steps and saved activations of MoSS adapters against stock PEFT LoRA of the same rank, in one run.

`python -m benchmarks.moss_step [--json]`: a decoder of Chameleon's shape with 3 layers, 1024 wide, on sequences of
64 text + 1024 image + 64 text tokens; adapters of rank 64 for text and for images ("half
rank": 32 for images, the default) on all seven linear layers of each. A step is forward, mean
square of the last hidden states as the loss, backward, AdamW. There is no output layer, which is the same for all and
would only bring the ratios nearer to 1. The variants take turns, round by round, and a ratio is the median over rounds
of a variant's time by LoRA's time in the same round, so that a machine's noise hits both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch_compat  # noqa: F401 - before peft, which imports torchvision

# isort: split
import peft
import torch
from transformers import ChameleonConfig, ChameleonForConditionalGeneration, ChameleonVQVAEConfig

from moss import MossConfig

LINEARS = r".*layers\.\d+\.(self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj"
GRID, LOW = 32, 4
VARIANTS = {
    "PEFT LoRA": None,
    "lora": {"kind": "lora"},
    "moe_lora": {"kind": "moe_lora"},
    "feature k=2": {},
    "feature k=2, half rank": {"r_image": None},
    "feature k=3": {"kernel_size": 3},
    "feature_depthwise k=2": {"conv_space": "feature_depthwise"},
    "rank k=2": {"conv_space": "rank"},
    "rank k=3": {"conv_space": "rank", "kernel_size": 3},
}


def decoder(layers: int, width: int, dtype: torch.dtype, device: str) -> torch.nn.Module:
    """A frozen Chameleon decoder with random weights; its VQ model is as small as possible, because it is not used."""
    vq = ChameleonVQVAEConfig(
        embed_dim=32,
        num_embeddings=8,
        latent_channels=32,
        resolution=32,
        base_channels=32,
        channel_multiplier=[1, 1, 1],
        num_res_blocks=1,
    )
    names = {"<image>": 3} | {"IMGIMG" + "".join("ABCDEFGHIJ"[int(d)] for d in str(i)) + "Z": LOW + i for i in range(8)}
    config = ChameleonConfig(
        vocab_size=8448,
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=width // 128,
        num_key_value_heads=width // 128,
        vocabulary_map=names,
        vq_config=vq,
    )
    with torch.device(device):
        model = ChameleonForConditionalGeneration(config).to(dtype)
    return model.requires_grad_(False)


def adapted(model: torch.nn.Module, settings: dict | None, rank: int) -> torch.nn.Module:
    if settings is None:
        return peft.get_peft_model(model, peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LINEARS))
    return peft.get_peft_model(
        model,
        MossConfig(
            **{
                "r": rank,
                "r_image": rank,
                "target_modules": LINEARS,
                "grid": (GRID, GRID),
                "image_token_ids": (LOW, LOW + 8192),
                **settings,
            }
        ),
    )


def sequences(rows: int, device: str) -> torch.Tensor:
    """Token ids (rows, 1152): text, a whole image, text."""
    generator = torch.Generator().manual_seed(0)
    text = torch.randint(LOW + 8192, 8448, (rows, 128), generator=generator)
    image = torch.randint(LOW, LOW + 8192, (rows, GRID * GRID), generator=generator)
    return torch.cat([text[:, :64], image, text[:, 64:]], dim=1).to(device)


def loss_of(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    return model.get_base_model().model(input_ids=ids, use_cache=False).last_hidden_state.float().square().mean()


def step(model, optimiser, ids) -> None:
    loss_of(model, ids).backward()
    optimiser.step()
    optimiser.zero_grad()


def saved_mib(model: torch.nn.Module, ids: torch.Tensor) -> float:
    """The memory that autograd keeps between forward and backward, in MiB: distinct storages, weights not counted."""
    weights = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = loss_of(model, ids)
    found = sum(kept.values()) / 2**20
    loss.backward()
    model.zero_grad()
    return found


def measure(
    *, layers: int, width: int, rank: int, rows: int, rounds: int, dtype: torch.dtype, device: str, names: list[str]
) -> dict[str, dict[str, float]]:
    """For each variant: seconds a step (median), ratio to PEFT LoRA, saved MiB and its ratio, trainable parameters."""
    ids = sequences(rows, device)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    # Each variant wraps a copy of the same frozen decoder, so that all can take turns.
    models = {name: adapted(decoder(layers, width, dtype, device), VARIANTS[name], rank) for name in names}
    optimisers = {
        name: torch.optim.AdamW([p for p in m.parameters() if p.requires_grad], lr=1e-4) for name, m in models.items()
    }
    saved = {name: saved_mib(model, ids) for name, model in models.items()}
    times = take_turns(models, lambda name, model: step(model, optimisers[name], ids), rounds, device)
    base = times["PEFT LoRA"]
    return {
        name: {
            "seconds": statistics.median(times[name]),
            "ratio": statistics.median(t / b for t, b in zip(times[name], base, strict=False)),
            "saved_mib": saved[name],
            "saved_ratio": saved[name] / saved["PEFT LoRA"],
            "trainable": sum(p.numel() for p in models[name].parameters() if p.requires_grad),
        }
        for name in names
    }


def take_turns(models: dict, run: Callable[[str, torch.nn.Module], None], rounds: int, device: str) -> dict[str, list]:
    """Seconds of run(name, model), for each model once a round, after a round that warms up."""
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(rounds + 1):
        for name, model in models.items():
            began = clock(device)
            run(name, model)
            if turn:
                times[name].append(clock(device) - began)
    return times


def clock(device: str) -> float:
    """Seconds: CPU time of the process's one thread, which other programs hardly disturb; wall time on a GPU."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(
        layers=options.layers,
        width=options.width,
        rank=options.rank,
        rows=options.rows,
        rounds=options.rounds,
        dtype=getattr(torch, options.dtype),
        device=options.device,
        names=["PEFT LoRA", *(v for v in options.variants if v != "PEFT LoRA")],
    )
    if options.json:
        print(json.dumps({"threads": torch.get_num_threads(), **vars(options), "variants": found}, indent=2))
        return
    print(f"{'':24}{'step':>9}{'ratio':>8}{'saved':>10}{'ratio':>8}{'trainable':>12}")
    for name, row in found.items():
        print(
            f"{name:24}{row['seconds']:8.3f}s{row['ratio']:8.2f}{row['saved_mib']:7.0f}MiB{row['saved_ratio']:8.2f}"
            f"{row['trainable'] / 1e6:11.2f}M"
        )


if __name__ == "__main__":
    main()
