"""The judge's report: tables in Markdown, all figures as JSON, and the page with the answers side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moss.answers.folder import Answered, Segments, opened
from moss.evaluation import bootstrap
from moss.evaluation.bootstrap import Estimate
from moss.generation import page
from moss.judging.aspects import ASPECTS
from moss.judging.controls import Outcome
from moss.judging.figures import Column
from moss.judging.published import PUBLISHED
from moss.judging.scores import Preference, Scores
from schemas.records import Text


@dataclasses.dataclass(frozen=True)
class System:
    """One system: its answers, and everything that was measured of them.

    The judge's scores, its preference against the first system (None for that one), and the measures without a judge.
    """

    name: str
    answers: Sequence[Answered]
    scores: Scores
    preference: Preference | None
    columns: Sequence[Column]


def results(
    systems: Sequence[System], outcomes: Sequence[Outcome], seed: int, left_out: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """All figures, with 95 % bootstrap intervals over questions.

    left_out: by system the keys of its failed answers, with the reasons; no system is measured on them. Differences are to the first system, paired by question and over questions that both were scored on. `mean` is over
    all scores.
    """
    drawn = bootstrap.draws(len(systems[0].answers), seed)
    first = systems[0].scores.value
    rows = []
    for system in systems:
        row: dict[str, Any] = {
            "name": system.name,
            "scores": _aspects(system.scores.value, drawn),
            "spread_over_repeats": system.scores.spread,
            "not_judged": system.scores.failed,
            "figures": {
                column.title: bootstrap.estimate(column.total, column.count, drawn)._asdict()
                for column in system.columns
            },
        }
        if system.preference is not None:
            row["differences"] = _aspects(system.scores.value - first, drawn)
            known = ~np.isnan(system.preference.won)
            won = np.where(known, system.preference.won, 0)
            row["preference"] = {
                "won": float((won == 1).sum() / max(known.sum(), 1)),
                "lost": float((won == -1).sum() / max(known.sum(), 1)),
                "net": bootstrap.estimate(won, known.astype(float), drawn)._asdict(),
                "orders_agree": system.preference.agreed,
                "not_judged": system.preference.failed,
            }
        rows.append(row)
    controls = [
        {
            "name": outcome.name,
            "target": outcome.target,
            "answers": outcome.answers,
            "change": {a.name: c._asdict() for a, c in zip(ASPECTS, outcome.change, strict=True)},
            "passed": outcome.passed,
        }
        for outcome in outcomes
    ]
    return {
        "questions": len(systems[0].answers),
        "left_out": {name: dict(reasons) for name, reasons in left_out.items()},
        "systems": rows,
        "controls": controls,
    }


def markdown(found: dict[str, Any], *, published: bool) -> str:
    """The report as Markdown. If a control failed, it says by how much, and has no table of systems."""
    parts = ["## Controls\n", controls_table(found["controls"])]
    failed = [control["name"] for control in found["controls"] if not control["passed"]]
    if failed:
        return "\n".join(
            [*parts, f"This judge does not notice: {', '.join(failed)}. Its scores mean nothing, and are not shown.\n"]
        )
    titles = [aspect.title for aspect in ASPECTS]
    systems = found["systems"]
    others = [system for system in systems if "differences" in system]
    parts += [
        "## Scores\n",
        f"0 to 5, the mean over {found['questions']} questions, with 95 % intervals.{_left_out(found['left_out'])}\n",
        _table(["system", *titles, "mean"], [_row(s["name"], s["scores"]) for s in systems]),
    ]
    if others:
        first = systems[0]["name"]
        parts += [
            f"Difference to `{first}`, paired by question:\n",
            _table(["system", *titles, "mean"], [_row(s["name"], s["differences"], "+") for s in others]),
            f"Preferred to `{first}`, each pair judged in both orders:\n",
            _table(["system", "won", "lost", "won - lost", "orders agree"], [_preferred(s) for s in others]),
        ]
    parts += [
        "Questions to the judge without a valid reply, which are in no mean, answers that failed, and the standard "
        "deviation of a score over repeats:\n",
        _table(
            ["system", "scores without reply", "pairs without reply", "failed answers", "spread over repeats"],
            [_unjudged(s, len(found["left_out"].get(s["name"], {}))) for s in systems],
        ),
    ]
    names = list(systems[0]["figures"])
    parts += [
        "## Without a judge\n",
        _table(["system", *names], [_row(s["name"], {n: s["figures"].get(n) for n in names}) for s in systems]),
    ]
    if published:
        parts.append("## Published, not ours\n\nOther judge runs and questions: not to be compared with the above.\n")
        for source, rows in PUBLISHED.items():
            lines = [[name, *(f"{v:.2f}" for v in values), f"{sum(values) / 5:.2f}"] for name, values in rows]
            parts.append(_table([source, *titles, "mean"], lines))
    return "\n".join(parts)


def _left_out(failed: dict[str, dict[str, str]]) -> str:
    """A sentence about the questions that were left out; empty if there are none."""
    keys = {key for reasons in failed.values() for key in reasons}
    if not keys:
        return ""
    named = [f"{name} {len(own)} (the first: {next(iter(own.values()))})" for name, own in failed.items() if own]
    return f" {len(keys)} more are left out for all systems, because an answer to them failed: {', '.join(named)}."


def controls_table(controls: Sequence[dict[str, Any]]) -> str:
    """The table of controls, one line each: the change of each aspect; the one that has to fall is bold."""
    lines = []
    for control in controls:
        cells = [
            f"**{_cell(change, '+')}**" if name == control["target"] else _cell(change, "+")
            for name, change in control["change"].items()
        ]
        lines.append([control["name"], str(control["answers"]), *cells, "passed" if control["passed"] else "FAILED"])
    return _table(["damage", "answers", *(aspect.title for aspect in ASPECTS), ""], lines)


def render(systems: Sequence[System], facts: Sequence[tuple[str, str]], shown: int, passed: bool) -> str:
    """The page as HTML: the first `shown` questions, with the answers of all systems side by side, and their scores."""
    entries = []
    for n, question in enumerate(systems[0].answers[:shown]):
        columns = [
            page.Column(s.name, Pictures(s.answers[n].output), _note(s.scores, n) if passed else "") for s in systems
        ]
        entries.append(page.Entry(question.key, question.instruction, Pictures(question.context), columns))
    total = len(systems[0].answers)
    lead = f"{len(entries)} of {total} questions, and what every system answered." + (
        "" if passed else " The judge did not pass its controls: no scores are shown."
    )
    return page.render(", ".join(s.name for s in systems), lead, entries, facts)


class Pictures(list[Any]):
    """Opens the images of segments for the page."""

    def __init__(self, segments: Segments) -> None:
        super().__init__(s if isinstance(s, Text) else opened(s) for s in segments)


def _aspects(value: np.ndarray, drawn: np.ndarray) -> dict[str, Any]:
    """The estimates of `value` (N, 5): one for each aspect's name, and "mean" over all."""
    known = ~np.isnan(value)
    plain = np.where(known, value, 0)
    found = {a.name: bootstrap.estimate(plain[:, i], known[:, i].astype(float), drawn) for i, a in enumerate(ASPECTS)}
    found["mean"] = bootstrap.estimate(plain.sum(1), known.sum(1).astype(float), drawn)
    return {name: estimate._asdict() for name, estimate in found.items()}


def _note(scores: Scores, n: int) -> str:
    named = zip(ASPECTS, scores.value[n], strict=True)
    return ", ".join(f"{aspect.title} {value:.1f}" for aspect, value in named if not np.isnan(value))


def _row(name: str, figures: dict[str, Any], sign: str = "") -> list[str]:
    return [name, *(_cell(figure, sign) for figure in figures.values())]


def _preferred(system: dict[str, Any]) -> list[str]:
    found = system["preference"]
    agreed = "none asked" if found["orders_agree"] is None else f"{found['orders_agree']:.0%}"
    return [system["name"], f"{found['won']:.0%}", f"{found['lost']:.0%}", _cell(found["net"], "+"), agreed]


def _unjudged(system: dict[str, Any], failed: int) -> list[str]:
    pairs = str(system["preference"]["not_judged"]) if "preference" in system else "none asked"
    spread = system["spread_over_repeats"]
    known = "not repeated" if spread is None else f"{spread:.2f}"
    return [system["name"], str(system["not_judged"]), pairs, str(failed), known]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, [":--"] + ["--:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(_plain(cell) for cell in line)} |\n" for line in lines)


def _plain(cell: str) -> str:
    """The text as one table cell, because a system's name may contain anything."""
    return cell.replace("|", "\\|").replace("\n", " ")


def _cell(figure: dict[str, Any] | None, sign: str = "") -> str:
    if figure is None or figure["value"] is None:
        return "none"
    estimate = Estimate(**figure)
    if estimate.low is None:
        return format(estimate.value, f"{sign}.2f")
    return "{} [{}, {}]".format(*(format(value, f"{sign}.2f") for value in estimate))
