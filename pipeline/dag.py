"""The whole system on one page: how raw corpora become shards and an account of every document.

Each step below is one named line. What a step does to a document is a plain function in `graph/stages.py` (reading and
writing: `reading.py`, `writing.py` beside it); how it becomes a Beam transform is in `transforms.py`. Documents, and above all their
pictures, never cross a shuffle: from `Read` to `Assemble` the steps are fused, and only ids, ranks and small ledger
rows are grouped.
"""

from __future__ import annotations

import apache_beam as beam
from apache_beam.pvalue import AsDict

from pipeline.graph import reading, stages, writing
from pipeline.graph.rank import RankByHash
from pipeline.graph.transforms import ENDED, Batches, Each, InFlight
from pipeline.run import Run


def build(pipeline: beam.Pipeline, run: Run) -> None:
    """Add the whole graph to `pipeline`. It leaves shards, index parts and ledger parts under `run.staging`."""
    images, clip, llm = run.config.images, run.config.clip, run.config.llm
    size, salt = run.config.shards.size, run.config.shards.salt
    ended = []

    def step(documents, label: str, do: beam.DoFn, *side):
        do.label = label
        outputs = documents | label >> beam.ParDo(do, *side).with_outputs(ENDED, main="passed")
        ended.append(outputs[ENDED])
        return outputs["passed"]

    parts = (pipeline
             | "Run" >> beam.Create([run])
             | "Plan" >> beam.FlatMap(reading.plan)
             | "Spread" >> beam.Reshuffle())
    repeats = (parts
               | "Identify" >> beam.FlatMap(reading.identify)
               | "Find repeats" >> reading.Repeats())

    found = step(parts, "Read", reading.Read(run.counts))
    found = step(found, "Drop repeats", reading.DropRepeats(run.counts), AsDict(repeats))
    found = step(found, "Judge text", Each(run, "text", stages.judge_text))
    found = step(found, "Judge picture headers", Each(run, "image_rules", stages.judge_headers))
    found = step(found, "Store pictures", InFlight(run, "images", stages.store_pictures, images.workers))
    found = step(found, "Score coherence", Batches(run, "picture_fit", stages.score_coherence, clip.batch_documents))
    found = step(found, "Judge pictures", Each(run, "picture_fit", stages.judge_pictures))
    found = step(found, "Take excerpt", Each(run, "excerpt", stages.take_excerpt))
    found = step(found, "Judge coherence", Each(run, "coherence", stages.judge_coherence))
    found = step(found, "Rate text", InFlight(run, "quality", stages.rate_text, llm.concurrency))
    found = step(found, "Judge quality", Each(run, "quality", stages.judge_quality))
    found = step(found, "Write instruction", InFlight(run, "instruction", stages.write_instruction, llm.concurrency))
    staged = step(found, "Assemble", Each(run, "assemble", stages.assemble_instance))

    kept = (staged
            | "Rank instances" >> RankByHash(salt)
            | "Assign shards" >> beam.Map(lambda ranked: (ranked[0] // size, ranked))
            | "Group shards" >> beam.GroupByKey()
            | "Write shards" >> beam.FlatMap(writing.write_shard, run))

    _ = ((*ended, kept)
         | "All outcomes" >> beam.Flatten()
         | "Key outcomes" >> beam.Map(lambda outcome: (outcome.id, outcome))
         | "Rank outcomes" >> RankByHash(salt)
         | "Assign ledger parts" >> beam.Map(lambda ranked: (ranked[0] // writing.LEDGER_ROWS, ranked))
         | "Group ledger" >> beam.GroupByKey()
         | "Write ledger" >> beam.Map(writing.write_ledger_part, run))
