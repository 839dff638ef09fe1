"""Exact duplicates: documents with the same text."""

from __future__ import annotations

import hashlib
import unicodedata

from filters.words import words
from schemas.records import Document


def text_digest(document: Document) -> str:
    """32 hex digits (blake2b, 16 bytes) of the document's words: the same text has the same digest.

    Case, whitespace, punctuation, Markdown syntax and equivalent Unicode characters (NFKC) make no difference; the
    title and the images are not part of the digest. The digest of a document without words is made from its id, so that
    it is not a duplicate of other documents without words.

    >>> from schemas.records import Text
    >>> a, b = (Document(id, "s", (Text(text),)) for id, text in (("1", "Boil **water**."), ("2", "boil water")))
    >>> text_digest(a) == text_digest(b)
    True
    """
    text = unicodedata.normalize("NFKC", "\n".join(document.texts)).casefold()
    content = " ".join(words(text)) or f"id:{document.id}"
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
