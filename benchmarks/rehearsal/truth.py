"""Compares what a run has published with what is known of its corpus."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

from benchmarks.rehearsal.kinds import KINDS
from pipeline.corpora.parts import REPEATED, UNREAD
from pipeline.dataset import ledger
from schemas.outcome import Outcome

SHOWN = 3
"""Ids that are shown of documents that ended in another way."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is known of a corpus.

    How many documents of each kind it has, its bytes (`texts`, `images`), and how many pictures belong to one document,
    or are a logo: those that are stored.
    """

    documents: Mapping[str, int]
    bytes: Mapping[str, int]
    pictures: int

    @property
    def kept(self) -> int:
        """How many documents must be kept."""
        return sum(count for kind, count in self.documents.items() if KINDS[kind].images)


def differences(output: str, truth: Truth) -> list[str]:
    """What differs from the truth in a published folder, in sentences; none if it is exact.

    Compared are the ends of the documents of every kind by the ledger, the images that were removed, by rule, and the
    instances and their images by the manifest.
    """
    found: collections.Counter[tuple[str, tuple[str, str, str]]] = collections.Counter()
    ids: dict[tuple[str, tuple[str, str, str]], list[str]] = collections.defaultdict(list)
    lost: collections.Counter[str] = collections.Counter()
    for row in ledger.read_outcomes(output):
        one = kind_of(row), (row.status, row.stage, row.rule or row.error)
        found[one] += 1
        if len(ids[one]) < SHOWN:
            ids[one].append(row.id)
        lost.update(image.drop.rule for image in row.dropped_images)
    wanted = collections.Counter({(kind, KINDS[kind].end): count for kind, count in truth.documents.items()})
    said = [
        f"{kind}: {found[kind, end]:,} instead of {wanted[kind, end]:,} ended as {' '.join(end).strip()}"
        + (f" ({', '.join(ids[kind, end])}, ...)" if not wanted[kind, end] else "")
        for kind, end in sorted(found.keys() | wanted.keys())
        if found[kind, end] != wanted[kind, end]
    ]
    removed: collections.Counter[str] = collections.Counter()
    for kind, count in truth.documents.items():
        removed.update({rule: count * images for rule, images in KINDS[kind].lost.items()})
    published = ledger.read_manifest(output)["counts"]
    pairs = [
        *((f"images removed by {rule}", lost[rule], removed[rule]) for rule in sorted(lost.keys() | removed.keys())),
        ("instances", published["instances"], truth.kept),
        ("images", published["images"], sum(n * KINDS[kind].images for kind, n in truth.documents.items())),
    ]
    return said + [f"{what}: {is_:,} instead of {must:,}" for what, is_, must in pairs if is_ != must]


def kind_of(row: Outcome) -> str:
    """The kind of a document, from its id in the ledger.

    Of a record that has no id the error says it, because such records differ in nothing else.
    """
    if row.id.startswith(UNREAD):
        return row.error
    if row.id.startswith(REPEATED):
        return "duplicate_id"
    return row.id.rsplit("-", 1)[0]
