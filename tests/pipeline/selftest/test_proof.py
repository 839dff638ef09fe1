import random

import pytest

from pipeline.selftest.proof import PLANTED, SHOWN, belief, proof


def pairs(count: int, gap: float, seed: int = 0) -> list[tuple[float, float]]:
    """Values of documents, and of their copies, which are lower by `gap` standard deviations on average."""
    values = random.Random(seed)
    return [(values.gauss(gap, 1), values.gauss(0, 1)) for _ in range(count)]


def test_the_interval_holds_the_area_and_narrows_with_more_documents():
    few, many = proof("swapped", pairs(30, 1.0)), proof("swapped", pairs(300, 1.0))
    for one in (few, many):
        assert one.low < 0.76 < one.high  # the area of two normal distributions one deviation apart
        assert one.low < one.auc < one.high
    assert many.high - many.low < (few.high - few.low) / 2


def test_the_same_values_give_the_same_interval():
    assert proof("swapped", pairs(30, 1.0)) == proof("swapped", pairs(30, 1.0))


@pytest.mark.parametrize(
    "count, gap, told",
    [
        (100, 3.0, "means something"),
        (100, 0.5, "weakly: compare the averages"),
        (100, 0.0, "cannot tell documents with all images swapped"),
        (100, -3.0, "cannot tell documents with all images swapped"),
        (19, 3.0, "not proven: 19 documents are too few to tell"),
        (0, 0.0, "No document could be damaged"),
    ],
)
def test_a_measure_is_believed_as_far_as_it_notices_the_damage(count, gap, told):
    assert told in belief("coherence", [proof("swapped", pairs(count, gap))])


def test_each_kind_of_damage_has_its_own_verdict():
    found = belief("margin", [proof("swapped", pairs(100, 3.0)), proof("permuted", pairs(100, 0.0))])
    assert "notices all images swapped" in found and "cannot tell documents with images in another order" in found


def test_damage_to_few_documents_has_no_verdict_and_is_named():
    found = belief("margin", [proof("swapped", pairs(19, 3.0)), proof("permuted", pairs(100, 3.0))])
    assert "notices images in another order" in found
    assert found.endswith("Too few documents to tell: all images swapped within the source (19).")


def test_a_proof_says_what_it_does_not_prove():
    assert belief("complementarity", [proof("captions_copied", pairs(100, 3.0))]).endswith("is not noticed.")


def test_a_measure_without_a_value_says_what_is_missing():
    for measure, kinds in PLANTED.items():
        assert belief(measure, [proof(kind, []) for kind in kinds]).startswith(f"{measure} is not proven. No ")
    assert "No language model" in belief("mean_rating", [proof("shuffled", [])])
    assert {kind for kinds in PLANTED.values() for kind in kinds} <= set(SHOWN)
