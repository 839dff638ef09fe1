"""Rules about the text of a document, from counts alone: each returns None (keep) or a Drop.

A rule takes the document's `TextStats`, so that all rules of a preset share one pass over the text. Thresholds are
keyword arguments; presets set them and name their sources. Shares are between 0 and 1; every measure of an empty text
is 0.
"""

from __future__ import annotations

import math
import re

from filters.limits import within
from filters.stats import TextStats
from filters.words import sentences
from schemas.records import Drop

GOPHER_STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
"""The eight words of Gopher's rule (arXiv 2112.11446, appendix A)."""

OMNICORPUS_STOP_WORDS = frozenset({"the", "is", "are", "am", "to", "of", "and", "that", "have", "with"})
"""The ten words of OmniCorpus' rule (OpenGVLab/OmniCorpus, human_feedback_textfiltering)."""

FUNCTION_WORDS = frozenset(
    """
a about above after again against all also although am among an and another any are around as at away back be became
because become been before being below between both but by can cannot could did do does doing done down during each
either else enough even ever every few for from further had has have having he hence her here hers him his how however
i if in indeed instead into is it its itself just least less let many may me might more most much must my neither never
next no nor not now of off often on once one only or other others otherwise our ours out over own per perhaps quite
rather same shall she should since so some still such than that the their theirs them then there therefore these they
this those though through thus to together too toward towards under unless until up upon us very via was we well were
what whatever when where whether which while who whom whose why will with within without would yet you your yours
yourself don't doesn't isn't aren't can't won't it's that's you're we're you'll we'll i'm let's
""".split()
)
"""English function words, this project's own list: about half of the words of English prose, and very few of code,
menus, tables or another language."""

_BULLETS = ("•", "-")  # Gopher's, as datatrove 0.10.1 reads them
_SENTENCE_MARKS = frozenset(".,;:!?…")
_CODE = re.compile(
    r"^[ \t]*(?:(`{3,})[^`\n]*$.*?(?:^[ \t]*\1|\Z)"
    r"|(?<!^\S\n)(?<!^\S{2}\n)(?<!^\S{3}\n)~~~(?!~)[^\n]*$.*?^[ \t]*~~~)",  # no heading's underline
    re.S | re.M,
)


def word_count(stats: TextStats, *, at_least: float = 0, at_most: float = math.inf) -> Drop | None:
    """The number of words: tokens that contain a letter or a digit.

    >>> from schemas.records import Document, Text
    >>> word_count(TextStats(Document("tea", "manuals", (Text("Boil the water."),))), at_least=80)
    Drop(rule='word_count', value=3.0, threshold=80.0)
    """
    return within("word_count", stats.word_count, at_least, at_most)


def sentence_count(stats: TextStats, *, at_least: float = 0, at_most: float = math.inf) -> Drop | None:
    """The number of sentences as `filters.words.sentences` finds them; a heading or a list item counts as one."""
    return within("sentence_count", len(sentences(stats.text)), at_least, at_most)


def image_count(stats: TextStats, *, at_least: float = 0, at_most: float = math.inf) -> Drop | None:
    """The number of images."""
    return within("image_count", stats.images, at_least, at_most)


def words_per_image(stats: TextStats, *, at_least: float, from_images: int = 1) -> Drop | None:
    """Words per image, for documents with at least `from_images` images: galleries and icon sheets have few."""
    if stats.images < from_images:
        return None
    return within("words_per_image", stats.word_count / max(1, stats.images), at_least)


def mean_word_length(stats: TextStats, *, at_least: float = 0, at_most: float = math.inf) -> Drop | None:
    """The mean length of the words, in characters."""
    return within(
        "mean_word_length", _share(sum(len(w) * n for w, n in stats.words.items()), stats.word_count), at_least, at_most
    )


def hashes_per_word(stats: TextStats, *, at_most: float) -> Drop | None:
    """`#` characters per token. Markdown headings count, as they do in the original rule (Gopher)."""
    return within("hashes_per_word", _share(stats.text.count("#"), stats.tokens.total()), at_most=at_most)


def ellipses_per_word(stats: TextStats, *, at_most: float) -> Drop | None:
    """`...` and `…` per token."""
    return within(
        "ellipses_per_word",
        _share(stats.text.count("...") + stats.text.count("…"), stats.tokens.total()),
        at_most=at_most,
    )


def bullet_lines(stats: TextStats, *, at_most: float) -> Drop | None:
    """Share of lines that start with a bullet (`•` or `-`)."""
    return within(
        "bullet_lines",
        _share(sum(line.lstrip().startswith(_BULLETS) for line in stats.lines), len(stats.lines)),
        at_most=at_most,
    )


def ellipsis_lines(stats: TextStats, *, at_most: float) -> Drop | None:
    """Share of lines that end with an ellipsis."""
    return within(
        "ellipsis_lines",
        _share(sum(line.rstrip().endswith(("...", "…")) for line in stats.lines), len(stats.lines)),
        at_most=at_most,
    )


def alphabetic_words(stats: TextStats, *, at_least: float) -> Drop | None:
    """Share of tokens (punctuation included, as in datatrove) that contain a letter."""
    alphabetic = sum(n for word, n in stats.words.items() if any(map(str.isalpha, word)))
    return within("alphabetic_words", _share(alphabetic, stats.tokens.total()), at_least)


def stop_words(stats: TextStats, *, at_least: int) -> Drop | None:
    """How many of Gopher's eight words occur (lower case only)."""
    return within("stop_words", len(GOPHER_STOP_WORDS & stats.tokens.keys()), at_least)


def stop_word_occurrences(stats: TextStats, *, at_least: int) -> Drop | None:
    """How often OmniCorpus' ten words occur, all together (Gopher's rule counts different words instead)."""
    return within("stop_word_occurrences", sum(stats.tokens[word] for word in OMNICORPUS_STOP_WORDS), at_least)


def stop_word_share(stats: TextStats, *, at_least: float) -> Drop | None:
    """Share of words that are English function words (our own list, `FUNCTION_WORDS`)."""
    return within("stop_word_share", _listed(stats, FUNCTION_WORDS), at_least)


def flagged_words(stats: TextStats, *, words: frozenset[str], at_most: float) -> Drop | None:
    """Share of words that are on a list of flagged words (lower case; the user gives the list)."""
    return within("flagged_words", _listed(stats, words), at_most=at_most)


def common_words(stats: TextStats, *, words: frozenset[str], at_least: float) -> Drop | None:
    """Share of words that are on a list of common words (lower case; the user gives the list)."""
    return within("common_words", _listed(stats, words), at_least)


def special_characters(stats: TextStats, *, at_most: float) -> Drop | None:
    """Share of characters that are not letters: punctuation, digits, emoji and whitespace, as OBELICS counts."""
    return within(
        "special_characters",
        _share(len(stats.text) - sum(map(str.isalpha, stats.text)), len(stats.text)),
        at_most=at_most,
    )


def punctuation(stats: TextStats, *, at_least: float) -> Drop | None:
    """Share of tokens that are sentence punctuation (`. , ; : ! ? …`): prose has it, word lists do not."""
    return within(
        "punctuation", _share(sum(stats.tokens[mark] for mark in _SENTENCE_MARKS), stats.tokens.total()), at_least
    )


def upper_case(stats: TextStats, *, at_most: float) -> Drop | None:
    """Share of words of two or more letters that are all upper case. Abbreviations count."""
    upper = sum(n for word, n in stats.words.items() if len(word) > 1 and word.isupper())
    return within("upper_case", _share(upper, stats.word_count), at_most=at_most)


def code(stats: TextStats, *, at_most: float) -> Drop | None:
    """Share of characters inside fenced code blocks.

    One of backticks that is never closed extends to the end; three tildes may also stand between two paragraphs.
    """
    return within(
        "code", _share(sum(len(block[0]) for block in _CODE.finditer(stats.text)), len(stats.text)), at_most=at_most
    )


def table_lines(stats: TextStats, *, at_most: float) -> Drop | None:
    """Share of characters in lines of a table (lines that begin with `|`)."""
    return within(
        "table_lines",
        _share(sum(len(line) for line in stats.lines if line.lstrip().startswith("|")), len(stats.text)),
        at_most=at_most,
    )


def _listed(stats: TextStats, words: frozenset[str]) -> float:
    return _share(sum(n for word, n in stats.lower_words.items() if word in words), stats.word_count)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
