"""What is remembered of hosts, and for how long."""

from __future__ import annotations

import pytest

from pipeline.images import hosts as module
from pipeline.images.faults import FetchFault
from pipeline.images.hosts import Hosts
from pipeline.images.reservations import Rules


def loaded(answers):
    """Hosts whose rules come from `answers`, and the list of who was asked."""
    asked = []

    def load(origin):
        asked.append(origin)
        found = answers[origin]
        if isinstance(found, FetchFault):
            raise found
        return found

    return Hosts(1, load), asked


def test_rules_hold_for_a_day_and_their_lack_for_ten_minutes(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    hosts, asked = loaded({"a": Rules(), "b": FetchFault("rules_unreachable", "503")})

    def ask():
        hosts.rules("a")
        with pytest.raises(FetchFault, match="503"):
            hosts.rules("b")
        return asked.count("a"), asked.count("b")

    assert [ask(), ask()] == [(1, 1)] * 2
    now[0] += 601
    assert ask() == (1, 2)
    now[0] += 24 * 3600
    assert ask() == (2, 3)


def test_no_more_is_remembered_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(module, "_BYTES", 1000)
    monkeypatch.setattr(module, "_MOST", 5)
    hosts, asked = loaded({name: Rules(size=400) for name in "abc"} | {str(n): Rules() for n in range(9)})
    for name in "abcc":
        hosts.rules(name)
    assert asked == list("abc")
    hosts.rules("a")  # the one that was not asked for longest had to go
    assert asked == list("abca")
    for n in range(9):
        hosts.rules(str(n))
    assert len(hosts._known) == 5
