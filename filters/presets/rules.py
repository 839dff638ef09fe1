"""One rule of a preset: a function with its arguments, as a line of the preset's YAML names it."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from filters import content, image, repetition, text
from filters.stats import TextStats
from schemas import settings
from schemas.errors import UserError, one_line
from schemas.own_modules import imported
from schemas.records import Drop, SizedImage

MODULES = {"text": text, "repetition": repetition, "image": image, "content": content}
NOTES = {"rule", "source", "unit"}  # keys of a rule that are not arguments

Subject = TypeVar("Subject", TextStats, SizedImage, float)


@dataclasses.dataclass(frozen=True)
class Rule(Generic[Subject]):
    """A rule with its arguments; called with what it judges, it returns a Drop or None.

    It judges a document's `TextStats`, a `SizedImage`, or a value that was measured. name: as the preset spells it. source, unit: where its threshold comes from, and what it counts.
    """

    name: str
    function: Callable[..., Drop | None]
    arguments: Mapping[str, Any]
    source: str = ""
    unit: str = ""

    def __call__(self, subject: Subject) -> Drop | None:
        found = self.function(subject, **self.arguments)
        if found is not None and not isinstance(found, Drop):  # False would silently keep everything
            raise UserError(f"the rule {self.name} must return None or a Drop, not {one_line(repr(found), 80)}")
        return found


DocumentRule = Rule[TextStats]
ImageRule = Rule[SizedImage]
ContentRule = Rule[float]


def parse(path: pathlib.Path, section: str, entry: dict[str, Any], words: Mapping[str, frozenset[str]]) -> Rule[Any]:
    """`{rule: text.word_count, at_least: 50, ...}` as a callable."""
    name = entry.get("rule")
    function = _function(path, section, name)
    arguments = {key: value for key, value in entry.items() if key not in NOTES}
    parameters = {  # by their keys in the preset, which gives `words` by the name of a list
        "word_list" if p.name == "words" else p.name: p
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    if unknown := set(arguments) - set(parameters):
        raise UserError(
            f"{path}: {section}: {name} has no argument {min(unknown, key=str)!r}; it takes {', '.join(parameters)}."
        )
    if left := [key for key, p in parameters.items() if p.default is p.empty and key not in arguments]:
        raise UserError(f"{path}: {section}: {name} needs the argument {left[0]!r}.")
    if "word_list" in arguments:
        arguments["words"] = words[arguments.pop("word_list")]
    for key, value in arguments.items():
        where = f"{section}: {name}: {key}"
        if key == "allowed":
            settings.build(tuple[str, ...], value, str(path), where)
        elif key != "words":
            settings.number(value, str(path), where)
            whole = key not in ("at_least", "at_most") and parameters[key].annotation in (int, "int")
            if whole and settings.build(int, value, str(path), where) < 1:
                raise UserError(f"{path}: {where} must be at least 1, not {value}")
    least, most = arguments.get("at_least"), arguments.get("at_most")
    if least is not None and most is not None and least > most:
        raise UserError(f"{path}: {section}: {name}: at_least is {least}, above at_most, which is {most}.")
    return Rule(str(name), function, arguments, entry.get("source", ""), entry.get("unit", ""))


def _function(path: pathlib.Path, section: str, name: object) -> Callable[..., Drop | None]:
    """The function with the name of a rule: `text.word_count` of this package, or any `module.function`."""
    module, _, attribute = str(name).rpartition(".")
    ours = {"image": ("image",), "content": ("content",)}.get(section, ("text", "repetition"))
    known = " and ".join(f"filters.{m}" for m in ours) + ", or your own by their full name" * (section != "content")
    try:
        if name and not module:  # as the ledger and the funnel name it
            home = next((m for m in ours if hasattr(MODULES[m], attribute)), "MODULE")
            raise ValueError(f"give it with its module: {home}.{attribute}")
        if section == "content" and module != "content":
            raise ValueError("each of them has its own measure")
        what = f"{path}: {section}: the module of the rule {name}"
        found = getattr(MODULES[module] if module in ours else imported(module, what), attribute, None)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{path}: {section}: there is no rule {name!r} ({error}); rules here are functions of {known}."
        ) from None
    if (
        not inspect.isfunction(found)
        or attribute.startswith("_")
        or (module in ours and found.__module__ != MODULES[module].__name__)
    ):
        raise UserError(f"{path}: {section}: there is no rule {name!r}; rules here are functions of {known}.")
    return found
