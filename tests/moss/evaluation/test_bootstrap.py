"""Intervals that repeat, cover what they should, and shrink where two methods agree."""

import numpy as np
import pytest

from moss.evaluation import bootstrap
from moss.evaluation.bootstrap import difference, draws, estimate


def test_a_ratio_of_sums_weighs_instances_by_their_counts():
    found = estimate(np.array([10.0, 0.0]), np.array([1.0, 9.0]), draws(2))
    assert found.value == 1.0 and found.low == 0.0 and found.high == 10.0


def test_the_interval_is_the_percentiles_of_resampled_ratios():
    rng = np.random.default_rng(5)
    total, count = rng.gamma(2, 3, 50), rng.integers(1, 9, 50).astype(float)
    drawn = draws(50, seed=3)
    by_hand = [
        sum(n * t for n, t in zip(row, total, strict=False)) / sum(n * c for n, c in zip(row, count, strict=False))
        for row in drawn
    ]
    assert (drawn.sum(1) == 50).all() and drawn.shape == (bootstrap.DRAWS, 50)
    np.testing.assert_allclose(estimate(total, count, drawn)[1:], np.percentile(by_hand, [2.5, 97.5]), rtol=1e-9)


def test_the_seed_repeats_an_interval():
    total, count = np.arange(30.0), np.ones(30)
    assert estimate(total, count, draws(30, 1)) == estimate(total, count, draws(30, 1))
    assert estimate(total, count, draws(30, 1)) != estimate(total, count, draws(30, 2))


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng, hits = np.random.default_rng(0), 0
    for trial in range(200):
        low, high = estimate(rng.normal(7, 2, 60), np.ones(60), draws(60, trial)[:400])[1:]
        hits += low <= 7 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_pairing_cancels_what_makes_an_instance_hard():
    rng = np.random.default_rng(1)
    hard, count = rng.gamma(1, 50, 40), np.full(40, 10.0)
    one, other, drawn = hard + 1 + rng.normal(0, 0.1, 40), hard, draws(40)
    found = difference(one, count, other, count, drawn)
    assert found.value == pytest.approx(0.1, abs=0.01) and 0 < found.low < found.value < found.high < 0.12
    assert found.high - found.low < 0.05 * np.subtract(*estimate(one, count, drawn)[:0:-1])
    assert difference(other, count, other, count, drawn) == (0.0, 0.0, 0.0)


def test_a_transform_is_applied_to_each_draw_and_before_the_difference():
    total, other, count, drawn = np.array([2.0, 4.0]), np.array([1.0, 1.0]), np.ones(2), draws(2)
    assert estimate(total, count, drawn, np.exp).value == pytest.approx(np.exp(3))
    assert estimate(total, count, drawn, np.exp).high == pytest.approx(np.exp(4))
    assert difference(total, count, other, count, drawn, np.exp).value == pytest.approx(np.exp(3) - np.exp(1))


def test_what_was_never_counted_has_no_value_and_a_single_instance_no_interval():
    one, none = np.array([1.0, 0, 0]), np.zeros(3)
    assert estimate(none, none, draws(3)) == (None, None, None)
    assert estimate(5 * one, one, draws(3)) == (5.0, None, None)
    assert difference(5 * one, one, 3 * one, one, draws(3)) == (2.0, None, None)
    assert difference(5 * one, one, none, none, draws(3)) == (None, None, None)


def test_draws_that_count_nothing_are_left_out():
    assert estimate(np.array([5.0, 7.0, 0, 0]), np.array([1.0, 1.0, 0, 0]), draws(4)) == (6.0, 5.0, 7.0)
