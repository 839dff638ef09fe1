"""Which number format a model is computed in: bfloat16 where the processor multiplies it natively, else float32.

bfloat16 halves memory, and on a processor that has instructions for it it is faster too. On one that has none, each
product goes through conversions, and a prompt takes many times as long as in float32.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

FORMATS = ("auto", "bfloat16", "float16", "float32")
"""The values of an option `dtype`."""

NATIVE = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "sve_bf16": "SVE-BF16", "bf16": "Arm's BF16"}
"""Instructions that multiply bfloat16, by torch's name for them (`torch.cpu.get_capabilities`)."""

_ISAS = (
    "SSE41",
    "AVX",
    "AVX2",
    "AVX2_VNNI",
    "AVX2_VNNI_2",
    "AVX512_CORE",
    "AVX512_CORE_VNNI",
    "AVX512_CORE_BF16",
    "AVX512_CORE_FP16",
    "AVX512_CORE_AMX",
    "AVX512_CORE_AMX_FP16",
)
"""Values of oneDNN's ONEDNN_MAX_CPU_ISA, each with all that the ones before it have."""

_FIRST_ISA = {"avx512_bf16": "AVX512_CORE_BF16", "amx_bf16": "AVX512_CORE_AMX"}


@dataclasses.dataclass(frozen=True)
class NumberFormat:
    """`name` is torch's name of the type; `why` completes "float32: ..."."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


def choose(wanted: str = "auto", device: str = "cpu", native: Mapping[str, str] = NATIVE) -> NumberFormat:
    """The format to compute in on `device` ("cpu" or "cuda"): `wanted`, unless that is "auto".

    `native` names the instructions for the sake of which bfloat16 is taken; a model that gains from some of them only
    names those. Instructions that oneDNN or ATen are told not to use (ONEDNN_MAX_CPU_ISA, ATEN_CPU_CAPABILITY) do not
    count, so that the slower path can be tried on any machine.
    """
    import torch

    if wanted != "auto":
        return NumberFormat(wanted, "asked for")
    if device == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return NumberFormat("bfloat16" if has else "float32", f"the GPU {'has' if has else 'lacks'} bfloat16")
    for flag, name in native.items():
        if torch.cpu.get_capabilities().get(flag) and not _forbidden(flag, os.environ):
            return NumberFormat("bfloat16", f"the processor has {name}")
    limits = [
        f"{name}={os.environ[name]}" for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY") if name in os.environ
    ]
    lacks = f"no {' or '.join(native.values())}"
    return NumberFormat("float32", f"{lacks} with {' '.join(limits)}" if limits else f"the processor has {lacks}")


def _forbidden(flag: str, environment: Mapping[str, str]) -> bool:
    """Is the instruction above the level that the environment allows? Unknown levels allow everything."""
    if flag not in _FIRST_ISA:
        return False
    most = environment.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return environment.get("ATEN_CPU_CAPABILITY", "").lower() in ("default", "avx2") or (
        most in _ISAS and _ISAS.index(most) < _ISAS.index(_FIRST_ISA[flag])
    )
