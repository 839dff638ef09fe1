import pytest

from pipeline.selftest.page import page
from pipeline.selftest.result import TRUE, Judged, auc, summary, text, verdict, wilson
from schemas.records import Coherence


def judged(kept: int, of: int, mean: float = 0.3, margin: float | None = 0.1) -> list[Judged]:
    score = Coherence((mean,), (mean,), (-1.0,), margin, None, "m")
    return [Judged(str(k), "" if k < kept else "mean_score", score) for k in range(of)]


def kinds(true, swapped, permuted=(0, 100)):
    return {
        TRUE: judged(*true),
        "swapped": judged(*swapped, mean=0.2),
        "permuted": judged(*permuted, margin=-0.1),
        "other_texts": judged(0, 100),
        "half_swapped": judged(50, 100),
    }


@pytest.mark.parametrize(
    "kept, of, low, high",
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (0, 0, 0.0, 1.0)],
)
def test_intervals_are_wilsons(kept, of, low, high):
    share = wilson(kept, of)
    assert (share.low, share.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_auc_counts_ties_as_half():
    assert auc([1, 2], [1, 2]) == 0.5
    assert auc([3, 4], [1, 2]) == 1.0
    assert auc([], [1.0]) is None


@pytest.mark.parametrize(
    "true, swapped, permuted, word",
    [
        ((82, 120), (73, 120), (0, 120), "does_not_select"),
        ((70, 100), (10, 100), (25, 100), "selects"),
        ((64, 100), (10, 100), (25, 100), "weak"),
        ((70, 100), (11, 100), (25, 100), "weak"),
        ((70, 100), (10, 100), (26, 100), "weak"),
        ((19, 19), (0, 19), (0, 19), "too_few"),
        ((30, 100), (60, 100), (0, 100), "does_not_select"),
    ],
)
def test_the_verdict_follows_from_the_shares(true, swapped, permuted, word):
    shares = {TRUE: wilson(*true), "swapped": wilson(*swapped), "permuted": wilson(*permuted)}
    assert verdict(shares)[0] == word


def test_a_filter_that_keeps_swapped_images_is_called_by_its_name():
    result = summary(kinds((82, 100), (73, 100)), "m")
    assert "does not select" in result["says"] and "82.0%" in result["says"] and "73.0%" in result["says"]
    assert result["says"] in text(result)


def test_the_summary_counts_rules_and_compares_scores():
    result = summary(kinds((70, 100), (5, 100)), "m")["kinds"]
    assert result[TRUE]["kept"] == 70 and result[TRUE]["rules"] == {"mean_score": 30}
    assert result["swapped"]["auc_mean"] == 1.0 and result["swapped"]["auc_margin"] == 0.5
    assert result["permuted"]["auc_mean"] == 0.5 and result["permuted"]["auc_margin"] == 1.0


def test_documents_without_a_score_are_left_out_of_the_picture_and_counted():
    everything = kinds((70, 100), (5, 100))
    everything["swapped"] = [Judged("x", "image_count", Coherence((), (), (), None, None, "m"))] * 30
    result = summary(everything, "m") | {"documents": 100, "rated": False}
    assert result["kinds"]["swapped"]["of"] == 30 and result["kinds"]["swapped"]["auc_mean"] is None
    assert page(result, everything, {"mean_at_least": 0.2, "margin_at_least": 0.0}).count("<svg viewBox") == 2


def test_the_page_draws_both_scores_with_their_thresholds():
    everything = kinds((70, 100), (5, 100))
    result = summary(everything, "m") | {"documents": 100, "rated": False}
    html = page(result, everything, {"mean_at_least": 0.25, "margin_at_least": 0.0})
    assert html.count("<svg viewBox") == 4 and "at least 0.25" in html and "100 true" in html.replace("\n", " ")
    assert "not kept" not in html
