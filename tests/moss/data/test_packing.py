from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss.data.packing import WINDOW, pack

LENGTHS = np.random.default_rng(0).integers(20, 900, 500)


@given(st.lists(st.integers(1, 50), max_size=200), st.integers(50, 120), st.integers(0, 9))
def test_every_sample_is_in_one_row_and_every_row_fits(lengths, length, epoch):
    rows = pack(lengths, length, 3, epoch)
    assert sorted(n for row in rows for n in row) == list(range(len(lengths)))
    assert all(row and sum(lengths[n] for n in row) <= length for row in rows)


def test_seed_and_epoch_make_the_order():
    orders = [pack(LENGTHS, 1000, seed, epoch) for seed, epoch in [(0, 0), (0, 0), (0, 1), (1, 0)]]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] != orders[3] != orders[0]


def test_little_is_padded():
    rows = pack(LENGTHS, 2000, 0, 0)
    assert LENGTHS.sum() / (2000 * len(rows)) > 0.98


def test_nothing_is_put_off_for_long():
    """Of the samples that a row may choose from, the oldest begins it: none waits for more than WINDOW rows."""
    order = np.random.default_rng((5, 2)).permutation(len(LENGTHS)).tolist()
    rows, taken = pack(LENGTHS, 1000, 5, 2), set()
    for row in rows:
        assert row[0] == next(number for number in order if number not in taken)
        taken |= {*row}
        assert all(number in order[: len(taken) + WINDOW] for number in row)
    assert max(map(len, rows)) > 1


def test_a_sample_longer_than_a_row():
    with pytest.raises(ValueError, match="a sample has 11 tokens, a row 10"):
        pack([3, 11], 10, 0, 0)
