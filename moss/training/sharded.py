"""Loading by several processes of a machine, without a copy of the weights for each in the host's memory.

With FSDP2 and `--fsdp_cpu_ram_efficient_loading true`, the first process reads the weights and sends the others their
shards: `moss.backbones.hub.pretrained` leaves the decoder's layers without weights on these (torch's "meta" device), and
accelerate fills them when it shards the model. Everything else (embeddings, output layer, image tokenizer, adapters) is
small and loaded by each.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import pathlib
from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch.distributed.fsdp import MixedPrecisionPolicy

from moss.backbones.generalist import Generalist
from moss.training import fingerprints
from schemas.errors import UserError


def plugin(accelerator: Accelerator) -> Any:
    """accelerate's settings of FSDP2, or None without it. Raises UserError for the first version of FSDP.

    FSDP1 makes one flat parameter of frozen and trained weights.
    """
    found = getattr(accelerator.state, "fsdp_plugin", None)
    if found and found.fsdp_version != 2:
        raise UserError("FSDP's first version does not work with adapters; give accelerate launch --fsdp_version 2")
    return found


@contextlib.contextmanager
def in_turn(accelerator: Accelerator, path: str) -> Iterator[None]:
    """Lets the processes of a machine load the weights in `path` and move them to their GPUs one after the other.

    A checkpoint of another type than `backbone.dtype` is converted in memory, which so is needed once only. No turns are
    taken where the weights stay in the host's memory, or are sharded.
    """
    if accelerator.num_processes == 1 or accelerator.device.type == "cpu" or plugin(accelerator):
        yield
        return
    import fcntl  # not on every system

    with contextlib.ExitStack() as stack:
        if pathlib.Path(path, "config.json").is_file():
            file = stack.enter_context(open(pathlib.Path(path, "config.json"), "rb"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fingerprint(accelerator: Accelerator, generalist: Generalist) -> str:
    """The fingerprint of the backbone; with FSDP2, of the first process's weights: the others may not have all of them."""
    if plugin(accelerator) is None:
        return fingerprints.backbone(generalist)
    found = [fingerprints.backbone(generalist) if accelerator.is_main_process else ""]
    said: str = broadcast_object_list(found)[0]
    return said


def to_device(accelerator: Accelerator, generalist: Generalist) -> Generalist:
    """Move the model to this process's device; with FSDP2 only the image tokenizer in it, if there is one there.

    The rest goes there in shards, so that the whole model need not fit.
    """
    if plugin(accelerator) is None:
        return generalist.to(accelerator.device)
    tokenizer = getattr(generalist.core, "vqmodel", None)
    if tokenizer is not None:
        tokenizer.to(accelerator.device)
    return generalist


def make_ready(accelerator: Accelerator, generalist: Generalist) -> None:
    """What accelerate needs to know of the model and cannot see, before it prepares it.

    Raises UserError if a trained weight was not loaded.
    """
    found = plugin(accelerator)
    if found and getattr(generalist.core, "vqmodel", None) is not None:
        generalist.core.vqmodel = None  # the images are encoded; it would be gathered for every step
    kinds = {type(module).__name__ for module in generalist.modules()}
    # the modules that FSDP2 shards as units, which accelerate looks up here
    vars(generalist)["_no_split_modules"] = sorted(kinds.intersection(generalist.plain_model._no_split_modules or ()))
    if found and accelerator.mixed_precision == "bf16":  # accelerate's default rounds losses and gradients
        found.mixed_precision_policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    if found and found.cpu_ram_efficient_loading:
        if lost := [name for name, p in generalist.named_parameters() if p.requires_grad and p.is_meta]:
            raise UserError(
                f"{lost[0]} is trained, but was not loaded on every process: give accelerate launch "
                "--fsdp_cpu_ram_efficient_loading false"
            )
        for module in generalist.modules():  # accelerate 1.15 cannot send buffers; every process has them
            for name, buffer in list(module.named_buffers(recurse=False)):
                module.register_buffer(name, buffer, persistent=False)
        vars(generalist)["tie_weights"] = functools.partial(_tie, generalist, _tied(generalist))


def _tied(module: torch.nn.Module) -> list[list[str]]:
    """The names of each parameter that has several."""
    names = collections.defaultdict(list)
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    return [several for several in names.values() if len(several) > 1]


def _tie(module: torch.nn.Module, tied: list[list[str]]) -> None:
    """Make them one again; accelerate calls it wherever it has replaced the parameters."""
    for first, *others in tied:
        for name in others:
            parent, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(parent), leaf, module.get_parameter(first))
