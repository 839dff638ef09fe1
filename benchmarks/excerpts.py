"""Excerpts drawn at random, to be read: does each begin where a reader could, and end where something is finished?

    python -m benchmarks.excerpts --corpus native:../shared/corpora/howto.tar --config configs/howto.yaml --seed u > excerpts.md

Of the documents that pass the rules about texts and headers, those with the lowest hashes of seed and id. The excerpt of
each is chosen without scores, so the coherence model takes no part in it. Images are shown as `[IMAGE]`; with `--titles`,
what an instruction would be made of stands above the excerpt. The number of documents without an excerpt goes to standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.steps import a_run, passing
from filters.headings import recurring
from pipeline import config as configuration
from pipeline import corpora
from pipeline.instances.excerpt import best_excerpt
from pipeline.run import Run
from pipeline.sources import Corpus
from schemas.records import Document, Text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.excerpts", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--config", default="configs/howto.yaml")
    parser.add_argument("--count", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--seed", default="", help="any text")
    parser.add_argument("--titles", action="store_true", help="show the titles of excerpt and document, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        corpus = configuration.parse_corpus(options.corpus)
        run = a_run(work, dataclasses.replace(configuration.load(options.config), corpora=(corpus,)))
        found = list(drawn(run, corpus, options.count, options.seed))
    excerpts = [excerpt for excerpt in found if excerpt]
    for number, excerpt in enumerate(excerpts, 1):
        texts = (s.text if isinstance(s, Text) else "[IMAGE]" for s in excerpt.segments)
        titles = [f"[TITLE: {' / '.join(filter(None, (excerpt.part_of, excerpt.title)))}]"] if options.titles else []
        print(f"\n######## EXCERPT {number}\n", *titles, *texts, sep="\n\n")
    images = sum(len(excerpt.images) for excerpt in excerpts) / len(excerpts)
    print(
        f"{len(found)} documents, {len(found) - len(excerpts)} of them without an excerpt; {images:.2f} images in each",
        file=sys.stderr,
    )


def drawn(run: Run, corpus: Corpus, count: int, seed: str) -> Iterator[Document | None]:
    """The excerpts of the documents drawn until there are `count`; None for a document that has none."""
    documents = [
        record
        for part in corpora.parts(corpus.format, corpus.path)
        for record in corpora.read(part)
        if isinstance(record, Document)
    ]
    headings = recurring(documents)
    after_rules = passing(run)
    for document in sorted(documents, key=lambda d: hashlib.sha256((seed + d.id).encode()).digest()):
        if passed := after_rules(document):
            excerpt = best_excerpt(passed, recurring=headings, **dataclasses.asdict(run.config.excerpt))
            yield excerpt
            count -= excerpt is not None
        if not count:
            return


if __name__ == "__main__":
    main()
