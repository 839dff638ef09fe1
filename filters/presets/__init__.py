"""Presets: which rules are applied to a document and its images, with which thresholds, and the source of each number.

A preset is a YAML file in this folder, or a file of the user's. Its keys (`docs/filters.md` has an example):

    about, source       what it is and which publication or file the numbers come from
    extends             another preset, whose rules come first; its word lists and missing parts are inherited too
    document            rules about the document: functions of filters.text and filters.repetition, or your own by their
                        full name (`my_rules.allowed_license`); each gets the document's `TextStats`
    image               rules about one image: functions of filters.image, or your own; each gets a `SizedImage`
    after_images        document rules that count images, applied after the bad images are removed
    content             rules about what an image shows: functions of filters.content, each at most once; needs models
    word_lists          lists that rules of this preset read, name -> what it must contain; the user gives the files
    personal_data       kinds of personal data that are replaced before the rules see a text (filters.personal_data)
    missing             parts of the recipe that this package does not apply, name -> why and what to do instead
    coherence           the recipe's text-image thresholds and the model they belong to: only information, because these
                        numbers are not valid for another model; the pipeline uses `coherence` of its configuration
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from filters.drop_images import AnyDocument, drop_images
from filters.personal_data import KINDS
from filters.presets.rules import ContentRule, DocumentRule, ImageRule, Rule, parse
from filters.stats import TextStats
from schemas import settings
from schemas.errors import UserError
from schemas.records import Document, Drop, Image, SizedImage
from schemas.stage_names import FILTER_HEADERS

FOLDER = pathlib.Path(__file__).parent
KEYS = {
    *("about", "source", "extends", "document", "image", "after_images", "content", "word_lists", "personal_data"),
    *("missing", "coherence"),
}
SECTIONS = ("document", "image", "after_images", "content")
"""The keys with rules."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """The rules of a preset, ready to call."""

    name: str
    document_rules: tuple[DocumentRule, ...]
    image_rules: tuple[ImageRule, ...]
    after_images: tuple[DocumentRule, ...]
    about: str
    source: str
    missing: Mapping[str, str]
    coherence: Mapping[str, object]
    personal_data: tuple[str, ...] = ()
    content_rules: tuple[ContentRule, ...] = ()


def names() -> list[str]:
    """The presets that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name_or_path: str, accept_missing: Iterable[str] = (), word_lists: Mapping[str, str] | None = None) -> Preset:
    """The preset of that name, or the one in that YAML file (a path ends with .yaml).

    A preset with missing parts is refused unless `accept_missing` names each of them; a word list may be given instead
    as a file with one word per line (`word_lists`: name -> path). Raises UserError for an unknown preset, rule,
    argument or key, and for missing parts that were not accepted.

    >>> [rule.name for rule in load("mmc4", ["nsfw", "repeated_images", "image_hash"]).image_rules]
    ['image.shorter_side', 'image.aspect_ratio']
    """
    path = _path(name_or_path)
    content = _extended(path)
    accepted, lists = set(accept_missing), dict(word_lists or {})
    wanted, missing = content["word_lists"], content["missing"]
    _refuse(path.stem, "accept_missing", accepted, {**wanted, **missing})
    _refuse(path.stem, "word_lists", set(lists), wanted)
    absent = {name: why for name, why in {**wanted, **missing}.items() if name not in accepted and name not in lists}
    if absent:
        how = "; ".join(f"{name} ({' '.join(why.split())})" for name, why in absent.items())
        files = "Give each word list as a file under word_lists, or go" if wanted.keys() & absent.keys() else "Go"
        raise UserError(
            f"The preset {path.stem} needs something that is missing: {how}. {files} without by naming "
            f"them: accept_missing: [{', '.join(absent)}]."
        )
    for section in SECTIONS:
        for entry in content[section]:
            if "word_list" in entry and entry["word_list"] not in list(wanted):  # a list, for it may be anything
                raise UserError(f"{path}: {section}: word_list {entry['word_list']!r} is not among word_lists.")
    words = {name: _words(file) for name, file in lists.items()}
    rules: dict[str, tuple[Rule[Any], ...]] = {
        section: tuple(
            parse(path, section, entry, words)
            for entry in content[section]
            if entry.get("word_list") is None or entry["word_list"] in words
        )
        for section in SECTIONS
    }
    once = [rule.name for rule in rules["content"]]
    if twice := next((name for name in once if once.count(name) > 1), None):
        raise UserError(f"{path}: content: {twice} is given more than once, also by extends; give one of them.")
    return Preset(
        path.stem,
        rules["document"],
        rules["image"],
        rules["after_images"],
        content.get("about", ""),
        content.get("source", ""),
        missing,
        content.get("coherence") or {},
        tuple(content.get("personal_data") or ()),
        rules["content"],
    )


def with_english(preset: Preset) -> Preset:
    """The preset. Raises UserError if it asks for languages without English, in which instructions are checked."""
    for rule in preset.document_rules:
        if rule.name == "filters.language.probability" and "en" not in rule.arguments["allowed"]:
            raise UserError(
                f"The preset {preset.name} allows only documents in {', '.join(rule.arguments['allowed'])}, but "
                "instructions are written and checked in English (filters/instruction.py), so hardly any document would "
                "be kept after all questions to the language model. Add en to allowed of filters.language.probability."
            )
    return preset


def as_dict(preset: Preset) -> dict[str, list[Any]]:
    """The preset's rules with their arguments as plain JSON types; `content` and the kinds of personal data if any.

    A word list is replaced by the first 16 hex digits of the sha256 of its sorted words.
    """

    def entry(rule: DocumentRule | ImageRule | ContentRule) -> dict[str, Any]:
        arguments = {key: _digest(value) if key == "words" else value for key, value in rule.arguments.items()}
        return {"rule": rule.name, **arguments}

    optional: dict[str, list[Any]] = {
        "content": [entry(rule) for rule in preset.content_rules],
        "personal_data": list(preset.personal_data),
    }
    return {
        "document": [entry(rule) for rule in preset.document_rules],
        "image": [entry(rule) for rule in preset.image_rules],
        "after_images": [entry(rule) for rule in preset.after_images],
    } | {key: value for key, value in optional.items() if value}


def _digest(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()[:16]


def filter_document(document: Document, rules: Iterable[DocumentRule]) -> Drop | None:
    """The first Drop of these rules (in their order); None if the document passes all of them."""
    stats = TextStats(document)
    return next((drop for rule in rules if (drop := rule(stats))), None)


def filter_images(document: AnyDocument, rules: Iterable[ImageRule]) -> AnyDocument:
    """The document without the images that a rule drops; each is recorded in `dropped_images` with its first Drop.

    An image of unknown size passes: filter again after it is stored, when every size is known. The result may have no
    images: apply the preset's `after_images` rules to it.
    """
    rules = tuple(rules)
    drops = {}
    for position, found in enumerate(document.images):
        if (sized := as_sized(found)) and (drop := next((no for rule in rules if (no := rule(sized))), None)):
            drops[position] = drop
    return drop_images(document, drops, FILTER_HEADERS)


def as_sized(image: Image) -> SizedImage | None:
    """The image as one of known size; None if its source does not state both sides."""
    if isinstance(image, SizedImage):
        return image
    if image.width is None or image.height is None:
        return None
    return SizedImage(image.uri, image.alt, image.caption, width=image.width, height=image.height)


def _path(name_or_path: str) -> pathlib.Path:
    path = pathlib.Path(name_or_path) if name_or_path.endswith(".yaml") else FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        raise UserError(
            f"There is no preset {name_or_path!r}; use one of {', '.join(names())}, or the path of a .yaml file."
        )
    return path


def _extended(path: pathlib.Path) -> dict[str, Any]:
    """The content of a preset file, together with that of the preset which it extends."""
    content = _read(path)
    if content.get("extends") is None:
        return content
    base = settings.build(str, content["extends"], str(path), "extends")
    joined = _read(_path(base))
    if "extends" in joined:
        raise UserError(f"{path}: extends {base}, which extends another preset itself; extend that one instead.")
    for section in SECTIONS:
        content[section] = joined[section] + content[section]
    for section in ("word_lists", "missing"):
        content[section] = joined[section] | content[section]
    return joined | content


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        content = settings.parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping with the keys {', '.join(sorted(KEYS))}.")
    if unknown := set(content) - KEYS:
        raise UserError(f"{path}: unknown key {min(unknown, key=str)!r}; the keys are {', '.join(sorted(KEYS))}.")
    for section in SECTIONS:
        entries = content.setdefault(section, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path}: {section}: the rules must be a list, and each of them must be a mapping.")
    kinds = settings.build(tuple[str, ...], content.get("personal_data") or [], str(path), "personal_data")
    if unknown := set(kinds) - set(KINDS):
        raise UserError(f"{path}: personal_data: there is no {min(unknown)!r}; the kinds are {', '.join(KINDS)}.")
    for section in ("word_lists", "missing"):
        content[section] = settings.build(dict[str, str], content.get(section) or {}, str(path), section)
    return content


def _words(file: str) -> frozenset[str]:
    try:
        lines = pathlib.Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"The word list {file} cannot be read ({error}); give a UTF-8 file with one word per line."
        ) from None
    return frozenset(line.strip().lower() for line in lines if line.strip())


def _refuse(preset: str, key: str, given: set[str], known: Mapping[str, str]) -> None:
    if unknown := given - set(known):
        raise UserError(
            f"{key} names {min(unknown)!r}, which the preset {preset} does not need"
            + (f"; it needs {', '.join(known)}." if known else "; it needs nothing.")
        )
