"""The judge's command from folders of answers to the report, with judges on the loopback that look at what they get."""

import dataclasses
import json

import pytest

from moss import judge
from moss.answers import folder
from moss.judging import aspects, controls, figures, scores
from moss.judging.clip import Clip
from moss.judging.published import PUBLISHED
from moss.servers.transport import Server
from schemas.errors import UserError
from schemas.records import Text
from tests.moss.servers import fake
from tests.tiny_clip import clip_folder

N = 6


def write(place, answers):
    files = {f"{folder.name_of(a.key)}/{n}": data for a in answers for n, data in folder.files(a).items()}
    folder.publish(place, files.items())
    return str(place)


@pytest.fixture
def answered(tmp_path):
    """Good answers, and such with wrong pictures and one that is empty; as arguments."""
    good = [fake.answer(n) for n in range(N)]
    bad = [fake.answer(n, colour="red", empty=n == 5) for n in range(N)]
    return [f"good={write(tmp_path / 'good', good)}", f"bad={write(tmp_path / 'bad', bad)}"]


def run(server, tmp_path, answers, *more):
    return judge.main(
        ["--answers", *answers, "--llm-url", server.url, "--output", str(tmp_path / "out"), "--repeats", "2", *more]
    )


def test_a_judge_that_looks_gives_a_table_and_the_same_command_asks_nothing_again(answered, tmp_path, capsys):
    with fake.FakeVision(fake.honest) as server:
        assert run(server, tmp_path, answered, "--published") == 0
        asked = len(server.requests)
        first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
        assert run(server, tmp_path, answered, "--published") == 0
        assert len(server.requests) == asked
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first
    # scores twice, good and bad (one is empty, two are as the good ones); pairs in both orders, which are one question
    # where both answers are the same; four controls
    assert asked == 2 * N + 2 * (N - 3) + 2 * (N - 3) + 2 + 4 * 2 * N
    found = json.loads(first["results.json"])
    good, bad = found["systems"]
    assert good["scores"]["text_image_coherence"]["value"] == 5
    # q0 and q4 are to be red, q5 is empty: (5 + 1 + 1 + 1 + 5 + 0) / 6
    assert bad["scores"]["text_image_coherence"]["value"] == pytest.approx(13 / 6)
    assert bad["differences"]["perceptual_quality"]["value"] == pytest.approx(-5 / 6)
    assert bad["preference"]["lost"] == pytest.approx(4 / 6) and bad["preference"]["orders_agree"] == 1
    assert all(control["passed"] for control in found["controls"]) and good["figures"]["images"]["value"] == 1
    text = capsys.readouterr().out
    assert "| bad |" in text and "| MiniGPT-5 | 1.31 |" in text and "Published, not ours" in text
    page = first["page.html"].decode()
    assert page.count("<h3>good</h3>") == page.count("<h3>bad</h3>") == N and "helpfulness 5.0" in page
    assert json.loads(first["verdicts.jsonl"].splitlines()[0])["system"] == "good"


def test_a_failed_answer_is_no_score_and_too_many_stop(tmp_path, capsys):
    def system(name, failing, many=21):
        found = [fake.answer(n) for n in range(many)]
        for n in failing:
            found[n] = dataclasses.replace(found[n], output=[], failed="refused: 400: no")
        return f"{name}={write(tmp_path / name, found)}"

    with fake.FakeVision(fake.honest) as server:
        assert run(server, tmp_path, [system("good", []), system("other", [3])]) == 0
        found = json.loads((tmp_path / "out/results.json").read_text())
        assert run(server, tmp_path, [system("good", []), system("other", [3, 4])]) == 2
    said = capsys.readouterr()
    assert found["questions"] == 20 and found["left_out"] == {"good": {}, "other": {"q3": "refused: 400: no"}}
    assert [s["scores"]["helpfulness"]["value"] for s in found["systems"]] == [5, 5]
    assert (
        found["systems"][1]["preference"]["lost"] == 0 and found["systems"][1]["figures"]["empty answers"]["value"] == 0
    )
    assert "1 more are left out for all systems" in said.out and "other 1 (the first: refused: 400: no)" in said.out
    assert "2 of 21 answers failed" in said.err and "other cannot be judged" in said.err


def test_a_judge_that_does_not_notice_damage_gets_no_table(answered, tmp_path, capsys):
    with fake.FakeVision(fake.blind) as server:
        assert run(server, tmp_path, answered) == 2
    said = capsys.readouterr()
    assert "did not pass the controls" in said.err and "| good |" not in said.out
    assert "does not notice: shuffled images, swapped answers, cut text, blank images" in said.out
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert found["systems"] == [] and [c["change"]["text_quality"]["value"] for c in found["controls"]] == [0] * 4
    assert (tmp_path / "out/verdicts.jsonl").read_bytes() == b""
    assert "helpfulness 5.0" not in (tmp_path / "out/page.html").read_text()


@pytest.mark.parametrize("name,aspect,_", controls.CONTROLS, ids=[name for name, _, _ in controls.CONTROLS])
def test_a_judge_that_fails_one_control_alone_gets_no_table(answered, tmp_path, capsys, name, aspect, _):
    def half_blind(body):
        found = json.loads(fake.honest(body))
        if aspect in found:
            found[aspect]["score"] = 5
        return json.dumps(found)

    with fake.FakeVision(half_blind) as server:
        assert run(server, tmp_path, answered) == 2
    said = capsys.readouterr().out
    assert f"does not notice: {name}. " in said and "| good |" not in said
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert [c["name"] for c in found["controls"] if not c["passed"]] == [name] and found["systems"] == []
    assert (tmp_path / "out/verdicts.jsonl").read_bytes() == b""


def test_clip_gives_the_judges_report_its_columns(answered, tmp_path, capsys):
    clip = clip_folder(tmp_path / "clip")
    with fake.FakeVision(fake.honest) as server:
        assert run(server, tmp_path, answered, "--clip", clip) == 0
        assert run(server, tmp_path, answered, "--clip", f"local-dir:{tmp_path}/nowhere") == 2
    said = capsys.readouterr()
    assert "--clip: open_clip cannot load" in said.err and "| CLIP text-image, image 1 |" in said.out
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert found["clip"] == clip and found["clip_weights"] is None
    good = found["systems"][0]["figures"]
    measure, answers = Clip(clip), folder.read(tmp_path / "good")
    expected = [measure.coherence(answer).matched[0] for answer in answers]
    assert good["CLIP text-image"]["value"] == pytest.approx(sum(expected) / N)
    assert good["CLIP text-image, image 1"]["value"] == pytest.approx(sum(expected) / N)
    assert good["copies of the context"]["value"] == 0 and good["CLIP margin"]["value"] is None  # one image each


def test_a_judge_that_favours_the_first_place_makes_ties(answered, tmp_path):
    def favouring(body):
        wanted = body["response_format"]["json_schema"]["schema"]["properties"]
        return fake.blind(body) if "better" in wanted else fake.honest(body)

    with fake.FakeVision(favouring) as server:
        assert run(server, tmp_path, answered) == 0
    found = json.loads((tmp_path / "out/results.json").read_text())["systems"][1]["preference"]
    assert found["orders_agree"] == 0 and found["won"] == 0 and found["lost"] == pytest.approx(1 / 6)  # the empty one


def test_answers_outside_the_schema_are_asked_for_again_and_too_many_stop(answered, tmp_path, capsys):
    def wild(body):
        if body["seed"] < 1000:
            return '{"text_quality": {"reason": "x", "score": 7}}'
        return fake.honest(body)

    with fake.FakeVision(wild) as server:
        assert run(server, tmp_path, answered) == 0
    with fake.FakeVision(lambda body: "I would rather not.", model="other") as server:
        assert run(server, tmp_path, answered) == 2
    assert "no valid answer to 12 of 12 questions" in capsys.readouterr().err


def test_what_was_not_judged_and_how_much_repeats_differ_is_in_the_report(tmp_path, capsys):
    """One of 21 answers gets no valid score in the second repeat; text quality is 5 or 4, in turn."""

    def moody(body):
        wanted = body["response_format"]["json_schema"]["schema"]["properties"]
        if "better" in wanted:
            return "no" if "thing3 " in json.dumps(body["messages"]) and "SECOND" in str(body) else fake.honest(body)
        if body["seed"] % 1000 and "thing2 " in json.dumps(body["messages"]):
            return "no"
        found = json.loads(fake.honest(body))
        if "text_quality" in found and found["text_quality"]["score"] == 5:
            found["text_quality"]["score"] -= body["seed"] % 1000
        return json.dumps(found)

    answers = [fake.answer(n) for n in range(21)]
    other = [fake.answer(n, colour="red") for n in range(21)]
    named = [f"one={write(tmp_path / 'one', answers)}", f"other={write(tmp_path / 'other', other)}"]
    with fake.FakeVision(moody) as server:
        assert run(server, tmp_path, named) == 0
    one, second = json.loads((tmp_path / "out/results.json").read_text())["systems"]
    assert (one["not_judged"], second["preference"]["not_judged"]) == (1, 2)
    # a fifth of the scores, of two repeats each, differ by 1: 20 of 20 * 5 deviations are the root of 1/2
    assert one["spread_over_repeats"] == pytest.approx(0.5**0.5 / 5)
    said = capsys.readouterr().out
    assert "| one | 1 | none asked | 0 | 0.14 |" in said and "| other | 1 | 2 | 0 | 0.14 |" in said


def test_zeros_without_a_question_do_not_make_a_judge_look_steady(tmp_path):
    seen = []

    def wavers(body):
        seen.append(body)
        names = body["response_format"]["json_schema"]["schema"]["required"]
        return json.dumps({name: {"reason": "r", "score": 2 + len(seen) % 2} for name in names})

    answer = dataclasses.replace(fake.answer(0), output=[Text("One.")])  # two aspects of five are judged
    with fake.FakeVision(wavers) as server:
        found = scores.score(Server(server.url, "m", tmp_path / "cache"), [answer], 2)
    assert found.spread == pytest.approx(0.5**0.5) and sorted(found.value[0]) == [0, 0, 0, 2.5, 2.5]
    assert [body["temperature"] for body in seen] == [0.7, 0.7] and seen[0]["seed"] != seen[1]["seed"]


def test_a_missing_modality_is_zero_without_asking():
    whole = fake.answer(0)
    assert aspects.scored_as_zero(whole) == ()
    no_picture = dataclasses.replace(whole, output=[Text("One.")])
    assert aspects.scored_as_zero(no_picture) == ("perceptual_quality", "image_coherence", "text_image_coherence")
    no_text = dataclasses.replace(whole, output=whole.pictures)
    assert aspects.scored_as_zero(no_text) == ("text_quality", "text_image_coherence")
    assert len(aspects.scored_as_zero(dataclasses.replace(whole, output=[]))) == 5
    blank = dataclasses.replace(whole, output=[Text(" \n"), *whole.pictures])
    assert aspects.scored_as_zero(blank) == ("text_quality", "text_image_coherence")
    assert len(aspects.scored_as_zero(dataclasses.replace(whole, output=[Text(" \n")]))) == 5
    editing = dataclasses.replace(no_text, expects=("image",))
    assert aspects.scored_as_zero(editing) == ()
    assert [a.name for a in aspects.judged(editing)] == ["perceptual_quality", "image_coherence", "helpfulness"]


def test_blanks_are_no_answer_and_lose_without_a_question():
    whole, blank = fake.answer(0), dataclasses.replace(fake.answer(0), output=[Text("\n")])
    found = scores.prefer(Server("http://127.0.0.1:1/v1", "none"), [blank, whole, blank], [whole, blank, blank])
    assert found.won.tolist() == [-1, 1, 0]
    [empty] = [c for c in figures.columns([whole, blank], None) if c.title == "empty answers"]
    assert empty.total.tolist() == [0, 1]


def test_every_damage_changes_what_it_says_and_nothing_else():
    answers = [fake.answer(n) for n in range(5)]
    shuffled = controls.shuffled_pictures(answers, 0)
    assert shuffled.texts == answers[0].texts and shuffled.pictures == answers[1].pictures
    swapped = controls.swapped_answers(answers, 4)
    assert swapped.instruction == answers[4].instruction and swapped.output == answers[0].output
    cut = controls.cut_text(answers, 0)
    assert cut.pictures == answers[0].pictures and all(
        whole.startswith(part) and part != whole for part, whole in zip(cut.texts, answers[0].texts, strict=True)
    )
    blank = controls.blank_pictures(answers, 0)
    assert blank.texts == answers[0].texts and blank.pictures[0].getextrema() == ((127, 127),) * 3
    with pytest.raises(UserError, match="at least 5 answers"):
        controls.suitable(answers[:4])
    assert controls.suitable([fake.answer(n) for n in range(100)])[-1] == 97  # 40 of them, over all


def test_a_damaged_answer_is_compared_with_itself_undamaged(tmp_path):
    """Whichever answers are damaged: here the first three have no pictures, and low scores."""
    answers = [dataclasses.replace(fake.answer(n), output=[Text("no end")]) for n in range(3)]
    answers += [fake.answer(n) for n in range(N)]
    with fake.FakeVision(fake.honest) as server:
        asked = Server(server.url, "m", tmp_path / "cache")
        found = controls.check(asked, answers, scores.score(asked, answers, 1).value, 1, 0)
    place = [aspect.name for aspect in aspects.ASPECTS].index("perceptual_quality")
    assert [(one.passed, one.answers) for one in found] == [(True, N)] * 4
    assert [one.change[place].value for one in found] == [0, 0, 0, -5]


@pytest.mark.parametrize(
    "change,said",
    [
        (lambda found: found[:-1], "1 keys are in one alone, such as q5"),
        (lambda found: [dataclasses.replace(found[0], instruction="Other."), *found[1:]], "key q0: their instruction"),
        (lambda found: [dataclasses.replace(found[0], expects=("text",)), *found[1:]], "key q0: their expects"),
        (lambda found: [dataclasses.replace(found[0], context=[]), *found[1:]], "key q0: their context"),
        (
            lambda found: [*found[:2], dataclasses.replace(found[2], context=[fake.picture_of("red", 5)]), *found[3:]],
            "key q2: their context",
        ),
    ],
)
def test_systems_must_answer_the_same_questions(change, said, tmp_path):
    found = [fake.answer(n) for n in range(N)]
    found[2] = dataclasses.replace(found[2], context=[fake.picture_of("red", 4)])
    with pytest.raises(UserError, match=said):
        judge.read([f"a={write(tmp_path / 'a', found)}", f"b={write(tmp_path / 'b', change(found))}"])


def test_the_same_question_may_be_written_in_other_forms(tmp_path):
    """Blanks, and pictures as other files with the same pixels."""
    picture = fake.picture_of("red", 4)
    found = [dataclasses.replace(fake.answer(n), context=[Text("Look."), picture]) for n in range(2)]
    theirs = [
        dataclasses.replace(a, instruction=f" {a.instruction}\n", context=[Text("Look. "), picture]) for a in found
    ]
    place = write(tmp_path / "b", theirs)
    picture.save(tmp_path / "b" / "q0" / "00.png", compress_level=0)
    assert list(judge.read([f"a={write(tmp_path / 'a', found)}", f"b={place}"])) == ["a", "b"]


def test_wrong_options_and_foreign_folders_are_refused(answered, tmp_path, capsys):
    assert judge.main(["--answers", "x", "--llm-url", "http://127.0.0.1:1", "--output", str(tmp_path / "o")]) == 2
    assert judge.main(["--answers", answered[0], "--llm-url", "ftp://x", "--output", str(tmp_path / "o")]) == 2
    assert judge.main(["--answers", answered[0], "--llm-url", "http://x", "--output", str(tmp_path / "good")]) == 2
    idle = ["--llm-url", "http://x", "--llm-model", "m", "--concurrency", "0", "--output", str(tmp_path / "o")]
    assert judge.main(["--answers", answered[0], *idle]) == 2  # no question would ever be asked
    assert judge.main(["--answers", answered[0], *idle, "--seed", "-1"]) == 2
    said = capsys.readouterr().err
    assert "NAME=DIR" in said and "no http(s) address" in said and "holds something else" in said
    assert "--seed must be at least 0" in said
    assert "--concurrency must be at least 1, not 0" in said


def test_published_means_are_those_of_the_papers_tables():
    """method.md's means are derived; the benchmark's page states its own."""
    rows = {name: sum(values) / 5 for name, values in PUBLISHED["MoSS, ICLR 2025"]}
    assert {name: round(mean, 2) for name, mean in rows.items()} == {
        "Gemini1.5+SDXL": 3.66,
        "GPT-4o+DALL-E 3": 3.72,
        "MiniGPT-5": 2.25,
        "GILL": 2.36,
        "Emu2": 1.68,
        "Chameleon": 1.24,
        "Emu2+MoSS": 3.18,
        "Chameleon+MoSS": 1.96,
    }
    page = {name: sum(values) / 5 for name, values in PUBLISHED["InterleavedBench, EMNLP 2024"]}
    stated = {"Gemini1.5+SDXL": 3.96, "GPT-4o+DALL-E 3": 4.13, "MiniGPT-5": 1.82, "GILL": 1.84, "Emu2": 1.68}
    assert all(abs(page[name] - mean) < 0.011 for name, mean in stated.items())
