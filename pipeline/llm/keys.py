"""The API key of a model server: in a variable of the environment, or in a file that only the workers may read."""

from __future__ import annotations

import os

from pipeline.config import Llm
from pipeline.storage import uris
from schemas.errors import UserError

VARIABLE = "LEAFINSTRUCT_LLM_KEY"
"""The environment variable with the key; it is never written to a file."""


def of(llm: Llm) -> str | None:
    """The key; None if there is none. Raises UserError if the file of the configuration cannot be read, or is empty.

    Each process reads it for itself, so that it travels neither with the job nor in a worker's environment.
    """
    if not llm.key_file:
        return os.environ.get(VARIABLE)
    try:
        found = uris.read_bytes(llm.key_file, 10_000).decode().strip()
    except (OSError, ValueError) as error:
        raise UserError(f"llm.key_file: {llm.key_file} cannot be read ({type(error).__name__}): mend it") from None
    if not found or not found.isprintable():
        raise UserError(f"llm.key_file: {llm.key_file} has no key: one line of text is expected")
    return found
