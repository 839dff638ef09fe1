"""The language of a document, as a rule of a preset."""

from __future__ import annotations

import pytest

from filters import presets
from filters.language import probability
from filters.stats import TextStats
from schemas.records import Document, Text

TEXTS = {
    "en": "Boil the water in a kettle until the steam rises, and pour it slowly over the leaves.",
    "de": "Koche das Wasser im Kessel, bis der Dampf aufsteigt, und gieße es langsam über die Blätter.",
    "fr": "Faites bouillir l'eau dans une bouilloire et versez-la lentement sur les feuilles.",
    "ja": "やかんで水を沸かし、湯気が立ったらゆっくりと茶葉に注ぎます。",
}


def drop(text, *allowed, at_least=0.5):
    return probability(TextStats(Document("d", "s", (Text(text),))), allowed=list(allowed), at_least=at_least)


@pytest.mark.parametrize("language", TEXTS)
def test_a_text_in_an_allowed_language_stays_and_another_goes(language):
    assert drop(TEXTS[language], language) is None
    others = [name for name in TEXTS if name != language]
    found = drop(TEXTS[language], *others)
    assert (found.rule, found.threshold) == ("language", 0.5) and found.value < 0.5
    assert drop(TEXTS[language], *TEXTS) is None


def test_a_text_of_no_words_is_in_no_language():
    assert drop("", "en").value < 0.1 and drop("1 + 1 = 2", "en").value < 0.5


def test_a_preset_names_it_like_any_other_rule(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "document:\n  - {rule: filters.language.probability, allowed: [en], at_least: 0.5, source: ours}\n"
    )
    rules = presets.load(str(tmp_path / "own.yaml")).document_rules
    assert presets.filter_document(Document("d", "s", (Text(TEXTS["en"]),)), rules) is None
    assert presets.filter_document(Document("d", "s", (Text(TEXTS["de"]),)), rules).rule == "language"
