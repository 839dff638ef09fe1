"""Reads what a server says about the use of its images: robots.txt, TDMRep's file, and headers.

Nothing is fetched here.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable

from protego import Protego

AGENT = "LeafInstruct"
"""The name under which rules address this pipeline."""
OPT_OUT = {"noai", "noimageai", "noml", "noindex", "noimageindex", "none"}
_DIRECTIVES = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}  # take a value
MAX_ROBOTS = 500 << 10
"""The bytes of a robots.txt that are read: RFC 9309 asks for at least 500 KiB."""
MAX_TDM = 64 << 10
_USER_AGENT = re.compile(r"\s*user[\s-]*agent(?:\s*:|\s)\s*([^#]*)", re.I)


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a host allows.

    robots: its robots.txt, None if everything is allowed. reserved: TDMRep's file as (location, reserved); the first
    match counts. delay: seconds between two requests. size: bytes that were read.
    """

    robots: Protego | None = None
    reserved: tuple[tuple[str, bool], ...] = ()
    delay: float = 0.0
    size: int = 0

    def disallow(self, url: str) -> bool:
        """Whether robots.txt disallows the address."""
        return self.robots is not None and not self.robots.can_fetch(url, AGENT)

    def reserve(self, path: str) -> bool:
        """Whether TDMRep's file reserves the path, which begins with a slash."""
        return next((reserved for location, reserved in self.reserved if _matches(location, path)), False)


def rules(robots: bytes, tdm: bytes) -> Rules:
    """The rules in the two files of a host, each empty if there is none. What cannot be parsed is ignored."""
    parsed = robots_rules(robots) if robots else None
    delay = (parsed.crawl_delay(AGENT) if parsed else None) or 0.0
    rate = parsed.request_rate(AGENT) if parsed else None
    if rate:
        delay = max(delay, _quotient(rate.seconds, rate.requests))
    return Rules(parsed, tdm_rules(tdm) if tdm else (), delay, len(robots) + len(tdm))


def _quotient(seconds: int, requests: int) -> float:
    """The seconds for one request; infinite if no number of floating point is as large."""
    try:
        return seconds / requests
    except OverflowError:
        return math.inf


def robots_rules(data: bytes) -> Protego:
    """The part of a robots.txt that is about us or about everybody.

    All other agents are replaced by one: the parser stores each line of a group once for each agent of the group, so a
    hostile file of half a megabyte could take gigabytes.
    """
    lines = []
    for line in data[:MAX_ROBOTS].decode(errors="replace").removeprefix("\ufeff").splitlines():
        agent = _USER_AGENT.match(line)
        if agent:
            name = agent[1].strip().lower().partition("/")[0]
            line = f"User-agent: {name if name in ('*', AGENT.lower()) else 'another'}"
        lines.append(line)
    return Protego.parse("\n".join(lines))


def tdm_rules(data: bytes) -> tuple[tuple[str, bool], ...]:
    """The rules of a `/.well-known/tdmrep.json`."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return ()
    return tuple(
        (rule["location"], rule.get("tdm-reservation") in (1, "1"))
        for rule in (found if isinstance(found, list) else [found])
        if isinstance(rule, dict) and isinstance(rule.get("location"), str)
    )


def opted_out(robots_tags: Iterable[str], tdm_reservation: str) -> bool:
    """Whether the headers forbid the use.

    `robots_tags`: the X-Robots-Tag headers; those that name another robot do not count.
    """
    if tdm_reservation.strip() == "1":
        return True
    for line in robots_tags:
        ours = True
        for word in line.lower().split(","):
            robot, colon, directive = (part.strip() for part in word.partition(":"))
            if colon and robot not in _DIRECTIVES:
                ours = robot == AGENT.lower()
                robot = directive
            if ours and robot in OPT_OUT:
                return True
    return False


def _matches(location: str, path: str) -> bool:
    """Whether a location matches a path as in robots.txt: from its beginning, `*` for anything, `$` for the end."""
    anchored = location.endswith("$")
    first, *parts = location.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    place = len(first)
    for number, part in enumerate(parts):
        last = anchored and number == len(parts) - 1
        found = path.rfind(part, place) if last else path.find(part, place)
        if found < 0 or (last and found + len(part) != len(path)):
            return False
        place = found + len(part)
    return bool(parts) or not anchored or place == len(path)
