"""Does each stage help a model? Each alone, against as many documents drawn at random.

    cp -r out/howto/.work build/uplift
    python -m benchmarks.uplift --config configs/howto.yaml --corpus native:../shared/corpora/howto.tar \
        --work build/uplift --output out/uplift [--steps 100] [--seeds 0 1 2] [--size N] [--workers 2] [--json]

The documents are those of sources that the small generalist (moss/small) was not trained on. From what each stage alone
keeps of them, and from all of them, subsets of equal size are drawn; the generalist's MoSS adapters are trained on
each, once a seed, and measured on the documents of held-out sources, which no stage has judged: the loss of text and of
images, and how often a picture is found by the text above it among ten. Instructions are titles, except for the
ranking of instructions: the highest ranked of the language model's is compared with one drawn among them. Differences
are paired by seed, with 95 % t-intervals over the seeds. docs/quality.md says more.

The caches of `--work` are used and added to (images, read texts, scores, answers): a copy of a build's work folder
saves most of the time. `--output` gets the figures of each training, which is not repeated, and table.md and
results.json.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.uplift.documents import excerpt_of, stored_documents
from benchmarks.uplift.exam import Exam, exam_of
from benchmarks.uplift.examples import Pools, draw, encoded, fitting, size_of
from benchmarks.uplift.results import BACKBONE, rows, table
from benchmarks.uplift.selection import DRAWN, RANDOM, RANKED, candidates, drawn, selected
from benchmarks.uplift.training import Job, figures, settings_of
from moss.small import HELD_OUT
from moss.training.runs import load_backbone
from pipeline import config as configuration
from pipeline.config import Config
from pipeline.launch.build import served_model
from pipeline.launch.stored import measured
from pipeline.llm import choice, on_demand
from pipeline.llm.questions import taken
from pipeline.run import Run
from prompts import load as load_prompts
from prompts.control import tokens_of
from schemas.errors import UserError


@contextlib.contextmanager
def served(config: Config, work: str) -> Iterator[Run]:
    """A run that only measures, with a model server; one of the pipeline starts at the first new question."""
    prompts = dataclasses.replace(load_prompts(config.prompts), control=tokens_of(config.llm.model))
    with contextlib.ExitStack() as stack:
        if url := config.llm.url:
            wanted, name = "", served_model(config.llm)
            identity = name
        else:
            wanted = stack.enter_context(tempfile.TemporaryDirectory())
            llm, url, identity = choice.reserve(config.llm)
            config, name = dataclasses.replace(config, llm=llm), llm.name
            os.makedirs(work, exist_ok=True)  # for the log
            stack.enter_context(on_demand.when_wanted(llm, url, wanted, Path(work) / "llm.log", prompts))
        run = measured(config, work, identity)
        yield dataclasses.replace(run, prompts=prompts, llm_url=url, llm_name=name, llm_wanted=wanted)


def prepared(run: Run, held_out: Sequence[str], seeds: Sequence[int]) -> tuple[dict[int, Pools], Exam]:
    """What each seed's subsets are drawn from, and the exam. Raises UserError."""
    documents, others = stored_documents(run, held_out)
    excerpts = selected(run, documents)
    passed = candidates(run, excerpts[RANDOM])
    asked = [excerpt for excerpt in excerpts[RANDOM] if excerpt.id in passed]
    held = [excerpt for document in others if (excerpt := excerpt_of(document, run.config.excerpt))]
    generalist = load_backbone(settings_of(Job(BACKBONE, 0, 0, ())).backbone)
    codes = encoded(run, generalist, [*held, *(excerpt for some in excerpts.values() for excerpt in some)])
    pools = {name: fitting(run, some, {}, codes, generalist) for name, some in excerpts.items()}
    best = {id: one.instruction for id, some in passed.items() if (one := taken(some))}
    pools[RANKED] = fitting(run, asked, best, codes, generalist)
    by_seed: dict[int, Pools] = {}
    for seed in seeds:
        instructions = {id: drawn(some, id, seed).instruction for id, some in passed.items()}
        by_seed[seed] = pools | {DRAWN: fitting(run, asked, instructions, codes, generalist)}
    return by_seed, exam_of(run, held, codes, generalist)


def measure(options: argparse.Namespace) -> None:
    """Prepare, train and compare; writes `table.md` and `results.json`, and prints one of them."""
    if not 2 <= len(set(options.seeds)) == len(options.seeds) <= 10:
        raise UserError(f"--seeds wants two to ten different numbers, not {options.seeds}")
    config = configuration.load(options.config)
    config = dataclasses.replace(config, corpora=(configuration.parse_corpus(options.corpus),))
    with served(config, str(options.work)) as run:
        pools, exam = prepared(run, options.held_out, options.seeds)
    size = options.size or min(map(size_of, pools.values()))
    documents = {name: len(pool) for name, pool in pools[options.seeds[0]].items()}
    if not 1 <= size <= min(len(pool) for by_name in pools.values() for pool in by_name.values()):
        raise UserError(f"subsets of {size} documents cannot be drawn: the stages leave {documents}")
    jobs = [Job(BACKBONE, options.seeds[0], 0, ())] + [
        Job(name, seed, options.steps, draw(pool, size, seed))
        for seed, by_name in pools.items()
        for name, pool in by_name.items()
    ]
    print(f"{len(jobs)} runs with {size} documents each, measured on {len(exam.documents)}", file=sys.stderr)
    found = figures(jobs, exam, options.output / "runs", options.workers)
    compared = rows(found, documents)
    results = {
        "corpus": options.corpus,
        "held_out": list(options.held_out),
        "size": size,
        "steps": options.steps,
        "measured_documents": len(exam.documents),
        "documents": documents,
        "stages": [dataclasses.asdict(row) for row in compared],
        "figures": found,
    }
    text = table(compared, found, documents)
    (options.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.output / "table.md").write_text(text + "\n")
    print(json.dumps(results) if options.json else text)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        measure(options)
        return 0
    except UserError as error:
        print(f"benchmarks.uplift: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.uplift", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, help="of the build whose stages are measured; it must have `ocr`")
    parser.add_argument("--corpus", required=True, help="FORMAT:PATH")
    parser.add_argument("--work", type=Path, required=True, help="a folder for caches")
    parser.add_argument("--output", type=Path, required=True, help="a folder for the figures")
    parser.add_argument("--held-out", nargs="+", default=list(HELD_OUT), metavar="SOURCE", help="to measure on")
    parser.add_argument("--size", type=int, help="documents in a subset (default: two thirds of the smallest pool)")
    parser.add_argument("--steps", type=int, default=100, help="of three rows each (default 100)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="two to ten (default 0 1 2)")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time, one core each (default 2)")
    parser.add_argument("--json", action="store_true", help="print results.json instead of the table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
