"""One optimiser step, over several micro-batches and processes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch.distributed.tensor import DTensor

from moss.backbones.generalist import Generalist, TokenScores
from moss.batch import Batch
from moss.settings import Settings, Training
from moss.training import losses
from moss.training.schedule import learning_rate
from schemas.errors import UserError


def train_step(
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    generalist: Generalist,
    batches: Sequence[Batch],
    settings: Settings,
    step: int,
    *,
    stop: bool = False,
) -> dict[str, float]:
    """One optimiser step on these micro-batches and those of the other processes.

    Returns the figures of the step (losses, gradient norm, ...), the same on every process. Raises UserError, before
    any weight is changed, for a loss or a gradient that is not finite.
    """
    training, ranks = settings.training, accelerator.num_processes
    torch.manual_seed(step_seed(training.seed, step, accelerator.process_index))
    counted = accelerator.reduce(losses.counts(batches))
    parts, scores = [], []
    for number, batch in enumerate(batches):
        with accelerator.no_sync(model) if number + 1 < len(batches) else contextlib.nullcontext():
            scores.append(model(batch))
            parts.append(losses.sums(scores[-1], batch))
            accelerator.backward(losses.total(parts[-1], counted, training) * ranks)  # gradients are averaged
    sums = torch.stack([torch.stack(part).detach() for part in parts]).sum(0)
    own = torch.stack([(batch.ids != generalist.tokenizer.pad).sum() for batch in batches]).sum()
    sums = accelerator.reduce(torch.cat([sums, own[None], own.new_tensor([stop])]))
    norms = {branch: gradient_norm(parameters) for branch, parameters in trained(generalist).items()}
    text, image, z, tokens, stops = sums.tolist()
    n_text, n_image = counted.tolist()
    values = {
        "loss/text": text / max(n_text, 1),
        "loss/image": image / max(n_image, 1),
        "z_squared": z / max(n_text + n_image, 1),
        "image_fraction": n_image / max(n_text + n_image, 1),
        "learning_rate": learning_rate(step, training),
        "tokens": tokens,
        "stop": stops,
    }
    values |= {f"gradient_norm/{branch}": float(norm) for branch, norm in norms.items()}
    check(values, n_text + n_image, step, batches, scores)
    norm = torch.linalg.vector_norm(torch.stack(list(norms.values())))
    clipped = [p for p in generalist.parameters() if p.grad is not None]
    torch.nn.utils.clip_grads_with_norm_(clipped, training.clip, norm)
    for group, branch in zip(optimizer.param_groups, norms, strict=True):
        group["lr"] = values["learning_rate"] * rate_of(branch, training) / training.learning_rate
    optimizer.step()
    optimizer.zero_grad()
    return values


def trained(generalist: Generalist) -> dict[str, list[torch.nn.Parameter]]:
    """The trainable parameters by branch.

    The text adapters (with kind "lora" the shared ones), the image adapters, and whole weights: a backbone's own new
    ones and `adapter.modules_to_save`.
    """
    branches: dict[str, list[torch.nn.Parameter]] = {"text": [], "image": [], "extra": []}
    for name, parameter in generalist.named_parameters():
        if parameter.requires_grad:
            whole = name.startswith("extra.") or ".modules_to_save." in name
            branch = "extra" if whole else "image" if "moss_image_" in name else "text"
            branches[branch].append(parameter)
    return {branch: parameters for branch, parameters in branches.items() if parameters}


def rate_of(branch: str, training: Training) -> float:
    """The learning rate (without schedule) of a branch of `trained`."""
    own = {"image": training.learning_rate_image, "extra": training.learning_rate_extra}.get(branch)
    return training.learning_rate if own is None else own


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of a step's dropout.

    It depends only on the step's number, the seed and the rank, so that a resumed run needs no generator state.
    """
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])


def gradient_norm(parameters: Sequence[torch.nn.Parameter]) -> torch.Tensor:
    """The norm of all gradients together, over all shards of sharded parameters."""
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def check(
    values: dict[str, float], targets: int, step: int, batches: Sequence[Batch], scores: Sequence[TokenScores]
) -> None:
    """Raise UserError for a step without targets, and for a loss or gradient that is not finite."""
    if not targets:
        raise UserError(f"step {step + 1} has no target to learn: {_names(batches)}")
    wrong = {name: value for name, value in values.items() if not np.isfinite(value)}
    if wrong:
        named = gather_object(
            [key for batch, score in zip(batches, scores, strict=False) for key in losses.not_finite(score, batch)]
        )
        said = ", ".join(f"{name} is {value}" for name, value in wrong.items())
        raise UserError(
            f"step {step + 1}: {said}, at {', '.join(named) or _names(batches)}; lower "
            "training.learning_rate, or look at these instances"
        )


def _names(batches: Sequence[Batch]) -> str:
    return "one of " + ", ".join(gather_object([key for batch in batches for key in batch.keys]))
