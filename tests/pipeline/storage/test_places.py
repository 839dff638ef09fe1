"""The table of keys: each is found at its place, in little memory."""

from __future__ import annotations

import random

from pipeline.storage.places import Places


def test_every_key_is_found_whatever_the_sizes_and_the_order_of_the_segments():
    draw, places, wanted = random.Random(0), Places(), {}
    for number in range(300):
        some = {
            f"key {draw.getrandbits(64)}": (draw.randrange(1 << 25), draw.randrange(1 << 20))
            for _ in range(draw.choice((0, 1, 3, 40)))
        }
        places.add(f"segment {number}", some, number)
        wanted |= {key: (f"segment {number}", at + number, size) for key, (at, size) in some.items()}
    assert all(places.get(key) == place for key, place in wanted.items())
    assert places.get("key") is None and Places().get("key") is None


def test_few_runs_and_few_bytes_for_a_key():
    places = Places()
    for number in range(1000):
        places.add(f"{number}", {f"{number} {one}": (one, 1) for one in range(20)}, 0)
    assert len(places._runs) <= 15  # log2 of 20,000
    assert sum(run.first.nbytes + run.second.nbytes + run.places.nbytes for run in places._runs) == 28 * 20_000
    assert places.get("777 19") == ("777", 19, 1)


def test_a_key_that_was_added_again_has_its_last_place():
    places = Places()
    for number in range(50):
        places.add(f"{number}", {f"key {one}": (number, 1) for one in range(0, 300, number % 7 + 1)}, 0)
        assert all(places.get(f"key {one}") == (f"{number}", number, 1) for one in range(0, 300, number % 7 + 1))
