"""`report.html`: one self-contained page that shows what a run kept, what it dropped, and why."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from filters.content import RULES as CONTENT_RULES
from pipeline.dataset import ledger
from pipeline.dataset.wording import count as plural
from pipeline.dataset.wording import percent
from pipeline.report.dropped import PER_RULE, read_samples
from pipeline.report.figures import Histogram, histogram
from pipeline.report.gallery import gallery, mini
from pipeline.report.pictures import Album
from pipeline.report.render import render
from pipeline.report.tally import Tally, tally
from pipeline.storage.files import write_bytes
from schemas.codec import Json
from schemas.records import MOST_CANDIDATES
from schemas.stage_names import STAGES, stage_title

KEPT_ROOM, DROPPED_ROOM = 3_600_000, 1_400_000
"""The most bytes of the page for images of kept and of dropped documents; with them the page stays below 6 MB."""

ROWS = 15
"""The number of domains, sources and licences with their own line; the others share one."""

Row = dict[str, str | int | None]
"""A line of a table: its name, how many documents were kept (`count`) and read (`of`, if it is known)."""

EXPLANATIONS = {
    "coherence": "How well the images match the text next to them: mean of their matched scores.",
    "margin": "How much better they match their own text than the text next to the document's other images.",
    "recall_at_1": "Share of images that match their own text best.",
    "mean_rating": "The mean of the language model's ratings, from 1 (bad) to 5 (good).",
    "attempts": "Which of the instructions that the language model wrote was taken; 0: one made of the title.",
}

SPANS = {"recall_at_1": (0, 1), "attempts": (0, MOST_CANDIDATES), "mean_rating": (1, 5)}
"""Scores whose whole range is shown, so that histograms can be compared; that of ratings is 1 to 5."""


def write_report(folder: str, dropped: str | None = None, metrics: Sequence[tuple[str, str]] = ()) -> str:
    """Write `folder/report.html` from the ledger, index, shards and manifest in `folder`; returns its path.

    `metrics` are the metrics of the run by stage, as text. `dropped` is the folder of examples that `keep_sample` wrote
    (default: `folder/.work/dropped`). The same folder and metrics give the same page, byte for byte. Raises UserError
    if the build is not finished.
    """
    path = f"{folder}/report.html"
    write_bytes(path, page(folder, dropped or f"{folder}/.work/dropped", metrics).encode())
    return path


def page(folder: str, dropped: str, metrics: Sequence[tuple[str, str]] = ()) -> str:
    """The page as HTML."""
    manifest = ledger.read_manifest(folder)
    funnel = ledger.funnel(ledger.read_outcomes(folder), ledger.run_stages(manifest))
    samples = read_samples(dropped, funnel.dropped)
    counted = tally(ledger.read_outcomes(folder), samples)
    typical, weakest = gallery(folder, Album(KEPT_ROOM))
    counts = manifest["counts"]
    return render(
        "page.html.jinja",
        funnel=funnel,
        title=stage_title,
        off=[stage_title(name) for name in STAGES if name not in {stage.name for stage in funnel.stages}],
        per_rule=PER_RULE,
        dropped_total=sum(funnel.dropped.values()),
        failed_total=sum(funnel.failed.values()),
        tiles=_tiles(funnel, counted, manifest),
        histograms=_histograms(counted, ledger.limits(manifest), manifest["rating_aspects"]),
        domains=_rows(counts["domains"]),
        licenses=_rows(counts["licenses"]),
        images=_rows(funnel.images),
        images_total=sum(funnel.images.values()),
        sources=_source_rows(counted.sources),
        typical=typical,
        weakest=weakest,
        metrics=metrics,
        groups=_groups(funnel, counted, samples),
        failures=counted.failures,
        facts=_facts(manifest),
        config=yaml.safe_dump(manifest["config"], sort_keys=False, allow_unicode=True),
    )


def _tiles(funnel: ledger.Funnel, counted: Tally, manifest: Json) -> list[dict[str, str]]:
    def tile(name: str, value: str, detail: str) -> dict[str, str]:
        return {"name": name, "value": value, "detail": detail}

    shards = manifest["shards"]
    size = sum(shard["bytes"] for shard in shards) / 1e6
    return [
        tile("Read", f"{funnel.input:,}", f"from {plural(len(counted.sources), 'source')}"),
        tile("Kept", f"{funnel.kept:,}", percent(funnel.kept, funnel.input)),
        tile("Dropped", f"{sum(funnel.dropped.values()):,}", f"by {plural(len(funnel.dropped), 'rule')}"),
        tile("Failed", f"{sum(funnel.failed.values()):,}", f"{plural(len(funnel.failed), 'kind')} of error"),
        tile(
            "Images",
            f"{manifest['counts']['images']:,}",
            f"{manifest['counts']['images'] / funnel.kept:.1f} per instance" if funnel.kept else "in instances",
        ),
        tile("Shards", f"{len(shards):,}", f"{size:,.1f} MB"),
    ]


def _histograms(counted: Tally, least: dict[str, float], aspects: dict[str, str]) -> list[tuple[Histogram, str]]:
    explanations = EXPLANATIONS | {aspect: f"Rating, 1 to 5: {about}" for aspect, about in aspects.items()}
    spans = SPANS | dict.fromkeys(aspects, (1, 5))
    return [
        (histogram(name, counted.kept[name], counted.others[name], least.get(name), spans.get(name)), explanation)
        for name, explanation in explanations.items()
        if name in counted.kept or name in counted.others
    ]


def _rows(counts: dict[str, int]) -> list[Row]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows: list[Row] = [{"name": name or "not given", "count": count, "of": None} for name, count in ordered[:ROWS]]
    if rest := ordered[ROWS:]:
        rows.append({"name": f"{len(rest):,} others", "count": sum(count for _, count in rest), "of": None})
    return rows


def _source_rows(sources: dict[str, list[int]]) -> list[Row]:
    ordered = sorted(sources.items(), key=lambda item: (-item[1][1], item[0]))
    rows: list[Row] = [
        {"name": name or "not given", "count": kept, "of": read} for name, (kept, read) in ordered[:ROWS]
    ]
    if rest := ordered[ROWS:]:
        rows.append(
            {
                "name": f"{len(rest):,} others",
                "count": sum(kept for _, (kept, _) in rest),
                "of": sum(read for _, (_, read) in rest),
            }
        )
    return rows


def _groups(funnel: ledger.Funnel, counted: Tally, samples: dict[str, Json]) -> list[Json]:
    album = Album(DROPPED_ROOM)
    return [
        {
            "rule": rule,
            "count": count,
            "stage": stage_title(stage.name),
            "documents": [mini(o, samples.get(o.id), album) for o in counted.dropped[rule] if o.stage == stage.name],
        }
        for stage in funnel.stages
        for rule, count in stage.dropped.items()
    ]


def _facts(manifest: Json) -> list[tuple[str, str]]:
    names = {
        "pipeline": "Pipeline",
        "config": "Configuration (hash)",
        "clip": "Coherence model",
        "llm": "Language model",
        "rate_prompt": "Rating prompt (hash)",
        "write_prompt": "Writing prompt (hash)",
    }
    facts = [(names.get(name, name), value) for name, value in manifest["provenance"].items()]
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(manifest["libraries"].items()))
    shards = [
        (shard["name"], f"{shard['instances']:,} instances, sha256 {shard['sha256']}")
        for shard in manifest["shards"][:ROWS]
    ]
    content = ("What images show", _content_rules(manifest["config"].get("rules", {})))
    return [("Dataset", manifest["name"]), *facts, content, ("Libraries", libraries), *shards]


def _content_rules(rules: Json) -> str:
    """Which rules about what images show were on, with their limits, and which were off."""
    limits = {rule["rule"].rpartition(".")[2]: rule.get("at_most") for rule in rules.get("content", [])}
    names = [rule.__name__ for rule in CONTENT_RULES]
    told = [f"{name} at most {limits[name]}" for name in names if name in limits]
    off = ", ".join(name for name in names if name not in limits)
    return "; ".join([*told, f"not looked for: {off}"] if off else told)
