"""The whole pipeline on one page: how corpora become shards, and a ledger with one row for every document.

Each stage below is one named line; its name is the same in the ledger and in the funnel. What a stage does to a
document is a plain function in `graph/stages.py` (reading and writing: `graph/reading.py`, `graph/writing.py`); how
that becomes a Beam transform is in `graph/transforms.py`. Documents and their images never cross a shuffle: from `Read`
to `Assemble` the stages are fused, and only ids, ranks and small ledger rows are grouped (`graph/grouping.py`). With
`llm.in_flight`, documents wait in files before the questions, and the names of these are grouped (`graph/lanes.py`).
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton

from pipeline.graph import asking, benchmark, ocr, reading, repeated_images, stages, writing
from pipeline.graph.grouping import Group, disk_of
from pipeline.graph.headings import HEADINGS, Recurring, TakeExcerpt
from pipeline.graph.lanes import Lanes, lanes_of
from pipeline.graph.rank import RankByHash
from pipeline.graph.repeats import Repeats
from pipeline.graph.table import AsTable
from pipeline.graph.transforms import ENDED, Batches, Each, InFlight, Stage
from pipeline.run import Run
from schemas import stage_names as name


def build(pipeline: beam.Pipeline, run: Run, until: str | None = None) -> None:
    """Add the graph to `pipeline`; it writes shards, index parts and ledger parts below `run.staging`.

    What it writes last says that all of them are there (`writing.write_end`). With `until`, that stage is the last, and
    what is kept are images and scores, in the work folder.
    """
    images, clip = run.config.images, run.config.clip
    size, salt = run.config.shards.size, run.config.shards.salt
    disk = disk_of(run)
    ended = []

    def stage(documents: beam.PCollection[Any], do: Stage, *side: AsSingleton) -> beam.PCollection[Any]:
        outputs = documents | do.label >> beam.ParDo(do, *side).with_outputs(ENDED, main="passed")
        ended.append(outputs[ENDED])
        passed: beam.PCollection[Any] = outputs["passed"]
        return passed

    files = pipeline | "Run" >> beam.Create([run]) | "Plan" >> beam.FlatMap(reading.plan)
    parts = files | "Divide" >> reading.Divide(run)
    identified = parts | "Identify" >> beam.FlatMap(reading.identify, run).with_outputs(HEADINGS, main="identities")
    near = run.config.duplicates.text_at_least
    repeats = identified["identities"] | "Find duplicates" >> Repeats(near, disk) | "Duplicates" >> AsTable()
    recurring = identified[HEADINGS] | "Find recurring headings" >> Recurring(disk) | "Headings" >> AsTable()

    docs = stage(parts, reading.Read(run), AsSingleton(repeats))
    docs = stage(docs, reading.Deduplicate(run), AsSingleton(repeats))
    docs = stage(docs, Each(run, name.FILTER_TEXT, stages.filter_text))
    docs = stage(docs, Each(run, name.FILTER_HEADERS, stages.filter_headers))
    docs = stage(docs, InFlight(run, name.STORE_IMAGES, stages.store_images, images.workers))
    if until == name.STORE_IMAGES:
        return
    if run.config.duplicates.of_images:
        limits = run.config.duplicates
        repeated = (
            parts
            | "Look at images" >> beam.FlatMap(repeated_images.look, run, AsSingleton(repeats))
            | "Find repeated images"
            >> repeated_images.RepeatedImages(limits.image_distance, limits.images_in_at_most, disk)
            | "Images to remove" >> AsTable()
        )
        docs = stage(docs, repeated_images.CompareImages(run), AsSingleton(repeated))
    if run.config.decontaminate:
        docs = stage(docs, Each(run, name.DECONTAMINATE, benchmark.decontaminate))
    if run.config.ocr:
        docs = stage(docs, Batches(run, name.READ_IMAGES, ocr.read_images, clip.batch_documents))
    docs = stage(docs, Batches(run, name.SCORE_COHERENCE, stages.score_coherence, clip.batch_documents))
    if until == name.SCORE_COHERENCE:
        return
    docs = stage(docs, Each(run, name.FILTER_COHERENCE, stages.filter_coherence))
    docs = stage(docs, Each(run, name.FILTER_IMAGES, stages.filter_images))
    docs = stage(docs, TakeExcerpt(run, name.TAKE_EXCERPT, stages.take_excerpt), AsSingleton(recurring))
    if lanes := lanes_of(run):
        docs = docs | "Questions" >> Lanes(run, lanes)
    docs = stage(docs, InFlight(run, name.RATE_TEXT, asking.rate_text, asking.at_once(run)))
    docs = stage(docs, Each(run, name.FILTER_RATINGS, stages.filter_ratings))
    docs = stage(docs, InFlight(run, name.WRITE_INSTRUCTION, asking.write_instruction, asking.at_once(run)))
    staged = stage(docs, Each(run, name.ASSEMBLE, stages.assemble_instance))

    kept = (
        staged
        | "Rank instances" >> RankByHash(salt, lambda one: one.outcome.id, disk)
        | "Assign shards" >> beam.Map(lambda ranked: (ranked[0] // size, ranked))
        | "Group shards" >> Group(disk)
        | "Write shards" >> beam.FlatMap(writing.write_shard, run)
    )

    parts_of_ledger = (
        (*ended, kept)
        | "Rank outcomes" >> RankByHash(salt, lambda outcome: outcome.id, disk)
        | "Assign ledger parts" >> beam.Map(lambda ranked: (ranked[0] // writing.LEDGER_ROWS, ranked))
        | "Group ledger" >> Group(disk)
        | "Write ledger" >> beam.Map(writing.write_ledger_part, run)
    )
    _ = pipeline | "Last" >> beam.Create([run]) | "Write end" >> beam.Map(writing.write_end, AsIter(parts_of_ledger))
