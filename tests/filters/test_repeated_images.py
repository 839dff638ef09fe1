"""Keys of perceptual hashes: what is near shares one."""

from __future__ import annotations

import random

from filters.repeated_images import COMPARED, MOST_BITS, distance, keys, sets
from filters.thumbnails import BYTES, alike, values


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


def test_sets_are_what_pairs_connect():
    """Against every pair compared, in random pictures of which some are in chains."""
    chance = random.Random(0)
    for _ in range(30):
        count = 24
        hashes = [flipped(bytes(8), chance.choice([0, 1, 3, 9]), chance) for _ in range(count)]
        small = [bytes([chance.choice([100, 112, 124, 200])]) * BYTES for _ in range(count)]
        inner = [(flipped(one, 2, chance), bytes([100]) * BYTES) for one in hashes]
        expected = list(range(count))

        def same(a, b, hashes=hashes, small=small, inner=inner):
            pairs = [(hashes[a], small[a], hashes[b], small[b], False)]
            pairs += [(hashes[x], small[x], *inner[y], True) for x, y in ((a, b), (b, a))]
            return any(
                distance(one, other) <= 4 and alike(values([first])[0], values([second]), cut)[0]
                for one, first, other, second, cut in pairs
            )

        for a in range(count):
            for b in range(a):
                if same(a, b):
                    expected = [expected[a] if x == expected[b] else x for x in expected]
        found = sets(hashes, small, inner, 4)
        assert [[x == y for y in found] for x in found] == [[x == y for y in expected] for x in expected]
    assert count < COMPARED
