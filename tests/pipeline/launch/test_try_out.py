"""A model server tried on a few documents: questions, answers and verdicts, on the terminal."""

from __future__ import annotations

import base64
import io
import json

import PIL.Image
import pytest
import yaml

from pipeline.cli import main
from tests.answers import MODEL, answer, server
from tests.fake_openai import FakeOpenAI
from tests.pipeline.runs import ROOT, demo_tree


@pytest.fixture
def config(tmp_path):
    """Writes the demo's configuration with other keys; its path."""

    def written(**keys) -> str:
        tree = demo_tree()
        tree["corpora"] = [{"format": "native", "path": str(ROOT / "examples/corpus")}]
        tree["llm"]["name"] = MODEL
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(tree | keys))
        return str(path)

    return written


def tried(capsys, *arguments: str) -> str:
    assert main(["try", *arguments]) == 0
    return capsys.readouterr().out


def test_questions_answers_and_verdicts_are_shown(config, capsys):
    with server() as llm:
        shown = tried(capsys, "--config", config(), "--documents", "2", "--llm-url", llm.url)
    assert f"2 documents, model {MODEL}, prompts embedded" in shown and "=== 2 of 2: " in shown
    assert "Rate the text above from 1 (bad) to 5 (good)." in shown and "Write the instruction that" in shown
    assert "fluency 5, text_coherence 5" in shown and "VERDICT\n  kept: " in shown
    assert shown.count("<- taken") == 2 and "2 of 2 documents would be kept" in shown
    assert shown.count("title. ") == 2 and shown.count("1. ") >= 2
    assert len(llm.requests) == 1 + 2 * (1 + 1)  # the probe; ratings and, where the title is asked for, one candidate
    with server() as llm:
        tried(capsys, "--config", config(prompts="instruct"), "--documents", "2", "--llm-url", llm.url)
    assert len(llm.requests) == 1 + 2 * (1 + 4)


def test_what_the_rules_drop_is_told_with_their_reason(config, capsys):
    def reply(body):
        properties = body["response_format"]["json_schema"]["schema"]["properties"]
        return json.dumps(
            {"instruction": "Paper.", "domain": "Programming"}
            if "domain" in properties
            else dict.fromkeys(properties, 3)
        )

    with FakeOpenAI(MODEL, reply=reply) as llm:
        shown = tried(capsys, "--config", config(), "--documents", "1", "--llm-url", llm.url)
    assert "below the threshold 4" in shown and "instruction_length is 1, below the threshold 3" in shown
    assert "VERDICT\n  dropped" in shown and "0 of 1 document would be kept" in shown


def test_an_invalid_answer_is_shown_as_such(config, capsys):
    asked = []

    def reply(body):
        asked.append(body)
        return answer(body) if len(asked) == 1 else "I would rather not."

    with FakeOpenAI(MODEL, reply=reply) as llm:
        shown = tried(capsys, "--config", config(), "--documents", "1", "--llm-url", llm.url)
    assert shown.count("none: invalid_answer: not JSON by the schema") == 2
    assert "VERDICT\n  dropped" in shown


def test_a_vision_model_gets_the_pictures(config, capsys):
    with server() as llm:
        shown = tried(capsys, "--config", config(prompts="vision"), "--documents", "1", "--llm-url", llm.url)
    content = llm.requests[-1]["messages"][-1]["content"]
    *pictures, text = content
    assert "[image 1: " in text["text"] and f"[image {len(pictures)}: " in text["text"] and text["type"] == "text"
    assert f"[{len(pictures)} picture" in shown and "illustration 5" in shown
    for part in pictures:
        kind, _, data = part["image_url"]["url"].partition(";base64,")
        with PIL.Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert part["type"] == "image_url" and kind == f"data:image/{picture.format.lower()}"


def test_nothing_stays_on_the_disk(config, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = config()
    with server() as llm:
        tried(capsys, "--config", path, "--documents", "1", "--llm-url", llm.url)
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("flags, words", [(["--documents", "0"], "--documents"), (["--limit", "0"], "--limit")])
def test_what_cannot_be_tried_is_refused(config, capsys, flags, words):
    assert main(["try", "--config", config(), *flags]) == 2
    assert words in capsys.readouterr().err
