"""Headings that recur across a source's documents ("Summary", "Teacher support").

They say nothing about a single document.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from filters.words import is_heading, plain
from schemas.records import Document

RECURS = 5
"""The number of documents of a source from which a heading recurs: this project's choice.

In the development corpus (1,512 documents), 161 of 7,143 headings do.
"""


def heading_key(source: str, text: str) -> bytes:
    """Eight bytes that are equal for the same heading of the same source, whatever its level, case and spaces.

    >>> heading_key("s", "## Key  terms") == heading_key("s", "# key terms") != heading_key("t", "# key terms")
    True
    """
    name = " ".join(plain(text).casefold().split())
    return hashlib.blake2b(f"{source}\0{name}".encode(), digest_size=8).digest()


def heading_keys(document: Document) -> list[bytes]:
    """The keys of the document's headings, each once, sorted."""
    return sorted({heading_key(document.source, text) for text in document.texts if is_heading(text)})


def recurring(documents: Iterable[Document]) -> frozenset[bytes]:
    """The keys of the headings that recur among these documents."""
    counts = Counter(key for document in documents for key in heading_keys(document))
    return frozenset(key for key, count in counts.items() if count >= RECURS)
