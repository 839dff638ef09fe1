"""`leafinstruct audit`: writes the page for two readers, and reads their answers."""

from __future__ import annotations

import hashlib

from pipeline.audit import answers
from pipeline.audit.page import page
from pipeline.audit.sample import outcomes, sample
from pipeline.dataset.wording import count
from pipeline.storage import remote, uris
from pipeline.storage.files import write_bytes
from schemas.errors import UserError


def write_page(folder: str, size: int, work: str | None) -> str:
    """Write `WORK/audit.html` with so many documents of the dataset in `folder`; a text that says so.

    work: the build's work folder, which has the examples of dropped documents (default: FOLDER/.work). The same folder
    gives the same page. Raises UserError.
    """
    if size < 2:
        raise UserError(f"--sample must be at least 2, not {size}")
    work = remote.folder(work or f"{folder.rstrip('/')}/.work")
    items = sample(folder, f"{work}/dropped", size)
    if not items:
        raise UserError(f"{folder} has no instance, and {work} no example of a dropped document")
    write_bytes(f"{work}/audit.html", page(items, dataset(folder)).encode())
    gone = sum(not item.instruction for item in items)
    return (
        f"{work}/audit.html: {count(len(items), 'document')} for two readers, {len(items) - gone:,} kept and {gone:,} dropped. Each opens it in a browser and saves a file; "
        f"then: leafinstruct audit {folder} --answers FIRST.json SECOND.json"
    )


def result(folder: str, first: str, second: str) -> str:
    """What the answers in the two files come to. Raises UserError."""
    readers = [answers.read(path, dataset(folder)) for path in (first, second)]
    keys = {key for reader in readers for key in reader.answers}
    return answers.text(readers[0], readers[1], outcomes(folder, keys))


def dataset(folder: str) -> str:
    """What answers name a build by: the sha256 of its manifest. Raises UserError if there is none."""
    try:
        return hashlib.sha256(uris.read_bytes(f"{folder}/manifest.json")).hexdigest()
    except OSError:
        raise UserError(
            f"There is no manifest.json in {folder}. Give the --output folder of a finished build."
        ) from None
