"""The comparison of each stage with chance, in small: what is drawn, what is measured, and what follows from it."""

from __future__ import annotations

import dataclasses
import doctest
import json
from concurrent.futures import Future

import numpy as np
import PIL.Image
import pytest

from benchmarks.uplift import __main__ as command
from benchmarks.uplift import exam as measuring
from benchmarks.uplift import results, selection, training
from benchmarks.uplift.documents import excerpt_of
from benchmarks.uplift.exam import AMONG, BETTER, Exam, ranked
from benchmarks.uplift.examples import LENGTH, draw, size_of
from benchmarks.uplift.results import (
    BACKBONE,
    HARMS,
    HELPS,
    SAME,
    Difference,
    difference,
    in_words,
    rows,
    table,
    verdict,
)
from benchmarks.uplift.selection import BASELINES, COHERENCE, DRAWN, IMAGES, OCR, RANDOM, RANKED, RATINGS, TEXT
from benchmarks.uplift.training import Job
from moss.backbones.chameleon import ChameleonText
from moss.batch import Sample
from moss.small import build
from moss.small.pretrain import SOURCES
from pipeline.config import CoherenceRules, Excerpt, Ocr, parse_corpus
from pipeline.llm.faults import LlmFault
from pipeline.llm.questions import Candidate
from schemas.errors import UserError
from schemas.records import Coherence, ScoredDocument, StoredDocument, StoredImage, Text
from tests.fake_openai import FakeOpenAI
from tests.pipeline.runs import a_run

PROSE = """Lay a sheet of paper on the table in front of you, with its longer side towards the window. Fold it in the
middle from the top to the bottom and press the crease with your nail. Then take both upper corners and bring them down
until they meet, so that a roof stands above a narrow strip. Turn that strip up on each side: it is what keeps the boat
together later. Now open the whole thing like a hat, and flatten it the other way to make a square. Pull gently at its
two loose points, and the hull comes out."""
LIMITS = Excerpt(max_words=20, max_images=2)
SEEDS = (0, 1, 2)
TOKENIZER = ChameleonText((build.HERE / "tokenizer.json").read_text(encoding="utf-8"))


def image(name: str) -> StoredImage:
    return StoredImage(f"{name}.png", width=200, height=200, sha256=name, extension="png")


def document(*segments: str | StoredImage) -> StoredDocument:
    return StoredDocument("d", "s", tuple(Text(s) if isinstance(s, str) else s for s in segments))


def scored(id: str, matched: float, margin: float | None = None) -> ScoredDocument:
    found = Coherence((matched,), (matched,), (-1.0,), margin, None, "")
    return ScoredDocument(id, "s", (Text("Fold it."), image(id)), coherence=found)


def pool(count: int, first: int = 0) -> dict[str, Sample]:
    ids = [f"d{number}" for number in range(first, first + count)]
    return {id: Sample(id, np.arange(4), np.arange(4) > 1, np.zeros(4, int)) for id in ids}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on 14 held-out documents, 16 others and one that the backbone has seen.

    The texts of three of the others, and the pictures of two, break the rules.
    """
    folder = tmp_path_factory.mktemp("uplift")
    (folder / "images").mkdir(parents=True)
    lines = []
    for number, source in enumerate(["held"] * 14 + ["own"] * 16 + [SOURCES[0]]):
        shade, side = 8 * number, 20 if number in (14, 15) else 120
        PIL.Image.new("RGB", (side, side), (shade, 90, 250 - shade)).save(folder / f"images/{number}.png")
        text = f"Too short: {number}." if number in (15, 16, 17) else f"{PROSE} It is number {number}."
        segments = [{"text": text}, {"image": f"{number}.png"}]
        lines.append(json.dumps({"id": f"d{number}", "source": source, "title": f"T{number}", "segments": segments}))
    (folder / "docs.jsonl").write_text("\n".join(lines))
    return a_run(folder / "build", corpora=(parse_corpus(f"native:{folder}"),), ocr=Ocr(0.5, 0.2, 0.3))


@pytest.fixture(scope="module")
def prepared(run):
    """What is drawn from, and the exam; text in pictures and scores are made up: the last documents match worst."""

    def scoring(run):
        sign = 1 if run.config.ocr else 3  # CLIP's own scores are other numbers, with the same order
        return lambda documents: [
            ScoredDocument.of(d, coherence=scored(d.id, sign * (0.3 - int(d.id[1:]) / 100)).coherence)
            for d in documents
        ]

    rules = CoherenceRules(-1.0, 0.3 - 26.5 / 100, -1.0, 1.0)
    run = dataclasses.replace(run, config=dataclasses.replace(run.config, coherence=rules))

    def reply(body):
        properties = body["response_format"]["json_schema"]["schema"]["properties"]
        if "instruction" not in properties:
            low = "number 18." in body["messages"][-1]["content"]
            return json.dumps(dict.fromkeys(properties, 1 if low else 5))
        subject = ("paper boats", "the table", "a boat of paper", "the time")[body["seed"] % 4]
        return json.dumps({"instruction": f"Explain {subject} to me.", "domain": properties["domain"]["enum"][0]})

    with FakeOpenAI(reply=reply) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "scoring", scoring)
        patch.setattr(selection, "read", lambda run, documents: documents)
        return command.prepared(dataclasses.replace(run, llm_url=server.url), ["held"], SEEDS)


def ids(*numbers: int) -> set[str]:
    return {f"d{number}" for number in numbers}


def test_each_stage_alone_keeps_what_its_rules_keep(prepared):
    pools, _ = prepared
    everything = ids(*range(14, 30))
    for by_name in pools.values():
        kept = {name: set(pool) for name, pool in by_name.items()}
        assert kept[RANDOM] == everything
        assert kept[TEXT] == everything - ids(15, 16, 17)
        assert kept[IMAGES] == everything - ids(14, 15, 16, 17)  # of 16 and 17, too few words for their pictures
        assert kept[COHERENCE] == kept[OCR] == everything - ids(27, 28, 29)
        assert kept[RATINGS] == everything - ids(18)
        assert kept[RANKED] == kept[DRAWN] <= everything - ids(15, 16, 17)


def test_subsets_are_of_equal_size_and_have_no_document_of_held_out_sources(prepared):
    pools, exam = prepared
    size = min(map(size_of, pools.values()))
    own, held = {f"T{number}" for number in range(14, 30)}, ids(*range(14))
    for seed, by_name in pools.items():
        assert set(by_name) == {*BASELINES, *BASELINES.values()}
        for name, one in by_name.items():
            subset = draw(one, size, seed)
            assert len({sample.key for sample in subset}) == size > 4 and not held & set(one)
            if name not in (RANKED, DRAWN):
                assert {TOKENIZER.decode(s.ids[1:]).split("\n")[0] for s in subset} <= own
    shown = {TOKENIZER.decode(sample.ids[1:]).split("\n")[0] for sample in exam.documents}
    assert shown == {f"T{number}" for number in range(14)}


def test_ranking_changes_the_instruction_and_nothing_else(prepared):
    pools, _ = prepared

    def parts(sample):
        return [part.strip() for part in TOKENIZER.decode(sample.ids[1:-1]).split("### Answer")]

    for by_name in pools.values():
        for id, best in by_name[RANKED].items():
            assert parts(best)[0] != parts(by_name[RANDOM][id])[0]
            assert parts(best)[1] == parts(by_name[DRAWN][id])[1] == parts(by_name[RANDOM][id])[1]
    others = [
        one.ids.tolist() != by_name[RANKED][id].ids.tolist()
        for by_name in pools.values()
        for id, one in by_name[DRAWN].items()
    ]
    assert any(others)


def test_a_drawn_instruction_depends_on_document_and_seed_alone():
    passed = [Candidate(n, "", f"Explain {n}.", "", None, float(n)) for n in range(1, 5)]
    found = [[selection.drawn(passed, f"d{n}", seed).number for n in range(40)] for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2] and set(found[0]) == {1, 2, 3, 4}


def test_documents_without_a_valid_answer_are_left_out_and_counted(capsys):
    asked = [Future() for _ in range(3)]
    asked[0].set_result("one")
    asked[1].set_exception(LlmFault("timeout", "no answer"))
    asked[2].set_result("three")
    pages = [document("a"), document("b"), document("c")]
    assert list(selection._answered("ratings", pages, asked)) == [(pages[0], "one"), (pages[2], "three")]
    assert "1 of 3 documents are left out" in capsys.readouterr().err


def test_a_draw_follows_from_the_seed_and_differs_only_where_the_pools_do():
    everything, kept = pool(100), pool(90, first=10)
    first, again, other = draw(everything, 50, 0), draw(everything, 50, 0), draw(everything, 50, 1)
    assert [s.key for s in first] == [s.key for s in again] and len(first) == len(draw(kept, 50, 0)) == 50
    assert 10 < len({s.key for s in first} & {s.key for s in other}) < 40
    removed = {s.key for s in first} - set(kept)
    assert {s.key for s in first} - {s.key for s in draw(kept, 50, 0)} == removed


def test_an_excerpt_begins_above_the_first_image_and_ends_within_the_limits():
    a, b, c = map(image, "abc")
    page = document("# Boats", "Of paper.", a, "Fold it.", b, c, "Done.")
    assert excerpt_of(page, LIMITS) == document("Of paper.", a, "Fold it.", b)
    assert excerpt_of(document(a, "Fold it.", "word " * 20), LIMITS) == document(a, "Fold it.")
    for without in (document("Fold it."), document(a, b), document("word " * 21, a)):
        assert excerpt_of(without, LIMITS) is None


def test_thresholds_of_other_scores_keep_as_many():
    ours = [scored(str(n), n / 10, n / 100) for n in range(10)]
    others = [scored(str(n), 0.5 + n * n / 1000, None) for n in range(10)]
    rules = selection.equally_strict(CoherenceRules(0.3, 0.65, 0.05, 0.9), ours, others)
    kept = [
        sum(d.coherence.matched[0] >= least for d in others) for least in (rules.matched_at_least, rules.mean_at_least)
    ]
    assert kept == [7, 3]
    assert (rules.margin_at_least, rules.similarity_at_most) == (0.05, 0.9)  # no margins to compare with


def test_a_picture_is_right_if_its_own_text_helps_it_most():
    losses = np.zeros((1, 3, 3))
    losses[:, :, 2] = -9  # a picture that is likely after any text
    losses[0, 0, 0] = losses[0, 1, 1] = -1
    assert ranked(losses).tolist() == [1, 1, 1]
    losses[0, 2, 0] = -2  # another text helps the first picture more than its own
    assert ranked(losses).tolist() == [1.5, 1, 2]
    assert ranked(np.zeros((2, 4, 4))).tolist() == [2.5] * 8
    losses = np.random.default_rng(0).normal(size=(500, AMONG, AMONG))
    assert (ranked(losses) == 1).mean() == pytest.approx(0.1, abs=0.02)


def test_the_exam_takes_each_picture_with_each_text_of_its_group(prepared):
    _, exam = prepared
    assert len(exam.documents) == 14 and len(exam.pairs) == AMONG * AMONG
    blocks = [tuple(sample.ids[sample.image_number > 0]) for sample in exam.pairs]
    texts = [tuple(sample.ids[sample.image_number == 0]) for sample in exam.pairs]
    assert blocks[:AMONG] * AMONG == blocks
    assert all(len(set(texts[at : at + AMONG])) == 1 for at in range(0, len(texts), AMONG)) and len(set(texts)) == AMONG
    wide = [sample for sample in (*exam.documents, *exam.pairs) if len(sample.ids) > LENGTH]
    assert not wide


def test_a_training_gives_all_figures_and_the_same_again(prepared, monkeypatch):
    pools, exam = prepared
    monkeypatch.setattr(training, "LENGTH", 288)
    monkeypatch.setattr(measuring, "LENGTH", 288)
    monkeypatch.setattr(measuring, "AMONG", 2)
    exam = Exam(exam.documents[:1], exam.pairs[:4])
    job = Job(RANDOM, 1, 2, draw(pools[1][RANDOM], 3, 1))
    found, backbone = training.trained(job, exam), training.trained(Job(BACKBONE, 1, 0, ()), exam)
    assert list(found) == list(BETTER) and all(map(np.isfinite, found.values()))
    assert found["text loss"] != backbone["text loss"] and 0 <= found["right of 10"] <= 1
    assert training.trained(job, exam) == found


def test_figures_that_are_there_are_not_made_again_unless_the_samples_change(tmp_path, monkeypatch):
    exam, made = Exam((), ()), []

    class Here:
        """A pool that runs what it gets at once."""

        def __init__(self, *_): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def submit(self, call, job, exam):
            made.append(job.name)
            found = training.concurrent.futures.Future()
            found.set_result(dict.fromkeys(BETTER, float(job.seed)))
            return found

    monkeypatch.setattr(training.concurrent.futures, "ProcessPoolExecutor", Here)
    jobs = [Job(TEXT, seed, 20, draw(pool(9), 5, seed)) for seed in SEEDS]
    first = training.figures(jobs, exam, tmp_path, 2)
    assert made == ["text-rules-0", "text-rules-1", "text-rules-2"] and first[TEXT][2]["text loss"] == 2
    made.clear()
    assert training.figures(jobs, exam, tmp_path, 2) == first and not made
    longer = dataclasses.replace(jobs[0], steps=30), dataclasses.replace(jobs[1], samples=draw(pool(9), 6, 1)), jobs[2]
    training.figures(longer, exam, tmp_path, 2)
    assert made == ["text-rules-0", "text-rules-1"]


def test_intervals_are_student_s():
    found = difference([1.1, 1.2, 1.3], [1.0, 1.0, 1.0])
    assert found == pytest.approx((0.2, 0.2 - 4.303 * 0.1 / 3**0.5, 0.2 + 4.303 * 0.1 / 3**0.5))
    assert difference([2.0, 4.0], [1.0, 3.0]) == (1.0, 1.0, 1.0)
    assert doctest.testmod(results) == (0, 2)


def test_a_verdict_asks_which_way_is_better():
    low, high, none = Difference(-0.2, -0.3, -0.1), Difference(0.2, 0.1, 0.3), Difference(0.2, -0.1, 0.5)
    assert [verdict(found, -1) for found in (low, high, none)] == [HELPS, HARMS, SAME]
    assert [verdict(found, 1) for found in (low, high, none)] == [HARMS, HELPS, SAME]
    assert in_words(dict.fromkeys(BETTER, SAME)) == SAME


def test_the_table_says_which_stages_do_not_help():
    names = [*BASELINES, *BASELINES.values()]
    values = {name: {seed: dict.fromkeys(BETTER, 1.0) for seed in SEEDS} for name in names}
    for seed in SEEDS:
        values[TEXT][seed] = values[TEXT][seed] | {"image loss": 0.9 - seed / 1000}
        values[IMAGES][seed] = values[IMAGES][seed] | {"image loss": 0.9, "text loss": 1.1}
        values[RANKED][seed] = values[RANKED][seed] | {"right of 10": 0.5}
    values[BACKBONE] = {0: dict.fromkeys(BETTER, 2.0)}
    documents = dict.fromkeys(names, 9)
    found = rows(values, documents)
    said = {row.stage: row.verdict for row in found}
    assert said[TEXT] == "helps (image loss)" and said[OCR] == SAME
    assert said[IMAGES] == "helps (image loss), harms (text loss)" and said[RANKED] == "harms (right of 10)"
    assert [row.stage for row in found if row.default] == [TEXT]
    shown = table(found, values, documents)
    assert f"no defaults: {IMAGES}, {COHERENCE}, {OCR}, {RATINGS}, {RANKED}." in shown
    assert "| -0.1010 [-0.1035, -0.0985] |" in shown


@pytest.mark.parametrize("seeds", [["0"], ["1", "1"], list("01234567890")])
def test_intervals_need_several_seeds(seeds, tmp_path, capsys):
    arguments = ["--config", "configs/demo.yaml", "--corpus", "native:x", "--work", str(tmp_path), "--output", "x"]
    assert command.main([*arguments, "--seeds", *seeds]) == 2
    assert "two to ten different numbers" in capsys.readouterr().err


def test_held_out_sources_must_be_in_the_corpus(run):
    with pytest.raises(UserError, match="no documents of elsewhere"):
        command.prepared(run, ["held", "elsewhere"], SEEDS)
