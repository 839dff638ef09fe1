"""What the commands print of a run that was published."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.launch.build import Built
    from pipeline.launch.job import Job


def of_build(output: str, built: Built | None) -> int:
    """Print the result of a build, if it has one, and where to find it; returns the exit code."""
    if built is None:
        return 0
    if not built.funnel:  # it ended before it could publish, as was asked for
        print(built.metrics)
        if built.bugs:
            print(f"leafinstruct: documents failed because of a bug; tracebacks are in {built.log}", file=sys.stderr)
        return 3 if built.bugs else 0
    print(built.funnel)
    print(f"\n{built.metrics}")
    print(f"\nOpen {output}/report.html; check with: leafinstruct validate {output} --deep")
    for sentence in built.advice:
        print(f"leafinstruct: {sentence}", file=sys.stderr)
    if built.bugs:
        print(
            f"leafinstruct: {built.bugs} documents failed because of a bug; tracebacks are in the ledger and in "
            f"{built.log}",
            file=sys.stderr,
        )
    return 3 if built.bugs else 0


def of_left_run(job: Job, built: Built | None) -> int:
    """Print what came of a run that its launcher left, as for a build; returns the exit code."""
    if built is None:
        print(f"run {job.id} is published in {job.output}")
        return 0
    return of_build(job.output, built)
