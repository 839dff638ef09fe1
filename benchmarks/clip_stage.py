"""The pipeline's CLIP stage against the bare open_clip model on the same pictures and sentences.

    python -m benchmarks.clip_stage --corpus native:../shared/corpora/howto.tar [--limit N] [--model M] [--json]

The stage is the graph's own step in Beam's local runner: it gathers documents, opens the stored pictures, finds each
picture's sentences, encodes, scores and keeps the scores. The bare model gets the same distinct pictures, decoded and preprocessed before the
clock starts, and the same distinct sentences, tokenised and sorted by length, in its best batches, and only encodes.
They take turns; the ratio is that of the medians of pictures and sentences per second. At least 0.9 is the target.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable

import torch

from benchmarks.steps import CONFIG, a_run, run_step
from pipeline import clip, corpora, stages
from pipeline import config as configuration
from pipeline.clip import Scorer, neighbours
from pipeline.images import ImageStore
from pipeline.run import Run, image_store
from pipeline.steps import Batches
from schemas.records import Document, Image

SIZES = (8, 16, 32, 64, 128)
"""Batches that the bare model may choose from."""


def stored(corpus: str, limit: int, store: ImageStore) -> list[Document]:
    """The first documents of a corpus, their pictures in the store."""
    found = []
    for part in corpora.parts(*corpus.split(":", 1)):
        for record in corpora.read(part):
            if isinstance(record, Document) and record.images:
                found.append(_with_pictures(record, store))
            if len(found) == limit:
                return found
    return found


def _with_pictures(document: Document, store: ImageStore) -> Document:
    return Document(document.id, document.source, tuple(
        store.store(s) if isinstance(s, Image) else s for s in document.segments))


def stage(documents: list[Document], run: Run, scorer: Scorer) -> Callable[[], None]:
    """The step "Score coherence" of the graph, in Beam's local runner, with nothing scored before. The model is loaded
    already, as it is for all but a run's first batch."""
    clip.Scorer = lambda *_: scorer

    def once() -> None:
        scorer.forget()
        shutil.rmtree(run.store("scores"), ignore_errors=True)
        run_step(documents, Batches(run, "coherence", stages.score_coherence, run.config.clip.batch_documents))
    return once


def bare(hashes: list[str], texts: list[str], store: ImageStore, scorer: Scorer) -> tuple[Callable[[], None], dict]:
    """The model alone, tensors in and vectors out, with the batch sizes that are fastest for it here, and those."""
    pixels = torch.stack([scorer.preprocess(store.open(sha256)) for sha256 in hashes]).to(scorer.dtype)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    tokens = [torch.stack(list(group.values())) for group in scorer.text_tower.tokens(texts).values()]

    @torch.inference_mode()
    def images(size: int) -> None:
        for part in pixels.split(size):
            scorer.model.encode_image(part.to(scorer.device)).float().cpu()

    @torch.inference_mode()
    def sentences(size: int) -> None:
        for group in tokens:
            for part in group.split(size):
                scorer.text_tower.encode(part.to(scorer.device)).float().cpu()

    def fastest(run: Callable[[int], None]) -> int:
        run(SIZES[0])
        return min(SIZES, key=lambda size: min(seconds(lambda: run(size)) for _ in range(2)))
    best = {"pictures": fastest(images), "sentences": fastest(sentences)}
    return lambda: (images(best["pictures"]), sentences(best["sentences"])), best


def seconds(run: Callable[[], None]) -> float:
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
    with tempfile.TemporaryDirectory() as folder:
        run = a_run(folder, configuration.load(str(CONFIG)))
        store = image_store(run)
        documents = stored(options.corpus, options.limit, store)
        hashes = list(dict.fromkeys(image.sha256 for document in documents for image in document.images))
        texts = list(dict.fromkeys(s for document in documents for slot in neighbours(document) for s in slot))
        scorer = Scorer(options.model, options.pretrained)
        alone, best = bare(hashes, texts, store, scorer)
        contenders = {"stage": stage(documents, run, scorer), "bare": alone}
        contenders["stage"]()                                       # both have run once before the clock starts
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for repeat in range(options.repeats):
            for name in list(contenders)[::-1 if repeat % 2 else 1]:
                times[name].append(seconds(contenders[name]))
    items = len(hashes) + len(texts)
    rates = {name: items / statistics.median(values) for name, values in times.items()}
    result = {"model": options.model, "device": scorer.device, "dtype": str(scorer.dtype).removeprefix("torch."),
              "documents": len(documents), "pictures": len(hashes), "sentences": len(texts), "bare_batches": best,
              "stage_per_second": round(rates["stage"], 1), "bare_per_second": round(rates["bare"], 1),
              "ratio": round(rates["stage"] / rates["bare"], 3),
              "seconds": {name: [round(value, 2) for value in values] for name, values in times.items()}}
    if options.json:
        print(json.dumps(result))
        return
    print(f"{len(hashes)} pictures and {len(texts)} sentences of {len(documents)} documents, {result['dtype']} on "
          f"{scorer.device}: stage {rates['stage']:.1f}/s, bare model {rates['bare']:.1f}/s (in batches of {best}), "
          f"ratio {result['ratio']}")


if __name__ == "__main__":
    main()
