"""Shows one instance: as text in the terminal, and as a small page with its images."""

from __future__ import annotations

import difflib
import itertools
import os
import shutil
import textwrap

from pyarrow.compute import field

from pipeline.dataset.reader import index_rows, read_instance
from pipeline.dataset.wording import number
from pipeline.report.gallery import card
from pipeline.report.render import render
from pipeline.storage.files import write_bytes
from schemas.codec import Json
from schemas.errors import UserError
from schemas.printable import line, printable


def show(folder: str, name: str, to: str | None = None) -> str:
    """The instance with this id or key as text; writes its images and an index.html to `to` (default: folder/.work/show/KEY).

    Raises UserError if the folder is not a finished build, is damaged, or has no such instance.
    """
    row = find_row(folder, name)
    to = to or f"{folder}/.work/show/{row['key']}"
    instance, pictures = read_instance(folder, row)
    for member, data in pictures.items():
        write_bytes(f"{to}/{member}", data)
    whole = card(instance, row["shard"], lambda member: member, fold=False)
    write_bytes(f"{to}/index.html", render("instance.html.jinja", instance=whole).encode())
    return instance_text(instance, row["shard"], to)


def find_row(folder: str, name: str) -> Json:
    """The index row of an instance, by id or key. Raises UserError if there is none."""
    for row in index_rows(folder, where=(field("id") == name) | (field("key") == name)):
        return row
    ids = (row["id"] for row in index_rows(folder, ["id"]))
    near = difflib.get_close_matches(name, itertools.islice(ids, 200_000), n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "The ids of all instances are in its index.parquet."
    raise UserError(
        line(
            f"No instance {name!r} in {folder}. {hint} "
            "`leafinstruct explain` shows what happened to a document that was not kept."
        )
    )


def instance_text(instance: Json, shard: str, to: str, width: int | None = None) -> str:
    """An instance for a terminal of `width` columns (default: this one); images as `[image NAME SIZE -> PATH]`."""
    width = min(width or shutil.get_terminal_size().columns, 100)
    lines = [line(instance["title"]) or "Untitled", line(f"{instance['id']} · {shard} · {instance['key']}"), ""]
    lines += _part("INSTRUCTION", [{"type": "text", "text": instance["instruction"]}], to, width)
    lines += _part("CONTEXT", instance["context"], to, width) + _part("OUTPUT", instance["output"], to, width)
    scores = [f"{name} {_value(value)}" for name, value in instance["scores"].items() if name != "ratings"]
    scores += [f"{aspect} {_value(rating)}" for aspect, rating in instance["scores"]["ratings"].items()]
    facts = [f"{name} {instance[name]}" for name in ("domain", "source", "license", "url") if instance[name]]
    made = [f"{name} {value}" for name, value in instance["provenance"].items()]
    for title, items in (("SCORES", scores), ("ABOUT", facts), ("MADE WITH", made)):
        lines += [title, *(f"  {line(item)}" for item in items), ""]
    return printable("\n".join([*lines, f"Open {os.path.join(to, 'index.html')} in a browser."]))


def _part(title: str, segments: list[Json], to: str, width: int) -> list[str]:
    lines = [title]
    for segment in segments:
        if segment["type"] == "image":
            path = os.path.join(to, segment["image"])
            lines.append(f"  [image {segment['image']} {segment['width']}x{segment['height']} -> {path}]")
            lines += _wrapped(segment["caption"] or segment["alt"], width, "    ")
        else:
            for written in segment["text"].split("\n"):
                lines += _wrapped(written, width, "  ")
        lines.append("")
    return lines if segments else [title, "  (none)", ""]


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)


def _value(value: float | list[float] | None) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return "not defined" if value is None else number(value)
