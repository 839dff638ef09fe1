"""The Beam metrics of a finished job, by stage: for the terminal, the report and `metrics.json`."""

from __future__ import annotations

import logging
from typing import Any

from schemas.errors import one_line
from schemas.stage_names import STAGES, stage_title

_log = logging.getLogger(__name__)

Metrics = dict[str, dict[str, Any]]
"""stage -> name -> a count, or the count, sum, min and max of a distribution."""


def collect(result: Any) -> Metrics:
    """The counters and distributions of the stages; empty if the runner keeps none, or its engine does not give them.

    The job has ended, and its results are there: they are not lost over numbers of the report.
    """
    try:
        found = result.metrics().query()
    except (NotImplementedError, AttributeError):
        return {}
    except Exception as error:  # noqa: BLE001 - each engine's client has its own
        _log.warning("the engine gives no metrics: %s", one_line(f"{type(error).__name__}: {error}", 300))
        return {}
    metrics: Metrics = {}
    for kind in ("counters", "distributions"):
        for one in found.get(kind, ()):
            value = one.committed if one.committed is not None else one.attempted
            if one.key.metric.namespace not in STAGES or value is None:
                continue
            if kind == "distributions":
                value = {name: getattr(value, name) for name in ("count", "sum", "min", "max")}
            metrics.setdefault(one.key.metric.namespace, {})[one.key.metric.name] = value
    return {stage: dict(sorted(metrics[stage].items())) for stage in STAGES if stage in metrics}


def rows(metrics: Metrics) -> list[tuple[str, str]]:
    """(stage, its metrics as text) for every stage that has any."""
    return [
        (stage_title(stage), ", ".join(_words(name, value) for name, value in found.items()))
        for stage, found in metrics.items()
    ]


def text(metrics: Metrics) -> str:
    """A line for each stage."""
    return "\n".join(f"  {stage:<17} {figures}" for stage, figures in rows(metrics))


def _words(name: str, value: Any) -> str:
    name = name.replace("_", " ")
    if not isinstance(value, dict):
        return f"{name} {value:,}"
    mean = value["sum"] / value["count"] if value["count"] else 0
    return f"{name} {mean:,.0f} on average (up to {value['max']:,})"
