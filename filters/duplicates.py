"""Exact repeats: two documents with the same text are one."""

from __future__ import annotations

import hashlib
import unicodedata

from filters.words import words
from schemas.records import Document


def text_digest(document: Document) -> str:
    """32 hex digits (blake2b, 16 bytes) of the document's words: the same text has the same digest.

    Letter case, white space, punctuation, Markdown marks and Unicode's ways to write one character (NFKC) make no
    difference; the title and the images are not part of it. A document without any word has a digest of its own (from
    its id): it is no repeat of other wordless ones.
    """
    text = unicodedata.normalize("NFKC", "\n".join(document.texts)).casefold()
    content = " ".join(words(text)) or f"id:{document.id}"
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
