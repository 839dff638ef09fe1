"""A text model and an image model on the loopback, from questions to a folder of answers."""

import dataclasses
import json

from moss import compose
from moss.answers import folder
from schemas.records import Text
from tests.moss.servers import fake


def write(place, answers):
    files = {f"{folder.name_of(a.key)}/{n}": data for a in answers for n, data in folder.files(a).items()}
    folder.publish(place, files.items())
    return place


def plan(body):
    """Two texts and pictures in the colour that is asked for; thing2's second picture is refused, thing3 fails."""
    asked = body["messages"][-1]["content"][0]["text"]
    if "thing3" in asked:
        return "no"
    colour = next(c for c in fake.COLOURS if c in asked)
    second = "refuse this" if "thing2" in asked else f"the {colour} thing, dry"
    segments = [{"text": "Paint it. ", "picture": f"a {colour} thing"}, {"text": " Let it dry.", "picture": second}]
    return json.dumps({"segments": segments})


def run(server, tmp_path, *more):
    return compose.main(
        [
            *("--questions", str(tmp_path / "questions"), "--llm-url", server.url, "--image-url", server.url),
            *("--size", "64x64", "--output", str(tmp_path / "out"), *more),
        ]
    )


def test_questions_become_answers_and_refusals_are_counted(tmp_path, capsys):
    questions = [fake.answer(n) for n in range(4)]
    questions[0] = dataclasses.replace(questions[0], context=[fake.picture_of("blue", 1)], expects=("image",))
    write(tmp_path / "questions", questions)
    with fake.FakeVision(plan) as server:
        assert run(server, tmp_path) == 0
        asked = (len(server.requests), len(server.drawn))
        found = folder.read(tmp_path / "out")
        (tmp_path / "out").rename(tmp_path / "first")
        assert run(server, tmp_path) == 0
        # what failed is asked again, what was kept is not
        assert (len(server.requests), len(server.drawn)) == (asked[0] + 3, asked[1] + 1)
    assert "1 questions without a valid reply, 1 pictures refused" in capsys.readouterr().out
    red, green, blue, none = found
    assert [s.text if isinstance(s, Text) else "picture" for s in red.output] == [
        "Paint it.",
        "picture",
        "Let it dry.",
        "picture",
    ]
    assert folder.opened(green.pictures[0]).tobytes() == fake.picture_of("green", len("a green thing")).tobytes()
    assert blue.missing == 1 and len(blue.pictures) == 1 and not none.output
    contents = [request["messages"][-1]["content"] for request in server.requests]
    shown = next(parts for parts in contents if "thing0" in parts[0]["text"])
    assert any(part["type"] == "image_url" for part in shown) and "pictures alone" in shown[0]["text"]
    record = json.loads((tmp_path / "first" / "q1" / "answer.json").read_text())
    assert record["prompts"] == ["a green thing", "the green thing, dry"] and record["image_model"] == "fake"


def test_what_cannot_be_is_said(tmp_path, capsys):
    write(tmp_path / "questions", [fake.answer(1)])
    with fake.FakeVision(plan) as server:
        assert run(server, tmp_path, "--size", "large") == 2
        (tmp_path / "out").mkdir()
        assert run(server, tmp_path) == 2
    said = capsys.readouterr().err
    assert "WIDTHxHEIGHT" in said and "name another --output" in said
