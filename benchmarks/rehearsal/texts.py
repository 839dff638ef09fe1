"""Made-up prose, and texts that break one rule each. Everything is drawn from the generator that is given.

The words mean nothing, but half of them are English function words. Of any five words in a row at least one is one of
4,000, so two texts have next to nothing in common by chance.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_SYLLABLES = [a + b for a in "bdfgklmnprstv" for b in ("a", "e", "i", "o", "u", "an", "el", "or")]
_words = random.Random(0)
WORDS = sorted({"".join(_words.choices(_SYLLABLES, k=_words.choice((2, 3, 3, 4)))) for _ in range(4000)})
SENTENCES = (
    "Put the {} {} on the {} and hold it with a {}.",
    "When the {} is {}, the {} has to be {} again.",
    "If there is no {} here, a {} of {} will do for the {}.",
    "The {} goes under the {} and not over the {} or the {}.",
    "Then it is {} by the {} until some of the {} has {}.",
    "Most of the {} can be {} with a {} that was {} before.",
    "Do not {} the {} while its {} are still {}.",
    "After that, {} and {} are put between the {} and a {}.",
)
MARKS = "+=*~^"


def marking(kind: str) -> str:
    """A sentence that says of which kind a document is; the stand-ins for models look for it."""
    return f"It is marked for {kind}."


def marked_for(text: str) -> str:
    """The kind that a text is marked for; empty if it is not."""
    found = re.search(r"marked for (\w+)", text)
    return found[1] if found else ""


def word(draw: random.Random) -> str:
    """One of the words."""
    return draw.choice(WORDS)


def prose(draw: random.Random, sentences: int) -> str:
    """A paragraph of so many sentences, of ten words each, or a few more."""
    return " ".join(draw.choice(SENTENCES).format(*draw.choices(WORDS, k=4)) for _ in range(sentences))


def title(draw: random.Random) -> str:
    """Three words, of which the first begins with a capital letter."""
    return " ".join(draw.choices(WORDS, k=3)).capitalize()


def _lines(draw: random.Random, count: int, form: str) -> str:
    return "\n".join(form.format(*draw.choices(WORDS, k=form.count("{}"))) for _ in range(count))


def _marks(draw: random.Random) -> str:
    return f"{prose(draw, 12)} {' '.join(draw.choices(MARKS, k=500))}"


def _long_words(draw: random.Random) -> str:
    return " ".join(f"the {word(draw)}{word(draw)}{word(draw)} {word(draw)}{word(draw)}" for _ in range(60))


def _capitals(draw: random.Random) -> str:
    return f"{prose(draw, 8)} {prose(draw, 12).upper()}"


def _pasted_twice(draw: random.Random) -> str:
    once = "\n".join(prose(draw, 1) for _ in range(12))
    return f"{once}\n{once}"


def _template(draw: random.Random) -> str:
    line = f"{prose(draw, 1)[:-1]} and then {prose(draw, 1)[:-1]}"
    return "\n".join(f"{line} {word(draw)}." for _ in range(12))


BROKEN: dict[str, Callable[[random.Random], str]] = {
    "word_count": lambda draw: prose(draw, draw.randint(3, 5)),
    "stop_words": lambda draw: " ".join(draw.choices(WORDS, k=200)),
    "marks": _marks,
    "long_words": _long_words,
    "leaders": lambda draw: _lines(draw, 60, "the {} " + "." * 60 + " {}"),
    "code": lambda draw: f"{prose(draw, 8)}\n```\n{prose(draw, 20)}\n```",
    "table": lambda draw: f"{prose(draw, 5)}\n{_lines(draw, 40, '| the {} is {} | of the {} |')}",
    "capitals": _capitals,
    "teasers": lambda draw: _lines(draw, 24, "What the {} of the {} did next ..."),
    "pasted_twice": _pasted_twice,
    "template": _template,
}
"""Kind of document -> its text, which one rule about texts drops."""
