"""Which server the pipeline starts itself, in which number format, and whether there is memory for it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import number_format
from pipeline.config import Llm
from pipeline.llm import llama_cpp, memory, vllm
from pipeline.llm.server import HOST, Program, free_port, say
from schemas.errors import UserError

PIPELINE = 1650 << 20
"""Bytes that the pipeline's own process comes to take from here on, with the embedded coherence model (measured)."""


def reserve(llm: Llm) -> tuple[Llm, str, str]:
    """The settings with `server` and `dtype` settled, a free address, and the model's identity. Says what was chosen.

    Raises UserError where no server could be started later.
    """
    if (
        not llm.model.endswith(".gguf")
        and not os.path.isdir(llm.model)
        and llm.model.startswith(("build/", "./", "/", "../"))
    ):
        raise UserError(
            f"there is no model in {llm.model}: run `make models` or `python -m models.build`, or name another in the "
            "config (llm.model)"
        )
    llm = dataclasses.replace(llm, server=_server(llm))
    why = "as its file has it"
    if llm.server == "llama.cpp":
        if llm.dtype != "auto":
            raise UserError(
                f"llm.dtype is {llm.dtype}, which is for vLLM: llama.cpp computes in what the GGUF file holds"
            )
        # more at once would only wait in its queue, and on a slow processor for longer than llm.timeout
        llm = dataclasses.replace(llm, concurrency=min(llm.concurrency, llama_cpp.SLOTS))
    elif not vllm.on_gpu(vllm.find_python()):
        form = number_format.choose(llm.dtype)
        llm, why = dataclasses.replace(llm, dtype=form.name), str(form)
    elif llm.dtype == "auto":
        why = "the model's own number format"
    else:
        why = llm.dtype
    url = f"http://{HOST}:{free_port()}/v1"
    made = program(llm, url)
    free = memory.available()
    if made.memory and free < made.memory + PIPELINE:
        raise UserError(
            f"the {made.name} server and the pipeline take about {(made.memory + PIPELINE) / 2**30:.1f} GiB "
            f"of memory, and {free / 2**30:.1f} GiB are free: end other programs, lower llm.concurrency, or "
            "give the address of a server on another machine (--llm-url)"
        )
    say(f"language model: {made.name}, {why}")
    return llm, url, identity(llm)


def _server(llm: Llm) -> str:
    """`vllm` or `llama.cpp`: the one asked for if it is there, else the first that is."""
    wanted = "llama.cpp" if llm.server == "auto" and llm.model.endswith(".gguf") else llm.server
    if wanted != "llama.cpp" and vllm.find_python():
        return "vllm"
    if wanted != "vllm" and llama_cpp.available():
        return "llama.cpp"
    missing = {"vllm": "no vLLM", "llama.cpp": "no llama.cpp"}.get(wanted, "neither vLLM nor llama.cpp")
    mend = {"vllm": "`make setup-vllm`", "llama.cpp": "`pip install xllamacpp`"}
    raise UserError(
        f"There is {missing} here: run {mend.get(wanted, ' or '.join(mend.values()))}, or give the address of "
        "an OpenAI-compatible server with --llm-url."
    )


def program(llm: Llm, url: str) -> Program:
    """The server of settings that `reserve` has settled."""
    if llm.server == "llama.cpp":
        return llama_cpp.program(llm, url)
    python = vllm.find_python()
    if python is None:
        raise UserError("the environment of vLLM is gone: run `make setup-vllm`")
    return vllm.program(llm, url, python)


def identity(llm: Llm) -> str:
    """What the answers are kept under.

    `name@hash/format`, so that answers of other weights, or of another number format, are never taken for this model's.
    """
    if llm.server == "llama.cpp":
        return f"{llm.name}@{_digest([llama_cpp.gguf_file(llm.model)])}/gguf"
    form = "" if llm.dtype == "auto" else f"/{llm.dtype}"  # auto: the model's own, which its hash covers
    folder = Path(llm.model)
    if not folder.is_dir():
        return f"{llm.model}{form}"
    return f"{llm.name}@{_digest(sorted(path for path in folder.iterdir() if path.is_file()))}{form}"


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
