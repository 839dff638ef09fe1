"""One linear layer with its adapters."""

from __future__ import annotations

import math
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from torch.nn.functional import linear

from moss.adapters.config import MossConfig
from moss.adapters.decoding import Weights, earlier, one_token, remember
from moss.adapters.router import Call, MossRouter
from moss.adapters.shift import mix


class MossLinear(nn.Module, BaseTunerLayer):
    """y = W x + alpha / r * B_text A_text x at text tokens, + alpha_image / r_image * B_image conv(x) at image tokens.

    Parameters (K taps, the token's own first; the names end with the adapter's): moss_text_A (r, in), moss_text_B
    (out, r), moss_image_B (out, r_image), and for the convolution
    "feature": moss_image_A (K, r_image, in);
    "feature_depthwise": moss_image_A (r_image, in) and the filters moss_image_filter (K, in), so that tap t's matrix is
    A * filter[t]: the same product as in "feature", with the parameters of a LoRA;
    "rank": moss_image_A (r_image, in) and moss_image_C (K, r_image, r_image).
    Every B starts at zero, the filters and C at the identity, so that both begin as a plain LoRA. Several active
    adapters add up, as PEFT's LoRA does.
    """

    adapter_layer_names = (
        "moss_text_A",
        "moss_text_B",
        "moss_image_A",
        "moss_image_B",
        "moss_image_C",
        "moss_image_filter",
    )
    other_param_names = ()
    moss_text_A: nn.ParameterDict
    moss_text_B: nn.ParameterDict
    moss_image_A: nn.ParameterDict
    moss_image_B: nn.ParameterDict
    moss_image_C: nn.ParameterDict
    moss_image_filter: nn.ParameterDict

    def __init__(self, base_layer: nn.Linear, adapter_name: str, config: MossConfig, router: MossRouter) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.router = router
        self.index = router.add(self)
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self.configs: dict[str, MossConfig] = {}
        self.dropout = nn.ModuleDict()
        for name in self.adapter_layer_names:
            setattr(self, name, nn.ParameterDict())
        self.update_layer(adapter_name, config)
        self._active_adapter = adapter_name

    def update_layer(self, adapter_name: str, config: MossConfig) -> None:
        """Add an adapter's weights, or replace those of an adapter with the same name."""
        self.configs[adapter_name] = config
        self.dropout[adapter_name] = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        r, k = config.image_rank, len(config.taps)
        shapes: dict[str, tuple[int, ...]] = {
            "moss_text_A": (config.r, self.in_features),
            "moss_text_B": (self.out_features, config.r),
        }
        if config.kind != "lora":
            dense = config.conv_space == "feature"
            shapes |= {
                "moss_image_A": (k, r, self.in_features) if dense else (r, self.in_features),
                "moss_image_B": (self.out_features, r),
            }
            if config.conv_space == "rank":
                shapes["moss_image_C"] = (k, r, r)
            elif config.conv_space == "feature_depthwise":
                shapes["moss_image_filter"] = (k, self.in_features)
        for name, shape in shapes.items():
            getattr(self, name)[adapter_name] = nn.Parameter(torch.empty(shape))
        self.reset_parameters(adapter_name)
        empty = self.base_layer.weight.is_meta  # FSDP2 fills the base layer later, but not from this adapter's weights
        self._move_adapter_to_device_of_base_layer(adapter_name, torch.device("cpu") if empty else None)

    def reset_parameters(self, adapter_name: str) -> None:
        for name in self.adapter_layer_names:
            if adapter_name not in getattr(self, name):
                continue
            parameter = getattr(self, name)[adapter_name]
            with torch.no_grad():
                if name.endswith("A"):  # one draw for each tap, as for a LoRA (arXiv 2106.09685's reference code)
                    for tap in parameter if parameter.ndim == 3 else [parameter]:
                        nn.init.kaiming_uniform_(tap, a=math.sqrt(5))
                else:
                    parameter.zero_()
                if name.endswith("C"):
                    nn.init.eye_(parameter[0])
                elif name.endswith("filter"):
                    parameter[0] = 1

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.merged_adapters:
            self._check_merged()
        out: Tensor = self.base_layer(x, *args, **kwargs)
        if self._disable_adapters or self.merged_adapters:
            return out
        for adapter in self._active_adapter if isinstance(self._active_adapter, list) else (self._active_adapter,):
            if adapter in self.configs:
                out = self._adapted(out, x, adapter)
        return out

    def delete_adapter(self, adapter_name: str) -> None:
        super().delete_adapter(adapter_name)
        self.configs.pop(adapter_name, None)
        if adapter_name in self.dropout:
            del self.dropout[adapter_name]

    def _adapted(self, out: Tensor, x: Tensor, adapter: str) -> Tensor:
        config, weights = self.configs[adapter], None
        x = x.to(out.dtype)  # a bfloat16 base with a float32 adapter computes in bfloat16
        if config.kind == "lora":
            x = self.dropout[adapter](x)
            hidden = linear(x, self.moss_text_A[adapter].to(x.dtype))
            up = self.moss_text_B[adapter].to(x.dtype).t()
            return torch.addmm(out.flatten(0, -2), hidden.flatten(0, -2), up, alpha=config.scale).view(out.shape)
        call = self.router.here()
        if x.shape[:-1] != call.ids.shape:
            raise ValueError(
                f"a layer of {self.in_features} inputs is given {tuple(x.shape)} for ids {tuple(call.ids.shape)}: adapters "
                "need every token in its place, so leave this layer (OPT's fc1 and fc2, say) out of target_modules"
            )
        if call.state is not None:
            history = call.state.history(self.index, adapter)
            if torch.is_grad_enabled() and call.state.before and x.requires_grad:
                raise ValueError(
                    "gradients do not flow through the convolution's memory of earlier tokens: go on from "
                    "a cache under torch.no_grad() only, or give the whole sequence at once"
                )
            if x.shape[1] == 1 and not torch.is_grad_enabled() and not (self.training and config.dropout):
                if history.weights is None or history.weights.down.dtype != x.dtype:
                    history.weights = self._stacked(adapter, x.dtype)
                return one_token(out, x, history.weights, history, call.step(adapter, config), config)
        x = self.dropout[adapter](x)
        weights = self._stacked(adapter, x.dtype)
        hidden = linear(x, weights.down)
        if weights.kernel is not None:
            hidden = torch.cat([hidden[..., : config.r], linear(hidden[..., config.r :], weights.kernel)], dim=-1)
        hidden = self._with_history(hidden, call, adapter, config)
        plan = call.plan(adapter, config)
        mixed = mix(hidden, plan.is_text, plan.valid, config.r, config.offsets)
        return torch.addmm(out.flatten(0, -2), mixed.flatten(0, -2), weights.up).view(out.shape)

    def _with_history(self, hidden: Tensor, call: Call, adapter: str, config: MossConfig) -> Tensor:
        """hidden (B, L, r + K * r_image) with the taps of the M earlier tokens before it, if there is a cache.

        Stores its own.
        """
        if call.state is None or call.state.position is None or not config.offsets[-1]:
            return hidden
        history, position, taps = (
            call.state.histories[self.index, adapter],
            call.state.position,
            hidden[..., config.r :],
        )
        past = earlier(history, position, len(hidden), taps.shape[-1], config, hidden) if call.state.before else None
        remember(history, position, taps, config)
        if past is None:
            return hidden
        padded = torch.nn.functional.pad(past, (config.r, 0))
        return torch.cat([padded, hidden], dim=1)

    def _stacked(self, adapter: str, dtype: torch.dtype) -> Weights:
        """The matrices of both branches, stacked, with the scales in `up`; differentiable."""
        config = self.configs[adapter]
        down = self.moss_image_A[adapter]
        if config.conv_space == "feature_depthwise":
            down = down * self.moss_image_filter[adapter][:, None]
        kernel = None
        if config.conv_space == "rank":
            kernel = self.moss_image_C[adapter].flatten(0, 1).to(dtype)
        up = torch.cat(
            [self.moss_text_B[adapter].t() * config.scale, self.moss_image_B[adapter].t() * config.scale_image]
        )
        return Weights(torch.cat([self.moss_text_A[adapter], down.flatten(0, -2)]).to(dtype), kernel, up.to(dtype))

    def get_delta_weight(self, adapter: str) -> Tensor:
        """The matrix (out, in) that the text branch adds to the base weight."""
        delta: Tensor = self.moss_text_B[adapter] @ self.moss_text_A[adapter] * self.configs[adapter].scale
        return delta

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the text branch to the base weight, once. `MossModel` only allows this on request."""
        for adapter in check_adapters_to_merge(self, adapter_names):
            if adapter not in self.configs:
                continue
            weight = self.base_layer.weight
            merged = weight.data + self.get_delta_weight(adapter).to(weight.dtype)
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(f"adapter {adapter} has weights that are not finite; it was not merged")
            weight.data = merged
            self.merged_adapters.append(adapter)

    def _check_merged(self) -> None:
        """Unmerge if the adapters are off, as PEFT's LoRA does. Raises ValueError if others are active than merged."""
        if self._disable_adapters:
            self.unmerge()
            return
        active = [name for name in self.active_adapters if name in self.configs]
        if set(active) != set(self.merged_adapters):
            raise ValueError(
                f"merged is {', '.join(self.merged_adapters)}, active is {', '.join(active) or 'no adapter'}: the output "
                "would be that of what is merged. Call unmerge_adapter(), or set_adapter() with what is merged"
            )

    def unmerge(self) -> None:
        while self.merged_adapters:
            weight = self.base_layer.weight
            weight.data -= self.get_delta_weight(self.merged_adapters.pop()).to(weight.dtype)
