"""Checks that the trackers of a run (tensorboard, wandb ...) can be used, before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from schemas.errors import UserError


def check(names: Sequence[str]) -> None:
    """Raise UserError for an unknown tracker, and for one whose package is not installed: accelerate leaves it out."""
    built_in = {str(kind) for kind in get_available_trackers()}
    for name in names:
        if name == "all":
            continue
        if name not in LOGGER_TYPE_TO_CLASS:
            raise UserError(
                f"training.trackers: there is no tracker {name!r}; choose among {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}"
            )
        if name not in built_in and LOGGER_TYPE_TO_CLASS[name].__module__.startswith("accelerate."):
            raise UserError(
                f"training.trackers: {name} is not installed; install its package, or leave it out "
                "(--set training.trackers=[])"
            )
