"""Which headings recur, counted over work items by workers that never see whole documents."""

from __future__ import annotations

import json

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from filters.headings import RECURS, heading_key
from pipeline import corpora
from pipeline.graph import reading, stages
from pipeline.graph.headings import HEADINGS, Recurring, TakeExcerpt
from schemas.records import Coherence, ScoredDocument, Text
from schemas.stage_names import TAKE_EXCERPT
from tests.pipeline.runs import a_run
from tests.tiny_clip import document


@pytest.mark.parametrize("copies", [1, RECURS])
def test_headings_of_documents_with_different_texts_are_counted(tmp_path, copies, disk):
    """Copies of one document, which are dropped as duplicates, make none of its headings recur."""
    texts = [["# Summary", f"Text {k}."] for k in range(RECURS)] + [["# Own", "The same."]] * copies
    lines = [
        json.dumps({"id": str(k), "source": "s", "segments": [{"text": text} for text in own]})
        for k, own in enumerate(texts)
    ]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    with beam.Pipeline(runner="FnApiRunner") as p:
        parts = p | beam.Create(list(corpora.parts("native", str(tmp_path / "docs.jsonl"))))
        identified = parts | beam.FlatMap(reading.identify, a_run(tmp_path)).with_outputs(HEADINGS, main="identities")
        assert_that(identified[HEADINGS] | Recurring(disk), equal_to([(heading_key("s", "Summary"), RECURS)]))


def test_the_stage_takes_no_excerpt_that_starts_there(tmp_path):
    score = Coherence((0.3,), (0.3,), (-1.0,), None, None, "m")
    page = document(
        "# Own", "Word " * 250, "# Summary", "Saw" + " word" * 59 + ".", 1, "# Other", "Saw" + " word" * 50 + "."
    )
    page = ScoredDocument.of(page, coherence=score)
    stage = TakeExcerpt(a_run(tmp_path), TAKE_EXCERPT, stages.take_excerpt)
    stage.setup()
    (found,) = stage.process(page, {})
    assert found.segments[0] == Text("# Summary")
    (found,) = stage.process(page, {heading_key("test", "Summary"): RECURS})
    assert found.value.rule == "no_excerpt"
    long = ScoredDocument.of(document("Word " * 412, 1), coherence=score)
    (found,) = stage.process(long, {})
    assert found.value.rule == "no_excerpt"
    assert found.value.detail == "the shortest part with an image has 412 words, and excerpt.max_words is 240"
    stage.teardown()
