"""The funnel adds up, and a document's story names the rule, the value and the threshold."""

from __future__ import annotations

import json

import pytest

from pipeline.dataset import ledger, shards
from schemas.errors import UserError
from schemas.outcome import Outcome
from schemas.records import Drop, ImageDrop
from tests.pipeline.finished_run import CONFIG, HOSTILE, small_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    small_run(path)
    return str(path)


def test_funnel_counts_every_document_once(folder):
    counts = ledger.funnel(ledger.read_outcomes(folder)).to_json()
    assert counts["input"] == 24 and counts["kept"] == 13
    assert counts["dropped"] == {"min_words": 5, "margin": 2, "mean_coherence": 1, "same_text": 1}
    assert counts["failed"] == {"not_json": 1, "timeout": 1}
    assert counts["input"] == counts["kept"] + sum(counts["dropped"].values()) + sum(counts["failed"].values())
    assert counts["dropped_images"] == {"min_side": 1}
    left = {stage["stage"]: (stage["entered"], stage["left"]) for stage in counts["stages"]}
    assert left["read"] == (24, 23) and left["deduplicate"] == (23, 22) and left["filter_text"] == (22, 17)
    assert left["store_images"] == (17, 16) and left["filter_coherence"] == (16, 13) and left["assemble"] == (13, 13)
    assert json.loads(json.dumps(counts)) == counts


def test_one_rule_at_two_stages_is_one_count_and_two_places():
    rows = [
        Outcome(str(i), "s", f"f:{i}", "dropped", stage, "image_count", 0, 1)
        for i, stage in enumerate(("filter_text", "store_images", "store_images"))
    ]
    counts = ledger.funnel(rows)
    assert counts.dropped == {"image_count": 3}
    assert [(s.name, s.dropped) for s in counts.stages if s.dropped] == [
        ("filter_text", {"image_count": 1}),
        ("store_images", {"image_count": 2}),
    ]


def test_a_stage_that_is_not_in_the_flow_does_not_vanish():
    with pytest.raises(AssertionError, match="does not add up"):
        ledger.funnel([Outcome("a", "s", "f:1", "dropped", "elsewhere", "rule", 0, 1)])


def test_a_stage_that_was_off_is_left_out_unless_documents_ended_there():
    rows = [Outcome("a", "s", "f:1", "dropped", "filter_text", "rule", 0, 1)]
    shown = ledger.funnel(rows, ("read", "assemble"))
    assert [(stage.name, stage.entered, stage.left) for stage in shown.stages] == [
        ("read", 1, 1),
        ("filter_text", 1, 0),
        ("assemble", 0, 0),
    ]
    text = ledger.funnel_text(shown, 80)
    assert "Filter text" in text and "Read images" not in text


def test_a_documents_story_leaves_out_stages_that_were_off(folder):
    text = ledger.explain(folder, "doc-003")
    assert "✓ Score coherence" in text
    assert not any(name in text for name in ("Compare images", "Decontaminate", "Read images"))


def test_nothing_read_is_a_funnel_of_zeros():
    counts = ledger.funnel([])
    assert counts.input == counts.kept == 0
    assert "0 read = 0 kept + 0 dropped + 0 failed" in ledger.funnel_text(counts, 80)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_terminal_funnel_keeps_to_its_width(folder, width):
    text = ledger.funnel_text(ledger.funnel(ledger.read_outcomes(folder)), width)
    assert max(map(len, text.split("\n"))) <= max(width, 46)
    bars = {line.split()[0]: line.count("█") for line in text.split("\n") if "█" in line}
    assert bars["Input"] == max(min(width, 110) - 38, 8) > bars["Assemble"] > 0
    assert "24 read = 13 kept + 9 dropped + 2 failed" in " ".join(text.split())


def test_explain_a_document_that_a_score_stopped(folder):
    text = ledger.explain(folder, "doc-106")
    assert "Dropped at “Filter coherence”: margin is 0.01, below the threshold 0.02." in text
    assert "✓ Filter text" in text and "✗ Filter coherence  margin: coherence 0.32 (at least 0.2)" in text
    assert "corpus/docs.jsonl:107" in text
    assert "Rate text" not in text  # it never got there


def test_explain_a_kept_document_by_id_and_by_key(folder):
    text = ledger.explain(folder, "doc-003")
    key = text.split("key ")[1].split(".")[0]
    assert ledger.explain(folder, key) == text
    assert "Kept, with 2 images: leafinstruct-0000" in text
    assert "fluency 3.5 (at least 2.5)" in text and "mean_rating 3.8125 (at least 3)" in " ".join(text.split())
    assert "✓ Assemble" in text and "✗" not in text


def test_explain_an_error_a_repeat_and_a_lost_picture(folder):
    assert "Failed at “Store images”: timeout (no answer in 20 s)." in ledger.explain(folder, "doc-200")
    assert "(repeats doc-001)" in ledger.explain(folder, "doc-105")
    assert "removed image 2 (corpus/900-2.gif): min_side is 40, below the threshold 150" in ledger.explain(
        folder, "doc-hostile"
    )


def test_explain_words_for_rules_that_measure_nothing():
    lost = ImageDrop(0, "a.jpg", "store_images", Drop("truncated", 0, 1))
    row = Outcome("a", "s", "f:1", "dropped", "take_excerpt", "no_excerpt", 0, 1, dropped_images=(lost,))
    text = ledger.explain_outcome(row, {})
    assert "no part of the document can be an excerpt" in text
    assert "truncated: the file ends before its image does" in text


def test_a_record_is_found_by_its_place_as_well(folder):
    assert ledger.find(folder, "corpus/docs.jsonl:4").id == "doc-003"


def test_a_record_is_found_by_the_end_of_its_place(folder):
    assert ledger.find(folder, "docs.jsonl:4").id == "doc-003"
    for none in ("jsonl:4", "docs.jsonl", "s.jsonl:4", "/docs.jsonl:4"):
        with pytest.raises(UserError, match="No document"):
            ledger.find(folder, none)


def test_the_end_of_several_places_is_no_name(tmp_path):
    rows = [
        Outcome(f"{n}", "s", f"{at}/docs.jsonl:{n % 2}", "dropped", "filter_text", "a", 0, 1)
        for n, at in enumerate("abc")
    ]
    shards.write_ledger(rows, f"{tmp_path}/ledger/part-00000.parquet")
    assert ledger.find(str(tmp_path), "docs.jsonl:1").id == "1"
    with pytest.raises(UserError, match=r"is not one document .*\(a/docs.jsonl:0, c/docs.jsonl:0\)"):
        ledger.find(str(tmp_path), "docs.jsonl:0")
    assert ledger.find(str(tmp_path), "c/docs.jsonl:0").id == "2"


def test_an_unknown_id_suggests_near_ones(folder):
    with pytest.raises(UserError, match="Did you mean .*doc-003"):
        ledger.explain(folder, "doc-0033")
    with pytest.raises(UserError, match="column `id`"):
        ledger.explain(folder, "####")


def test_a_folder_without_results_says_so(tmp_path):
    with pytest.raises(UserError, match="no ledger"):
        list(ledger.read_outcomes(str(tmp_path)))
    with pytest.raises(UserError, match="no manifest.json"):
        ledger.read_manifest(str(tmp_path))


def test_limits_are_those_of_the_run(folder):
    least = ledger.limits(ledger.read_manifest(folder))
    assert least["coherence"] == CONFIG["coherence"]["mean_at_least"]
    assert least["usefulness"] == CONFIG["ratings"]["lowest_at_least"]
    assert least["mean_rating"] == CONFIG["ratings"]["mean_at_least"]


def test_a_title_cannot_steer_the_terminal():
    row = Outcome("a", "s", "f:1", "failed", "read", error="bad", detail="\x1b[2J", title=f"{HOSTILE}\x1b]0;owned\x07")
    assert "\x1b" not in ledger.explain_outcome(row, {}) and "\x07" not in ledger.explain_outcome(row, {})
