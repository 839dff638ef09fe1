"""The two questions that the LLM is asked about an excerpt: rate it, and write its instruction.

The excerpt comes first and the question last, under one system message, so that a server with a prefix cache (vLLM has
one by default) reads the text once for both. The excerpt's title is never shown: the instruction is to be found from
the text, and a heading that says it would be copied.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib

import jinja2

from filters.quality import ASPECTS, GRADES
from filters.words import is_heading, plain
from schemas.records import Document, Image

SYSTEM = "You judge and describe illustrated how-to texts. You answer with one JSON object."
ALT_WORDS = 10
"""A picture is shown as at most this many words of its alternative text."""

_FOLDER = pathlib.Path(__file__).parent
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER), undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False)


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What is sent (`messages`, in OpenAI's form), the JSON Schema of the answer, and the version of the question."""

    messages: tuple[dict, ...]
    schema: dict
    version: str


def render(name: str, document: Document, **variables) -> Prompt:
    """The prompt `name` ("rate" or "write") about the document; "write" needs `domains`, a sequence of names.

    The version (12 hex digits) depends on the template, the system message and the schema, not on the document.
    Raises jinja2.UndefinedError where a variable is missing.
    """
    schema = _schema(name, variables)
    user = _TEMPLATES.get_template(f"{name}.jinja").render(text="\n\n".join(parts(document)), **variables)
    source = (_FOLDER / f"{name}.jinja").read_text()
    version = hashlib.sha256(json.dumps([SYSTEM, source, schema], sort_keys=True).encode()).hexdigest()[:12]
    return Prompt(({"role": "system", "content": SYSTEM}, {"role": "user", "content": user}), schema, version)


def parts(document: Document) -> list[str]:
    """The segments as the prompt shows them: headings that tell the title left out, pictures as `[image: alt]`."""
    shown = []
    for i, segment in enumerate(document.segments):
        if isinstance(segment, Image):
            alt = " ".join(segment.alt.split()[:ALT_WORDS])
            shown.append(f"[image: {alt}]" if alt else "[image]")
        elif not (is_heading(segment.text) and (i == 0 or _same(segment.text, document.title))):
            shown.append(segment.text.strip())
    return shown


def _same(heading: str, title: str) -> bool:
    return plain(heading).casefold() == plain(title).casefold()


def _schema(name: str, variables: dict) -> dict:
    if name == "rate":
        properties = {aspect: {"type": "integer", "enum": list(GRADES)} for aspect in ASPECTS}
    else:
        properties = {"instruction": {"type": "string"},
                      "domain": {"type": "string", "enum": list(variables.get("domains", ()))}}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
