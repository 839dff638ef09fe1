"""What each step of the DAG does to one document.

A function here runs once in each worker and returns the step (see `transforms.py`): from a document to the same document
with one more thing known, or to a `Drop`; what a step raises becomes a failed outcome. Models are imported where they
are used, so that a worker loads only what it runs.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import json
import os
from collections.abc import Callable

from filters import coherence as coherence_rules
from filters import presets, quality
from filters.drop_images import drop_images
from pipeline.graph import outcomes
from pipeline.graph.writing import Staged
from pipeline.images.decode import ImageFault
from pipeline.instances.assemble import assemble
from pipeline.instances.excerpt import best_excerpt
from pipeline.llm import on_demand, questions
from pipeline.llm.client import Client, LlmFault
from pipeline.run import LLM_KEY, Run, image_store, preset_of
from pipeline.storage.store import Store, content_key
from pipeline.storage.uris import is_http
from schemas import codec
from schemas.errors import UserError
from schemas.records import Coherence, Document, Drop, Image, LastState

Result = Document | Drop | LastState

SCORING = 2
"""Raise it when the same pictures and text may score otherwise (`pipeline/coherence/scorer.py`): it is part of every score's key."""


def judge_text(run: Run) -> Callable[[Document], Result]:
    """The preset's rules about the text."""
    preset = preset_of(run.config)

    def step(document: Document) -> Result:
        return presets.judge_document(document, preset.document_rules) or document
    return step


def judge_headers(run: Run) -> Callable[[Document], Result]:
    """The preset's rules about picture sizes, from the headers of local files; for pictures on the web, from the sizes
    that the corpus claims, if it does. What is damaged goes on: the next step finds out."""
    preset = preset_of(run.config)
    images = image_store(run)

    def step(document: Document) -> Result:
        document, _ = change_images(document, lambda image: image if is_http(image.uri) else images.sized(image))
        return _if_enough_is_left(presets.judge_images(document, preset.image_rules), preset)
    return step


def _if_enough_is_left(document: Document, preset: presets.Preset) -> Result:
    """A document that may have lost pictures, by the preset's rules for that."""
    drop = presets.judge_document(document, preset.after_images)
    return LastState(document, drop) if drop else document


def store_pictures(run: Run) -> Callable[[Document], concurrent.futures.Future]:
    """Fetch and decode each picture once and keep its normal form. A picture that cannot be had is taken out, and the
    document goes on if others are left; with none left it has failed with the first one's fault."""
    preset = preset_of(run.config)
    images = image_store(run)
    pool = concurrent.futures.ThreadPoolExecutor(run.config.images.workers, "pictures")

    def stored(document: Document) -> Result:
        if any(is_http(image.uri) for image in document.images):
            document, faults = change_images(document, images.sized)
            document = presets.judge_images(without_faults(document, faults), preset.image_rules)
        document, faults = change_images(document, images.store)
        return _if_enough_is_left(without_faults(document, faults), preset)

    def step(document: Document) -> concurrent.futures.Future:
        return pool.submit(stored, document)
    step.close = functools.partial(pool.shutdown, cancel_futures=True)
    return step


def change_images(document: Document, change: Callable[[Image], Image]) -> tuple[Document, dict[int, ImageFault]]:
    """The document with `change` made to each image, and the faults of those to which it could not be made, by their
    position among the images; these stay as they are."""
    faults: dict[int, ImageFault] = {}

    def changed(position: int, image: Image) -> Image:
        try:
            return change(image)
        except ImageFault as fault:
            faults[position] = fault
            return image
    images = iter([changed(position, image) for position, image in enumerate(document.images)])
    segments = tuple(next(images) if isinstance(s, Image) else s for s in document.segments)
    return dataclasses.replace(document, segments=segments), faults


def without_faults(document: Document, faults: dict[int, ImageFault]) -> Document:
    """The document without the images that had a fault; raises the first fault where no image is left."""
    if faults and len(faults) == len(document.images):
        raise faults[0]
    # A rule measures something and a fault does not: 0 readable pictures, where 1 was wanted.
    return drop_images(document, {at: Drop(fault.kind, 0.0, 1.0) for at, fault in faults.items()}, "images")


def score_coherence(run: Run) -> Callable[[list[Document]], list[Document]]:
    """Score many documents at once; scores are kept by content, and the model is loaded when one is not known yet."""
    cache, images = Store(run.store("scores"), ".json"), image_store(run)
    scorer = None

    def step(documents: list[Document]) -> list[Document]:
        nonlocal scorer
        keys = [content_key("coherence", SCORING, run.provenance.clip, [
            s.sha256 if isinstance(s, Image) else s.text for s in d.segments]) for d in documents]
        known = {key: value for key in keys if (value := cache.read_json(key)) is not None}
        missing = {key: document for key, document in zip(keys, documents) if key not in known}
        if missing:
            if scorer is None:
                from pipeline.coherence.scorer import Scorer
                scorer = Scorer(run.config.clip.model, run.config.clip.pretrained)
            for key, score in zip(missing, scorer.score(list(missing.values()), images.open), strict=True):
                known[key] = dataclasses.asdict(score)
                cache.write(key, json.dumps(known[key]).encode())
        return [dataclasses.replace(d, coherence=_coherence(known[key])) for d, key in zip(documents, keys)]
    return step


def _coherence(value: dict) -> Coherence:
    return Coherence(**value | {name: tuple(value[name]) for name in ("own", "other", "similar")})


def judge_pictures(run: Run) -> Callable[[Document], Result]:
    """Take out pictures that fit no text beside them, and those that come twice."""
    preset, rules = preset_of(run.config), run.config.coherence

    def step(document: Document) -> Result:
        return _if_enough_is_left(coherence_rules.judge_coherence(
            document, own_at_least=rules.own_at_least, similar_at_most=rules.similar_at_most), preset)
    return step


def take_excerpt(run: Run) -> Callable[[Document], Result]:
    """The part that becomes the instance, or a drop where no part has both words and a picture."""
    limits = run.config.excerpt

    def step(document: Document) -> Result:
        excerpt = best_excerpt(document, max_words=limits.max_words, max_images=limits.max_images,
                               min_words=limits.min_words)
        return excerpt or Drop("no_excerpt", 0.0, 1.0)
    return step


def judge_coherence(run: Run) -> Callable[[Document], Result]:
    """The rules about the coherence of what became of the document, its excerpt."""
    rules = run.config.coherence

    def step(document: Document) -> Result:
        return (coherence_rules.mean_score(document, at_least=rules.mean_at_least)
                or coherence_rules.margin(document, at_least=rules.margin_at_least) or document)
    return step


def rate_text(run: Run) -> Callable[[Document], concurrent.futures.Future]:
    """Ask the LLM for its ratings."""
    client = asker(run)

    async def rate(document: Document) -> Document:
        return dataclasses.replace(document, ratings=await questions.rate(client, document))
    return asking(client, rate)


def judge_quality(run: Run) -> Callable[[Document], Result]:
    """The rules about the ratings."""
    rules = run.config.quality

    def step(document: Document) -> Result:
        return (quality.lowest_rating(document, at_least=rules.lowest_at_least)
                or quality.mean_rating(document, at_least=rules.mean_at_least) or document)
    return step


def write_instruction(run: Run) -> Callable[[Document], concurrent.futures.Future]:
    """Ask the LLM for the instruction and the domain; the answer is checked, and asked for again when it fails."""
    client = asker(run)

    async def write(document: Document) -> Result:
        written = await questions.write(client, document, run.config.domains)
        return written if isinstance(written, Drop) else dataclasses.replace(document, written=written)
    return asking(client, write)


def assemble_instance(run: Run) -> Callable[[Document], tuple[str, Staged]]:
    """Make the instance and let its JSON wait in a store; only its key and its ledger row travel on."""
    instances, images, config = Store(run.store("instances"), ".json"), image_store(run), run.config

    def step(document: Document) -> tuple[str, Staged]:
        key = codec.key_of(document.id)
        instance = assemble(document, key=key, context_free=config.split.context_free, salt=config.shards.salt,
                            provenance=run.provenance)
        extensions = {image.sha256: images.extension(image.sha256) for image in document.images}
        data = codec.json_bytes(codec.to_json(instance, extensions))
        waiting = content_key(data.decode())
        instances.write(waiting, data)
        return document.id, Staged(waiting, outcomes.kept(document, shard="", key=key))
    return step


def asking(client: Client, question: Callable) -> Callable[[Document], concurrent.futures.Future]:
    """A step that starts the coroutine `question(document)` on the client's loop. A server that is gone for good, or
    has been too busy for too long, ends the run: it would fail every document that is left."""
    async def asked(document: Document) -> Result:
        try:
            return await question(document)
        except LlmFault as fault:
            if fault.kind != "unreachable":
                raise
            raise UserError(f"the LLM server at {client.url} stopped answering ({fault.detail}); see to it and run the "
                            "same command again: what was finished is kept") from None

    def step(document: Document) -> concurrent.futures.Future:
        return client.submit(asked(document))
    step.close = client.close
    return step


def asker(run: Run) -> Client:
    """A connection to the LLM with the cache of its answers; a server of ours is started at the first question."""
    llm = run.config.llm
    return Client(run.llm_url, run.llm_name, llm.concurrency, llm.timeout, Store(run.store("answers"), ".json"),
                  os.environ.get(LLM_KEY), patience=llm.deadline, identity=run.provenance.llm,
                  ready=lambda: on_demand.ready(run.llm_wanted))
