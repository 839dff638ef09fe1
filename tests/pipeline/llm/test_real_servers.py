"""The embedded model behind each real server: the same tokens and nearly the same ratings, and nothing left at the end."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

import psutil
import pytest
import yaml
from transformers import AutoTokenizer

import prompts
from pipeline import config
from pipeline.cli import main
from pipeline.config import Llm
from pipeline.dataset import ledger
from pipeline.llm import choice
from pipeline.llm.client import Client
from pipeline.llm.probe import probe
from pipeline.llm.questions import rating
from pipeline.llm.server import Server
from schemas.errors import UserError
from schemas.records import Document, Text
from schemas.validate import validate
from tests.pipeline.llm.test_server import alive
from tests.pipeline.runs import ROOT

MODEL = ROOT / "build/models/language"
PROMPTS = prompts.load("embedded")
SOUND = Document(
    "d",
    "test",
    (
        Text("Fold the sheet in half along its long side and press the crease flat with your nail."),
        Text(
            "1. Open it again and fold both upper corners to the middle, so that the paper ends in a point.\n\n2. Fold the "
            "point down, turn the sheet over, and repeat the step with 10 cm of the other side."
        ),
    ),
)


@pytest.fixture(params=["llama.cpp", "vllm"])
def llm(request, monkeypatch) -> Llm:
    if not MODEL.is_dir():
        pytest.skip("build/models is not there: run `make models`")
    monkeypatch.chdir(ROOT)
    # llama.cpp's threads wait for each other: where another test has one of two cores, one thread is faster than two
    monkeypatch.setattr("pipeline.llm.llama_cpp._cores", lambda: 1)
    try:
        demo = config.load("configs/demo.yaml").llm
        return choice.reserve(dataclasses.replace(demo, server=request.param, concurrency=4))[0]
    except UserError as error:
        pytest.skip(str(error))


def in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:  # it has ended since it was listed
        return False


def test_it_rates_by_the_schema_with_probabilities_and_leaves_nothing(llm, tmp_path, monkeypatch):
    short = Path(tempfile.mkdtemp(prefix="t"))  # vLLM has sockets below it, whose paths may have 107 characters
    monkeypatch.setattr("tempfile.tempdir", str(short))
    _, url, _ = choice.reserve(llm)
    with Server(choice.program(llm, url), url, log_path=tmp_path / "llm.log") as server:
        group = os.getpgid(server._guard.pid)
        running = [pid for pid in psutil.pids() if in_group(pid, group)]
        probe(server.url, llm.name, PROMPTS)
        with Client(server.url, llm.name) as client:
            answer = client.submit(rating(client, PROMPTS, SOUND)).result(120)
        if llm.server == "llama.cpp":
            same_tokens(server.root)
        else:
            main_job(tmp_path / "out", "--llm-url", server.url)
    assert json.loads(answer.text)["fluency"] == 5  # sound sections have a mean of 4.98
    assert "".join(token["token"] for token in answer.logprobs).startswith(answer.text)
    digits = [token for token in answer.logprobs if token["token"] in "12345"]
    assert len(digits) >= 4 and all(len(token["top_logprobs"]) > 1 for token in digits[:4])
    assert len(running) >= 2 and not any(map(alive, running))
    assert not list(short.glob("leafinstruct-*"))
    shutil.rmtree(short)


def main_job(output: Path, *options: str) -> None:
    """Five documents of the demo become a valid dataset, rated and asked about by the real model, twice for each."""
    tree = yaml.safe_load(Path("configs/demo.yaml").read_text()) | {"instructions": {"candidates": 2}}
    config = output.with_name("config.yaml")
    config.write_text(yaml.safe_dump(tree))
    command = ["build", "--config", str(config), "--output", str(output), "--limit", "5", *options]
    assert main(command) == 0
    assert validate(output, deep=True) == []
    rows = list(ledger.read_outcomes(str(output)))
    assert len(rows) == 5 and any(row.status == "kept" for row in rows)
    rated = [scores["fluency"] for row in rows if "fluency" in (scores := dict(row.scores))]
    assert rated and all(1 <= rating <= 5 for rating in rated)


@pytest.mark.parametrize("llm", ["llama.cpp"], indirect=True)  # vLLM does it above, where it runs already
def test_the_main_job_starts_llama_cpp_by_itself(llm, tmp_path, capsys):
    main_job(tmp_path / "out", "--llm-server", llm.server)
    assert "language model: llama.cpp" in capsys.readouterr().err


def same_tokens(root: str) -> None:
    """The GGUF file's chat template and tokenizer do to a prompt what those of the folder do."""

    def post(path: str, body: dict) -> dict:
        request = urllib.request.Request(
            f"{root}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    messages = list(PROMPTS.rate_prompt(SOUND).messages)
    wanted = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert post("/apply-template", {"messages": messages})["prompt"] == wanted
    for text in (wanted, "Zürich\n\n1. 2,048 m²   \t5 𝕏\n"):
        assert post("/tokenize", {"content": text, "parse_special": True})["tokens"] == tokenizer.encode(
            text, add_special_tokens=False
        )


def test_the_gguf_file_is_made_of_the_folder():
    """Its norms are the folder's own numbers, in its order of blocks."""
    gguf = pytest.importorskip("gguf", reason="gguf is not installed: pip install gguf")
    from safetensors.torch import load_file

    if not Path(f"{MODEL}.gguf").is_file():
        pytest.skip("build/models/language.gguf is not there: run `make models`")
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(f"{MODEL}.gguf").tensors}
    folder = load_file(MODEL / "model.safetensors")
    assert len(tensors) == len(folder)
    for block in (0, 29):
        norm = folder[f"model.layers.{block}.input_layernorm.weight"].float()
        assert (tensors[f"blk.{block}.attn_norm.weight"].data == norm.numpy()).all()
