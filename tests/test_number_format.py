"""The number format follows what the processor, the GPU or the options say, and oneDNN's and ATen's limits."""

import os
import subprocess
import sys

import pytest
import torch

import number_format
from number_format import NATIVE, choose


@pytest.fixture
def processor(monkeypatch):
    """Gives the processor these instructions, and the environment no limits."""
    for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"):
        monkeypatch.delenv(name, raising=False)

    def has(*flags: str) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(("avx2", *flags), True))

    return has


@pytest.mark.parametrize(
    "flags, name, why",
    [
        ((), "float32", "the processor has no AMX or AVX512-BF16 or SVE-BF16 or Arm's BF16"),
        (("avx512_f", "avx512_vnni"), "float32", "the processor has no AMX"),
        (("avx512_f", "avx512_bf16"), "bfloat16", "the processor has AVX512-BF16"),
        (("avx512_bf16", "amx_bf16"), "bfloat16", "the processor has AMX"),
        (("neon", "bf16"), "bfloat16", "the processor has Arm's BF16"),
    ],
)
def test_bfloat16_where_the_processor_multiplies_it(processor, flags, name, why):
    processor(*flags)
    found = choose()
    assert found.name == name and found.why.startswith(why)


def test_a_model_that_gains_from_some_instructions_only(processor):
    processor("avx512_bf16")
    assert choose(native={"amx_bf16": "AMX"}).name == "float32"


@pytest.mark.parametrize(
    "variable, value, of_avx512, of_amx",
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX2", "float32", "float32"),
        ("ONEDNN_MAX_CPU_ISA", "avx512_core_vnni", "float32", "float32"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", "bfloat16", "float32"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX", "bfloat16", "bfloat16"),
        ("ONEDNN_MAX_CPU_ISA", "ALL", "bfloat16", "bfloat16"),
        ("ATEN_CPU_CAPABILITY", "avx2", "float32", "float32"),
        ("ATEN_CPU_CAPABILITY", "default", "float32", "float32"),
        ("ATEN_CPU_CAPABILITY", "avx512", "bfloat16", "bfloat16"),
    ],
)
def test_instructions_that_are_switched_off_do_not_count(processor, monkeypatch, variable, value, of_avx512, of_amx):
    monkeypatch.setenv(variable, value)
    processor("avx512_bf16")
    assert choose().name == of_avx512
    processor("amx_bf16")
    found = choose()
    assert found.name == of_amx
    assert found.name == "bfloat16" or f"with {variable}={value}" in found.why


def test_an_option_overrides(processor):
    processor()
    assert str(choose("bfloat16")) == "bfloat16 (asked for)"
    processor("amx_bf16")
    assert choose("float32").name == "float32"


@pytest.mark.parametrize("has, name", [(True, "bfloat16"), (False, "float32")])
def test_on_a_gpu(monkeypatch, has, name):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has)
    assert choose(device="cuda").name == name


def test_this_processor_under_avx2_is_computed_in_float32():
    """The real torch, in a process of its own, because oneDNN reads its variable once."""
    code = "import number_format; print(number_format.choose())"
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "PYTHONPATH": os.getcwd()},
    ).stdout
    assert said.startswith("float32 (no AMX") or torch.cpu.get_capabilities()["architecture"] != "x86_64"


def test_torch_knows_the_names():
    assert set(NATIVE) & set(torch.cpu.get_capabilities()) and number_format.FORMATS[0] == "auto"
