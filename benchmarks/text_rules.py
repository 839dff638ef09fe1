"""The text rules and header rules of this project against datatrove's Gopher quality filter, on the same texts.

    python -m benchmarks.text_rules --corpus native:../shared/corpora/howto.tar [--limit N] [--json]

Both check every document with the thresholds of the `gopher` preset, in one process, taking turns. This project's rules
also open each image file, read its header and check its size by the `leafinstruct` image rules; datatrove's filter
reads only the text. The two split words differently (datatrove uses spaCy), so the share of equal decisions is reported too.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable

from filters import presets
from filters.stats import TextStats
from pipeline import corpora
from pipeline.images.store import header
from schemas.records import Document, Image, Segment, SizedImage


def read(corpus: str, limit: int | None) -> list[Document]:
    """The first documents of a corpus (FORMAT:PATH)."""
    format_, path = corpus.split(":", 1)
    documents = (
        record for part in corpora.parts(format_, path) for record in corpora.read(part) if isinstance(record, Document)
    )
    return [document for document, _ in zip(documents, range(limit or sys.maxsize), strict=False)]


def ours() -> tuple[Callable[[Document], str], Callable[[Document], str]]:
    """The decision of the text rules ("" for keep), alone and with image headers read and checked."""
    gopher = presets.load("gopher")
    images = presets.load("leafinstruct").image_rules

    def text(document: Document) -> str:
        drop = presets.filter_document(document, gopher.document_rules)
        return drop.rule if drop else ""

    def text_and_headers(document: Document) -> str:
        presets.filter_images(_with_headers(document), images)
        return text(document)

    return text, text_and_headers


def _with_headers(document: Document) -> Document:
    def measured(segment: Segment) -> Segment:
        if not isinstance(segment, Image):
            return segment
        found = header(segment.uri)
        return SizedImage(segment.uri, segment.alt, segment.caption, width=found.width, height=found.height)

    return dataclasses.replace(document, segments=tuple(map(measured, document.segments)))


def theirs() -> Callable[[Document], str]:
    """datatrove's decision by its Gopher filter: the reason, or an empty string for keep."""
    try:
        from datatrove.data import Document as TheirDocument
        from datatrove.pipeline.filters import GopherQualityFilter

        rules = GopherQualityFilter()
        rules.filter(TheirDocument(text="spaCy is imported at the first call.", id=""))
    except ImportError as error:
        sys.exit(f"This benchmark needs datatrove and spaCy ({error}): pip install -e '.[bench]'")

    def judge(document: Document) -> str:
        answer = rules.filter(TheirDocument(text=TextStats(document).text, id=document.id))
        return "" if answer is True else answer[1]

    return judge


def seconds(judge: Callable[[Document], str], documents: list[Document]) -> float:
    """Wall time for all documents."""
    start = time.perf_counter()
    for document in documents:
        judge(document)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True, metavar="FORMAT:PATH")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N documents only")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    documents = read(arguments.corpus, arguments.limit)
    text, text_and_headers = ours()
    judges = {"text": text, "text_and_headers": text_and_headers, "datatrove": theirs()}
    for judge in judges.values():  # a warm-up: imports, file caches and spaCy's vocabulary are not measured
        seconds(judge, documents[:50])
    times: dict[str, list[float]] = {name: [] for name in judges}
    for _ in range(arguments.repeats):
        for name, judge in judges.items():
            times[name].append(seconds(judge, documents))
    rate = {name: len(documents) / statistics.median(taken) for name, taken in times.items()}
    pairs = collections.Counter((text(d) or "keep", judges["datatrove"](d) or "keep") for d in documents)
    agree = sum(n for (own, other), n in pairs.items() if (own == "keep") == (other == "keep")) / len(documents)
    result = {
        "documents": len(documents),
        "images": sum(len(d.images) for d in documents),
        "repeats": arguments.repeats,
        "documents_per_second": {name: round(value, 1) for name, value in rate.items()},
        "spread": {
            name: [round(len(documents) / t, 1) for t in (max(taken), min(taken))] for name, taken in times.items()
        },
        "ratio": round(rate["text_and_headers"] / rate["datatrove"], 2),
        "ratio_text_only": round(rate["text"] / rate["datatrove"], 2),
        "target": 5,
        "agreement": round(agree, 4),
        "disagreements": {
            f"{own} / {other}": n for (own, other), n in pairs.most_common() if (own == "keep") != (other == "keep")
        },
    }
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"{result['documents']} documents, {result['images']} images, median of {arguments.repeats} runs")
    for name, value in rate.items():
        print(f"  {name:17} {value:9.1f} documents/s")
    print(
        f"  {result['ratio']} times datatrove (text alone: {result['ratio_text_only']} times; target 5), "
        f"{agree:.1%} equal decisions"
    )
    for pair, n in result["disagreements"].items():
        print(f"  ours / theirs: {pair}: {n}")


if __name__ == "__main__":
    main()
