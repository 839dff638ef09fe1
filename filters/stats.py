"""What the text rules measure, counted at most once per document, when a rule first needs it."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from functools import cached_property

from schemas.records import Document

_TOKEN = re.compile(r"https?://[^\s)\]>\"]+|\w+(?:['’.,-]\w+)*|-{2,}|\.{2,}|[^\w\s]")


@dataclasses.dataclass(frozen=True)
class TextStats:
    """A document, and what rules count in it.

    The raw text is the paragraphs joined by line breaks, with their Markdown. Tokens are words and punctuation: a URL
    is one word, and so are `don't`, `3.5` and `well-known`; `---` and `...` are one token, every other punctuation mark
    is a token of its own. Most rules need only how often each token occurs, so `tokens` and `words` are counters: a
    document has far fewer different tokens than tokens.

    >>> from schemas.records import Text
    >>> TextStats(Document("a", "s", (Text("Boil water, don't wait."),))).word_count
    4
    """

    document: Document

    @cached_property
    def text(self) -> str:
        """The raw text."""
        return "\n".join(self.document.texts)

    @cached_property
    def images(self) -> int:
        """The number of images."""
        return len(self.document.images)

    @cached_property
    def sequence(self) -> list[str]:
        """All tokens in reading order."""
        return _TOKEN.findall(self.text)

    @cached_property
    def tokens(self) -> Counter[str]:
        """How often each token occurs."""
        return Counter(self.sequence)

    @cached_property
    def words(self) -> Counter[str]:
        """The tokens that contain a letter or a digit."""
        return Counter({token: n for token, n in self.tokens.items() if any(map(str.isalnum, token))})

    @cached_property
    def word_count(self) -> int:
        """The number of words."""
        return self.words.total()

    @cached_property
    def lower_words(self) -> Counter[str]:
        """The words in lower case."""
        lower: Counter[str] = Counter()
        for word, n in self.words.items():
            lower[word.lower()] += n
        return lower

    @cached_property
    def lines(self) -> list[str]:
        """All lines, empty ones too."""
        return self.text.splitlines()
