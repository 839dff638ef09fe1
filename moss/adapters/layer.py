"""One linear layer with its adapter."""

from __future__ import annotations

import math

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.nn.functional import linear

from moss.adapters.config import MossConfig
from moss.adapters.router import MossRouter
from moss.adapters.shift import shift_add


class MossLinear(nn.Module, BaseTunerLayer):
    """y = W x + alpha / r * B_text A_text x at text tokens, + alpha_image / r_image * B_image conv(x) at image tokens.

    Parameters (K taps, the token's own first; the names end with the adapter's): moss_text_A (r, in), moss_text_B
    (out, r), moss_image_B (out, r_image), and for the convolution
    "feature": moss_image_A (K, r_image, in);
    "feature_depthwise": moss_image_A (r_image, in) and the filters moss_image_filter (K, in), so that tap t's matrix is
    A * filter[t]: the same product as in "feature", with the parameters of a LoRA;
    "rank": moss_image_A (r_image, in) and moss_image_C (K, r_image, r_image).
    Every B starts at zero, the filters and C at the identity, so that both begin as a plain LoRA.
    """

    adapter_layer_names = ("moss_text_A", "moss_text_B", "moss_image_A", "moss_image_B", "moss_image_C",
                           "moss_image_filter")
    other_param_names = ()

    def __init__(self, base_layer: nn.Linear, adapter_name: str, config: MossConfig, router: MossRouter) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.router = router
        self.index = router.next_index()
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        self._disable_adapters, self.merged_adapters = False, []
        for name in self.adapter_layer_names:
            setattr(self, name, nn.ParameterDict())
        self.update_layer(adapter_name, config)
        self._active_adapter = adapter_name

    def update_layer(self, adapter_name: str, config: MossConfig) -> None:
        self.config = config
        self.scale, self.scale_image = config.alpha / config.r, config.alpha_image / config.r_image
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        r, k = config.r_image, len(config.taps)
        shapes = {"moss_text_A": (config.r, self.in_features), "moss_text_B": (self.out_features, config.r)}
        if config.kind != "lora":
            dense = config.conv_space == "feature"
            shapes |= {"moss_image_A": (k, r, self.in_features) if dense else (r, self.in_features),
                       "moss_image_B": (self.out_features, r)}
            if config.conv_space == "rank":
                shapes["moss_image_C"] = (k, r, r)
            elif config.conv_space == "feature_depthwise":
                shapes["moss_image_filter"] = (k, self.in_features)
        for name, shape in shapes.items():
            getattr(self, name)[adapter_name] = nn.Parameter(torch.empty(shape))
        self.reset_parameters(adapter_name)
        self._move_adapter_to_device_of_base_layer(adapter_name)

    def reset_parameters(self, adapter_name: str) -> None:
        for name in self.adapter_layer_names:
            if adapter_name not in getattr(self, name):
                continue
            parameter = getattr(self, name)[adapter_name]
            with torch.no_grad():
                if name.endswith("A"):      # one draw for each tap, as for a LoRA (arXiv 2106.09685's reference code)
                    for tap in parameter if parameter.ndim == 3 else [parameter]:
                        nn.init.kaiming_uniform_(tap, a=math.sqrt(5))
                else:
                    parameter.zero_()
                if name.endswith("C"):
                    nn.init.eye_(parameter[0])
                elif name.endswith("filter"):
                    parameter[0] = 1

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor:
        out = self.base_layer(x, *args, **kwargs)
        adapter = self._active_adapter[0] if isinstance(self._active_adapter, list) else self._active_adapter
        if self.disable_adapters or self.merged_adapters or adapter not in self.moss_text_A:
            return out
        x = self.dropout(x).to(out.dtype)      # a bfloat16 base with a float32 adapter computes in bfloat16
        text = linear(x, self.moss_text_A[adapter].to(x.dtype)) * self.scale
        if self.config.kind == "lora":
            return _add_product(out, text, self.moss_text_B[adapter])
        plan = self.router.plan
        taps = self._taps(x, adapter)
        image = shift_add(self.router.with_history(self.index, taps), plan.valid, self.config.offsets) * self.scale_image
        out = _add_product(out, text * plan.is_text, self.moss_text_B[adapter])
        return _add_product(out, image, self.moss_image_B[adapter])

    def _taps(self, x: Tensor, adapter: str) -> Tensor:
        """Every token as each tap of the kernel will see it: (B, L, K, r_image)."""
        down = self.moss_image_A[adapter]
        if self.config.conv_space == "feature_depthwise":
            down = down * self.moss_image_filter[adapter][:, None]
        taps = linear(x, down.flatten(0, -2).to(x.dtype))
        if self.config.conv_space == "rank":
            taps = linear(taps, self.moss_image_C[adapter].flatten(0, 1).to(x.dtype))
        return taps.unflatten(-1, (len(self.config.taps), self.config.r_image))

    def get_delta_weight(self, adapter: str) -> Tensor:
        """What the text branch adds to the base weight: (out, in)."""
        return self.moss_text_B[adapter] @ self.moss_text_A[adapter] * self.scale

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Adds the text branch to the base weight. `MossModel` allows that only where it is meant."""
        for adapter in adapter_names or self.active_adapters:
            weight = self.base_layer.weight
            merged = weight.data + self.get_delta_weight(adapter).to(weight.dtype)
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(f"adapter {adapter} has weights that are not finite; it was not merged")
            weight.data = merged
            self.merged_adapters.append(adapter)

    def unmerge(self) -> None:
        while self.merged_adapters:
            weight = self.base_layer.weight
            weight.data -= self.get_delta_weight(self.merged_adapters.pop()).to(weight.dtype)


def _add_product(out: Tensor, hidden: Tensor, weight: Tensor) -> Tensor:
    """out + hidden @ weight.T in one pass over `out`."""
    flat = torch.addmm(out.flatten(0, -2), hidden.flatten(0, -2), weight.to(hidden.dtype).t())
    return flat.view(out.shape)
