"""The few parts of PEFT that the adapters and the benchmarks need, for a machine on which PEFT is not installed.

Its LoRA layer computes what PEFT's does, in the same order: x in the adapter's type, A, B, times the scale, added. PEFT
does more in Python around it, so that decoding without a CUDA graph is a little faster here than with PEFT: a share of
LoRA's speed that was measured against this LoRA is not flattered.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
import sys
import types
from typing import Any

from torch import Tensor, nn

SITE = pathlib.Path(__file__).parent.parent / "build" / "site"
"""Where PEFT may lie on a machine without a network: pip install --no-deps --target build/site peft accelerate psutil."""


def ready_peft() -> str:
    """Make `import peft` work, and say what it gives: PEFT, PEFT from SITE, or this module's parts."""
    try:
        import peft

        return f"PEFT {peft.__version__}"
    except ModuleNotFoundError:
        pass
    sys.path.append(str(SITE))
    try:
        import peft

        return f"PEFT {peft.__version__} from {SITE}"
    except ModuleNotFoundError as error:
        sys.path.remove(str(SITE))
        install()
        return f"a stand-in with PEFT's arithmetic (benchmarks/peft_stand_in.py), because of: {error}"


def install() -> None:
    """Put modules of PEFT's names with these parts in the place of PEFT's, of which some may be loaded."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "peft"]:
        del sys.modules[name]
    own: dict[str, Any] = {
        "PeftConfig": PeftConfig,
        "LoraConfig": LoraConfig,
        "PeftModel": PeftModel,
        "get_peft_model": get_peft_model,
    }
    mappings: dict[str, Any] = {f"PEFT_TYPE_TO_{kind}_MAPPING": {} for kind in ("CONFIG", "PREFIX", "TUNER")}
    tuners: dict[str, Any] = {
        "BaseTuner": BaseTuner,
        "BaseTunerLayer": BaseTunerLayer,
        "check_adapters_to_merge": check_adapters_to_merge,
    }
    parts: dict[str, dict[str, Any]] = {
        "peft": own,
        "peft.mapping": mappings,
        "peft.tuners": {},
        "peft.tuners.tuners_utils": tuners,
        "peft.utils": {},
        "peft.utils.other": {"ModulesToSaveWrapper": ModulesToSaveWrapper},
    }
    for name, content in parts.items():
        module = types.ModuleType(name, __doc__)
        vars(module).update(content)
        sys.modules[name] = module


def check_adapters_to_merge(layer: Any, names: list[str] | None = None) -> list[str]:
    """The adapters to merge: these, or the active ones, without those that are merged already."""
    return [name for name in names or layer.active_adapters if name not in layer.merged_adapters]


class ModulesToSaveWrapper(nn.Module):
    """A module that is trained whole; nothing here makes one."""


@dataclasses.dataclass
class PeftConfig:
    """The settings of any method."""

    peft_type: Any = None

    def __post_init__(self) -> None: ...


@dataclasses.dataclass
class LoraConfig(PeftConfig):
    """PEFT's LoRA; target_modules: a regular expression."""

    r: int = 8
    lora_alpha: float = 8
    target_modules: str = ""


class BaseTunerLayer:
    """What `MossLinear` uses of PEFT's class of this name."""

    _active_adapter: str
    base_layer: nn.Linear

    @property
    def active_adapters(self) -> list[str]:
        return [self._active_adapter]

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: Any = None) -> None:
        self.to(device or self.base_layer.weight.device)  # type: ignore[attr-defined]  # of the nn.Module that inherits it


class BaseTuner(nn.Module):
    """Puts adapters on the linear layers that the configuration names; everything else is frozen."""

    prefix = ""

    def __init__(self, model: nn.Module, config: Any, adapter_name: str) -> None:
        super().__init__()
        self.model, self.active_adapters = model, [adapter_name]
        self._pre_injection_hook(model, config, adapter_name)
        for name, module in list(model.named_modules()):
            if re.fullmatch(config.target_modules, name):
                parent, _, own = name.rpartition(".")
                self._create_and_replace(config, adapter_name, module, own, model.get_submodule(parent), name)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(self.prefix in name)

    def _pre_injection_hook(self, model: nn.Module, config: Any, adapter_name: str) -> None: ...

    def _create_and_replace(self, config, adapter_name, target, target_name, parent, current_key) -> None:
        raise NotImplementedError

    def _replace_module(self, parent: nn.Module, name: str, new: nn.Module, old: nn.Module) -> None:
        setattr(parent, name, new)


class LoraLinear(nn.Module):
    """W x + scale * B A x, with float32 A and B, as `peft.tuners.lora.Linear` computes it."""

    def __init__(self, base_layer: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        device = base_layer.weight.device
        self.base_layer, self.scaling = base_layer, config.lora_alpha / config.r
        self.lora_A = nn.Linear(base_layer.in_features, config.r, bias=False, device=device)
        self.lora_B = nn.Linear(config.r, base_layer.out_features, bias=False, device=device)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.base_layer(x)
        type_before = result.dtype
        result = result + self.lora_B(self.lora_A(x.to(self.lora_A.weight.dtype))) * self.scaling
        return result.to(type_before)


class LoraModel(BaseTuner):
    """Stock LoRA."""

    prefix = "lora_"

    def _create_and_replace(self, config, adapter_name, target, target_name, parent, current_key) -> None:
        self._replace_module(parent, target_name, LoraLinear(target, config), target)


class PeftModel(nn.Module):
    """A model with adapters."""

    def __init__(self, model: nn.Module, config: Any) -> None:
        super().__init__()
        tuner = LoraModel
        if not isinstance(config, LoraConfig):
            tuner = sys.modules["peft.mapping"].PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type]
        self.base_model = tuner(model, config, "default")

    def get_base_model(self) -> nn.Module:
        return self.base_model.model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.get_base_model()(*args, **kwargs)


def get_peft_model(model: nn.Module, config: Any) -> PeftModel:
    """The model with new adapters, which alone are trained."""
    return PeftModel(model, config)
