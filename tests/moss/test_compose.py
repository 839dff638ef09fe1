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
    """Two texts and pictures in the colour that is asked for; thing2's second picture is refused, thing3 fails, thing4
    goes on for too long."""
    asked = body["messages"][-1]["content"][0]["text"]
    if "thing3" in asked:
        return "no"
    colour = next(c for c in fake.COLOURS if c in asked)
    second = "refuse this" if "thing2" in asked else f"the {colour} thing, dry"
    if "thing4." in asked or "thing4 " in asked:
        return json.dumps({"segments": [{"text": f"Step {n}.", "picture": ""} for n in range(compose.MOST + 3)]})
    segments = [{"text": "Paint it. ", "picture": f"a {colour} thing"}, {"text": " Let it dry.", "picture": second}]
    return json.dumps({"segments": segments})


def run(server, tmp_path, *more):
    return compose.main(
        [
            *("--questions", str(tmp_path / "questions"), "--llm-url", server.url, "--image-url", server.url),
            *("--size", "64x64", "--output", str(tmp_path / "out"), *more),
        ]
    )


MANY = [0, 1, 2, 3, 4, *range(40, 76)]


def test_questions_become_answers_and_failures_are_marked_and_counted(tmp_path, capsys):
    questions = [fake.answer(n) for n in MANY]
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
    said = capsys.readouterr().out
    assert "41 answers, 2 of them failed (1 without a valid reply, 1 of " in said and "1 cut after 12 segments" in said
    by_key = {answer.key: answer for answer in found}
    red, green, blue, none, long = (by_key[f"q{n}"] for n in range(5))
    assert {answer.key for answer in found if answer.failed} == {"q2", "q3"} and len(long.output) == 12
    assert blue.failed.startswith("1 pictures were not drawn, the first: refused: 400") and "no plan" in none.failed
    assert all(request["max_tokens"] == compose.MAX_TOKENS for request in server.requests)
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


def test_a_server_that_refuses_gives_no_answers(tmp_path, capsys):
    """Neither the text model nor the image model: nothing is written that a judge could score 0."""
    write(tmp_path / "questions", [fake.answer(n) for n in (1, 2, 5, 9)])
    with fake.FakeVision(plan) as server:
        assert run(server, tmp_path) == 2  # thing2's picture: 1 of 4
        said = capsys.readouterr().err
        assert "1 of 4 answers failed (the first: 1 pictures were not drawn, the first: refused: 400" in said
        server.raw = lambda body: (400, {"error": {"message": "max_tokens is too large"}})
        (tmp_path / "out.cache").rename(tmp_path / "elsewhere")
        drawn = len(server.drawn)
        assert run(server, tmp_path) == 2 and len(server.drawn) == drawn
    said = capsys.readouterr().err
    assert "4 of 4 answers failed (the first: refused: 400" in said and "max_tokens is too large" in said
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_is_said(tmp_path, capsys):
    write(tmp_path / "questions", [fake.answer(1)])
    with fake.FakeVision(plan) as server:
        assert run(server, tmp_path, "--size", "large") == 2
        (tmp_path / "out").mkdir()
        assert run(server, tmp_path) == 2
    said = capsys.readouterr().err
    assert "WIDTHxHEIGHT" in said and "name another --output" in said
