"""The stage *Score coherence* against the bare open_clip model, on the same images and sentences.

    python -m benchmarks.clip_stage --corpus native:../shared/corpora/howto.tar [--limit N] [--model M] [--json]

Three programs compute the same vectors and take turns; the ratios are of median images and sentences per second.

stage  The stage in Beam's local runner, including the start of the runner: it collects documents, finds each image's
       sentences, opens and preprocesses the stored images, tokenises, encodes, scores and caches the scores. The cache
       is empty, but the model is loaded.
bare   The model alone: prepared tensors in, vectors out, one batch after the other in the sizes that are fastest here,
       with torch's own threads. Images and sentences are distinct, and sentences are sorted by length and truncated as
       in the stage; preparing them is not timed. The target is 0.9 of its throughput or more.
loop   A simple program with open_clip: its preprocessing of the stored images, its tokenizer, its model, in the same
       batches and number format; no Beam, nothing sorted or truncated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pickle
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.steps import CONFIG, a_run, run_step
from pipeline import config as configuration
from pipeline import corpora
from pipeline.coherence import scorer as clip
from pipeline.coherence.model import TextTower, Tokenizer, load
from pipeline.coherence.places import places
from pipeline.coherence.scorer import Scorer
from pipeline.graph import stages
from pipeline.graph.transforms import Batches
from pipeline.images.store import ImageStore
from pipeline.run import Run, image_store
from pipeline.sources import Corpus
from pipeline.storage import packs
from pipeline.storage.removal import remove
from schemas.records import Document, Image, StoredDocument
from schemas.stage_names import SCORE_COHERENCE

SIZES = (4, 8, 16, 32, 64, 128)
"""The batch sizes from which the fastest is selected for the bare model."""


def stored(corpus: Corpus, limit: int, store: ImageStore) -> list[StoredDocument]:
    """The first documents of a corpus, with stored images."""
    found = []
    for part in corpora.parts(corpus.format, corpus.path):
        for record in corpora.read(part):
            if isinstance(record, Document) and record.images:
                found.append(_with_pictures(record, store))
            if len(found) == limit:
                return found
    return found


def _with_pictures(document: Document, store: ImageStore) -> StoredDocument:
    return StoredDocument(
        document.id, document.source, tuple(store.store(s) if isinstance(s, Image) else s for s in document.segments)
    )


class Fed(Batches):
    """The stage, given a file of documents that it reads in the worker, as a reader does.

    Beam's `Create` would compress them into the graph first, which takes longer than everything else that Beam does.
    """

    def process(self, path: str) -> Iterator[Any]:  # type: ignore[override]  # a file in place of a document
        """The outputs for the documents in the file."""
        for document in pickle.loads(Path(path).read_bytes()):
            yield from super().process(document)


def stage(documents: list[StoredDocument], run: Run, scorer: Scorer) -> Callable[[], None]:
    """The pipeline's stage on the documents, with a model that is loaded already."""
    path = Path(run.work, "documents")
    path.write_bytes(pickle.dumps(documents))

    def once() -> None:
        with mock.patch.object(clip, "Scorer", lambda *_, **__: scorer):
            run_step([str(path)], Fed(run, SCORE_COHERENCE, stages.score_coherence, run.config.clip.batch_documents))

    return once


class Bare:
    """The unmodified open_clip model, with the batch sizes that are fastest here for the first images and sentences."""

    def __init__(
        self, hashes: list[str], texts: list[str], store: ImageStore, scorer: Scorer, model: Any, tokenizer: Tokenizer
    ):
        self.hashes, self.texts, self.store, self.scorer = hashes, texts, store, scorer
        self.model = model.to(scorer.device, scorer.dtype, memory_format=torch.channels_last)
        self.text_tower = TextTower(self.model, tokenizer)
        self.pixels = self.preprocessed(hashes)
        self.tokens = [torch.stack(list(group.values())) for group in self.text_tower.tokens(texts).values()]
        first = [group[:256] for group in self.tokens]
        self.best = {
            "pictures": fastest(lambda size: self.encode_pictures(self.pixels[:128], size)),
            "sentences": fastest(lambda size: self.encode_sentences(first, size)),
        }

    def alone(self) -> None:
        """The model alone, on tensors that are ready."""
        self.encode_pictures(self.pixels, self.best["pictures"])
        self.encode_sentences(self.tokens, self.best["sentences"])

    def loop(self) -> None:
        """A simple loop with open_clip, preprocessing and tokenizer included."""
        size = self.best["pictures"]
        for at in range(0, len(self.hashes), size):
            self.encode_pictures(self.preprocessed(self.hashes[at : at + size]), size)
        size = self.best["sentences"]
        for at in range(0, len(self.texts), size):
            self.encode(self.model.encode_text, self.text_tower.tokenizer(self.texts[at : at + size]))

    def preprocessed(self, hashes: list[str]) -> torch.Tensor:
        """[images, 3, height, width] from the image store."""
        pixels = torch.stack([self.scorer.preprocess(self.store.open(sha256)) for sha256 in hashes])
        return pixels.to(self.scorer.dtype).contiguous(memory_format=torch.channels_last)

    def encode_pictures(self, pixels: torch.Tensor, size: int) -> None:
        """Encode in batches of `size`; the vectors are dropped."""
        for part in pixels.split(size):
            self.encode(self.model.encode_image, part)

    def encode_sentences(self, groups: list[torch.Tensor], size: int) -> None:
        """Encode each group of one length in batches of `size`."""
        for group in groups:
            for part in group.split(size):
                self.encode(self.text_tower.encode, part)

    @torch.inference_mode()
    def encode(self, model: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> None:
        """One batch, until its vectors are in memory."""
        model(rows.to(self.scorer.device)).float().cpu()


def fastest(run: Callable[[int], None]) -> int:
    """The batch size with the best of three times."""
    run(SIZES[0])
    return min(SIZES, key=lambda size: min(seconds(lambda: run(size)) for _ in range(3)))


def seconds(run: Callable[[], None]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True, help="FORMAT:PATH")
    parser.add_argument("--limit", type=int, default=128, help="documents")
    parser.add_argument("--model", default="local-dir:build/models/coherence")
    parser.add_argument("--pretrained")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with packs.temporary() as folder:
        corpus = configuration.parse_corpus(options.corpus)
        run = a_run(folder, dataclasses.replace(configuration.load(str(CONFIG)), corpora=(corpus,)))
        store = image_store(run)
        documents = stored(corpus, options.limit, store)
        hashes = list(dict.fromkeys(image.sha256 for document in documents for image in document.images))
        texts = list(dict.fromkeys(s for document in documents for place in places(document) for s in place.sentences))
        scorer = Scorer(options.model, options.pretrained)
        plain, _, tokenizer = load(options.model, options.pretrained)
        bare = Bare(hashes, texts, store, scorer, plain, tokenizer)
        contenders = {"stage": stage(documents, run, scorer), "bare": bare.alone, "loop": bare.loop}
        contenders["stage"]()  # warm up: all shapes occur before the clock starts
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for repeat in range(options.repeats):
            for name in list(contenders)[:: -1 if repeat % 2 else 1]:
                scorer.forget()
                remove(run.store("scores"))
                times[name].append(seconds(contenders[name]))
    items = len(hashes) + len(texts)
    rates = {name: items / statistics.median(values) for name, values in times.items()}
    ratios = {name: round(rates["stage"] / rates[name], 3) for name in ("bare", "loop")}
    result = {
        "model": options.model,
        "device": scorer.device,
        "dtype": str(scorer.dtype).removeprefix("torch."),
        "documents": len(documents),
        "pictures": len(hashes),
        "sentences": len(texts),
        "batches": bare.best,
        "per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "ratio": ratios["bare"],
        "ratio_to_loop": ratios["loop"],
        "seconds": {name: [round(value, 2) for value in values] for name, values in times.items()},
    }
    if options.json:
        print(json.dumps(result))
        return
    print(
        f"{len(hashes)} images and {len(texts)} sentences of {len(documents)} documents, {result['dtype']} on "
        f"{scorer.device}: stage {rates['stage']:.1f}/s, bare model {rates['bare']:.1f}/s (batches of {bare.best}), "
        f"open_clip loop {rates['loop']:.1f}/s; ratios {ratios['bare']} and {ratios['loop']}"
    )


if __name__ == "__main__":
    main()
