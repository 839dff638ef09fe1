"""Preset files of one's own: what they inherit, what their parts mean, and the whole of each message."""

from __future__ import annotations

import hashlib

import pytest

from filters import presets
from schemas.errors import UserError
from schemas.records import Document, Drop, Image, SizedImage, Text
from tests.filters.documents import document

BASE = """
about: a base
source: a paper
document: [{rule: text.word_count, at_least: 3}, {rule: text.flagged_words, word_list: flagged, at_most: 0}]
image: [{rule: image.longer_side, at_most: 90}]
after_images: [{rule: text.image_count, at_least: 1}]
word_lists: {flagged: "words that\\n are bad"}
missing: {nsfw: no classifier}
coherence: {model: CLIP}
"""


@pytest.fixture
def own(tmp_path):
    """Writes own.yaml, which may extend base.yaml, and gives its path."""
    (tmp_path / "base.yaml").write_text(BASE)

    def write(content: str) -> str:
        (tmp_path / "own.yaml").write_text(content.replace("BASE", f"{tmp_path}/base.yaml"))
        return f"{tmp_path}/own.yaml"

    return write


def message(*arguments) -> str:
    with pytest.raises(UserError) as error:
        presets.load(*arguments)
    return str(error.value)


def rules(found):
    return [(rule.name, dict(rule.arguments)) for rule in found]


def test_the_rules_of_the_base_come_first_and_its_lists_and_missing_parts_are_inherited(own, tmp_path):
    path = own(
        """
extends: BASE
about: mine
document: [{rule: text.word_count, at_most: 9, source: me, unit: words}]
image: [{rule: image.shorter_side, at_least: 5}]
after_images: [{rule: text.image_count, at_most: 4}]
word_lists: {rare: rare words}
missing: {blur: no measure}
"""
    )
    (tmp_path / "flagged.txt").write_text("  Bad \n\nNew York\nworse")
    preset = presets.load(path, ["nsfw", "blur", "rare"], {"flagged": f"{tmp_path}/flagged.txt"})
    flagged = frozenset({"bad", "new york", "worse"})
    assert rules(preset.document_rules) == [
        ("text.word_count", {"at_least": 3}),
        ("text.flagged_words", {"at_most": 0, "words": flagged}),
        ("text.word_count", {"at_most": 9}),
    ]
    assert rules(preset.image_rules) == [
        ("image.longer_side", {"at_most": 90}),
        ("image.shorter_side", {"at_least": 5}),
    ]
    assert rules(preset.after_images) == [("text.image_count", {"at_least": 1}), ("text.image_count", {"at_most": 4})]
    assert (preset.name, preset.about, preset.source) == ("own", "mine", "a paper")
    assert preset.missing == {"nsfw": "no classifier", "blur": "no measure"}
    assert preset.coherence == {"model": "CLIP"}
    assert [(rule.source, rule.unit) for rule in preset.document_rules] == [("", ""), ("", ""), ("me", "words")]
    digest = hashlib.sha256(b"bad\nnew york\nworse").hexdigest()[:16]
    assert presets.as_dict(preset) == {
        "document": [
            {"rule": "text.word_count", "at_least": 3},
            {"rule": "text.flagged_words", "at_most": 0, "words": digest},
            {"rule": "text.word_count", "at_most": 9},
        ],
        "image": [{"rule": "image.longer_side", "at_most": 90}, {"rule": "image.shorter_side", "at_least": 5}],
        "after_images": [{"rule": "text.image_count", "at_least": 1}, {"rule": "text.image_count", "at_most": 4}],
    }


def test_an_empty_mapping_is_a_preset_without_rules(own):
    preset = presets.load(own("{extends: null, word_lists: null, missing: null, coherence: null}"))
    assert (preset.document_rules, preset.image_rules, preset.after_images) == ((), (), ())
    assert (preset.about, preset.source, preset.missing, preset.coherence) == ("", "", {}, {})
    assert presets.as_dict(preset) == {"document": [], "image": [], "after_images": []}


def test_what_a_base_may_be(own, tmp_path):
    path = own("extends: [gopher]")
    assert message(path) == f"{path}: extends must be a string, not ['gopher']"
    (tmp_path / "middle.yaml").write_text(f"extends: {tmp_path}/base.yaml")
    path = own(f"extends: {tmp_path}/middle.yaml")
    assert message(path) == (
        f"{path}: extends {tmp_path}/middle.yaml, which extends another preset itself; extend that one instead."
    )
    assert message(own("extends: none")) == (
        "There is no preset 'none'; use one of curator, gopher, leafinstruct, mmc4, mmc4-core, obelics, omnicorpus, "
        "or the path of a .yaml file."
    )


def test_missing_parts_are_named_with_their_reasons_and_what_to_do(own):
    path = own("extends: BASE")
    assert message(path) == (
        "The preset own needs something that is missing: flagged (words that are bad); nsfw (no classifier). Give each "
        "word list as a file under word_lists, or go without by naming them: accept_missing: [flagged, nsfw]."
    )
    assert message(path, ["flagged"]) == (
        "The preset own needs something that is missing: nsfw (no classifier). Go without by naming them: "
        "accept_missing: [nsfw]."
    )


def test_what_a_preset_does_not_need_is_refused_with_what_it_does(own):
    path = own("extends: BASE")
    assert message(path, ["z", "blur"]) == (
        "accept_missing names 'blur', which the preset own does not need; it needs flagged, nsfw."
    )
    assert message(path, [], {"nsfw": "x"}) == (
        "word_lists names 'nsfw', which the preset own does not need; it needs flagged."
    )
    assert message(own("{}"), ["blur"]) == (
        "accept_missing names 'blur', which the preset own does not need; it needs nothing."
    )


KEYS = "about, after_images, coherence, content, document, extends, image, missing, personal_data, source, word_lists"
DOCUMENT = "rules here are functions of filters.text and filters.repetition, or your own by their full name."


@pytest.mark.parametrize(
    "content, said",
    [
        ("- a", f" must be a mapping with the keys {KEYS}."),
        ("{z: 1, 2: b}", f": unknown key 2; the keys are {KEYS}."),
        ("{missing: [a]}", ": missing must map names to strings"),
        ("{after_images: a}", ": after_images: the rules must be a list, and each of them must be a mapping."),
        (
            "document: [{rule: text.code, word_list: w, at_most: 1}]",
            ": document: word_list 'w' is not among word_lists.",
        ),
        (
            "document: [{rule: text.word_count, 1: 2, atleast: 3}]",
            ": document: text.word_count has no argument 1; it takes at_least, at_most.",
        ),
        ("after_images: [{rule: text.code}]", ": after_images: text.code needs the argument 'at_most'."),
        (
            "document: [{rule: duplicate_lines}]",
            ": document: there is no rule 'duplicate_lines' (give it with its module: repetition.duplicate_lines); "
            + DOCUMENT,
        ),
        ("document: [{rule: text.within}]", f": document: there is no rule 'text.within'; {DOCUMENT}"),
        (
            "image: [{rule: image.within}]",
            ": image: there is no rule 'image.within'; rules here are functions of filters.image, or your own by their "
            "full name.",
        ),
        (
            "document: [{rule: no_such.rule}]",
            f": document: there is no rule 'no_such.rule' (No module named 'no_such'); {DOCUMENT}",
        ),
        ("document: [{rule: filters.text._share}]", f": document: there is no rule 'filters.text._share'; {DOCUMENT}"),
    ],
)
def test_messages_name_the_file_the_key_and_what_is_possible(own, content, said):
    path = own(content)
    assert message(path) == path + said


def test_a_file_that_cannot_be_decoded_is_named(tmp_path):
    (tmp_path / "own.yaml").write_bytes(b"about: \xff")
    assert message(f"{tmp_path}/own.yaml") == f"{tmp_path}/own.yaml is not UTF-8."
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "words").write_bytes(b"\xff")
    said = message(f"{tmp_path}/base.yaml", ["nsfw"], {"flagged": f"{tmp_path}/words"})
    assert said.startswith(f"The word list {tmp_path}/words cannot be read ('utf-8' codec can't decode byte 0xff")
    assert said.endswith("); give a UTF-8 file with one word per line.")


def test_a_rule_by_its_full_name_may_be_in_a_package(own):
    preset = presets.load(own("document: [{rule: filters.text.word_count, at_least: 3}]"))
    assert presets.filter_document(document("one two"), preset.document_rules) == Drop("word_count", 2, 3)


def test_a_sized_image_keeps_what_its_source_says():
    found = presets.as_sized(Image("a.jpg", "A kettle", "Figure 1", width=3, height=4))
    assert found == SizedImage("a.jpg", "A kettle", "Figure 1", width=3, height=4)
    assert presets.as_sized(found) is found


def test_the_first_rule_that_drops_an_image_is_recorded_and_the_others_stay(own):
    preset = presets.load(
        own("image: [{rule: image.longer_side, at_most: 9}, {rule: image.shorter_side, at_least: 8}]")
    )
    page = Document(
        "d", "s", (Text("Text."), *(Image("a.jpg", width=w, height=h) for w, h in ((9, 1), (10, 1), (8, 9))))
    )
    left = presets.filter_images(page, preset.image_rules)
    assert [(drop.index, drop.drop) for drop in left.dropped_images] == [
        (0, Drop("shorter_side", 1, 8)),
        (1, Drop("longer_side", 10, 9)),
    ]
    assert [image.width for image in left.images] == [8]
