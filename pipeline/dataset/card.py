"""The data card (README.md) of a dataset: what `datasets` needs to load the shards, and what a reader wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from schemas.card import front_matter
from schemas.codec import Json
from schemas.printable import markdown

MOST_ROWS = 100
"""The most lines of a table of the card."""

_TEXT = """
# {name}

{instances:,} examples of interleaved instruction following: an instruction, a context and an output, both of text and \
{images:,} images in reading order. They were cut from web documents and kept by rules, by text-image coherence and by \
a language model's ratings. The format is LeafInstruct {version}.

## Load it

```python
import datasets
data = datasets.load_dataset("path/to/this/folder", split="train")
sample = data[0]
for segment in sample["json"]["context"] + sample["json"]["output"]:
    print(segment["text"] if segment["type"] == "text" else sample[segment["image"]])
```

A sample has a column for every picture name that occurs in the set; those that it does not use are empty. The same \
files are WebDataset shards (`shards/*.tar`): a `.json` and its pictures a sample. `index.parquet` has one row an \
instance, with its scores and the place of its bytes; `ledger/` says of every input document what became of it; \
`manifest.json` holds the checksums.

## What is in it

{domains}

{sources}

{licenses}

Every instance carries the `source`, `url` and `license` of the document that it was cut from. Whoever uses it is \
bound by that licence.

## How it was made

{input:,} documents were read; {kept:,} were kept. {benchmark}

{funnel}

| step | by |
|---|---|
| pipeline | {pipeline} |
| text-image coherence | {clip} |
| ratings and instructions | {llm} |
| prompt for ratings | {rate_prompt} |
| prompt for instructions | {write_prompt} |

The instructions, the domains and the ratings are a model's, not a person's. Order and splits follow from the salt \
`{salt}`; no clock and no chance went into the files. The whole configuration, with every threshold:

```yaml
{config}```
"""


def card(manifest: Json) -> str:
    """The data card of the folder that this manifest describes."""
    counts, funnel = manifest["counts"], manifest["funnel"]
    ended = [(f"dropped: {rule}", number) for rule, number in funnel["dropped"].items()] + [
        (f"failed: {error}", number) for error, number in funnel["failed"].items()
    ]
    body = _TEXT.format(
        benchmark=_benchmark(manifest["config"].get("benchmark"), funnel["dropped"]),
        name=manifest["name"],
        version=manifest["format_version"],
        salt=manifest["salt"],
        instances=counts["instances"],
        images=counts["images"],
        input=funnel["input"],
        kept=funnel["kept"],
        domains=_table("domain", counts["domains"]),
        sources=_table("source", counts["sources"]),
        licenses=_table("licence", {name or "not stated": n for name, n in counts["licenses"].items()}),
        funnel=_table("documents that ended", dict(ended)),
        config=yaml.safe_dump(manifest["config"], sort_keys=True, allow_unicode=True),
        **{name: markdown(value) for name, value in manifest["provenance"].items() if name != "config"},
    )
    front = yaml.safe_dump(front_matter(manifest), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n{body}"


def _benchmark(checked: Mapping[str, Any] | None, dropped: Mapping[str, int]) -> str:
    """A sentence about the benchmark that was kept out."""
    if not checked:
        return "They were not compared with any benchmark."
    hits = sum(number for rule, number in dropped.items() if rule.startswith("benchmark_"))
    return (
        f"Those whose images could be had were compared with a benchmark of {checked['items']:,} items by "
        f"{checked['id']:,} ids, {checked['text']:,} runs of twelve words and {checked['image']:,} images (index "
        f"{checked['sha256'][:12]}); {hits:,} that repeat it were dropped."
    )


def _table(title: str, counts: Mapping[str, int]) -> str:
    """A table of the highest counts, and the sum of the others: a corpus can have as many sources as documents."""
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if rest := rows[MOST_ROWS:]:
        rows = [*rows[:MOST_ROWS], (f"{len(rest):,} others", sum(n for _, n in rest))]
    return "\n".join([f"| {title} | number |", "|---|---|", *(f"| {markdown(name)} | {n:,} |" for name, n in rows)])
