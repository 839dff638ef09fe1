"""`leafinstruct score`: measures any corpus, as a table and a page, without filtering or building anything."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import heapq
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import prompts
from filters.drop_images import drop_images
from filters.words import words
from pipeline.coherence.damage import other_texts, permuted, swapped
from pipeline.coherence.scorer import Scorer
from pipeline.graph import asking, reading, stages
from pipeline.graph.window import Window
from pipeline.instances.excerpt import best_excerpt
from pipeline.launch.build import configured
from pipeline.launch.stored import measured
from pipeline.llm.probe import check_server, probe
from pipeline.report.scored import EXPLANATIONS, Control, page
from pipeline.run import LLM_KEY, Run, image_store
from pipeline.storage.store import replacing, write_bytes
from schemas.codec import mean_coherence, mean_rating
from schemas.errors import RecordFault, UserError
from schemas.records import Document, Drop, Fault, ScoredDocument, StoredDocument, StoredImage, Text
from schemas.stage_names import STORE_IMAGES

_FIELDS: list[tuple[str, Any]] = [
    ("id", pa.string()),
    ("location", pa.string()),
    ("source", pa.string()),
    ("title", pa.string()),
    ("words", pa.int64()),
    ("images", pa.int64()),
    ("lost_images", pa.list_(pa.string())),
    ("coherence", pa.float64()),
    ("margin", pa.float64()),
    ("recall_at_1", pa.float64()),
    ("matched", pa.list_(pa.float64())),
    ("mean_rating", pa.float64()),
    ("ratings", pa.map_(pa.string(), pa.float64())),
    ("error", pa.string()),
]
SCHEMA = pa.schema(_FIELDS)
SAMPLE = 200
"""The number of documents that are damaged and scored again; a share of 200 is known to within 7 percentage points."""
EXTREMES = 10
Row = dict[str, Any]


def score(config: str, corpus: str, output: str, *, limit: int | None, llm_url: str | None, work: str | None) -> str:
    """Write `output/scores.parquet`, with a row for every record, and `output/scores.html`; returns a text about them.

    Images are fetched and stored in `work`. Documents are rated if `llm_url` names a server. Raises UserError.
    """
    run, scorer = _prepared(config, corpus, f"{work or output + '/.work'}", limit, llm_url)
    totals = _Totals()
    rate = asking.rate_text(run) if llm_url else None
    with contextlib.ExitStack() as stack:
        if rate:
            stack.callback(rate.close)
        file = stack.enter_context(replacing(f"{output}/scores.parquet"))
        table = stack.enter_context(pq.ParquetWriter(file, SCHEMA, compression="zstd"))
        for rows in _scored(run, scorer, rate, totals):
            table.write_table(pa.Table.from_pylist(rows, SCHEMA))
            if len(rows) > 1:
                print(f"{totals.counts['documents']:,} documents scored", file=sys.stderr)
    controls = _controls(totals.sample, scorer, image_store(run).open)
    models = [scorer.version, *([run.llm_name] if llm_url else [])]
    text = page(corpus, models, dict(totals.counts), totals.values, dict(totals.faults), controls, totals.extremes())
    write_bytes(f"{output}/scores.html", text.encode())
    found = ", ".join(f"{count:,} {name}" for name, count in totals.counts.items())
    return f"{output}/scores.parquet: {found}\n{output}/scores.html shows the scores, and how far they can be trusted"


def _prepared(config: str, corpus: str, work: str, limit: int | None, llm_url: str | None) -> tuple[Run, Scorer]:
    settings = configured(config, [corpus], limit, llm_url)
    name = ""
    if llm_url:
        key = os.environ.get(LLM_KEY)
        try:
            name = check_server(llm_url, settings.llm.name, key)
        except UserError:
            name = check_server(llm_url, None, key)
        probe(llm_url, name, prompts.load(settings.prompts), key)
    scorer = Scorer(settings.clip.model, settings.clip.pretrained, settings.clip.dtype)
    return measured(settings, work, name), scorer


class _Totals:
    """What the page needs of all rows: a few numbers for each document."""

    def __init__(self) -> None:
        self.counts = collections.Counter[str](records=0, documents=0, images=0)
        self.values: dict[str, list[float]] = {name: [] for name in EXPLANATIONS}
        self.faults = collections.Counter[str]()
        self.sample: list[tuple[StoredDocument, Row]] = []
        self._ends: list[tuple[float, str, str]] = []

    def add(self, row: Row) -> Row:
        self.counts["records"] += 1
        self.faults.update(f"record: {row['error']}" for _ in range(bool(row["error"])))
        self.faults.update(f"image: {kind}" for kind in row["lost_images"])
        for name, values in self.values.items():
            if row[name] is not None:
                values.append(row[name])
        if row["coherence"] is not None:
            self._ends.append((row["coherence"], row["id"], row["title"]))
            if len(self._ends) > 1000:
                self._ends = self._low() + self._high()
        return row

    def scored(self, document: StoredDocument, row: Row) -> None:
        self.counts["documents"] += 1
        self.counts["images"] += len(document.images)
        if len(document.images) > 1 and len(document.texts) > 1 and len(self.sample) < SAMPLE:
            self.sample.append((document, row))

    def extremes(self) -> list[tuple[str, list[tuple[float, str, str]]]]:
        return [("The lowest coherence", self._low()), ("The highest coherence", self._high())]

    def _low(self) -> list[tuple[float, str, str]]:
        return heapq.nsmallest(EXTREMES, self._ends)

    def _high(self) -> list[tuple[float, str, str]]:
        return heapq.nlargest(EXTREMES, self._ends)


def _scored(run: Run, scorer: Scorer, rate: Any, totals: _Totals) -> Iterator[list[Row]]:
    """Rows of all records, in groups, in the order in which they finish."""
    images, size = image_store(run), run.config.clip.batch_documents
    waiting: list[StoredDocument] = []

    def rows() -> list[Row]:
        found = scorer.score(waiting, images.open) if waiting else []
        rows = _rated(run, rate, [ScoredDocument.of(d, coherence=c) for d, c in zip(waiting, found, strict=True)])
        for document, row in zip(waiting, rows, strict=True):
            totals.scored(document, totals.add(row))
        waiting.clear()
        return rows

    for record in _stored(run):
        if not isinstance(record, StoredDocument):
            yield [totals.add(record)]
            continue
        waiting.append(record)
        if len(waiting) == size:
            yield rows()
    yield rows()


def _stored(run: Run) -> Iterator[StoredDocument | Row]:
    """The documents with the images that can be stored, and rows for records without any or that cannot be read."""
    images = image_store(run)
    pool = concurrent.futures.ThreadPoolExecutor(run.config.images.workers, "images")
    window: Window[Document, Any] = Window(run.config.images.workers)

    def stored(document: Document) -> StoredDocument:
        document, faults = stages.change_images(document, images.store)
        document = drop_images(document, {at: Drop(f.kind, 0.0, 1.0) for at, f in faults.items()}, STORE_IMAGES)
        segments = tuple(s for s in document.segments if isinstance(s, Text | StoredImage))
        return StoredDocument.of(document, segments=segments)

    def finished(results: Any) -> Iterator[StoredDocument | Row]:
        for document, found in results:
            if isinstance(found, RecordFault):
                yield _row(document, error=found.kind)
            elif isinstance(found, BaseException):
                raise found
            else:
                yield found if found.images else _row(found, error="no_images")

    try:
        for record in reading.records(run):
            if isinstance(record, Fault):
                yield _row(Document(record.id, record.source, (), location=record.location), error=record.error)
            else:
                yield from finished(window.add(record, pool.submit(stored, record)))
        yield from finished(window.drain())
    finally:
        pool.shutdown(cancel_futures=True)


def _rated(run: Run, rate: Any, documents: list[ScoredDocument]) -> list[Row]:
    """The rows of these documents; if there is a server, with the ratings of the excerpt that a build would take."""
    rows = [_row(document) for document in documents]
    if not rate:
        return rows
    limits = run.config.excerpt
    window: Window[Row, Any] = Window(run.config.llm.concurrency)
    finished: list[Any] = []
    for document, row in zip(documents, rows, strict=True):
        excerpt = best_excerpt(
            document, max_words=limits.max_words, max_images=limits.max_images, min_words=limits.min_words
        )
        if excerpt is None:
            row["error"] = "no_excerpt"
        else:
            finished += window.add(row, rate(excerpt))
    for row, found in [*finished, *window.drain()]:
        if isinstance(found, RecordFault):
            row["error"] = found.kind
        elif isinstance(found, BaseException):
            raise found
        else:
            row |= {"ratings": dict(found.ratings), "mean_rating": mean_rating(found.ratings)}
    return rows


def _row(document: Document, error: str = "") -> Row:
    row: Row = dict.fromkeys(SCHEMA.names) | {
        "id": document.id,
        "location": document.location,
        "source": document.source,
        "title": document.title,
        "words": sum(len(words(text)) for text in document.texts),
        "images": sum(isinstance(segment, StoredImage) for segment in document.segments),
        "lost_images": [lost.drop.rule for lost in document.dropped_images],
        "error": error,
    }
    if isinstance(document, ScoredDocument):
        found = document.coherence
        row |= {"margin": found.margin, "recall_at_1": found.recall_at_1, "matched": list(found.matched)}
        row["coherence"] = mean_coherence(found.matched) if found.matched else None
    return row


def _controls(
    sample: list[tuple[StoredDocument, Row]], scorer: Scorer, open_image: Callable[[str], Any]
) -> list[Control]:
    """The measures of documents that were damaged on purpose, beside those of the originals."""
    if len(sample) < 2:
        return []
    plain, before = [document for document, _ in sample], {document.id: row for document, row in sample}
    damaged = {
        "images of other documents": swapped(plain),
        "images in another order": permuted(plain),
        "texts of another document": other_texts(plain),
    }
    controls = []
    for name, copies in damaged.items():
        after = {
            copy.id: _row(ScoredDocument.of(copy, coherence=found))
            for copy, found in zip(copies, scorer.score(copies, open_image), strict=True)
        }
        pairs = {
            measure: [
                (before[id_][measure], row[measure])
                for id_, row in after.items()
                if before[id_][measure] is not None and row[measure] is not None
            ]
            for measure in ("coherence", "margin", "recall_at_1")
        }
        controls.append(Control(name, pairs))
    return controls
