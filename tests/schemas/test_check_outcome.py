"""A row of the ledger has the scores that its stage implies: each stage, each score, at its bounds and beside them."""

from __future__ import annotations

import pytest

from schemas.checks import outcome, rules, scores
from schemas.codec import to_json
from schemas.stage_names import STAGES
from tests.schemas import example

MANIFEST = {"config": example.CONFIG, "rating_aspects": example.ASPECTS}
COHERENCE = {"coherence": 0.2, "margin": 0.05, "recall_at_1": 0.5}
RATED = COHERENCE | example.RATINGS | {"mean_rating": 4.1875}
ASKED = RATED | {"attempts": 2.0}
SCORES = {
    **{stage: {} for stage in STAGES[: STAGES.index("score_coherence") + 1]},
    **dict.fromkeys(("filter_coherence", "filter_images", "take_excerpt", "rate_text"), COHERENCE),
    **dict.fromkeys(("filter_ratings", "write_instruction"), RATED),
    "assemble": ASKED,
}
"""What a document that ended at this stage was given before."""


def failed(stage, scores, **fields):
    row = {
        "id": "d",
        "status": "failed",
        "stage": stage,
        "rule": "",
        "value": None,
        "threshold": None,
        "error": "server_error",
        "detail": "",
        "shard": "",
        "key": "",
        "images": 2,
        "dropped_images": [],
        "scores": [{"name": name, "value": value} for name, value in scores.items()],
    }
    return row | fields


def dropped(stage, scores, rule, value, threshold):
    drop = {"rule": rule, "value": value, "threshold": threshold}
    return failed(stage, scores) | {"status": "dropped", "error": ""} | drop


def with_mean(scores):
    """With the mean of the ratings, where there are ratings."""
    if "mean_rating" not in scores:
        return scores
    return scores | {"mean_rating": round(sum(scores[aspect] for aspect in example.ASPECTS) / 4, 4)}


def faults(row, manifest=MANIFEST):
    return list(outcome.check(row, manifest, rules.of(manifest)))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_the_scores_of_the_stages_before_it_and_no_others(stage):
    right = SCORES[stage]
    assert faults(failed(stage, right)) == []
    for name in ASKED:
        other = {key: value for key, value in right.items() if key != name} if name in right else right | {name: 1.0}
        [(message, pointer)] = faults(failed(stage, other))
        assert pointer == "/scores" and f"not {', '.join(sorted(right))}" in message
    if right:
        twice = failed(stage, right)
        twice["scores"].append(twice["scores"][0])
        assert [pointer for _, pointer in faults(twice)] == ["/scores"]


@pytest.mark.parametrize("images,margins", [(0, False), (1, False), (1, True), (2, True)])
def test_scores_that_compare_images_are_there_from_two_images_on(images, margins):
    """One image that is left of several has them; a document without images has no score at all."""
    named = ("coherence", "margin", "recall_at_1") if margins else ("coherence",) if images else ()
    right = {name: COHERENCE[name] for name in named}
    assert faults(failed("rate_text", right, images=images)) == []
    one = {"coherence": 0.2, "margin": 0.05}
    assert [pointer for _, pointer in faults(failed("rate_text", one, images=images))] == ["/scores"]


@pytest.mark.parametrize(
    "name,low,high",
    [
        ("coherence", -1.0, 1.0),
        ("margin", -2.0, 2.0),
        ("recall_at_1", 0.0, 1.0),
        ("fluency", 1.0, 5.0),
        ("attempts", 0.0, 8.0),
    ],
)
def test_a_score_is_in_its_range_and_has_four_decimals(name, low, high):
    def found(value):
        changed = with_mean(ASKED | {name: value})
        manifest = {"config": {}, "rating_aspects": example.ASPECTS}  # no thresholds
        return faults(failed("assemble", changed), manifest)

    assert found(low) == found(high) == []
    for value in (low - 0.0001, high + 0.0001, high - 0.00001, float("nan")):
        [*_, (message, pointer)] = found(value)
        assert pointer == "/scores" and f"it is from {low:g} to {high:g}, with 4 decimals" in message


def test_the_mean_rating_is_the_mean_of_the_ratings():
    assert faults(failed("write_instruction", RATED | {"mean_rating": 4.1876})) == []  # rounded otherwise
    for mean in (4.1874 - 0.0002, 4.1878):
        [(message, _)] = faults(failed("write_instruction", RATED | {"mean_rating": round(mean, 4)}))
        assert "is not the mean of the ratings" in message


LOW = {"coherence": 0.1499, "margin": 0.0199, "fluency": 2.9999}
EARLIEST = {"coherence": "rate_text", "margin": "rate_text", "fluency": "write_instruction"}
"""Below the thresholds of the example's configuration, and the first stage that such a document cannot have reached."""


@pytest.mark.parametrize("stage,name", [(stage, name) for stage in STAGES for name in LOW if name in SCORES[stage]])
def test_a_document_below_a_threshold_does_not_get_past_it(stage, name):
    low = with_mean(SCORES[stage] | {name: LOW[name]})
    went_on = STAGES.index(stage) >= STAGES.index(EARLIEST[name])
    found = faults(failed(stage, low))
    assert [pointer for _, pointer in found] == ["/scores"] * (went_on + (went_on and low.get("mean_rating", 4) < 4))
    assert all(", below the threshold" in message for message, _ in found)


def test_what_is_dropped_by_a_later_test_of_a_stage_has_passed_the_earlier_one():
    low = COHERENCE | {"coherence": 0.1499}
    assert faults(dropped("filter_coherence", low, "mean_score", 0.1499, 0.15)) == []
    [(message, _)] = faults(dropped("filter_coherence", low | {"margin": 0.01}, "margin", 0.01, 0.02))
    assert message == "has coherence 0.1499, below the threshold 0.15, and went on"
    ratings = RATED | {"fluency": 2.5, "mean_rating": 3.8125}
    assert faults(dropped("filter_ratings", ratings, "fluency", 2.5, 3.0)) == []
    [(message, _)] = faults(dropped("filter_ratings", ratings, "mean_rating", 3.8125, 4.0))
    assert message == "has lowest rating 2.5, below the threshold 3.0, and went on"
    exact = COHERENCE | {"coherence": 0.15, "margin": 0.02}
    assert faults(failed("rate_text", exact)) == []
    fours = exact | dict.fromkeys(example.ASPECTS, 4.0)
    assert faults(failed("write_instruction", fours | {"mean_rating": 4.0})) == []
    [(message, _)] = faults(failed("write_instruction", fours | {"fluency": 3.999, "mean_rating": 3.9998}))
    assert message == "has mean rating 3.9998, below the threshold 4.0, and went on"


def test_a_drop_agrees_with_the_score_that_it_is_for():
    apart = COHERENCE | {"margin": 0.01}
    [(message, pointer)] = faults(dropped("filter_coherence", apart, "margin", 0.0101, 0.02))
    assert (message, pointer) == ("is dropped for margin 0.0101, and has 0.01", "/value")
    low = RATED | {"fluency": 2.5, "usefulness": 2.0, "mean_rating": 3.0625}
    assert faults(dropped("filter_ratings", low, "usefulness", 2.0, 3.0)) == []
    [(message, pointer)] = faults(dropped("filter_ratings", low, "fluency", 2.5, 3.0))
    assert (message, pointer) == ("is dropped for fluency, which is not its lowest rating", "/rule")
    mean = RATED | {"text_coherence": 3.0, "completeness": 3.5, "fluency": 3.0, "mean_rating": 3.625}
    assert faults(dropped("filter_ratings", mean, "mean_rating", 3.62505, 4.0)) == []
    [(message, _)] = faults(dropped("filter_ratings", mean, "mean_rating", 3.6253, 4.0))
    assert message == "is dropped for mean_rating 3.6253, and has 3.625"


@pytest.mark.parametrize("stage", ["read", "read_images", "rate_text", "assemble"])
def test_a_stage_that_drops_nothing_drops_nothing(stage):
    row = dropped(stage, SCORES[stage], "word_count", 7.0, 20.0)
    assert faults(row) == [(f"is dropped at the stage {stage}, which drops nothing", "/stage")]


def test_images_are_lost_once_in_order_and_before_the_document_ends():
    def lost(index, stage="filter_headers", rule="aspect_ratio", value=9.5, threshold=2.0):
        drop = {"rule": rule, "value": value, "threshold": threshold}
        return {"index": index, "url": "a.jpg", "stage": stage, "drop": drop}

    def found(*images, stage="store_images", **fields):
        return [pointer for _, pointer in faults(failed(stage, SCORES[stage], dropped_images=[*images], **fields))]

    assert found(lost(0), lost(3)) == [] and found(lost(0), lost(4)) == ["/dropped_images/1/index"]
    assert found(lost(1), lost(1)) == found(lost(1), lost(0)) == ["/dropped_images/1/index"]
    assert found(lost(-1)) == ["/dropped_images/0/index"]
    assert found(lost(0), stage="filter_headers") == []
    assert found(lost(0), stage="filter_text") == ["/dropped_images/0/stage"]
    assert found(lost(0, "read")) == ["/dropped_images/0/stage"]
    assert found(lost(3), stage="take_excerpt", images=3) == [] and found(lost(9), stage="rate_text") == []
    assert found(lost(4), stage="take_excerpt", images=3) == ["/dropped_images/0/index"]
    away = dict(stage="store_images", rule="not_found", value=0.0, threshold=1.0)
    assert found(lost(0, **away)) == [] and found(lost(0, **away | {"value": 0.5})) == ["/dropped_images/0/drop"]
    assert found(lost(0, **away | {"threshold": 2.0})) == ["/dropped_images/0/drop"]
    assert found(lost(0, rule="")) == found(lost(0, value=float("inf"))) == ["/dropped_images/0/drop"]
    assert found(lost(0, threshold=float("nan"))) == found(lost(0, value=1.5)) == ["/dropped_images/0/drop"]


def test_what_ends_a_row_is_there_and_nothing_else():
    row = failed("rate_text", COHERENCE)
    assert faults(row | {"status": "lost"}) == [("has the status 'lost'", "/status")]
    assert faults(row | {"id": " "}) == [("has no id", "/id")]
    assert faults(row | {"error": ""}) == [("is failed without error", "/error")]
    assert faults(row | {"stage": ""}) == [("is failed without stage", "/stage")]
    assert faults(row | {"rule": "word_count", "value": 0.0}) == [("is failed, and yet has rule, value", "/rule")]
    assert faults(row | {"stage": "look"}) == [("is failed at the stage 'look'", "/stage")]
    assert faults(row | {"detail": "x" * 4000}) == []
    assert faults(row | {"detail": "x" * 4001}) == [("has 4,001 characters of detail; 4,000 are kept", "/detail")]
    assert faults(failed("read", {}, images=0)) == []
    assert faults(failed("read", {}, images=-1)) == [("is failed with -1 images", "/images")]
    kept = failed("assemble", ASKED) | {"status": "kept", "error": "", "shard": "s", "key": "k"}
    assert faults(kept) == []
    assert faults(kept | {"detail": "x"}) == [("is kept, and yet has detail", "/detail")]
    assert faults(kept | {"images": 0}) == [("is kept with 0 images", "/images")]
    assert faults(kept | {"stage": "rate_text"}) == [("is kept at the stage 'rate_text'", "/stage")]


def of_images(config, **fields):
    """The faults of the scores of an instance with three images."""
    value = to_json(example.instance(2)[0])
    pictures = [segment for segment in value["context"] + value["output"] if segment["type"] == "image"]
    value["scores"] = value["scores"] | fields
    manifest = {"config": config, "rating_aspects": example.ASPECTS}
    return [(kind, pointer) for kind, _, pointer in scores.check(value["scores"], pictures, manifest)]


def test_recall_is_a_share_of_as_many_images_as_a_document_may_have():
    limit = {"rule": "text.image_count", "at_most": 12}
    recall = [("scores", "/scores/recall_at_1")]
    for config in (
        {"rules": {"after_images": [limit]}},
        {"rules": {"after_images": [limit, {**limit, "at_most": 99}]}},
    ):
        assert of_images(config, recall_at_1=round(1 / 3, 4)) == of_images(config, recall_at_1=round(11 / 12, 4)) == []
        assert of_images(config, recall_at_1=round(12 / 13, 4)) == recall
    every = {"rules": {"after_images": [{"rule": "text.image_count", "at_most": 10**9}]}}
    assert of_images(every, recall_at_1=round(12 / 13, 4)) == []
    for config in ({}, {"rules": {}}, {"rules": {"after_images": [{"rule": "text.image_count", "at_least": 1}]}}):
        assert of_images(config, recall_at_1=round(12 / 13, 4)) == []
    other = {"rules": {"after_images": [{"rule": "text.word_count", "at_most": 2}]}}
    assert of_images(other, recall_at_1=round(12 / 13, 4)) == []


def test_scores_of_single_images_are_compared_with_the_thresholds():
    assert of_images({}) == []
    for name, value, bad in (("matched_at_least", 0.22, 0.2201), ("similarity_at_most", 0.5, 0.4999)):
        assert of_images({"coherence": {name: value}}) == []
        field, at = ("matched", 0) if name == "matched_at_least" else ("max_previous_similarity", 1)
        assert of_images({"coherence": {name: bad}}) == [("threshold", f"/scores/{field}/{at}")]


EVERY = example.CONFIG | {
    "duplicates": {"text_at_least": 0.7, "images_in_at_most": 10.0},
    "rules": example.CONFIG["rules"] | {"content": [{"rule": "content.faces", "at_most": 2}]},
}
"""A configuration with all thresholds."""
DOCUMENTS = {
    ("deduplicate", "duplicate_id"): (2.0, 1.0),
    ("deduplicate", "id_taken"): (2.0, 1.0),
    ("deduplicate", "duplicate_text"): (3.0, 1.0),
    ("deduplicate", "near_duplicate_text"): (0.7, 0.7),
    ("decontaminate", "benchmark_id"): (1.0, 0.0),
    ("decontaminate", "benchmark_text"): (4.0, 0.0),
    ("decontaminate", "benchmark_image"): (1.0, 0.0),
    ("filter_text", "word_count"): (7.0, 20.0),
    ("filter_text", "word_repetition"): (0.5, 0.4),
    ("filter_headers", "image_count"): (0.0, 1.0),
    ("store_images", "image_count"): (0.0, 1.0),
    ("compare_images", "image_count"): (0.0, 1.0),
    ("filter_images", "image_count"): (13.0, 12.0),
    ("take_excerpt", "no_excerpt"): (0.0, 1.0),
    ("filter_coherence", "mean_score"): (0.1, 0.15),
    ("filter_coherence", "margin"): (0.01, 0.02),
    ("filter_ratings", "mean_rating"): (3.5, 4.0),
    ("filter_ratings", "usefulness"): (2.0, 3.0),
}
IMAGES = {
    ("filter_headers", "aspect_ratio"): (9.5, 2.0),
    ("filter_headers", "file_type"): (0.0, 1.0),
    ("compare_images", "recurring_image"): (11.0, 10.0),
    ("score_coherence", "faces"): (3.0, 2.0),
    ("filter_images", "matched_score"): (0.05, 0.1),
    ("filter_images", "near_duplicate"): (0.97, 0.95),
}
"""(stage, rule) -> (a value that it drops, its threshold)"""


@pytest.mark.parametrize("of", ["documents", "images"])
def test_a_rule_drops_at_its_stage_beyond_its_threshold(of):
    every = getattr(rules.of({"config": EVERY, "rating_aspects": example.ASPECTS}), of)
    cases = DOCUMENTS if of == "documents" else IMAGES
    for (stage, rule), (value, threshold) in cases.items():
        assert every[stage].fault(rule, value, threshold) == ""
        beyond = f"{rule} {2 * threshold - value} is on the side of {threshold} that passes"
        if rule != "near_duplicate_text":  # at its threshold it drops
            assert every[stage].fault(rule, 2 * threshold - value, threshold).startswith(beyond)
            assert every[stage].fault(rule, threshold, threshold)
        assert every[stage].fault(rule, value, threshold + 0.001).endswith("another threshold")
        assert every[stage].fault("other", value, threshold) == "no rule 'other' drops there"
    opened = every["write_instruction" if of == "documents" else "store_images"]
    assert opened.fault("anything", 0.0, 1.0) == "" and opened.fault("anything", 1.0, 1.0)
    assert set(every) == {stage for stage, _ in cases} | {"write_instruction" if of == "documents" else "store_images"}


def test_a_threshold_that_is_not_set_is_not_checked_and_content_only_where_it_is_asked_for():
    some = rules.of({"config": {}, "rating_aspects": example.ASPECTS})
    assert "score_coherence" not in some.images
    for rule, stage in (("mean_score", "filter_coherence"), ("mean_rating", "filter_ratings")):
        assert some.documents[stage].fault(rule, 9.0, 0.5) == "" and some.documents[stage].fault("x", 0.0, 0.5)
    assert (
        some.documents["deduplicate"].fault("near_duplicate_text", 0.9, 0.7)
        == "no rule 'near_duplicate_text' drops there"
    )
    assert some.images["compare_images"].fault("recurring_image", 3.0, 10.0) == ""
    assert some.images["compare_images"].fault("repeated_image", 4.0, 4.0) == ""
    assert some.documents["filter_text"].fault("anything", 1.0, 2.0) == ""  # no preset: its rules are not known


def test_a_rule_of_a_package_is_known_by_its_last_name():
    manifest = {"config": {"rules": {"document": [{"rule": "mine.deep.depth", "at_most": 2}]}}, "rating_aspects": {}}
    assert faults(dropped("filter_text", {}, "depth", 3.0, 2.0), manifest) == []
    [(message, _)] = faults(dropped("filter_text", {}, "depth", 1.0, 2.0), manifest)
    assert message == "depth 1.0 is on the side of 2.0 that passes, or the configuration has another threshold"
