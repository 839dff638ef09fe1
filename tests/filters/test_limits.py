from __future__ import annotations

import pytest

from filters import image
from filters.limits import within
from pipeline.graph.outcomes import dropped
from schemas.arrow import outcome_table
from schemas.records import Document, Drop, Image


def test_a_value_on_the_limit_passes_and_one_beyond_it_names_that_limit():
    assert within("rule", 3, at_least=3, at_most=3) is None
    assert within("rule", 2.9999996, at_least=3) is None  # rounded, as the ledger shows it
    assert within("rule", 2, at_least=3) == Drop("rule", 2.0, 3.0)
    assert within("rule", 4, at_most=3) == Drop("rule", 4.0, 3.0)


@pytest.mark.parametrize(
    "drop",
    [
        image.longer_side(Image("a.jpg", width=10**17 + 1, height=1), at_most=5000),
        image.shorter_side(Image("a.jpg", width=9, height=9), at_least=10**17 + 1),
    ],
)
def test_numbers_are_floats_that_the_ledger_can_hold(drop):
    assert (type(drop.value), type(drop.threshold)) == (float, float)
    [row] = outcome_table([dropped(Document("d", "s", ()), "image_rules", drop)]).to_pylist()
    assert (row["value"], row["threshold"]) == (drop.value, drop.threshold)
