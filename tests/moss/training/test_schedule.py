import pytest

from moss.settings import Training
from moss.training.schedule import learning_rate


def test_it_warms_up_in_equal_steps_and_then_falls_along_half_a_cosine():
    training = Training(steps=14, rows=1, warmup=4, learning_rate=8.0)
    rates = [learning_rate(step, training) for step in range(14)]
    assert rates[:5] == [2.0, 4.0, 6.0, 8.0, 8.0]
    assert rates[9] == pytest.approx(4.0)  # half-way down
    assert rates[4:] == sorted(rates[4:], reverse=True) and 0 < rates[-1] < 0.2
    assert learning_rate(14, training) == 0


def test_without_a_warmup_it_begins_at_its_full_value():
    assert learning_rate(0, Training(steps=3, rows=1, learning_rate=0.5)) == 0.5


def test_it_may_stay_or_end_above_nothing():
    constant = Training(steps=10, rows=1, warmup=2, learning_rate=8.0, decay="none")
    assert [learning_rate(step, constant) for step in (0, 1, 5, 9)] == [4.0, 8.0, 8.0, 8.0]
    lowest = Training(steps=10, rows=1, learning_rate=8.0, lowest_share=0.25)
    assert learning_rate(0, lowest) == 8.0 and learning_rate(10, lowest) == pytest.approx(2.0)
