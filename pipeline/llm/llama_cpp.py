"""llama.cpp as the pipeline's own model server: for platforms without a vLLM build, or if it is preferred.

It comes as a package, `xllamacpp`, and reads a GGUF file; `python -m models.build` writes that of the embedded model.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.config import Llm
from pipeline.llm.server import Program
from schemas.errors import UserError

SLOTS = 8
"""The number of questions that it is asked at once, and processes at once (this project's choice for few cores)."""
OVERHEAD = 600 << 20
"""Bytes besides weights, keys and values."""


def available() -> bool:
    return importlib.util.find_spec("xllamacpp") is not None


def gguf_file(model: str) -> Path:
    """The file to serve: `model` itself, or the one next to the folder `model`. Raises UserError if there is none."""
    path = Path(model if model.endswith(".gguf") else f"{model.rstrip('/')}.gguf")
    if path.is_file():
        return path
    raise UserError(
        f"llama.cpp reads a GGUF file, and there is no {path}: run `make models` or `python -m models.build` for "
        "the embedded model, or name a .gguf file in the config (llm.model)"
    )


def program(llm: Llm, url: str) -> Program:
    """llama.cpp's server with the model's GGUF file at `url`."""
    address, path = urlsplit(url), gguf_file(llm.model)
    return Program(
        "llama.cpp",
        (
            sys.executable,
            "-I",
            str(Path(__file__).with_name("llama_cpp_serve.py")),
            "--model",
            str(path.absolute()),
            "--name",
            llm.name,
            "--host",
            str(address.hostname),
            "--port",
            str(address.port),
            "--slots",
            str(llm.concurrency),
            "--context",
            str(llm.max_model_len),
            "--threads",
            str(_cores()),
        ),
        memory=path.stat().st_size + OVERHEAD,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
