"""Keys of perceptual hashes: what is near shares one."""

from __future__ import annotations

import random

from filters.repeated_images import MOST_BITS, distance, keys


def flipped(hashed, bits, chance):
    value = int.from_bytes(hashed)
    for bit in chance.sample(range(64), bits):
        value ^= 1 << bit
    return value.to_bytes(8)


def test_hashes_within_the_bits_share_a_key_always():
    chance = random.Random(0)
    for _ in range(2000):
        one = chance.randbytes(8)
        bits = chance.randint(0, MOST_BITS)
        other = flipped(one, bits, chance)
        assert distance(one, other) == bits
        assert set(keys(one)) & set(keys(other))


def test_other_hashes_share_none_as_a_rule():
    chance = random.Random(1)
    shared = sum(bool(set(keys(chance.randbytes(8))) & set(keys(chance.randbytes(8)))) for _ in range(2000))
    assert shared < 5
    assert len(set(keys(bytes(8)))) == 56
