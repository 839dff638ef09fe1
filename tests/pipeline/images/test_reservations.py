"""What robots.txt, tdmrep.json and headers say, without a server."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from pipeline.images.reservations import opted_out, robots_rules, rules, tdm_rules

PAGE = "https://example.org"


@pytest.mark.parametrize(
    "robots, path, disallowed",
    [
        ("User-agent: *\nDisallow: /private/", "/private/a.jpg", True),
        ("User-agent: *\nDisallow: /private/", "/public/a.jpg", False),
        ("User-agent: *\nDisallow: /\nAllow: /images/", "/images/a.jpg", False),
        ("User-agent: leafinstruct\nDisallow: /\n\nUser-agent: *\nAllow: /", "/a.jpg", True),
        ("User-agent: LeafInstruct/2.0\nDisallow: /", "/a.jpg", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: LeafInstruct\nDisallow: /x", "/a.jpg", False),
        ("User-agent: OtherBot\nDisallow: /", "/a.jpg", False),
        ("User-agent: OtherBot\nUser-agent: LeafInstruct # us\nDisallow: /", "/a.jpg", True),
        ("User-agent: Leaf\nDisallow: /", "/a.jpg", False),
        ("User-agent: *\nDisallow: /*.gif$", "/a.gif", True),
        ("User-agent: *\nDisallow: /*.gif$", "/a.gif?x", False),
        ("\ufeffUser-agent: *\nDisallow: /", "/a.jpg", True),
        ("<html><body>not here</body></html>", "/a.jpg", False),
    ],
)
def test_robots(robots, path, disallowed):
    assert rules(robots.encode(), b"").disallow(PAGE + path) is disallowed


def test_a_crawl_delay_and_a_request_rate_for_us_are_kept():
    assert rules(b"User-agent: *\nCrawl-delay: 2.5", b"").delay == 2.5
    assert rules(b"User-agent: *\nRequest-rate: 1/10s", b"").delay == 10
    assert rules(b"User-agent: *\nRequest-rate: 5/" + b"9" * 400, b"").delay == float("inf")
    assert rules(b"User-agent: *\nRequest-rate: " + b"9" * 400 + b"/5", b"").delay == 0
    assert rules(b"User-agent: OtherBot\nCrawl-delay: 60\n\nUser-agent: *\nAllow: /", b"").delay == 0


def test_thousands_of_agents_with_thousands_of_rules_take_little_memory():
    """Protego stores each line of a group for each of its agents: here those were 130 million rules."""
    hostile = "".join(f"User-agent: a{i}\n" for i in range(13_000)) + "Allow:/a\n" * 10_000
    tracemalloc.start()
    try:
        robots_rules(hostile.encode())
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "location, path, matches",
    [
        ("/", "/a.jpg", True),
        ("/images/", "/images/a.jpg", True),
        ("/images/", "/other/a.jpg", False),
        ("/*.jpg", "/x/a.jpg?size=2", True),
        ("/*.jpg$", "/x/a.jpg?size=2", False),
        ("/*.jpg$", "/x.jpg/a.jpg", True),
        ("/a$", "/a", True),
        ("/a$", "/ab", False),
        ("/*a*b*c", "/xaxbxc", True),
        ("/*a*b*c", "/xbxaxc", False),
        ("*", "/a.jpg", True),
    ],
)
def test_locations_of_tdmrep(location, path, matches):
    found = rules(b"", json.dumps([{"location": location, "tdm-reservation": 1}]).encode())
    assert found.reserve(path) is matches


def test_the_first_rule_that_matches_counts():
    found = tdm_rules(
        json.dumps([{"location": "/free/", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]).encode()
    )
    assert found == (("/free/", False), ("/", True))
    assert tdm_rules(b'{"location": "/", "tdm-reservation": "1"}') == (("/", True),)  # some write it as a text


@pytest.mark.parametrize("delay, rate, pause", [(5, "1/2", 5.0), (5, "1/8", 8.0), (5, "4/2", 5.0)])
def test_of_two_pauses_that_a_host_asks_for_the_longer_one_is_kept(delay, rate, pause):
    assert rules(f"User-agent: *\nCrawl-delay: {delay}\nRequest-rate: {rate}\n".encode(), b"").delay == pause


@pytest.mark.parametrize("text", ["", "{", "[" * 50_000, "7", "null", '[{"location": 3}, 4]', "\xff"])
def test_a_tdmrep_file_that_is_none_reserves_nothing(text):
    assert tdm_rules(text.encode("latin-1")) == ()


@pytest.mark.parametrize(
    "tag, refused",
    [
        ("noml", True),
        ("NoAI", True),
        ("noimageai", True),
        ("noindex", True),
        ("noimageindex, max-snippet: 3", True),
        ("none", True),
        ("all, nofollow", False),
        ("otherbot: noai, noml", False),
        ("leafinstruct: noai", True),
        ("LeafInstruct: all, noml", True),
        ("otherbot: noai, leafinstruct: noai", True),
        ("leafinstruct: all, otherbot: noai", False),
        ("max-snippet: 3, noai", True),
    ],
)
def test_tags_for_all_and_for_us(tag, refused):
    assert opted_out([tag], "") is refused
