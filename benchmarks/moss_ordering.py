"""LoRA, MoE-LoRA and MoSS adapters of equal size, fine-tuned on the same instances and measured on held-out sources.

    python -m benchmarks.moss_ordering --shards out/howto --output out/moss_ordering [--seeds 0 1 2] [--workers 2]

`--shards` is the pipeline's output for howto.tar (`python beam_pipeline.py --config configs/howto.yaml ...`). The
backbone is the small generalist (moss/small), which was trained from scratch on other sources of the same corpus. Each
method is trained once a seed by `moss.train` with configs/moss_ordering.yaml; `moss.evaluate` measures each seed's
runs on the sources that nothing was trained on. Finished runs are kept, so an interrupted comparison goes on. Writes
table.md and results.json.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from moss.small import HELD_OUT

METHODS = {
    "lora": {"kind": "lora", "r": 16},
    "moe_lora": {"kind": "moe_lora", "r": 8, "r_image": 8},
    "moss": {"kind": "moss", "r": 9, "r_image": 3},
    "moss_depthwise": {"kind": "moss", "conv_space": "feature_depthwise", "r": 8, "r_image": 6},
    "moss_rank": {"kind": "moss", "conv_space": "rank", "r": 8, "r_image": 8},
}
"""Ranks at which all have about the trainable parameters of a shared LoRA of rank 16: from -1.1 to +2.3 percent."""
FIGURES = ("text loss", "image bits/token", "image top-1")


def train(method: str, seed: int, shards: Path, output: Path) -> Path:
    """One run, in a process of its own with one thread."""
    folder = output / f"{method}-{seed}"
    settings = {
        "shards": shards,
        "output": folder,
        "training.seed": seed,
        **{f"adapter.{name}": value for name, value in METHODS[method].items()},
    }
    command = [sys.executable, "-m", "moss.train", "--config", "configs/moss_ordering.yaml", "--resume"]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    _run(command, output / f"{method}-{seed}.log")
    return folder


def evaluate(seed: int, runs: dict[str, Path], shards: Path, output: Path) -> dict[str, Any]:
    """The table of one seed's runs, and of the backbone without any."""
    folder = output / f"seed-{seed}"
    named = [f"base={next(iter(runs.values()))}", *(f"{name}={run}" for name, run in runs.items())]
    _run(
        [
            sys.executable,
            "-m",
            "moss.evaluate",
            "--shards",
            str(shards),
            "--output",
            str(folder),
            "--sources",
            *HELD_OUT,
            "--runs",
            *named,
        ],
        output / f"seed-{seed}.log",
    )
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def _run(command: list[str], log: Path) -> None:
    with log.open("w") as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed; see {log}")


def markdown(by_seed: list[dict[str, Any]]) -> str:
    """One line a method: mean over seeds (lowest to highest), and the mean paired difference to LoRA."""
    lines = [
        "| method | trained parameters | " + " | ".join(f"{f} | v lora" for f in FIGURES) + " |",
        "| :-- | --: |" + " --: | --: |" * len(FIGURES),
    ]
    for place, first in enumerate(by_seed[0]["methods"]):
        cells = [first["name"], f"{first['parameters']:,}"]
        for figure in FIGURES:
            found = [seed["methods"][place]["figures"][figure] for seed in by_seed]
            values = [f["value"] for f in found]
            cells.append(f"{statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})")
            differing = [f["difference"] for f in found if "difference" in f]
            cells.append("; ".join(f"{d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]" for d in differing) or "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one core each")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    jobs = [(method, seed) for seed in options.seeds for method in options.methods]
    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        folders = dict(
            zip(jobs, pool.map(lambda job: train(job[0], job[1], options.shards, options.output), jobs), strict=False)
        )
        by_seed = [
            evaluate(seed, {m: folders[m, seed] for m in options.methods}, options.shards, options.output)
            for seed in options.seeds
        ]
    (options.output / "results.json").write_text(
        json.dumps(dict(zip(options.seeds, by_seed, strict=False)), indent=1) + "\n"
    )
    (options.output / "table.md").write_text(markdown(by_seed))
    print(markdown(by_seed))


if __name__ == "__main__":
    main()
