"""Trains adapters on a frozen backbone.

    python -m moss.train --config configs/moss_demo.yaml [--set training.steps=10 ...] [--resume]

One process, or several through `accelerate launch` (DDP or FSDP2: the headers of the configurations have the commands).
A step gives the same result for any number of processes and micro-batches, up to rounding.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import pathlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from peft import get_peft_model
from tqdm import tqdm

from moss import MossConfig, backbones, data
from moss.backbones.generalist import Generalist
from moss.batch import Batch
from moss.settings import Settings, add_arguments, flat, load
from moss.training import attention, checkpoints, fingerprints, placement, sharded, trackers
from moss.training.checkpoints import Position
from moss.training.step import rate_of, train_step, trained
from moss.training.validation import validate
from schemas.errors import UserError
from schemas.printable import printable


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m moss.train", description="Fine-tune MoSS adapters on shards.")
    add_arguments(parser)
    parser.add_argument("--resume", action="store_true", help="go on from the latest checkpoint in the output, if any")
    options = parser.parse_args(arguments)
    try:
        settings = load(options.config, options.overrides)
        return 0 if train(settings, resume=options.resume).step == settings.training.steps else 130
    except UserError as error:
        print(printable(f"moss.train: {error}"), file=sys.stderr)
        return 2


def train(settings: Settings, *, resume: bool = False) -> Position:
    """Train to the last step, or until Ctrl-C or SIGTERM, after which a checkpoint is saved.

    Returns the position reached.
    """
    training = settings.training
    trackers.check(training.trackers)
    accelerator = Accelerator(
        mixed_precision=training.precision, log_with=list(training.trackers), project_dir=settings.output
    )
    sharded.plugin(accelerator)
    if accelerator.gradient_accumulation_steps != 1:
        raise UserError(
            f"accelerate is set to {accelerator.gradient_accumulation_steps} gradient accumulation steps, by which it would "
            "divide the gradients once more: leave --gradient_accumulation_steps out of accelerate launch and out of its "
            "configuration (ACCELERATE_GRADIENT_ACCUMULATION_STEPS), and set training.accumulate"
        )
    if training.rows % accelerator.num_processes:
        raise UserError(
            f"training.rows is {training.rows}; make it a multiple of {accelerator.num_processes}, the "
            "number of processes"
        )
    folder = checkpoints.latest(settings.output)
    if folder and not resume:
        raise UserError(
            f"{settings.output} holds {folder.name} of an earlier run; give --resume to go on from there, "
            "or name another output"
        )
    position = checkpoints.resume_position(folder, settings) if folder else Position()
    if position.step > training.steps:
        raise UserError(
            f"{folder} has taken {position.step} steps, and training.steps is {training.steps}: raise it, or name another output"
        )
    with sharded.in_turn(accelerator, settings.backbone.path):
        generalist = build(settings, folder)
        attention.choose(generalist, settings, accelerator.device)
        generalist = sharded.to_device(accelerator, generalist)
    backbone = sharded.fingerprint(accelerator, generalist)
    if folder:
        fingerprints.check(folder, position.backbone, backbone, settings.backbone.path)
    dataset = open_dataset(settings, generalist, accelerator, exclude_sources=settings.data.held_out_sources)
    held_out = None
    if training.validate_every:
        held_out = open_dataset(settings, generalist, accelerator, sources=settings.data.held_out_sources)
    if folder and (said := data.check_resumed(position.samples, dataset.fingerprint, str(folder), settings.shards)):
        accelerator.print(said)
    accelerator.print(f"data: {dataset.report}\ntrainable parameters: {sizes(generalist)}")
    model, optimizer = prepare(accelerator, generalist, settings)
    if folder:
        checkpoints.load_optimizer(folder, generalist, optimizer.optimizer)
    attention.check_isolated(accelerator, model, generalist, training.rows // accelerator.num_processes)
    accelerator.init_trackers("moss", {key: str(value) for key, value in flat(settings).items()})

    feed = micro_batches(dataset, settings, position, accelerator)
    bar = tqdm(total=training.steps, initial=position.step, unit="step", disable=not accelerator.is_main_process)
    tokens, since = 0.0, time.perf_counter()
    with interruptions() as asked, bar:
        while position.step < training.steps:
            taken = [next(feed) for _ in range(training.accumulate)]
            values = train_step(
                accelerator,
                model,
                optimizer,
                generalist,
                [batch for batch, _, _ in taken],
                settings,
                position.step,
                stop=bool(asked),
            )
            position = Position(position.step + 1, *taken[-1][1:], dataset.fingerprint, backbone)
            stop, tokens = values.pop("stop"), tokens + values.pop("tokens")
            if position.step % training.log_every == 0 or position.step == training.steps:
                speed = tokens / (time.perf_counter() - since)
                tokens, since = 0.0, time.perf_counter()
                accelerator.log({**values, "tokens_per_second": speed, "epoch": position.epoch}, step=position.step)
                bar.set_postfix(
                    {
                        "text": f"{values['loss/text']:.3f}",
                        "image": f"{values['loss/image']:.3f}",
                        "tokens/s": f"{speed:.0f}",
                    },
                    refresh=False,
                )
            if held_out and (position.step % training.validate_every == 0 or position.step == training.steps):
                measured = validate(
                    accelerator,
                    model,
                    data.batches(
                        held_out,
                        rows=training.rows,
                        length=settings.data.length,
                        seed=0,
                        epoch=0,
                        rank=accelerator.process_index,
                        ranks=accelerator.num_processes,
                        complete=False,
                    ),
                )
                accelerator.log(measured, step=position.step)
            bar.update()
            if stop or position.step % training.save_every == 0 or position.step == training.steps:
                checkpoints.save(
                    settings.output,
                    generalist,
                    optimizer.optimizer,
                    position,
                    settings,
                    writes=accelerator.is_main_process,
                )
                if accelerator.is_main_process:
                    checkpoints.prune(settings.output, training.keep)
            if stop:
                break
    accelerator.wait_for_everyone()
    accelerator.end_training()
    if position.step < training.steps:
        accelerator.print(f"stopped after step {position.step}; --resume goes on from there")
    return position


def build(settings: Settings, checkpoint: pathlib.Path | None = None) -> Generalist:
    """The frozen backbone with its adapters: new ones from the seed, or a checkpoint's.

    Raises UserError for adapters and trained weights that would be of no use (see `moss.training.placement`).
    """
    backbone = settings.backbone
    torch.manual_seed(settings.training.seed)  # for new weights of a backbone, which must be the same on every process
    generalist = backbones.load(backbone.name, backbone.path, getattr(torch, backbone.dtype), **backbone.options)
    torch.manual_seed(settings.training.seed)
    if checkpoint:
        checkpoints.load_weights(checkpoint, generalist, trainable=True)
    else:
        try:
            config = MossConfig.for_backbone(generalist, **dataclasses.asdict(settings.adapter))
            generalist.model = get_peft_model(generalist.model, config)
        except ValueError as error:
            raise UserError(f"adapter: {error}") from error
    placement.check(generalist, settings.adapter.modules_to_save or ())
    if settings.training.gradient_checkpointing:
        generalist.plain_model.gradient_checkpointing_enable()
    return generalist.train()


def open_dataset(
    settings: Settings,
    generalist: Generalist,
    accelerator: Accelerator,
    sources: Sequence[str] | None = None,
    exclude_sources: Sequence[str] = (),
) -> data.Samples:
    """The shards' instances that fit; every process encodes its share of those that are not encoded yet."""
    return data.open_samples(
        pathlib.Path(settings.shards),
        generalist,
        max_length=settings.data.length,
        max_images=settings.data.max_images,
        train_boundaries=settings.data.train_boundaries,
        progress=accelerator.is_main_process,
        rank=accelerator.process_index,
        ranks=accelerator.num_processes,
        workers=settings.data.workers,
        sources=sources,
        exclude_sources=exclude_sources,
    )


def sizes(generalist: Generalist) -> str:
    """The numbers of trainable parameters by branch, their share of all, and the number of adapted layers, as text."""
    counted = {branch: sum(p.numel() for p in parameters) for branch, parameters in trained(generalist).items()}
    share = sum(counted.values()) / sum(p.numel() for p in generalist.parameters())
    by_branch = ", ".join(f"{branch} {n:,}" for branch, n in counted.items())
    return f"{by_branch} ({share:.2%} of all); adapted layers: {len(placement.adapted(generalist))}"


def prepare(
    accelerator: Accelerator, generalist: Generalist, settings: Settings
) -> tuple[torch.nn.Module, AcceleratedOptimizer]:
    """The model and its optimiser, on their device and wrapped or sharded as `accelerate launch` asked."""
    groups = [
        {"params": parameters, "lr": rate_of(branch, settings.training)}
        for branch, parameters in trained(generalist).items()
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.training.weight_decay)
    if settings.training.compile:
        generalist.core.compile()  # its shapes never change; the output layer's do, with the number of targets
    sharded.make_ready(accelerator, generalist)
    prepared: tuple[torch.nn.Module, AcceleratedOptimizer] = accelerator.prepare(generalist, optimizer)
    return prepared


def micro_batches(
    dataset: data.Samples, settings: Settings, position: Position, accelerator: Accelerator
) -> Iterator[tuple[Batch, int, int]]:
    """This process's batches from a position on, epoch after epoch, each with the position after it."""
    rows, whole = settings.training.rows, settings.training.rows * settings.training.accumulate
    epoch, start = position.epoch, position.start
    while True:
        for batch in data.batches(
            dataset,
            rows=rows,
            whole=whole,
            length=settings.data.length,
            seed=settings.training.seed,
            epoch=epoch,
            start=start // rows,
            workers=settings.data.workers,
            rank=accelerator.process_index,
            ranks=accelerator.num_processes,
            condition_dropout=settings.training.condition_dropout,
        ):
            start += rows
            yield batch.to(accelerator.device), epoch, start
        epoch, start = epoch + 1, 0


@contextlib.contextmanager
def interruptions() -> Iterator[list[int]]:
    """A list to which the first Ctrl-C or SIGTERM adds; the second one has its usual effect."""
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in before:
            signal.signal(number, note)
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
