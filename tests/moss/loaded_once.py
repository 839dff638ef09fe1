"""torchrun --nproc_per_node 2 -m tests.moss.loaded_once FOLDER SHARDS: runs of `moss.train` from checkpoints' folders.

Sharded by FSDP2, with weights that the first process alone loads, as `accelerate launch --use_fsdp --fsdp_version 2
--fsdp_cpu_ram_efficient_loading true` asks for.
"""

from __future__ import annotations

import os
import pathlib
import sys

from accelerate import Accelerator
from accelerate.state import AcceleratorState

from moss import settings, train
from tests.moss.processes import leave
from tests.moss.two_processes import shard

MEANT = {"ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}
"""What accelerate launch sets for these options; transformers looks at it."""


def arguments(folder: pathlib.Path, shards: str, name: str) -> list[str]:
    """The settings of a run, in float32 and with rows that two processes share."""
    chosen = [
        f"shards={shards}",
        f"backbone.path={folder / name}",
        "backbone.dtype=float32",
        "data.length=1024",
        "data.workers=0",
        "training.rows=2",
        "training.accumulate=1",
        "training.warmup=0",
        "training.precision='no'",
        "training.steps=2",
        "training.z_loss=0.0",
        *(folder / f"{name}.txt").read_text().split(),
    ]
    return ["--config", f"configs/{name}.yaml", *(part for value in chosen for part in ("--set", value))]


def run(folder: pathlib.Path, shards: str, name: str, output: pathlib.Path) -> None:
    """Two steps, then a third by another run that resumes."""
    config = [*arguments(folder, shards, name), "--set", f"output={output}"]
    read = settings.load(config[1], config[3::2])
    assert train.train(read).step == 2
    more = settings.load(config[1], [*config[3::2], "training.steps=3"])
    AcceleratorState._reset_state()
    assert train.train(more, resume=True).step == 3


def sharded(**options: object) -> Accelerator:
    for name in MEANT:
        os.environ.pop(name, None)  # on a CPU, accelerate 1.15 refuses them
    accelerator = Accelerator(**options)
    shard(accelerator.state, "no", once=True)
    os.environ |= MEANT
    return accelerator


def watched(*given: object) -> object:
    """`train.build`, and a look at what has been loaded."""
    made = built(*given)
    layers = [p for name, p in made.named_parameters() if ".layers." in name and "vision" not in name]
    frozen = [p.is_meta for p in layers if not p.requires_grad]
    assert frozen and set(frozen) == {rank != 0}, "the decoder's layers"
    others = {name: p.is_meta for name, p in made.named_parameters() if ".layers." not in name or p.requires_grad}
    assert others and not any(others.values()), [name for name, lost in others.items() if lost]
    return made


if __name__ == "__main__":
    rank = int(os.environ["RANK"])
    built, train.build, train.Accelerator = train.build, watched, sharded
    Accelerator.end_training = lambda self: None  # it would end the group of processes, which the next run needs
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[3:]:
        AcceleratorState._reset_state()
        run(folder, sys.argv[2], name, folder / "two" / name)
    leave()
