"""The PEFT tuner: puts adapters on a model's linear layers, and refuses what would be silently wrong."""

from __future__ import annotations

import functools

from peft.tuners.tuners_utils import BaseTuner
from torch import nn

from moss.adapters.config import MossConfig
from moss.adapters.layer import MossLinear
from moss.adapters.router import MossRouter


class MossModel(BaseTuner):
    """What `get_peft_model(model, MossConfig(...))` puts between PeftModel and the transformers model."""

    prefix = "moss_"
    tuner_layer_cls = MossLinear

    def _check_new_adapter_config(self, config: MossConfig) -> None:
        super()._check_new_adapter_config(config)
        if len(self.peft_config) > 1:
            raise ValueError("a model carries one MoSS adapter at a time: delete_adapter() the other one first")

    def _prepare_adapter_config(self, peft_config: MossConfig, model_config: dict) -> MossConfig:
        if not peft_config.target_modules:
            raise ValueError("target_modules says which linear layers are adapted; MossConfig.for_backbone fills it in")
        return peft_config

    def _pre_injection_hook(self, model: nn.Module, config: MossConfig, adapter_name: str) -> None:
        if hasattr(_core(model), "moss_router"):
            self._detach(model)
        self.router = _core(model).moss_router = MossRouter(config)
        self.router.attach(_core(model))
        if hasattr(model, "gradient_checkpointing_enable"):
            model.gradient_checkpointing_enable = functools.partial(
                _checkpointing, type(model).gradient_checkpointing_enable, model, self.router)

    @staticmethod
    def _detach(model: nn.Module) -> None:
        _core(model).moss_router.detach()
        del _core(model).moss_router
        vars(model).pop("gradient_checkpointing_enable", None)

    def _create_and_replace(self, config, adapter_name, target, target_name, parent, current_key, **kwargs) -> None:
        if isinstance(target, MossLinear):
            target.router, target.index = self.router, self.router.next_index()
            target.update_layer(adapter_name, config)
            return
        if not isinstance(target, nn.Linear):
            raise TypeError(f"{current_key} is a {type(target).__name__}; MoSS adapters go on torch.nn.Linear, so let "
                            "target_modules name linear layers only")
        layer = MossLinear(target, adapter_name, config, self.router)
        self._replace_module(parent, target_name, layer, target)

    def _unload_and_optionally_merge(self, *args, **kwargs) -> nn.Module:
        model = super()._unload_and_optionally_merge(*args, **kwargs)
        self._detach(model)
        return model

    def merge_and_unload(self, progressbar: bool = False, safe_merge: bool = False,
                         adapter_names: list[str] | None = None, modality: str | None = None) -> nn.Module:
        """The plain model with the adapter in its weights. A shared LoRA merges as any LoRA does; of the others only
        the text branch can, which then acts on image tokens too: `modality="text"` says that this is meant, for a
        model that will read and write text alone. Raises ValueError otherwise."""
        self._allow_merge(modality)
        return self._unload_and_optionally_merge(progressbar=progressbar, safe_merge=safe_merge,
                                                 adapter_names=adapter_names)

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False,
                      modality: str | None = None) -> None:
        """Merges in place; the same conditions as for `merge_and_unload`."""
        self._allow_merge(modality)
        super().merge_adapter(adapter_names, safe_merge)

    def _allow_merge(self, modality: str | None) -> None:
        if self.router.config.kind != "lora" and modality != "text":
            raise ValueError("a convolution cannot be merged into a weight, and a merged text branch acts on image "
                             "tokens too. Keep the adapter as it is, or say modality=\"text\" for a text-only model")


def _core(model: nn.Module) -> nn.Module:
    """The part of a transformers model before its output layer; the model itself if it has no such part."""
    return getattr(model, getattr(model, "base_model_prefix", ""), model)


def _checkpointing(enable, model, router: MossRouter, gradient_checkpointing_kwargs: dict | None = None, **kwargs):
    wanted = dict(gradient_checkpointing_kwargs or {})
    if wanted.setdefault("use_reentrant", False):
        raise ValueError("reentrant checkpointing recomputes a layer with the latest forward's plan, which gives wrong "
                         "gradients when two forwards come before a backward: use_reentrant must be False")
    wanted.setdefault("context_fn", router.checkpoint_context)
    return enable(model, gradient_checkpointing_kwargs=wanted, **kwargs)
