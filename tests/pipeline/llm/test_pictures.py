"""Prompts with pictures: what the server gets, and what the answers are kept under."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.llm.client import Client
from pipeline.llm.pictures import data_uri
from pipeline.storage.store import Store
from prompts import Prompt
from schemas.errors import BugError
from tests.fake_openai import FakeOpenAI

SCHEMA = {"type": "object", "properties": {"seen": {"type": "boolean"}}, "required": ["seen"]}
FILES = {"a": b"\xff\xd8a", "b": b"\x89PNGb"}
PROMPT = Prompt(({"role": "system", "content": "Look."}, {"role": "user", "content": "Well?"}), SCHEMA, ("a", "b"))


def ask(folder, *prompts, picture=FILES.__getitem__):
    """The requests that the server gets of these prompts."""
    with (
        FakeOpenAI() as server,
        Client(server.url, "fake", cache=Store(str(folder)), picture=picture) as client,
    ):
        for prompt in prompts:
            client.submit(client.ask(prompt)).result(30)
        return server.requests


def test_pictures_come_before_the_text_in_their_order(tmp_path):
    [request] = ask(tmp_path, PROMPT)
    assert request["messages"] == [
        {"role": "system", "content": "Look."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": data_uri(FILES["a"])}},
                {"type": "image_url", "image_url": {"url": data_uri(FILES["b"])}},
                {"type": "text", "text": "Well?"},
            ],
        },
    ]
    assert data_uri(FILES["a"]).startswith("data:image/jpeg;") and data_uri(FILES["b"]).startswith("data:image/png;")


def test_an_answer_about_other_pictures_is_another_answer(tmp_path):
    swapped = dataclasses.replace(PROMPT, pictures=("b", "a"))
    assert len(ask(tmp_path, PROMPT, swapped, PROMPT, dataclasses.replace(PROMPT, pictures=()))) == 3


def test_a_client_without_pictures_is_a_bug(tmp_path):
    with pytest.raises(BugError):
        ask(tmp_path, PROMPT, picture=None)
