"""`selftest.html`: the verdict, the table, and histograms of the scores of true documents and damaged copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.report.figures import histogram
from pipeline.report.render import render
from pipeline.selftest.result import NAMES, TRUE, Judged, margins, means
from schemas.codec import Json


def page(result: Json, judged: Mapping[str, Sequence[Judged]], rules: Mapping[str, float]) -> str:
    """The page as HTML; `rules` are the thresholds of the configuration's `coherence`."""
    true = judged[TRUE]
    figures = []
    for kind in ("swapped", "permuted"):
        copies = judged[kind]
        for name, right, wrong, threshold, about in (
            ("mean score", means(true), means(copies), rules["mean_at_least"], "Mean matched score of a document."),
            ("margin", margins(true), margins(copies), rules["margin_at_least"], "Mean matched minus mismatched."),
        ):
            if right and wrong:
                figures.append(
                    (
                        histogram(
                            f"{name}: {NAMES[kind]}",
                            Counter(right),
                            Counter(wrong),
                            threshold,
                            names=("true", "damaged"),
                        ),
                        about,
                    )
                )
    return render("selftest.html.jinja", result=result, names=NAMES, figures=figures)
