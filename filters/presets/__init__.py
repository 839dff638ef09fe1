"""Named presets: which rules judge a document and its images, with which thresholds, and where each number is from.

A preset is a YAML file beside this one, or any such file of the user's. Its keys (`docs/filters.md` has an example):

    about, source       what it is and which publication or file the numbers come from
    document            rules of filters.text and filters.repetition about the text
    image               rules of filters.image about one picture each
    after_images        document rules that count images, judged once the bad images are out
    word_lists          lists that rules of this preset read, name -> what it must hold; the user gives the files
    missing             parts of the recipe that this package does not apply, name -> why and what to do instead
    coherence           the recipe's text-image thresholds and the model they belong to: for reading only, because such
                        numbers mean nothing for another model; the pipeline uses the `coherence` of its configuration
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import pathlib
from collections.abc import Callable, Iterable, Mapping

from filters import image, repetition, text
from filters.drop_images import drop_images
from filters.stats import TextStats
from schemas import settings
from schemas.errors import UserError
from schemas.records import Document, Drop

FOLDER = pathlib.Path(__file__).parent
MODULES = {"text": text, "repetition": repetition, "image": image}
KEYS = {"about", "source", "document", "image", "after_images", "word_lists", "missing", "coherence"}
NOTES = {"rule", "source", "unit", "word_list"}         # keys of a rule that are no arguments

Rule = Callable[..., "Drop | None"]


@dataclasses.dataclass(frozen=True)
class Preset:
    """The rules of a preset, ready to call: each is a `functools.partial` with the rule's name as `.rule`, its
    origin as `.source` and its unit as `.unit`."""

    name: str
    document_rules: tuple[Rule, ...]
    image_rules: tuple[Rule, ...]
    after_images: tuple[Rule, ...]
    about: str
    source: str
    missing: Mapping[str, str]
    coherence: Mapping[str, object]


def names() -> list[str]:
    """The presets that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name_or_path: str, accept_missing: Iterable[str] = (), word_lists: Mapping[str, str] | None = None) -> Preset:
    """The preset of that name, or the one in that YAML file (a path ends with .yaml).

    A preset that names parts it cannot apply is refused unless `accept_missing` names each of them; a word list may
    be given instead as a file of one word a line (`word_lists`: name -> path). Raises UserError for an unknown preset,
    rule, argument or key, and for anything missing that was not accepted.
    """
    path = pathlib.Path(name_or_path) if name_or_path.endswith(".yaml") else FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        raise UserError(f"There is no preset {name_or_path!r}; use one of {', '.join(names())}, "
                        "or the path of a .yaml file.")
    content = _read(path)
    accepted, lists = set(accept_missing), dict(word_lists or {})
    wanted, missing = content["word_lists"], content["missing"]
    _refuse(path.stem, "accept_missing", accepted, {**wanted, **missing})
    _refuse(path.stem, "word_lists", set(lists), wanted)
    absent = {name: why for name, why in {**wanted, **missing}.items() if name not in accepted and name not in lists}
    if absent:
        how = "; ".join(f"{name} ({' '.join(why.split())})" for name, why in absent.items())
        files = "Give each word list as a file under word_lists, or go" if wanted.keys() & absent.keys() else "Go"
        raise UserError(f"The preset {path.stem} needs what is not here: {how}. {files} without by naming them: "
                        f"accept_missing: [{', '.join(absent)}].")
    for entry in content["document"]:
        if "word_list" in entry and entry["word_list"] not in list(wanted):     # a list, for it may be anything
            raise UserError(f"{path}: document: word_list {entry['word_list']!r} is not among word_lists.")
    words = {name: _words(file) for name, file in lists.items()}
    rules = {section: tuple(_rule(path, section, entry, words) for entry in content[section]
                            if entry.get("word_list") is None or entry["word_list"] in words)
             for section in ("document", "image", "after_images")}
    return Preset(path.stem, rules["document"], rules["image"], rules["after_images"], content.get("about", ""),
                  content.get("source", ""), missing, content.get("coherence") or {})


def as_dict(preset: Preset) -> dict[str, list[dict]]:
    """The preset's rules with their arguments as plain JSON types; of a word list the sha256 (its first 16 hex digits)
    of its sorted words."""
    def entry(rule: Rule) -> dict:
        arguments = {key: _digest(value) if key == "words" else value for key, value in rule.keywords.items()}
        return {"rule": f"{rule.func.__module__.removeprefix('filters.')}.{rule.rule}", **arguments}
    return {section: [entry(rule) for rule in rules] for section, rules in (
        ("document", preset.document_rules), ("image", preset.image_rules), ("after_images", preset.after_images))}


def _digest(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()[:16]


def judge_document(document: Document, rules: Iterable[Rule]) -> Drop | None:
    """The first no of these document rules (in their order); None where all let the document pass."""
    stats = TextStats.of(document)
    return next((drop for rule in rules if (drop := rule(stats))), None)


def judge_images(document: Document, rules: Iterable[Rule]) -> Document:
    """The document without the images to which a rule says no; each goes to `dropped_images` with its first no.

    An image of unknown size goes on: judge again when it is stored, for then every size is known. A document may be
    left without images: judge the result with the preset's `after_images`.
    """
    rules = tuple(rules)
    drops = {position: drop for position, picture in enumerate(document.images)
             if picture.width is not None and picture.height is not None
             and (drop := next((no for rule in rules if (no := rule(picture))), None))}
    return drop_images(document, drops, "image_rules")


def _read(path: pathlib.Path) -> dict:
    try:
        content = settings.parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping with the keys {', '.join(sorted(KEYS))}.")
    if unknown := set(content) - KEYS:
        raise UserError(f"{path}: unknown key {min(unknown, key=str)!r}; the keys are {', '.join(sorted(KEYS))}.")
    for section in ("document", "image", "after_images"):
        entries = content.setdefault(section, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path}: {section}: the rules must be a list, and each of them must be a mapping.")
    for section in ("word_lists", "missing"):
        content[section] = settings.build(dict[str, str], content.get(section) or {}, str(path), section)
    return content


def _rule(path: pathlib.Path, section: str, entry: dict, words: Mapping[str, frozenset[str]]) -> Rule:
    """`{rule: text.word_count, at_least: 50, ...}` as a callable."""
    modules = {"image"} if section == "image" else {"text", "repetition"}
    module, _, name = str(entry.get("rule")).partition(".")
    function = getattr(MODULES[module], name, None) if module in modules and not name.startswith("_") else None
    if not inspect.isfunction(function) or function.__module__ != MODULES[module].__name__:
        raise UserError(f"{path}: {section}: there is no rule {entry.get('rule')!r}; rules here are functions of "
                        f"{' and '.join(f'filters.{m}' for m in sorted(modules))}.")
    arguments = {key: value for key, value in entry.items() if key not in NOTES}
    if "word_list" in entry:
        arguments["words"] = words[entry["word_list"]]
    parameters = {p.name: p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    if unknown := set(arguments) - set(parameters):
        raise UserError(f"{path}: {section}: {entry['rule']} has no argument {min(unknown, key=str)!r}; "
                        f"it takes {', '.join(parameters)}.")
    if left := [p.name for p in parameters.values() if p.default is p.empty and p.name not in arguments]:
        raise UserError(f"{path}: {section}: {entry['rule']} needs the argument {left[0]!r}.")
    for key, value in arguments.items():
        where = f"{section}: {entry['rule']}: {key}"
        if key == "allowed":
            settings.build(tuple[str, ...], value, str(path), where)
        elif key != "words":
            settings.number(value, str(path), where)
    rule = functools.partial(function, **arguments)
    rule.rule, rule.source, rule.unit = name, entry.get("source", ""), entry.get("unit", "")
    return rule


def _words(file: str) -> frozenset[str]:
    try:
        lines = pathlib.Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The word list {file} cannot be read ({error}); give a UTF-8 file of one word a line."
                        ) from None
    return frozenset(line.strip().lower() for line in lines if line.strip())


def _refuse(preset: str, key: str, given: set[str], known: Mapping[str, str]) -> None:
    if unknown := given - set(known):
        raise UserError(f"{key} names {min(unknown)!r}, which the preset {preset} does not need"
                        + (f"; it needs {', '.join(known)}." if known else "; it needs nothing."))
