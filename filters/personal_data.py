"""Replaces personal data in texts by words that name what was there: mail addresses, phone, card and network numbers.

Presets turn it on: `personal_data: [mail, phone, card, network]`. What clearly belongs to nobody stays:
`user@example.com`, `git@host`, `192.168.0.1`.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Iterable

import phonenumbers

from schemas.records import Document, Image, Segment, Text

REGION = "US"
"""Phone numbers without a country's prefix are read as those of North America; with one, all countries' are found."""
_MAIL = re.compile(r"(?<![\w.+%-])([\w.+%-]{1,64})@((?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24})(?![\w-])")
_NO_HOST = re.compile(  # files for screens of double density (`icon@2x.png`), and versions of packages
    r"(?:\d+\.){2,}.*|.*\.(?:png|jpe?g|gif|webp|svg|bmp|ico|avif|tiff?|pdf|css|js|json|html?|xml|txt|exe|dll|alpha|beta|rc)",
    re.I,
)
_RESERVED = re.compile(r"(?:.*\.)?(?:example(?:\.(?:com|net|org|edu))?|test|invalid|localhost|local)", re.I)  # RFC 2606
_CARD_NUMBER = re.compile(  # Visa, Mastercard, American Express, Diners Club, JCB; Maestro, Discover and UnionPay
    r"4\d{15}(?:\d{3})?|5[1-5]\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35\d{14}|(?:5[06-8]|6\d)\d{14,17}"
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_V4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_V6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?!\w|:\w)")
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")  # other addresses are local, or code such as `dead::beef`
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:-])")
_NUMBERED = re.compile(
    r"(?:version|release|\bv|§|\b(?:section|sec|chapter|clause|paragraph|appendix|oid)s?)\W{0,3}$", re.I
)
_NATIONAL = re.compile(r"\(\d{3}\) ?\d{3}[-.]\d{4}|\d{3}-\d{3}-\d{4}|\d{3}\.\d{3}\.\d{4}")


def mail(text: str) -> tuple[str, int]:
    """The text without mail addresses, and how many there were."""

    def replaced(match: re.Match[str]) -> str:
        nobodys = match[1] == "git" or _RESERVED.fullmatch(match[2]) or _NO_HOST.fullmatch(match[2])
        return match[0] if nobodys else "[mail address]"

    return _each(_MAIL, text, replaced)


def phone(text: str) -> tuple[str, int]:
    """The text without phone numbers, and how many there were.

    Only numbers that are valid in their country and written as people write them count: manuals have too many other
    numbers that are digits alone.
    """
    matches = phonenumbers.PhoneNumberMatcher(text, REGION) if any(map(str.isdigit, text)) else ()
    found = [
        match
        for match in matches
        if match.raw_string.startswith("+") or _NATIONAL.fullmatch(match.raw_string.split(" x")[0])
        if text[match.start - 1 : match.start] not in ("/", "=", "_")  # in an address
    ]
    for match in reversed(found):
        text = f"{text[: match.start]}[phone number]{text[match.end :]}"
    return text, len(found)


def card(text: str) -> tuple[str, int]:
    """The text without card numbers, and how many there were.

    Digits with a correct check digit that begin like the numbers of a card network, and are as many. The barcodes of
    goods have 13.
    """

    def replaced(match: re.Match[str]) -> str:
        digits = re.sub(r"\D", "", match[0])
        return (
            "[card number]" if _CARD_NUMBER.fullmatch(digits) and len(set(digits)) > 2 and _luhn(digits) else match[0]
        )

    return _each(_CARD, text, replaced)


def network(text: str) -> tuple[str, int]:
    """The text without public IP addresses and addresses of network adapters, and how many there were."""

    def address(match: re.Match[str]) -> str:
        if _NUMBERED.search(text[max(match.start() - 13, 0) : match.start()]):
            return match[0]  # 1.2.3.4 may be a version, or the number of a section
        try:
            found = ipaddress.ip_address(match[0])
        except ValueError:
            return match[0]
        public = found.is_global and not found.is_multicast and not match[0].endswith(".0")
        public = public and (found.version == 4 or found in _GIVEN_OUT)
        return "[network address]" if public else match[0]

    total = 0
    for pattern, replaced in ((_MAC, lambda _: "[network address]"), (_V4, address), (_V6, address)):
        text, count = _each(pattern, text, replaced)
        total += count
    return text, total


KINDS: dict[str, Callable[[str], tuple[str, int]]] = {"mail": mail, "card": card, "network": network, "phone": phone}
"""In this order, because a card's or a network's number may look like a phone's."""


def replaced(document: Document, kinds: Iterable[str]) -> tuple[Document, int]:
    """The document with personal data of these kinds replaced, and how many were replaced.

    Titles, texts, alternative texts and captions are searched. A document without any is returned as it is.
    """
    wanted, total = [KINDS[kind] for kind in KINDS if kind in set(kinds)], 0

    def clean(text: str) -> str:
        nonlocal total
        for find in wanted:
            text, count = find(text)
            total += count
        return text

    def segment(found: Segment) -> Segment:
        if isinstance(found, Text):
            return dataclasses.replace(found, text=clean(found.text))
        if isinstance(found, Image):
            return dataclasses.replace(found, alt=clean(found.alt), caption=clean(found.caption))
        return found

    changed = dataclasses.replace(
        document, title=clean(document.title), segments=tuple(map(segment, document.segments))
    )
    return (changed, total) if total else (document, 0)


def _each(pattern: re.Pattern[str], text: str, replace: Callable[[re.Match[str]], str]) -> tuple[str, int]:
    """The text with matches replaced, and how many of them changed."""
    count = 0

    def counted(match: re.Match[str]) -> str:
        nonlocal count
        new = replace(match)
        count += new != match[0]
        return new

    return pattern.sub(counted, text), count


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
