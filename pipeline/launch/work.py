"""The work folder, before a run begins: that the run deletes nothing of others there, and can be resumed."""

from __future__ import annotations

from pipeline.storage.files import resolved
from pipeline.storage.uris import exists
from schemas.errors import UserError

OF_ONE_RUN = ("counts", "failures", "dropped", "groups")
"""The folders in the work folder that belong to one run; the next one deletes them, and `llm` if it starts a server."""


def check(output: str, work: str) -> None:
    """Raise UserError for a work folder that has such folders of another program, or is a part of the dataset."""
    mine, dataset = f"{resolved(work)}/", f"{resolved(output)}/"
    if mine.startswith(dataset) and not mine.startswith(f"{dataset}.work/"):
        raise UserError(
            f"{work} is in the --output folder, where the only work folder can be {output}/.work: leave --work out, or "
            "give a folder elsewhere"
        )
    if exists(f"{work}/job.json"):  # every run has left one
        return
    for name in (*OF_ONE_RUN, "llm"):
        if exists(f"{work}/{name}"):
            raise UserError(
                f"{work} has no job.json, so {work}/{name} is not of an earlier run, and this one would delete it: "
                "choose another --work. Nothing was overwritten"
            )
