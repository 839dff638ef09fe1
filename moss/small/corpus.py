"""Reads the texts and images of howto.tar, split into training and held-out sources."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from tqdm import tqdm

from moss.backbones.chameleon_pixels import square
from moss.small import HELD_OUT
from schemas.errors import UserError
from schemas.images import open_foreign


class Squares(NamedTuple):
    """Square images, uint8 (N, side, side, 3) for each split."""

    train: np.ndarray
    held_out: np.ndarray


def documents(corpus: Path) -> list[dict[str, Any]]:
    """The corpus's documents: `source`, and `segments` that hold a `text` or an `image`'s file name."""
    with _open(corpus) as tar:
        for member in tar:
            if member.name.endswith("/docs.jsonl"):
                return [json.loads(line) for line in _content(tar, member).splitlines()]
    raise UserError(f"There is no docs.jsonl in {corpus}.")


def pictures(corpus: Path, names: Collection[str], side: int) -> Iterator[tuple[str, PIL.Image.Image]]:
    """The pictures of these file names, in the corpus's order, not yet decoded.

    A JPEG will be at a fraction of its size, at least 2 * side where it has that.
    """
    with _open(corpus) as tar:
        for member in tar:
            name = Path(member.name).name
            if name in names:
                image = open_foreign(io.BytesIO(_content(tar, member)))
                image.draft("RGB", (2 * side, 2 * side))
                yield name, image


def _content(file: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = file.extractfile(member)
    assert opened is not None, f"{member.name} is no file"
    return opened.read()


def squares(corpus: Path, side: int) -> Squares:
    """Each picture's middle square, decoded once and kept as an array in the system's temporary folder.

    A picture that a held-out source shows is held out; one that no document shows is left out.
    """
    size = corpus.stat().st_size if corpus.exists() else 0
    cache = Path(tempfile.gettempdir()) / f"moss_small_{corpus.stem}_{size}_{side}.npz"
    if not cache.exists():
        shown: dict[str, set[str]] = {}
        for document in documents(corpus):
            for segment in document["segments"]:
                if "image" in segment:
                    shown.setdefault(segment["image"], set()).add(document["source"])
        found: dict[bool, list[np.ndarray]] = {False: [], True: []}
        for name, image in tqdm(pictures(corpus, shown, side), total=len(shown), desc="pictures", unit=""):
            found[not shown[name].isdisjoint(HELD_OUT)].append(square(image, side))
        part = cache.with_suffix(".part.npz")
        np.savez(part, train=np.stack(found[False]), held_out=np.stack(found[True]))
        part.rename(cache)
    with np.load(cache) as arrays:
        return Squares(arrays["train"], arrays["held_out"])


def _open(corpus: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(corpus)
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"The corpus {corpus} cannot be read ({error}); name howto.tar with --corpus.") from error
