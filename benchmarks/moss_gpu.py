"""Measures on a GPU, in one run, every target of docs/moss.md: MoSS adapters against stock PEFT LoRA.

    python -m benchmarks.moss_gpu --minutes 12 --json > gpu.json
    python -m benchmarks.moss_gpu --tiny --device cpu           # the same code with tiny shapes, to see that it runs

It needs torch and transformers on the machine, and no network. Where PEFT is missing, too, it takes PEFT from a folder
made elsewhere (`pip install --no-deps --target build/site peft accelerate psutil`), or a stand-in with the same
arithmetic (benchmarks/peft_stand_in.py); "peft" in the report says which. Parts:

    step     forward, backward, AdamW: a decoder of 7B shape (4,096 wide) with 4 layers, one row of 8,192 packed tokens,
             bf16 base, float32 adapters, under autocast, LoRA too. Time and peak memory; at most 1.10 of LoRA's time
    decode   one token at a time, 32 layers, static cache, a CUDA graph (and without one). At least 0.9 of LoRA's rate
    images   512 px images a second through Chameleon's tokenizer (its shape, random weights)
    equal    the adapters' output on this device against the CPU's, float32, and decoding against the full forward

Speeds are compared in turns within the run: medians of the ratios, over the "rounds" that there was time for.
"targets" has every target with what was found and whether it is met; "not_measured" names everything that has no
figure, with its reason. The exit code is 0 if both are in order: all measured and equal, all targets met. Otherwise it is
1, and 2 without a GPU. With --tiny, whose figures mean nothing, targets are not compared, and a part that only a GPU has
may be missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
import traceback
from typing import Any

import torch

from benchmarks import peft_stand_in

PEFT = peft_stand_in.ready_peft()

# isort: split
from benchmarks.moss_gpu_parts import NOT, TINY, VARIANTS, Shape, decode, equal, images, step  # after PEFT is there

TARGETS = {"step": 1.10, "decode": 0.9}
"""At most this part of LoRA's time a step; at least this part of LoRA's tokens a second in a CUDA graph."""


def targets(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each target of each variant: what it is, what was found (None: not measured), and whether it is met."""
    rows = {}
    for name in VARIANTS:
        for part, place, key, sign in (
            ("step", found["step"], "ratio", "at most"),
            ("decode", _of(found["decode"], "graph"), "share", "at least"),
        ):
            value = _of(_of(place, name), key)
            value = value if isinstance(value, float) else None
            wanted = TARGETS[part]
            met = value is not None and (value <= wanted if part == "step" else value >= wanted)
            rows[f"{part}, {name}"] = {"target": f"{sign} {wanted}", "found": value, "met": met}
    return rows


def not_measured(found: dict[str, Any]) -> dict[str, str]:
    """The parts without a figure, with their reasons."""
    rows = {}
    for part in ("equal", "step", "images", "decode"):
        for name, value in ((part, found[part]), (f"{part}, graph", _of(found[part], "graph"))):
            if isinstance(value, str) and value.startswith(NOT):
                rows[name] = value.removeprefix(NOT)
            elif error := _of(value, "error"):
                rows[name] = error
    return rows


def _of(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def exit_code(found: dict[str, Any], *, tiny: bool) -> int:
    """0 if everything was measured and every target is met (see above for `tiny`), else 1."""
    if tiny:
        return int(any(not reason.startswith("a CUDA graph needs") for reason in found["not_measured"].values()))
    return int(bool(found["not_measured"]) or not all(row["met"] for row in found["targets"].values()))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, to see that the script runs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.device != "cpu" and not torch.cuda.is_available():
        print("moss_gpu: torch sees no GPU here; --tiny --device cpu shows only that the script runs", file=sys.stderr)
        return 2
    shape, began = TINY if options.tiny else Shape(), time.monotonic()
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if options.device != "cpu" else "cpu",
        "torch": torch.__version__,
        "peft": PEFT,
        "shape": dataclasses.asdict(shape),
    }
    parts = {"equal": equal, "step": step, "images": images, "decode": decode}
    for number, (name, part) in enumerate(parts.items()):
        left = began + 60 * options.minutes - time.monotonic()
        if left <= 0:
            found[name] = f"{NOT}the time was over"
            continue
        try:
            found[name] = part(shape, options.device, time.monotonic() + left / (len(parts) - number))
        except Exception as error:  # noqa: BLE001 - the other parts are still worth their time; the error is in the report
            found[name] = {"error": f"{type(error).__name__}: {error}", "at": traceback.format_exc(limit=-2)}
        if options.device != "cpu":
            torch.cuda.empty_cache()
    found["targets"] = "not compared: --tiny" if options.tiny else targets(found)
    found["not_measured"] = not_measured(found)
    print(json.dumps(found, indent=2) if options.json else "\n".join(f"{k}: {v}" for k, v in found.items()))
    return exit_code(found, tiny=options.tiny)


if __name__ == "__main__":
    sys.exit(main())
