"""The stages that ask the language model about a document."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pipeline.graph.transforms import Step
from pipeline.instances.assemble import split
from pipeline.llm import address, keys, on_demand, questions
from pipeline.llm.client import Client
from pipeline.llm.faults import LlmFault
from pipeline.run import Run, image_store
from pipeline.storage.store import Store
from prompts.wordings import Wording
from schemas.errors import AGAIN, ServiceError
from schemas.records import Document, Drop, InstructedDocument, RatedDocument, ScoredDocument, StoredDocument

Future = concurrent.futures.Future


def rate_text(run: Run) -> Step[ScoredDocument, Future[RatedDocument]]:
    """Ask the language model for its ratings."""

    async def rate(client: Client, document: ScoredDocument) -> RatedDocument:
        return RatedDocument.of(document, ratings=await questions.rate(client, run.prompts, document))

    return ask_each(connect(run), rate)


def write_instruction(run: Run) -> Step[RatedDocument, Future[InstructedDocument | Drop]]:
    """Ask the language model for several instructions and the domain; the best that passes the checks is taken."""
    domains, candidates = run.config.domains, run.config.instructions.candidates

    async def write(client: Client, document: RatedDocument) -> InstructedDocument | Drop:
        written = await questions.write(client, run.prompts, document, domains, wordings(run, document), candidates)
        return written if isinstance(written, Drop) else InstructedDocument.of(document, generated=written)

    return ask_each(connect(run), write)


def wordings(run: Run, document: StoredDocument) -> tuple[Wording, ...]:
    """How the instruction of this excerpt is worded, by preference."""
    config, salt = run.config, run.config.shards.salt
    wanted, least = config.instructions, config.excerpt.min_words
    context, _ = split(document, context_free=config.split.context_free, min_words=least, salt=salt)
    return run.prompts.wordings.choose(document, wanted.kinds, wanted.with_pictures, salt, context=bool(context))


def ask_each(
    clients: Sequence[Client], question: Callable[[Client, Any], Coroutine[Any, Any, Any]]
) -> Step[Any, Future[Any]]:
    """A step that starts the coroutine `question(client, document)` on the event loop of the least busy client.

    A server that stays unreachable or busy for too long stops the run, because every other document would fail too.
    """
    waiting: collections.Counter[Client] = collections.Counter()  # documents

    async def asked(client: Client, document: Document) -> Any:
        try:
            return await question(client, document)
        except LlmFault as fault:
            if fault.kind != "unreachable":
                raise
            raise ServiceError(
                f"the model server at {client.shown} stopped answering ({fault.detail}); check it and {AGAIN}"
            ) from None

    def ask(document: Document) -> Future[Any]:
        client = min(clients, key=lambda one: waiting[one] / one.limit)
        waiting[client] += 1
        future = client.submit(asked(client, document))
        future.add_done_callback(lambda _: waiting.subtract([client]))
        return future

    def close() -> None:
        for client in clients:
            client.close()

    def counts() -> dict[str, int]:
        return dict(sum((collections.Counter(client.counts()) for client in clients), collections.Counter()))

    return Step(ask, close, counts)


def at_once(run: Run) -> int:
    """About how many documents a stage asks at once: so many that each of the servers has enough of them."""
    return run.config.llm.concurrency * len(address.several(run.llm_url))


def connect(run: Run) -> list[Client]:
    """Clients of the model servers, with a cache of answers; one of the pipeline starts at the first question.

    Those of all stages and threads of a process ask `llm.concurrency` questions at once together, at each server.
    """
    llm = run.config.llm
    return [
        Client(
            url,
            run.llm_name,
            min(llm.concurrency, llm.in_flight or llm.concurrency),
            llm.timeout,
            Store(run.store("answers")),
            keys.of(llm) if llm.url else None,
            patience=llm.deadline,
            identity=run.provenance.llm,
            ready=lambda: on_demand.ready(run.llm_wanted),
            picture=image_store(run).read,
        )
        for url in address.several(run.llm_url)
    ]
