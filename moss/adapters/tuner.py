"""The PEFT tuner: puts adapters on linear layers, and refuses calls that would silently give wrong results."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, noop_context_fn
from transformers import PreTrainedModel

from moss.adapters.config import MossConfig
from moss.adapters.layer import MossLinear
from moss.adapters.router import MossRouter
from moss.adapters.whole import keep_in_float32


class MossModel(BaseTuner):
    """The tuner that `get_peft_model(model, MossConfig(...))` puts between PeftModel and the transformers model."""

    prefix = "moss_"
    tuner_layer_cls = MossLinear
    router: MossRouter

    def _prepare_adapter_config(self, peft_config: PeftConfig, model_config: dict[str, Any]) -> PeftConfig:
        if not getattr(peft_config, "target_modules", None):
            raise ValueError("target_modules says which linear layers are adapted; MossConfig.for_backbone fills it in")
        return peft_config

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        assert isinstance(config, MossConfig)
        core = _core(model)
        if not hasattr(core, "moss_router"):
            router = MossRouter(core)
            vars(core)["moss_router"] = router
            for module in (model, core):
                if hasattr(module, "_set_gradient_checkpointing"):
                    vars(module)["_set_gradient_checkpointing"] = functools.partial(_set_checkpointing, module, router)
            for part in model.modules():  # switched on before the adapters were added
                if getattr(part, "gradient_checkpointing", False):
                    vars(part)["_gradient_checkpointing_func"] = _with_plan(
                        vars(part)["_gradient_checkpointing_func"], router
                    )
        self.router = vars(core)["moss_router"]

    @staticmethod
    def _detach(model: nn.Module) -> None:
        core = _core(model)
        if hasattr(core, "moss_router"):
            vars(core).pop("moss_router").detach()
        for module in (model, core):
            vars(module).pop("_set_gradient_checkpointing", None)

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        assert isinstance(peft_config, MossConfig)
        config = peft_config
        self.router.configs[adapter_name] = config
        if isinstance(target, MossLinear):
            target.update_layer(adapter_name, config)
            return
        if not isinstance(target, nn.Linear):
            raise TypeError(
                f"{current_key} is a {type(target).__name__}; MoSS adapters go on torch.nn.Linear, so let "
                "target_modules name linear layers only"
            )
        layer = MossLinear(target, adapter_name, config, self.router)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        if target.weight.is_meta:  # PEFT would move the adapter there
            setattr(parent, target_name, layer)
        else:
            self._replace_module(parent, target_name, layer, target)

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, Tensor] | None = None,
    ) -> None:
        """As PEFT's, with whole modules in float32."""
        super().inject_adapter(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict)
        keep_in_float32(model, adapter_name)

    def delete_adapter(self, adapter_name: str) -> None:
        super().delete_adapter(adapter_name)
        self.router.configs.pop(adapter_name, None)

    def add_weighted_adapter(self, *args: Any, **kwargs: Any) -> None:
        """Refused: a sum of two adapters is not an adapter of this form.

        PEFT's ways of making one would drop the convolution.
        """
        raise NotImplementedError(
            "MoSS adapters cannot be combined into one: their kernels, grids and branches may differ, and the methods "
            "that PEFT has for LoRA (SVD, TIES, DARE ...) know no convolution. Activate several at once, "
            'model.base_model.set_adapter(["a", "b"]), and their outputs add up'
        )

    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> Any:
        """Called by PEFT before a forward pass; without this, `adapter_names` would be ignored silently."""
        if kwargs.get("adapter_names") is not None:
            raise NotImplementedError(
                "adapter_names: a batch with another MoSS adapter for each row is not offered; "
                "run the rows of each adapter by themselves"
            )
        return contextlib.nullcontext()

    def _unload_and_optionally_merge(  # type: ignore[override]  # PEFT says None, and returns the model
        self,
        merge: bool = True,
        progressbar: bool = True,
        safe_merge: bool = False,
        adapter_names: list[str] | None = None,
    ) -> nn.Module:
        model: nn.Module = super()._unload_and_optionally_merge(  # type: ignore[assignment]  # likewise
            merge, progressbar, safe_merge, adapter_names
        )
        self._detach(model)
        return model

    def merge_and_unload(
        self,
        progressbar: bool = False,
        safe_merge: bool = False,
        adapter_names: list[str] | None = None,
        modality: str | None = None,
    ) -> nn.Module:
        """The plain model with the adapter merged into its weights.

        A shared LoRA can be merged like any LoRA. Of the other kinds only the text branch can, which then acts on image
        tokens too: `modality="text"` confirms this, for a model that only reads and writes text. Raises ValueError
        otherwise.
        """
        self._allow_merge(adapter_names, modality)
        return self._unload_and_optionally_merge(
            progressbar=progressbar, safe_merge=safe_merge, adapter_names=adapter_names
        )

    def merge_adapter(
        self, adapter_names: list[str] | None = None, safe_merge: bool = False, modality: str | None = None
    ) -> None:
        """Merge in place, under the same conditions as `merge_and_unload`."""
        self._allow_merge(adapter_names, modality)
        super().merge_adapter(adapter_names, safe_merge)

    def _allow_merge(self, adapter_names: list[str] | None, modality: str | None) -> None:
        kinds = {self.router.configs[name].kind for name in adapter_names or self.active_adapters}
        if kinds - {"lora"} and modality != "text":
            raise ValueError(
                "a convolution cannot be merged into a weight, and a merged text branch acts on image "
                'tokens too. Keep the adapter as it is, or say modality="text" for a text-only model'
            )


def _core(model: nn.Module) -> PreTrainedModel:
    """The part of a transformers model before its output layer; the model itself if it has no such part."""
    assert isinstance(model, PreTrainedModel), "MoSS adapters go on models of transformers"
    core: PreTrainedModel = getattr(model, model.base_model_prefix, model)
    return core


def _set_checkpointing(
    module: nn.Module,
    router: MossRouter,
    enable: bool = True,
    gradient_checkpointing_func: Callable[..., Any] = checkpoint,
    **kwargs: Any,
) -> None:
    """Replaces transformers' method of this name, which is called however checkpointing is switched on."""
    if enable:
        gradient_checkpointing_func = _with_plan(gradient_checkpointing_func, router)
    type(module)._set_gradient_checkpointing(  # type: ignore[attr-defined]  # only modules that have it come here
        module, enable=enable, gradient_checkpointing_func=gradient_checkpointing_func, **kwargs
    )


def _with_plan(function: Callable[..., Any], router: MossRouter) -> Callable[..., Any]:
    """A checkpoint function that recomputes a segment with the plan of its own forward.

    Raises ValueError for a reentrant one, and for one with a context_fn of the user's.
    """
    given = dict(getattr(function, "keywords", {}))
    if given.get("use_reentrant"):
        raise ValueError(
            "reentrant checkpointing recomputes a layer with the latest forward's plan, which gives wrong "
            "gradients when two forwards come before a backward: use_reentrant must be False"
        )
    # that of a router is left behind where the model had other adapters before
    context = given.get("context_fn", noop_context_fn)
    if context is not noop_context_fn and not isinstance(getattr(context, "__self__", None), MossRouter):
        raise ValueError(
            "a context_fn of your own cannot be combined with MoSS adapters: they need theirs, to recompute a layer "
            "with the plan of its own forward pass. Leave context_fn out of gradient_checkpointing_kwargs"
        )
    return functools.partial(function, context_fn=router.checkpoint_context, use_reentrant=False)
