"""The defects that the validator reports, and the errors that damaged files cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pyarrow as pa

READ_ERRORS = (OSError, ValueError, pa.ArrowException)
"""What pyarrow and json raise on damaged files (bad UTF-8 and arrow's own errors are among them)."""

MOST_DEFECTS = 10_000
"""The most defects that are listed."""

LONGEST = 300
"""The most characters of a text in a defect, since messages quote the data."""


@dataclasses.dataclass(frozen=True)
class Defect:
    """Something wrong in a dataset folder.

    `kind` is one of the names in docs/format.md, `file` is relative to the folder, `shard` and `key` name the instance
    if there is one, `pointer` is a JSON pointer into its JSON or into the manifest, or names a column of a row
    (`/coherence`).

    All fields can be printed safely: text from the data is cut, and its control characters are escaped.
    """

    kind: str
    file: str
    message: str
    shard: str = ""
    key: str = ""
    pointer: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, harmless(getattr(self, field.name)))

    def __str__(self) -> str:
        shard = self.shard if not self.file.endswith(self.shard) else ""
        place = " ".join(part for part in (self.file, shard, self.key, self.pointer) if part)
        return f"{place}: {self.message} [{self.kind}]"


def harmless(text: str) -> str:
    r"""The text on one line, cut, with escapes for characters that cannot be printed.

    >>> harmless("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    text = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def pointer_of(path: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a path of names and numbers.

    >>> pointer_of(["a/b", 0, "c~d"])
    '/a~1b/0/c~0d'
    """
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
