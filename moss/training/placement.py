"""Refuses adapters and other trained weights that a run would train in vain, or with wrong results."""

from __future__ import annotations

from collections.abc import Sequence

from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper

from moss.backbones.generalist import Generalist
from schemas.errors import UserError


def check(generalist: Generalist, modules_to_save: Sequence[str]) -> None:
    """Raise UserError for what cannot be trained where it is.

    That is an adapter outside the text decoder (on the output layer, or in an image tokenizer or vision tower), a name in
    `modules_to_save` that no module has, and a trained weight that no checkpoint would hold.
    """
    model = generalist.plain_model
    layers, head = adapted(generalist), model.get_output_embeddings()
    if output := next((name for name, layer in layers.items() if layer is head), None):
        raise UserError(
            f"adapter.target_modules includes the output layer, {output}, where adapters would change the predictions of "
            f"text alone: leave it out; adapter.modules_to_save: [{output}] trains it whole"
        )
    inside = set(generalist.core.get_decoder().modules())
    if outside := [name for name, layer in layers.items() if layer not in inside]:
        raise UserError(
            f"adapter.target_modules includes {len(outside)} layers that are not of the text decoder ({outside[0]}, ...), "
            "where adapters would learn nothing or change the images' codes: let it name the decoder's alone, as "
            f"{generalist.target_modules} does"
        )
    whole = [name for name, module in model.named_modules() if isinstance(module, ModulesToSaveWrapper)]
    for wanted in modules_to_save:
        if not any(name.endswith(wanted) for name in whole):
            raise UserError(
                f"adapter.modules_to_save: {type(model).__name__} has no module {wanted}; give the name of one, such as "
                "lm_head, or leave it out"
            )
    for name, parameter in generalist.named_parameters():
        saved = name.startswith("extra.") or ".moss_" in name or ".modules_to_save." in name
        if parameter.requires_grad and not saved:
            raise UserError(
                f"{name} would be trained, but not saved: freeze it with requires_grad_(False), or move it into the "
                "backbone's `extra` (docs/extending.md)"
            )


def adapted(generalist: Generalist) -> dict[str, BaseTunerLayer]:
    """The layers that have adapters, by their names in `plain_model`."""
    named = generalist.plain_model.named_modules()
    return {name: layer for name, layer in named if isinstance(layer, BaseTunerLayer)}
