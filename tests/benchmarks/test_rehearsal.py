"""The rehearsal in small: the whole pipeline on a made-up corpus, and its comparison with what was planted."""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks.rehearsal import bucket, corpus, server
from benchmarks.rehearsal.kinds import KINDS, WHOLE, counts
from benchmarks.rehearsal.truth import differences
from filters import presets
from pipeline.storage import bucket as stores
from schemas.outcome import KEPT
from schemas.stage_names import STAGES
from tests.pipeline.runs import ROOT

DOCUMENTS = 120


@pytest.mark.parametrize(
    "exact, memory, seconds, code",
    [(True, 1.3, 1.15, 0), (True, 1.31, 1.0, 1), (True, 1.0, 1.16, 1), (False, 1.0, 1.0, 1)],
)
def test_the_command_fails_if_a_target_is_missed_or_a_document_is(monkeypatch, capsys, exact, memory, seconds, code):
    from benchmarks.rehearsal import __main__ as command

    def rehearse(folder, documents, **options):
        many = documents == 1200
        return {
            "documents": documents,
            "exact": exact,
            "peak_bytes": memory * 1e9 if many else 1e9,
            "seconds_a_document": seconds if many else 1.0,
        }, None

    monkeypatch.setattr(command, "rehearse", rehearse)
    monkeypatch.setattr(sys, "argv", ["rehearsal", "--documents", "120", "1200", "--json"])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == code
    assert bool(json.loads(capsys.readouterr().out)["missed"]) == (code == 1 and exact)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder, figures, truth) of a rehearsal in a counted store, as the command does it."""
    from benchmarks.rehearsal.__main__ import rehearse

    folder = tmp_path_factory.mktemp("rehearsal")
    figures, truth = rehearse(folder, DOCUMENTS, in_a_bucket=True)
    return folder, figures, truth


def test_every_planted_document_ends_as_planted(run):
    _, figures, truth = run
    assert figures["exact"] is True and figures["differences"] == []
    assert figures["kept"] == truth.kept > 0
    assert set(truth.documents) == set(KINDS) and sum(truth.documents.values()) == DOCUMENTS


def test_memory_time_and_operations_are_measured(run):
    _, figures, truth = run
    assert figures["peak_bytes"] > 100 << 20 and figures["cpu_seconds"] > 1
    assert figures["work"]["files"] > 0 and figures["output"]["bytes"] > 0
    assert figures["stages"]["Look at images"] > 0  # the others are too short to be sampled for certain
    store = figures["store"]
    assert store["read corpus png"] >= truth.pictures and store["write work answers"] > 0
    assert store["bytes corpus jsonl"] >= 2 * truth.bytes["texts"]  # to find duplicates, and for the documents


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"kept": 1}, "kept: 1 instead of 2 ended as kept assemble"),
        ({"code": -1}, "code: 1 instead of 0 ended as dropped filter_text code (code-"),
        ({"bad_utf8": 1}, "bad_utf8: 1 instead of 2 ended as failed read bad_utf8"),
        ({"kept_with_two": 1}, "images: 7 instead of 9"),
        ({"banner": 2}, "images removed by aspect_ratio: 2 instead of 4"),
    ],
)
def test_a_run_that_differs_from_the_truth_is_not_exact(run, changed, said):
    folder, _, truth = run
    wrong = dataclasses.replace(
        truth, documents={kind: count + changed.get(kind, 0) for kind, count in truth.documents.items()}
    )
    assert any(one.startswith(said) for one in differences(str(folder / "out"), wrong))


def test_documents_that_exchange_their_ends_are_not_exact(run, monkeypatch):
    """The counts of the funnel alone would be the same."""
    folder, _, truth = run
    code, capitals = KINDS["code"], KINDS["capitals"]
    assert truth.documents["code"] == truth.documents["capitals"]
    monkeypatch.setitem(KINDS, "code", capitals)
    monkeypatch.setitem(KINDS, "capitals", code)
    assert len(differences(str(folder / "out"), truth)) == 4


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    def written(name: str, seed: int) -> dict[str, bytes]:
        (tmp_path / name).mkdir()
        corpus.write(tmp_path / name, DOCUMENTS, seed)
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        return {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files}

    assert written("one", 0) == written("two", 0) != written("three", 1)


def test_repeats_come_after_what_they_repeat_and_no_picture_is_copied_too_often():
    seen, copies = set(), collections.Counter()
    for record in corpus.planted(1500, 3):
        if record.kind in corpus.BAD:
            continue
        named = [s["image"] for s in json.loads(record.line)["segments"] if "image" in s]
        missing = {name for name in named if not name.startswith("shared/")} - seen - set(record.pictures)
        assert not missing
        seen |= set(record.pictures)
        if record.kind in corpus.COPIED:
            copies[named[-1]] += 1
    assert max(copies.values()) <= corpus.COPIES


def test_a_corpus_of_any_size_has_the_shares_of_the_large_run():
    assert counts(7_000_000)["word_count"] == 1000 * counts(WHOLE)["word_count"]
    kept = sum(count for kind, count in counts(700_000).items() if KINDS[kind].status == KEPT)
    assert kept == 18_500
    with pytest.raises(ValueError, match="too few") as refused:
        counts(10)
    enough = int(str(refused.value).split()[-1])
    assert min(counts(enough).values()) == 1
    with pytest.raises(ValueError, match=f"at least {enough}$"):
        counts(enough - 1)


def test_every_rule_of_the_preset_and_every_stage_that_drops_has_a_kind():
    preset = presets.load("leafinstruct")
    rules = {one.name.rpartition(".")[2] for one in (*preset.document_rules, *preset.after_images)}
    assert rules <= {kind.why for kind in KINDS.values()}
    images = {one.name.rpartition(".")[2] for one in preset.image_rules}
    assert images <= {rule for kind in KINDS.values() for rule in kind.lost}
    # Off, or never drops; what comes to Filter images has an image that matches, and one image is enough.
    not_planted = {"decontaminate", "read_images", "score_coherence", "filter_images"}
    assert {kind.stage for kind in KINDS.values()} == set(STAGES) - not_planted


def test_too_few_documents_are_refused_with_a_sentence():
    command = [sys.executable, "-m", "benchmarks.rehearsal", "--documents", "10"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "10 documents are too few" in done.stderr


def test_the_counted_store_behaves_like_a_store(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "STORES", dict(stores.STORES))
    folder = bucket.opened(tmp_path)
    store, name = stores.split("counted://bucket/a/b.txt")
    with pathlib.Path(__file__).open("rb") as file:
        store.write(name, file)
        with pytest.raises(FileExistsError):
            store.write(name, file, absent=True)
    assert store.read(name, 3, 7) == pathlib.Path(__file__).read_bytes()[3:7]
    assert list(store.list("a/", deep=True)) == ["a/b.txt"] and list(store.list("", deep=False)) == []
    assert [size for _, size, _ in store.described("a")] == [store.size(name)]
    store.copy(name, "c.txt")
    store.delete(name)
    store.delete("a")  # a folder, which a store does not have
    with pytest.raises(FileNotFoundError):
        store.read(name)
    assert folder.counts["read a txt"] == 1 and folder.counts["write a txt"] == 2 and folder.counts["copy c.txt"] == 1
    assert folder.counts["list a"] == 2
    stores._opened.cache_clear()


def test_the_model_server_answers_by_the_mark_in_the_text():
    schema = {"properties": {"fluency": {}, "coherence": {}}}
    body = {
        "response_format": {"json_schema": {"schema": schema}},
        "messages": [{"role": "user", "content": "The text is marked for one_bad_rating."}],
        "logprobs": True,
    }
    found = server.completion(body)["choices"][0]
    assert json.loads(found["message"]["content"]) == {"fluency": 1, "coherence": 5}
    assert "".join(one["token"] for one in found["logprobs"]["content"]) == found["message"]["content"]
