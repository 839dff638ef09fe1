"""Each fuzz target on its seeds, and on a few hundred changes of them by Hypothesis."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import seeds
from fuzz.run import changed
from fuzz.targets import TARGETS

EXAMPLES = {"folders": 30, "files": 60, "pixels": 150}


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_pass(name):
    for seed in seeds.of(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds_pass(name):
    found = seeds.of(name)

    # the same ones in every run: `make fuzz` looks for others
    @settings(
        max_examples=EXAMPLES.get(name, 300),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(found), st.integers(0, 2**32))
    def check(seed, number):
        TARGETS[name](changed(seed, random.Random(number), found))

    check()


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 300, b"\n" * 300, bytes(range(256))])
@pytest.mark.parametrize("name", TARGETS)
def test_bytes_that_are_nothing_pass(name, data):
    TARGETS[name](data)
