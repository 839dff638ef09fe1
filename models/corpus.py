"""The development corpus, built from git repositories by the readers: `python -m models.corpus`, or `make corpus`.

`corpus.yaml` names repositories, commits and licences. The result is a tar in the native format, with an
ATTRIBUTION.md. Existing checkouts are used; the others are cloned, only the one commit.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from typing import Any

from pipeline import corpora
from pipeline.corpora.checkout import origin
from pipeline.images.children import normalise
from pipeline.images.decode import extension
from pipeline.images.faults import ImageFault
from pipeline.images.store import header
from pipeline.storage.uris import is_http, read_bytes
from schemas import settings
from schemas.errors import ServiceError, UserError
from schemas.records import Document, Image, Text

RECIPE = pathlib.Path(__file__).with_name("corpus.yaml")
TIMEOUT = 1800  # seconds for one clone
_MOST_PIXELS = 50_000_000


@dataclasses.dataclass(frozen=True)
class Source:
    """A repository (OWNER/NAME on GitHub, or an address that git knows) at a commit, and how it is read."""

    name: str
    repository: str
    commit: str
    license: str
    format: str


@dataclasses.dataclass(frozen=True)
class Rules:
    """The rules for images of the development corpus.

    How many images a document may have (least, most), the shortest allowed side of an image, and the side that it is
    scaled to, in pixels.
    """

    images: tuple[int, ...]
    side: int
    max_side: int


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What the development corpus is made of: its sources, and the rules for images."""

    rules: Rules
    sources: tuple[Source, ...]


def build(recipe: Recipe, checkouts: pathlib.Path, output: pathlib.Path) -> dict[str, int]:
    """Write the corpus to the tar `output`; the number of documents by source. Raises UserError and ServiceError."""
    records: list[dict[str, Any]] = []
    images: dict[str, bytes] = {}
    counts: dict[str, int] = {}
    for source in recipe.sources:
        root = checked_out(source, checkouts / source.name)
        found = list(documents(source, root, recipe.rules, images))
        counts[source.name] = len(found)
        records += found
        print(f"{source.name}: {len(found)} documents", file=sys.stderr, flush=True)
    used = {segment["image"] for record in records for segment in record["segments"] if "image" in segment}
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in sorted(records, key=lambda r: str(r["id"]))]
    output.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(output, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, "howto/ATTRIBUTION.md", attribution(recipe, counts).encode())
        _add(tar, "howto/docs.jsonl", "".join(lines).encode())
        for name in sorted(used):
            _add(tar, f"howto/images/{name}", images[name])
    return counts


def checked_out(source: Source, folder: pathlib.Path) -> pathlib.Path:
    """The checkout of the source's commit in `folder`, cloned if it is not there.

    Raises UserError if another commit is checked out, ServiceError if git fails.
    """
    if not folder.exists():
        address = (
            source.repository
            if ":" in source.repository or source.repository.startswith("/")
            else (f"https://github.com/{source.repository}.git")
        )
        print(f"{source.name}: cloning {address}", file=sys.stderr, flush=True)
        for command in (
            ["init", "-q", str(folder)],
            ["-C", str(folder), "remote", "add", "origin", address],
            ["-C", str(folder), "fetch", "-q", "--depth", "1", "origin", source.commit],
            ["-C", str(folder), "checkout", "-q", "FETCH_HEAD"],
        ):
            _git(command, folder)
    found = origin(str(folder))[1]
    if found != source.commit:
        raise UserError(
            f"{folder} is at commit {found or 'none'}, and {source.name} wants {source.commit}; check that "
            "out there, or move the folder away"
        )
    return folder


def documents(source: Source, root: pathlib.Path, rules: Rules, images: dict[str, bytes]) -> Iterator[dict[str, Any]]:
    """The records of a checkout that keep the rules; their images are added to `images` by name."""
    least, most = rules.images
    for part in corpora.parts(source.format, str(root)):
        for document in corpora.read(part):
            if not isinstance(document, Document):
                print(f"{source.name}: {document.location}: {document.error}", file=sys.stderr)
                continue
            path = document.location.removeprefix(f"{root}/").rsplit(":", 1)[0]
            segments = [kept for segment in document.segments if (kept := _segment(segment, root, rules, images))]
            if least <= sum("image" in segment for segment in segments) <= most:
                yield {
                    "id": record_id(source.name, path),
                    "source": source.name,
                    "repo": source.repository,
                    "commit": source.commit,
                    "path": path,
                    "license": source.license,
                    "title": document.title,
                    "segments": segments,
                }


def record_id(source: str, path: str) -> str:
    """A document's id: the same for every build, and the same as in the corpus that the models were trained on."""
    return hashlib.sha1(f"{source}{path}".encode()).hexdigest()[:16]


def _segment(
    segment: Text | Image, root: pathlib.Path, rules: Rules, images: dict[str, bytes]
) -> dict[str, Any] | None:
    """The segment as part of a record; None for an image that cannot be read, or is too small."""
    if isinstance(segment, Text):
        return {"text": segment.text}
    if is_http(segment.uri):
        return None
    try:
        size = header(segment.uri)
        if min(size.width, size.height) < rules.side:
            return None
        data = normalise(read_bytes(segment.uri), max_side=rules.max_side, max_pixels=_MOST_PIXELS).data
    except ImageFault:
        return None
    name = f"{hashlib.sha256(data).hexdigest()[:20]}.{extension(data)}"
    images[name] = data
    return {
        "image": name,
        "alt": segment.alt,
        "caption": segment.caption,
        "width": size.width,
        "height": size.height,
        "source_path": segment.uri.removeprefix(f"{root}/"),
    }


def attribution(recipe: Recipe, counts: dict[str, int]) -> str:
    """ATTRIBUTION.md: where each document is from."""
    rows = [f"| {s.name} | {s.repository} | {s.commit} | {s.license} | {counts[s.name]} |" for s in recipe.sources]
    return "\n".join(
        [
            "# Attribution",
            "",
            f"Text was converted to plain segments; images were scaled to at most {recipe.rules.max_side} px a side.",
            "Each record names its repository, commit, path and licence.",
            "",
            "| source | repository | commit | licence | documents |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def load(path: pathlib.Path) -> Recipe:
    """The recipe in a YAML file. Raises UserError."""
    recipe: Recipe = settings.build(Recipe, settings.read(str(path)), str(path))
    return recipe


def _git(arguments: list[str], folder: pathlib.Path) -> None:
    try:
        subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError:
        raise UserError("git is not installed; install it, or put the checkouts there yourself") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise ServiceError(
            f"git {arguments[0] if arguments[0] != '-C' else arguments[2]} failed for {folder}: "
            f"{said[-1] if said else error}; delete {folder} and try again, or check the commit out there "
            "yourself"
        ) from error


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.corpus", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recipe", type=pathlib.Path, default=RECIPE, help="a YAML file (default: %(default)s)")
    parser.add_argument(
        "--checkouts",
        type=pathlib.Path,
        default=pathlib.Path("build/checkouts"),
        help="a folder with one checkout for each source, by its name (default: %(default)s)",
    )
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/howto.tar"))
    options = parser.parse_args(argv)
    try:
        counts = build(load(options.recipe), options.checkouts, options.output)
    except (UserError, ServiceError) as error:
        print(f"models.corpus: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 4
    print(f"{options.output}: {sum(counts.values())} documents")
    return 0


if __name__ == "__main__":
    sys.exit(main())
