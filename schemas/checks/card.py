"""Checks README.md (for `datasets`), config.yaml and metrics.json against the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas import strict_yaml
from schemas.card import front_matter
from schemas.codec import Json, parse_json
from schemas.defects import Defect, pointer_of
from schemas.folder import Folder, read
from schemas.jsonschema import OF_RUN, SIGNED

FILE, CONFIG, METRICS = "README.md", "config.yaml", "metrics.json"
ADDED = ("rules", "benchmark", "opt_outs")
"""What the manifest's `config` has beside the settings: `pipeline.config.as_dict` adds it."""
MOST_FRONT = 1 << 18
"""Characters of front matter: 200 members take 10,000."""


def check(folder: Folder, manifest: Json, there: set[str]) -> Iterator[Defect]:
    """Check those of the three files that exist. Their checksums are checked elsewhere."""
    if FILE in there:
        yield from _front_matter(folder, manifest)
    if CONFIG in there:
        yield from _config(folder, manifest)
    if METRICS in there:
        try:
            if not isinstance(parse_json(read(folder, METRICS, OF_RUN[METRICS])), dict):
                raise ValueError("it is no object")
        except (OSError, ValueError) as error:
            yield Defect("metrics", METRICS, f"cannot be read as JSON: {error}")


def _front_matter(folder: Folder, manifest: Json) -> Iterator[Defect]:
    """Check what `datasets` reads: the number of examples, a column for every member, and where the shards are."""
    try:
        before, front, _ = read(folder, FILE, SIGNED[FILE]).decode().split("---\n", 2)
        if before or len(front) > MOST_FRONT:
            raise ValueError("it does not begin with a short front matter")
        found = strict_yaml.load(front)
    except (OSError, ValueError) as error:
        yield Defect("card-unreadable", FILE, f"its front matter cannot be read: {error}")
        return
    for pointer, message in differences(front_matter(manifest), found):
        yield Defect("card", FILE, f"the front matter {message}", pointer=pointer)


def _config(folder: Folder, manifest: Json) -> Iterator[Defect]:
    """Check that config.yaml is the manifest's configuration, except for what the manifest adds to it.

    The rules of the preset, and the summaries of the benchmark and of the opt-out list.
    """
    try:
        found = strict_yaml.load(read(folder, CONFIG, SIGNED[CONFIG]).decode())
    except (OSError, ValueError) as error:
        yield Defect("config", CONFIG, f"cannot be read: {error}")
        return
    expected = {name: value for name, value in manifest["config"].items() if name not in ADDED}
    for pointer, message in differences(expected, found):
        yield Defect("config", CONFIG, message, pointer=pointer)


def differences(expected: Any, found: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, str]]:
    """Each place where plain data differ from the expected ones, as (JSON pointer, message)."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(expected.keys() | found.keys(), key=str):
            if name not in found:
                yield pointer_of(path), f"lacks {name}"
            elif name not in expected:
                yield pointer_of((*path, str(name))), "is not to be there"
            else:
                yield from differences(expected[name], found[name], (*path, name))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for i, (wanted, value) in enumerate(zip(expected, found, strict=True)):
            yield from differences(wanted, value, (*path, i))
    elif isinstance(expected, list) and isinstance(found, list):
        yield pointer_of(path), f"has {len(found)} items where the manifest makes {len(expected)}"
    elif expected != found or isinstance(expected, bool) != isinstance(found, bool):
        yield pointer_of(path), f"is {found!s}; by the manifest it is {expected}"
