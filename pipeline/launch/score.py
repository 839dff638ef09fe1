"""`leafinstruct score`: measures any corpus, as a table and a page, without filtering or building anything."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import heapq
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import prompts
from filters.drop_images import drop_images
from pipeline.coherence.damage import order
from pipeline.coherence.scorer import Scorer
from pipeline.graph import asking, reading, stages
from pipeline.graph.window import Window
from pipeline.images.allowance import TIMEOUTS, allowance
from pipeline.launch.build import configured, served_model
from pipeline.launch.proof import proofs
from pipeline.launch.score_rows import SCHEMA, Rate, Row, excerpt_of, rate_all, row_of
from pipeline.launch.stored import measured, read
from pipeline.llm import keys
from pipeline.llm.probe import probe
from pipeline.report.scored import EXPLANATIONS, page
from pipeline.run import Run, image_store
from pipeline.storage import remote
from pipeline.storage.files import replacing, write_bytes
from schemas.errors import RecordFault, UserError
from schemas.records import Document, Drop, Fault, ScoredDocument, StoredDocument, StoredImage, Text
from schemas.stage_names import STORE_IMAGES

EXTREMES = 10


def score(
    config: str, corpus: str, output: str, *, limit: int | None, llm_url: str | None, work: str | None, proof: int
) -> str:
    """Write `output/scores.parquet`, with a row for every record, and `output/scores.html`; returns a text about them.

    Images are fetched and stored in `work`. Documents are rated if `llm_url` names a server. Copies of up to `proof`
    documents are damaged, to see which measure notices. Raises UserError.
    """
    if not output.strip("/"):
        raise UserError("--output must name a folder")
    output = remote.folder(output)
    run, scorer = _prepared(config, corpus, remote.folder(work or f"{output}/.work"), limit, llm_url)
    totals = _Totals(proof)
    with contextlib.ExitStack() as stack:
        rate = asking.rate_text(run) if llm_url else None
        if rate:
            stack.callback(rate.close)
        with replacing(f"{output}/scores.parquet") as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as table:
            for rows in _measured(run, scorer, rate, totals):
                table.write_table(pa.Table.from_pylist(rows, SCHEMA))
                if len(rows) > 1:
                    print(f"{totals.counts['documents']:,} documents scored", file=sys.stderr)
        proven = proofs(run, scorer, rate, totals.sample())
    models = [scorer.version, *([run.llm_name] if llm_url else [])]
    text = page(corpus, models, dict(totals.counts), totals.values, dict(totals.faults), proven, totals.extremes())
    write_bytes(f"{output}/scores.html", text.encode())
    found = ", ".join(f"{count:,} {name}" for name, count in totals.counts.items())
    beliefs = (belief for belief, _ in proven.values())
    return "\n".join([f"{output}/scores.parquet: {found}", *beliefs, f"{output}/scores.html has the details"])


def _prepared(config: str, corpus: str, work: str, limit: int | None, llm_url: str | None) -> tuple[Run, Scorer]:
    settings = configured(config, [corpus], limit, llm_url)
    name = ""
    if llm_url:
        name = served_model(settings.llm)
        probe(llm_url, name, prompts.load(settings.prompts), keys.of(settings.llm))
    scorer = Scorer(settings.clip.model, settings.clip.pretrained, settings.clip.dtype, ocr=settings.ocr)
    return measured(settings, work, name), scorer


class _Totals:
    """What the page needs of all rows: a few numbers for each document."""

    def __init__(self, proof: int) -> None:
        self.counts = collections.Counter[str](records=0, documents=0, images=0)
        self.values: dict[str, list[float]] = {name: [] for name in EXPLANATIONS}
        self.faults = collections.Counter[str]()
        self._proof, self._sample = proof, dict[str, tuple[ScoredDocument, Row]]()
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

    def scored(self, document: ScoredDocument, row: Row) -> None:
        self.counts["documents"] += 1
        self.counts["images"] += len(document.images)
        if document.texts:
            self._sample.setdefault(document.id, (document, row))
            if len(self._sample) > 2 * self._proof + 100:
                self._sample = {document.id: (document, row) for document, row in self.sample()}

    def sample(self) -> list[tuple[ScoredDocument, Row]]:
        """Up to `proof` documents: those whose ids have the smallest hashes."""
        return heapq.nsmallest(self._proof, self._sample.values(), key=lambda one: order(one[0].id))

    def extremes(self) -> list[tuple[str, list[tuple[float, str, str]]]]:
        return [("The lowest coherence", self._low()), ("The highest coherence", self._high())]

    def _low(self) -> list[tuple[float, str, str]]:
        return heapq.nsmallest(EXTREMES, self._ends)

    def _high(self) -> list[tuple[float, str, str]]:
        return heapq.nlargest(EXTREMES, self._ends)


def _measured(run: Run, scorer: Scorer, rate: Rate | None, totals: _Totals) -> Iterator[list[Row]]:
    """Rows of all records, in groups, in the order in which they finish."""
    images, size = image_store(run), run.config.clip.batch_documents
    waiting: list[StoredDocument] = []

    def rows() -> list[Row]:
        documents = read(run, waiting) if run.config.ocr and waiting else waiting
        found = scorer.score(documents, images.open) if documents else []
        scored = [ScoredDocument.of(d, coherence=c) for d, c in zip(documents, found, strict=True)]
        rows = [row_of(document) for document in scored]
        if rate:
            rate_all(run, rate, [(excerpt_of(run, d), row) for d, row in zip(scored, rows, strict=True)])
        for document, row in zip(scored, rows, strict=True):
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
        with allowance.of(TIMEOUTS * images.http.deadline):
            document, faults = stages.change_images(document, images.store)
        document = drop_images(document, {at: Drop(f.kind, 0.0, 1.0) for at, f in faults.items()}, STORE_IMAGES)
        segments = tuple(s for s in document.segments if isinstance(s, Text | StoredImage))
        return StoredDocument.of(document, segments=segments)

    def finished(results: Any) -> Iterator[StoredDocument | Row]:
        for document, found in results:
            if isinstance(found, RecordFault):
                yield row_of(document, error=found.kind)
            elif isinstance(found, BaseException):
                raise found
            else:
                yield found if found.images else row_of(found, error="no_images")

    try:
        for record in reading.records(run):
            if isinstance(record, Fault):
                yield row_of(Document(record.id, record.source, (), location=record.location), error=record.error)
            else:
                yield from finished(window.add(record, pool.submit(stored, record)))
        yield from finished(window.drain())
    finally:
        pool.shutdown(cancel_futures=True)
