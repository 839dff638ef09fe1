"""The two prompts for the language model about an excerpt: rate its text, and write its instruction.

A prompt set is a folder. `embedded/`, `instruct/` and `vision/` come with the package; the configuration's `prompts`
names one of them or any other folder. It contains

    prompts.yaml            about, the system message, how many words of an image's alternative text, of its caption
                            and of the text in it are shown (`shown.py`), and whether the model gets the `pictures`
                            themselves; `extends: embedded` (or `instruct`) takes from that set what the folder
                            does not have
    rate/question.jinja     the template of the question for ratings; its variables are `text`, `fence` and `aspects`
    rate/aspects.yaml       what is rated: the only place that declares a rating aspect
    write/question.jinja    the template of the question for the instruction; its variables are `text`, `fence`,
                            `domains` and `wording`, a sentence that says how to word it
    write/wordings.yaml     how instructions are worded (`wordings.py`); optional

`embedded` is for the small model that comes with the package, `instruct` for instruct models of 7 billion parameters and
more, `vision` for such models that see pictures. `fence` is a word that the text cannot contain, to be written before and behind it. Control tokens of the served
model are broken up in the text: see `control.py`.

The excerpt comes first and the question last, with the same system message, so that a server with a prefix cache (vLLM
has one by default) processes the text once for both. The excerpt's title is never shown: the instruction has to come
from the text, and a heading that states it would be copied.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import jinja2

from filters.quality import GRADES, Aspect
from prompts import control, wordings
from prompts.shown import Shown, shown_segments
from prompts.wordings import Wordings
from schemas import settings
from schemas.errors import UserError
from schemas.jsonschema import ASPECT
from schemas.records import Document, StoredImage

FOLDER = pathlib.Path(__file__).parent
_NEEDED = ("rate/question.jinja", "rate/aspects.yaml", "write/question.jinja")
_FILES = ("prompts.yaml", *_NEEDED, "write/wordings.yaml")
_TEMPLATES = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False)


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What is sent (`messages`, in OpenAI's format), and the JSON Schema of the answer.

    pictures: the hashes of stored pictures, which go before the last message's text.
    """

    messages: tuple[dict[str, str], ...]
    schema: dict[str, Any]
    pictures: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class PromptSet:
    """The wording of both prompts; `rate` and `write` are the texts of Jinja templates.

    >>> [aspect.name for aspect in load("embedded").aspects]
    ['fluency', 'text_coherence', 'completeness', 'usefulness']
    """

    name: str
    system: str
    shown: Shown
    aspects: tuple[Aspect, ...]
    rate: str
    write: str
    wordings: Wordings = Wordings()
    control: tuple[str, ...] = control.TOKENS

    @property
    def aspect_names(self) -> tuple[str, ...]:
        """The names of the ratings."""
        return tuple(aspect.name for aspect in self.aspects)

    def rate_prompt(self, document: Document) -> Prompt:
        """The prompt for the ratings of a document."""
        return self._prompt(self.rate, _rate_schema(self.aspects), document, aspects=self.aspects)

    def write_prompt(self, document: Document, domains: Sequence[str], wording: str = "") -> Prompt:
        """The prompt for the instruction and the domain of a document.

        The domain is one of `domains`; `wording` is a sentence that says how to word the instruction.
        """
        return self._prompt(self.write, _write_schema(domains), document, domains=domains, wording=wording)

    def rate_version(self) -> str:
        """12 hex digits that change with the wording, the system message, the aspects or the answer's schema."""
        aspects = [dataclasses.astuple(aspect) for aspect in self.aspects]
        return self._version(self.rate, [_rate_schema(self.aspects), aspects])

    def write_version(self, domains: Sequence[str]) -> str:
        """12 hex digits that change with the question, the wordings, the system message or the domains."""
        return self._version(self.write, [_write_schema(domains), dataclasses.asdict(self.wordings)])

    def _version(self, template: str, decisive: list[Any]) -> str:
        text = json.dumps([self.system, dataclasses.astuple(self.shown), template, *decisive], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _prompt(self, template: str, schema: dict[str, Any], document: Document, **variables: Any) -> Prompt:
        text = control.broken_up("\n\n".join(shown_segments(document, self.shown)), self.control)
        fence = hashlib.sha256(text.encode()).hexdigest()[:16]  # no text contains the hash of itself
        question = _compiled(template).render(text=text, fence=fence, **variables)
        pictures = [image.sha256 for image in document.images if isinstance(image, StoredImage)]
        return Prompt(
            ({"role": "system", "content": self.system}, {"role": "user", "content": question}),
            schema,
            tuple(pictures) if self.shown.pictures else (),
        )


@functools.lru_cache(maxsize=64)
def _compiled(template: str) -> jinja2.Template:
    """The template, compiled once in a process: that takes twenty times as long as a question without it."""
    return _TEMPLATES.from_string(template)


def names() -> list[str]:
    """The prompt sets that come with the package."""
    return sorted(path.parent.name for path in FOLDER.glob("*/prompts.yaml"))


def load(name_or_folder: str) -> PromptSet:
    """The prompt set of that name, or the one in that folder (a path with a slash).

    Raises UserError for an unknown set, a missing file or key, and a template that does not render.
    """
    folder, head = _folder(name_or_folder)
    folders = [folder] + ([FOLDER / head.extends] if head.extends else [])
    if head.extends:
        whole = {name: base for name in names() if not (base := _folder(name)[1]).extends}
        if head.extends not in whole:
            raise UserError(f"{folder}/prompts.yaml: extends must be one of {', '.join(whole)}, not {head.extends!r}")
        base = whole[head.extends]
        own = {name: value for name, value in dataclasses.asdict(head).items() if value is not None}
        head = dataclasses.replace(base, **own)

    _refuse_others(folder)
    for key in ("alt_words", "caption_words", "ocr_words"):
        if (getattr(head, key) or 0) < 0:
            raise UserError(f"{folder}/prompts.yaml: {key} must be at least 0, not {getattr(head, key)}")

    def file(name: str) -> pathlib.Path:
        if found := next((path for place in folders if (path := place / name).is_file()), None):
            return found
        if name in _NEEDED and not head.extends:
            raise UserError(f"{folder} has no {name}; write it, or take it from another set: extends: embedded")
        return folder / name

    found = PromptSet(
        folder.name,
        head.system or "",
        Shown(head.alt_words or 0, head.caption_words or 0, head.ocr_words or 0, bool(head.pictures)),
        _aspects(file("rate/aspects.yaml")),
        _read(file("rate/question.jinja")),
        _read(file("write/question.jinja")),
        wordings.load(file("write/wordings.yaml")),
    )
    nothing = Document("", "", ())
    asked = "rate/question.jinja"
    try:
        found.rate_prompt(nothing)
        asked = "write/question.jinja"
        found.write_prompt(nothing, ("Any",), "Any")
    except Exception as error:  # a template is a program of the user's
        raise UserError(f"{file(asked)}: {error}") from error
    return found


def _refuse_others(folder: pathlib.Path) -> None:
    """Raise UserError for a file that was meant for the set, but is none of `_FILES`, so that nothing would read it.

    Beside prompts.yaml there may be anything else, such as a configuration or a README.
    """
    known = {pathlib.PurePath(name).name for name in _FILES}
    for path in sorted(found for below in (".", "rate", "write") for found in (folder / below).glob("[!.]*.*")):
        name = path.relative_to(folder).as_posix()
        of_set = path.suffix == ".jinja" or path.name in known or ("/" in name and path.suffix in (".yaml", ".yml"))
        if name in _FILES or not of_set:
            continue
        same = [one for one in _FILES if one.endswith(f"/{path.name}")]
        near = same or difflib.get_close_matches(name, _FILES, n=1)
        raise UserError(
            f"{path} is no file of a prompt set"
            + (f"; did you mean {' or '.join(near)}?" if near else f"; the files are {', '.join(_FILES)}")
        )


def _folder(name_or_folder: str) -> tuple[pathlib.Path, _Head]:
    folder = pathlib.Path(name_or_folder) if "/" in name_or_folder else FOLDER / name_or_folder
    path = folder / "prompts.yaml"
    if not path.is_file():
        raise UserError(
            f"there is no prompt set {name_or_folder!r}: use one of {', '.join(names())}, or the path of a "
            "folder with a prompts.yaml (with a slash in it, such as ./my_prompts)"
        )
    return folder, settings.build(_Head, settings.read(str(path)), str(path))


@dataclasses.dataclass(frozen=True)
class _Head:
    """The keys of prompts.yaml."""

    about: str = ""
    extends: str | None = None
    system: str | None = None
    alt_words: int | None = None
    caption_words: int | None = None
    ocr_words: int | None = None
    pictures: bool | None = None


def _aspects(path: pathlib.Path) -> tuple[Aspect, ...]:
    found = settings.build(tuple[Aspect, ...], settings.read(str(path)), str(path))
    if not found:
        raise UserError(f"{path}: name at least one aspect")
    for aspect in found:
        if not re.fullmatch(ASPECT, aspect.name):
            raise UserError(
                f"{path}: {aspect.name!r} is not a name for an aspect: use lower-case letters, digits and _, at most 40"
            )
    if len({aspect.name for aspect in found}) < len(found) or len({aspect.key for aspect in found}) < len(found):
        raise UserError(f"{path}: two aspects have the same name or key")
    return found


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def _rate_schema(aspects: Sequence[Aspect]) -> dict[str, Any]:
    return _object({aspect.key: {"type": "integer", "enum": list(GRADES)} for aspect in aspects})


def _write_schema(domains: Sequence[str]) -> dict[str, Any]:
    return _object({"instruction": {"type": "string"}, "domain": {"type": "string", "enum": list(domains)}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
