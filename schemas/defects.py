"""The defects that the validator reports, and the errors that reading damaged files may raise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pyarrow as pa

READ_ERRORS = (OSError, ValueError, pa.ArrowException)
"""What pyarrow and json raise on damaged files (bad UTF-8 and arrow's own errors are among them)."""


@dataclasses.dataclass(frozen=True)
class Defect:
    """Something wrong in a dataset folder.

    kind: one of the names in docs/format.md. file: relative to the folder. shard, key: the instance, if there is one.
    pointer: a JSON pointer into its JSON, into the manifest, or to a column of a row (`/coherence`).
    """

    kind: str
    file: str
    message: str
    shard: str = ""
    key: str = ""
    pointer: str = ""

    def __str__(self) -> str:
        shard = self.shard if not self.file.endswith(self.shard) else ""
        place = " ".join(part for part in (self.file, shard, self.key, self.pointer) if part)
        return f"{place}: {self.message} [{self.kind}]"


def pointer_of(path: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a path of names and numbers."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
