"""torchrun --nproc_per_node 2 -m tests.moss.two_processes FOLDER SHARDS: three steps, unsharded and sharded.

The first process has two rows with images, the second two of text alone; together they are the batch of one process.
Then a run of `moss.train` on the shards that is stopped after three steps, for one process to go on with.
"""

from __future__ import annotations

import itertools
import pathlib
import signal
import sys

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from moss import backbones, data, train
from moss.batch import Batch
from moss.training import checkpoints
from moss.training.step import train_step
from tests.moss import small
from tests.moss.processes import leave

WITH_IMAGES, OF_TEXT = [small.ROWS[0], small.ROWS[3]], [small.ROWS[2], [small.sample("g", 11, 0, 9)]]
WHOLE = small.batches(2, [WITH_IMAGES[0], OF_TEXT[0], WITH_IMAGES[1], OF_TEXT[1]])


def run(output: pathlib.Path, batches: list[Batch], sharded: bool = False, precision: str = "no") -> None:
    """Two micro-batches a step, with gradient checkpointing; every loss term has a weight of its own."""
    AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision=precision)
    if sharded:
        shard(accelerator.state, precision)
    settings = small.settings("none", output, accumulate=2, text_weight=0.5, image_weight=2.0, z_loss=0.1)
    generalist = small.adapted()
    if precision == "bf16":
        for parameter in generalist.parameters():
            parameter.data = parameter.data if parameter.requires_grad else parameter.data.bfloat16()
    generalist.model.gradient_checkpointing_enable()
    model, optimizer = train.prepare(accelerator, generalist.train(), settings)
    assert (type(model).__name__ == "FSDPGeneralist") == sharded
    for step in range(3):
        values = train_step(accelerator, model, optimizer, generalist, batches, settings, step)
        assert values["image_fraction"] == 18 / 80 and values["gradient_norm/image"] > 0
    assert sharded is False or model(batches[0]).text_loss.dtype == torch.float32
    folder = checkpoints.save(
        str(output),
        generalist,
        optimizer.optimizer,
        checkpoints.Position(3),
        settings,
        writes=accelerator.is_main_process,
    )
    accelerator.wait_for_everyone()
    before = {p: optimizer.state[p]["exp_avg"].clone() for p in optimizer.state}
    checkpoints.load_optimizer(folder, generalist, optimizer.optimizer)
    assert all(torch.equal(_local(optimizer.state[p]["exp_avg"]), _local(value)) for p, value in before.items())


def stopped(shards: str, output: pathlib.Path, rank: int) -> None:
    """A run of six steps; in the third, the second process alone is asked to stop."""
    AcceleratorState._reset_state()
    drawn, count = data.batches, itertools.count(1)

    def interrupting(*args, **options):
        for batch in drawn(*args, **options):
            if next(count) == 6 and rank == 1:  # of two micro-batches a step
                signal.raise_signal(signal.SIGTERM)
            yield batch

    data.batches = interrupting
    backbones.load = lambda name, path, dtype, **_: small.bare(dtype)
    assert train.train(small.settings(shards, output, accumulate=2, save_every=100)).step == 3


def shard(state: AcceleratorState, precision: str, once: bool = False) -> None:
    """What `accelerate launch --use_fsdp --fsdp_version 2` sets; without GPUs accelerate 1.15 does not set it."""
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", cpu_ram_efficient_loading=once
    )
    if precision != "no":
        plugin.set_mixed_precision(precision)
    state.fsdp_plugin, state._shared_state["fsdp_plugin"] = plugin, plugin
    state.distributed_type = state._shared_state["distributed_type"] = DistributedType.FSDP


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


if __name__ == "__main__":
    rank = Accelerator().process_index
    own = small.batches(1, OF_TEXT if rank else WITH_IMAGES)
    folder = pathlib.Path(sys.argv[1])
    run(folder / "ddp", own)
    run(folder / "fsdp2", own, sharded=True)
    run(folder / "fsdp2-bf16", own, sharded=True, precision="bf16")
    stopped(sys.argv[2], folder / "stopped", rank)
    leave()
