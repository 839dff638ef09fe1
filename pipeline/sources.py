"""The part of the configuration that says what is read, how it is fetched, and what counts as a duplicate."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Corpus:
    """One corpus: a format, and a folder, file, glob or tar.

    `format` is one that `leafinstruct corpora` lists, or the module of a reader of your own.

    `limit` is the number of records (lines, rows, pages) to take from its beginning, `weight` the share of those to
    read. The sample is a hash of the records' names: the same in every run, and 0.2 includes all of 0.1.
    """

    format: str
    path: str
    limit: int | None = None
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """What is a duplicate, besides equal ids and equal texts.

    text_at_least: the estimated Jaccard similarity of two documents' sets of five-word runs, from which the later
    document is dropped; null compares equal texts only. image_distance: the bits of 64 in which the perceptual hashes
    of the same image may differ; the later document loses it. images_in_at_most: an image that is in more documents is
    removed from all of them.
    """

    text_at_least: float | None = None
    image_distance: int | None = None
    images_in_at_most: int | None = None

    @property
    def of_images(self) -> bool:
        """Whether images are compared at all, which takes another pass over the corpora."""
        return self.image_distance is not None or self.images_in_at_most is not None


@dataclasses.dataclass(frozen=True)
class Web:
    """How politely images are fetched from the web.

    contact: an address (mail or page) in the User-Agent header, at which people reach you. opt_outs: a file of hosts
    and addresses from which nothing is fetched. per_host, delay: the most requests to one host at once, and the seconds
    between the starts of two, in each worker process. rules_unreachable: whether images are fetched from a host whose
    robots.txt or tdmrep.json cannot be fetched because it fails or is too slow (RFC 9309: refuse).
    """

    contact: str = ""
    opt_outs: str | None = None
    per_host: int = 4
    delay: float = 0.0
    rules_unreachable: Literal["refuse", "allow"] = "refuse"


def check_form(settings: Any, path: str) -> None:
    """Raise UserError with an example for corpora that are no list, or are written as on the command line."""
    corpora = settings.get("corpora", []) if isinstance(settings, dict) else []
    if not isinstance(corpora, list) or not all(isinstance(corpus, dict) for corpus in corpora):
        raise UserError(f"{path}: corpora must be a list, such as [{{format: native, path: examples/corpus}}]")


def check(corpora: tuple[Corpus, ...], duplicates: Duplicates, web: Web, path: str) -> None:
    """The checks that types cannot express. Raises UserError with the file and the key."""
    if len(web.contact) > 200 or (not (web.contact.isascii() and web.contact.isprintable()) and web.contact):
        raise UserError(f"{path}: web.contact must be at most 200 printable ASCII characters")
    if web.per_host < 1:
        raise UserError(f"{path}: web.per_host must be at least 1, not {web.per_host}")
    if not 0 <= web.delay <= 60:
        raise UserError(f"{path}: web.delay is a time from 0 to 60 s, not {web.delay}")
    for number, corpus in enumerate(corpora):
        if corpus.limit is not None and corpus.limit < 1:
            raise UserError(f"{path}: corpora[{number}].limit must be at least 1, not {corpus.limit}")
        if not 0 < corpus.weight <= 1:
            raise UserError(f"{path}: corpora[{number}].weight is a share above 0 and up to 1, not {corpus.weight}")
    similarity = duplicates.text_at_least
    if similarity is not None and not 0.3 <= similarity <= 1:
        raise UserError(f"{path}: duplicates.text_at_least is a similarity from 0.3 to 1, not {similarity}")
    if duplicates.image_distance is not None and not 0 <= duplicates.image_distance <= 5:
        raise UserError(f"{path}: duplicates.image_distance is 0 to 5 bits, not {duplicates.image_distance}")
    if duplicates.images_in_at_most is not None and duplicates.images_in_at_most < 1:
        raise UserError(f"{path}: duplicates.images_in_at_most must be at least 1, not {duplicates.images_in_at_most}")
