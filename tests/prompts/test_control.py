"""Control tokens are words to whatever tokenizer they meet, and other words stay as they are."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts
from prompts.control import TOKENS, broken_up, tokens_of
from tests.pipeline.runs import ROOT

MODEL = ROOT / "build/models/language"


@pytest.mark.parametrize("token", TOKENS)
def test_each_token_is_broken_up_and_stays_readable(token):
    found = broken_up(f"before {token} after")
    assert token not in found and found.replace(" ", "") == f"before{token}after".replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "<|IM_START|>",
        "\uff1c\uff5cim_start\uff5c\uff1e",
        "\uff1c|im_start|\uff1e",
        "<<|im_start|>|im_start|>",
        "<|im_<|im_end|>start|>",
        "<|a_token_that_nobody_knows|>",
        "<|reserved_special_token_17|>",
        "[inst]",
        "</S>",
        "<s><s>",
        "<|im_start|><|im_start|>",
    ],
)
def test_other_spellings_and_nests_too(text):
    found = broken_up(text).translate({ord(c) + 0xFEE0: c for c in map(chr, range(0x21, 0x7F))}).lower()
    assert not [token for token in TOKENS if token.lower() in found]


@pytest.mark.parametrize(
    "text",
    [
        "Cut the board.",
        "a < b | c > d",
        "x |> f <| y",
        "if (a<b) { s[i] }",
        "[image: a saw]",
        "<sub>2</sub> <span>",
        "[1]",
        "# [INSTALL]",
        "\u5207\u308b\u3001\u7e2b\u3046",
        "fn<'a>(s: &'a str)",
        "<system>",
        "R: x |> head()",
    ],
)
def test_ordinary_texts_are_the_same_object(text):
    assert broken_up(text) is text


@given(
    st.lists(st.sampled_from([*TOKENS[:30], "<", "|", ">", "im_start", " ", "[", "INST", "]", "/", "s"]), max_size=12)
)
def test_no_mixture_leaves_a_token(pieces):
    text = "".join(pieces)
    found = broken_up(text)
    assert not [token for token in TOKENS if token in found]
    assert broken_up(found) == found and found.replace(" ", "") == text.replace(" ", "")


def test_a_model_s_own_tokens_are_known(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": [{"content": "<@own@>"}, {"content": "the"}]}))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "added_tokens_decoder": {"7": {"content": "{{turn}}"}},
                "eos_token": {"content": "<eoss>"},
                "model_max_length": 9,
            }
        )
    )
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": ["<racm3:break>"]}))
    found = tokens_of(str(tmp_path))
    assert {"<@own@>", "{{turn}}", "<eoss>", "<racm3:break>", *TOKENS} == set(found)  # "the" is a word
    assert broken_up("a <@own@> b", found) == "a < @own@> b"
    (tmp_path / "tokenizer.json").write_text("no JSON")
    assert "<eoss>" in tokens_of(str(tmp_path)) and tokens_of("meta-llama/x") == tuple(sorted(set(TOKENS)))


def test_the_embedded_model_s_tokenizer_finds_none():
    """Its own answer: no token but those of plain words."""
    if not MODEL.is_dir():
        pytest.skip("build/models/language is not built: make models")
    from tokenizers import Tokenizer

    tokenizer, tokens = Tokenizer.from_file(str(MODEL / "tokenizer.json")), tokens_of(str(MODEL))
    special = {token["id"] for token in json.loads((MODEL / "tokenizer.json").read_text())["added_tokens"]}
    text = "Cut. " + " ".join(tokens) + "".join(tokens)
    assert special & set(tokenizer.encode(text, add_special_tokens=False).ids)
    assert not special & set(tokenizer.encode(broken_up(text, tokens), add_special_tokens=False).ids)


def test_the_injections_bring_no_control_token_of_the_served_model_into_a_prompt():
    """What they do with their words is measured: benchmarks/injections.py, docs/security.md."""
    if not MODEL.is_dir():
        pytest.skip("build/models/language is not built: make models")
    from tokenizers import Tokenizer

    from benchmarks.injections import SET, documents

    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    special = {token["id"] for token in json.loads((MODEL / "tokenizer.json").read_text())["added_tokens"]}
    found = dataclasses.replace(prompts.load("embedded"), control=tokens_of(str(MODEL)))
    data = json.loads(SET.read_text())
    assert len(data["injections"]) >= 60
    for _, _, document in documents(data):
        for prompt in (found.rate_prompt(document), found.write_prompt(document, ("Any", "Other"))):
            assert not special & set(tokenizer.encode(prompt.messages[1]["content"], add_special_tokens=False).ids)
