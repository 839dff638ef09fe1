"""The measured sums of several methods as one table, with intervals and with paired differences to LoRA."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from moss.evaluation import bootstrap
from moss.evaluation.measure import Writing
from moss.evaluation.metrics import COUNT, HIT, LOSS, InstanceSums

REFERENCE = "lora"
PARTS = {
    "outputs": "Predicting the reference outputs",
    "images": "By the image's place in the output",
    "writing": "Answers of its own",
}


@dataclasses.dataclass(frozen=True)
class Method:
    """A row: trained parameters, the sums of its predictions, and what it wrote if that was asked for."""

    name: str
    parameters: int
    sums: InstanceSums
    writing: Writing | None = None


@dataclasses.dataclass(frozen=True)
class Column:
    """A figure: a ratio of sums (N,), or a function of it. `part` is the table that it belongs to."""

    part: str
    title: str
    total: np.ndarray
    count: np.ndarray
    transform: Callable[[np.ndarray], np.ndarray] = lambda x: x


def results(methods: Sequence[Method], *, slots: bool, seed: int) -> list[dict[str, Any]]:
    """One dict for each method: name, parameters, and figures.

    A figure (by the column's title) has its part, value, low, high, count (of the denominator) and, except for the
    base, `difference` (value, low, high) to the method named "lora". `slots`: images are vectors, so their loss is a
    squared error and their hit a cosine. Raises ValueError if the methods were not measured on the same instances and
    tokens.
    """
    by_name = {method.name: columns(method, slots) for method in methods}
    reference = by_name.get(REFERENCE)
    rows = []
    for method in methods:
        figures: dict[str, dict[str, Any]] = {}
        if method.sums.keys != methods[0].sums.keys:
            raise ValueError(f"{method.name} and {methods[0].name} were measured on other instances")
        for place, column in enumerate(by_name[method.name]):
            drawn = bootstrap.draws(len(column.total), seed)
            value = bootstrap.estimate(column.total, column.count, drawn, column.transform)
            figures[column.title] = {"part": column.part, **value._asdict(), "count": float(column.count.sum())}
            if reference and method.name not in (REFERENCE, "base"):
                other = reference[place]
                if column.part != "writing" and not np.array_equal(column.count, other.count):
                    raise ValueError(f"{method.name} and {REFERENCE} were measured on other tokens")
                figures[column.title]["difference"] = bootstrap.difference(
                    column.total, column.count, other.total, other.count, drawn, column.transform
                )._asdict()
        rows.append({"name": method.name, "parameters": method.parameters, "figures": figures})
    return rows


def columns(method: Method, slots: bool) -> list[Column]:
    """The table's figures, in order."""
    text, boundary, image, writing = (method.sums.text, method.sums.boundary, method.sums.image, method.writing)
    loss, hit = ("squared error", "cosine") if slots else ("bits/token", "top-1")
    unit = (lambda x: x) if slots else (lambda nats: nats / math.log(2))
    every = image.sum(1)
    found = [
        Column("outputs", "text loss", text[:, LOSS], text[:, COUNT]),
        Column("outputs", "text perplexity", text[:, LOSS], text[:, COUNT], np.exp),
        Column("outputs", "text top-1", text[:, HIT], text[:, COUNT]),
        Column("outputs", "boundary top-1", boundary[:, HIT], boundary[:, COUNT]),
        Column("outputs", f"image {loss}", every[:, LOSS], every[:, COUNT], unit),
        Column("outputs", f"image {hit}", every[:, HIT], every[:, COUNT]),
    ]
    for n in range(image.shape[1]):
        found += [
            Column("images", f"image {n + 1} {loss}", image[:, n, LOSS], image[:, n, COUNT], unit),
            Column("images", f"image {n + 1} {hit}", image[:, n, HIT], image[:, n, COUNT]),
        ]
    if writing:
        ones = np.ones(len(writing.keys))
        found += [
            Column("writing", "images written / expected", writing.images, writing.expected),
            Column("writing", "empty outputs", writing.empty, ones),
            Column("writing", "repeated 4-grams", writing.repeated, writing.grams),
        ]
        if writing.begun is not None and writing.whole is not None:
            found.append(Column("writing", "whole images, unconstrained", writing.whole, writing.begun))
    return found


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Tables with one line a method: the figures as value [low, high], then their differences to LoRA."""
    found = []
    for part, name in PARTS.items():
        titles = [title for title, figure in rows[0]["figures"].items() if figure["part"] == part]
        if titles:
            found += [
                f"### {name}\n",
                _table(
                    ["method", "trained parameters", *titles],
                    [
                        [row["name"], f"{row['parameters']:,}", *(_cell(row["figures"][title]) for title in titles)]
                        for row in rows
                    ],
                ),
            ]
        differing = [row for row in rows if any("difference" in row["figures"][title] for title in titles)]
        if differing:
            found += [
                f"Difference to `{REFERENCE}`:\n",
                _table(
                    ["method", *titles],
                    [
                        [row["name"], *(_cell(row["figures"][title]["difference"], "+") for title in titles)]
                        for row in differing
                    ],
                ),
            ]
    return "\n".join(found)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, [":--"] + ["--:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(figure: dict[str, Any], sign: str = "") -> str:
    if figure["value"] is None:
        return "none"
    if figure["low"] is None:
        return format(figure["value"], f"{sign}.4g")
    return "{} [{}, {}]".format(*(format(figure[name], f"{sign}.4g") for name in ("value", "low", "high")))
