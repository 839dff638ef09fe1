"""Writes a training script's figures into their block of docs/models.md."""

from __future__ import annotations

import pathlib
import re

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "models.md"


def write_block(name: str, markdown: str) -> None:
    """Replace the text between `<!-- name -->` and `<!-- /name -->` in docs/models.md."""
    text = PAGE.read_text()
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    if not pattern.search(text):
        raise ValueError(f"{PAGE} has no block {name!r}")
    PAGE.write_text(pattern.sub(lambda m: m[1] + markdown.strip() + "\n" + m[2], text))
