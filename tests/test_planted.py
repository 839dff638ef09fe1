"""What the pipeline's own steps do with the documents that are planted in examples/, as far as no model is needed."""

from __future__ import annotations

import pytest

from filters import presets
from pipeline import corpora
from pipeline.graph import stages
from pipeline.images.faults import ImageFault
from pipeline.run import Run, image_store
from schemas.records import Coherence, Document, Drop, DroppedDocument, Fault, ScoredDocument, StoredDocument
from tests.pipeline.runs import ROOT, a_run

ENDS = {
    "bad-too-few-words": ("filter_text", "word_count"),
    "bad-table-of-numbers": ("filter_text", "stop_word_share"),
    "bad-character-drawing": ("filter_text", "alphabetic_words"),
    "bad-list-of-links": ("filter_text", "mean_word_length"),
    "bad-dot-leaders": ("filter_text", "special_characters"),
    "bad-code-listing": ("filter_text", "code"),
    "bad-price-table": ("filter_text", "table_lines"),
    "bad-shouting": ("filter_text", "upper_case"),
    "bad-teasers": ("filter_text", "ellipsis_lines"),
    "bad-repetition": ("filter_text", "duplicate_lines"),
    "bad-template-page": ("filter_text", "word_repetition"),
    "bad-no-images": ("filter_headers", "image_count"),
    "bad-tiny-pictures": ("filter_headers", "image_count"),
    "bad-endless-picture": ("filter_headers", "image_count"),
    "bad-extreme-aspect": ("filter_headers", "image_count"),
    "bad-icon-sheet": ("filter_headers", "words_per_image"),
    "bad-truncated-jpeg": ("store_images", "truncated"),
    "bad-missing-picture": ("store_images", "missing"),
    "bad-one-long-paragraph": ("take_excerpt", "no_excerpt"),
}
LOST = {"bad-tiny-pictures": "shorter_side", "bad-endless-picture": "longer_side", "bad-extreme-aspect": "aspect_ratio"}
"""The rule that takes all pictures of such a document."""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return a_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def records() -> list[Document | Fault]:
    return [record for part in corpora.parts("native", str(ROOT / "examples/corpus")) for record in corpora.read(part)]


def matching(document: StoredDocument) -> ScoredDocument:
    """The document with the scores of images that match perfectly."""
    n = len(document.images)
    return ScoredDocument.of(
        document, coherence=Coherence((1.0,) * n, (0.0,) * n, (-1.0,) * n, 1.0 if n > 1 else None, None, "")
    )


@pytest.fixture(scope="module")
def ended(run, records) -> dict[str, tuple[str, str]]:
    """Stage and rule of each document that ends in a step without a model."""
    store, excerpt = stages.store_images(run), stages.take_excerpt(run)
    steps = (
        ("filter_text", stages.filter_text(run)),
        ("filter_headers", stages.filter_headers(run)),
        ("store_images", lambda document: store(document).result()),
        ("take_excerpt", lambda document: excerpt((matching(document), frozenset()))),
    )

    def end(document: Document) -> tuple[str, str] | None:
        for stage, step in steps:
            try:
                result = step(document)
            except ImageFault as fault:
                return stage, fault.kind
            drop = result.drop if isinstance(result, DroppedDocument) else result
            if isinstance(drop, Drop):
                return stage, drop.rule
            document = result
        return None

    found = {record.id: end(record) for record in records if isinstance(record, Document)}
    store.close()
    return {id_: how for id_, how in found.items() if how}


def test_each_ends_by_the_rule_that_it_is_planted_for_and_no_other_document_does(ended):
    assert ended == ENDS


@pytest.mark.parametrize("id_, rule", LOST.items())
def test_each_picture_goes_by_the_rule_that_it_is_planted_for(run, records, id_, rule):
    planted = next(record for record in records if record.id == id_)
    sized, _ = stages.change_images(planted, image_store(run).sized)
    judged = presets.filter_images(sized, run.preset.image_rules)
    assert judged.images == () and {lost.drop.rule for lost in judged.dropped_images} == {rule}


def test_the_default_preset_has_no_rule_without_a_planted_document(run):
    preset = run.preset
    rules = {
        rule.name.rpartition(".")[2] for rule in (*preset.document_rules, *preset.image_rules, *preset.after_images)
    }
    assert rules <= {rule for _, rule in ENDS.values()} | set(LOST.values())


def test_the_reader_reports_the_two_broken_records(records):
    assert [record.error for record in records if isinstance(record, Fault)] == ["bad_record", "bad_json"]
