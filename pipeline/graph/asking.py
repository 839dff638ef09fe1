"""The stages that ask the language model about a document."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Coroutine
from typing import Any

from pipeline.graph.transforms import Step
from pipeline.instances.assemble import split
from pipeline.llm import on_demand, questions
from pipeline.llm.client import Client, LlmFault
from pipeline.run import LLM_KEY, Run, image_store
from pipeline.storage.store import Store
from prompts.wordings import Wording
from schemas.errors import AGAIN, ServiceError
from schemas.records import Document, Drop, InstructedDocument, RatedDocument, ScoredDocument, StoredDocument

Future = concurrent.futures.Future


def rate_text(run: Run) -> Step[ScoredDocument, Future[RatedDocument]]:
    """Ask the language model for its ratings."""
    client = connect(run)

    async def rate(document: ScoredDocument) -> RatedDocument:
        return RatedDocument.of(document, ratings=await questions.rate(client, run.prompts, document))

    return ask_each(client, rate)


def write_instruction(run: Run) -> Step[RatedDocument, Future[InstructedDocument | Drop]]:
    """Ask the language model for several instructions and the domain; the best that passes the checks is taken."""
    client, domains, candidates = connect(run), run.config.domains, run.config.instructions.candidates

    async def write(document: RatedDocument) -> InstructedDocument | Drop:
        written = await questions.write(client, run.prompts, document, domains, wordings(run, document), candidates)
        return written if isinstance(written, Drop) else InstructedDocument.of(document, generated=written)

    return ask_each(client, write)


def wordings(run: Run, document: StoredDocument) -> tuple[Wording, ...]:
    """How the instruction of this excerpt is worded, by preference."""
    wanted, salt = run.config.instructions, run.config.shards.salt
    context, _ = split(document, context_free=run.config.split.context_free, salt=salt)
    return run.prompts.wordings.choose(document, wanted.kinds, wanted.with_pictures, salt, context=bool(context))


def ask_each(client: Client, question: Callable[[Any], Coroutine[Any, Any, Any]]) -> Step[Any, Future[Any]]:
    """A step that starts the coroutine `question(document)` on the client's event loop.

    A server that stays unreachable or busy for too long stops the run, because every other document would fail too.
    """

    async def asked(document: Document) -> Any:
        try:
            return await question(document)
        except LlmFault as fault:
            if fault.kind != "unreachable":
                raise
            raise ServiceError(
                f"the model server at {client.shown} stopped answering ({fault.detail}); check it and {AGAIN}"
            ) from None

    return Step(lambda document: client.submit(asked(document)), client.close, client.counts)


def connect(run: Run) -> Client:
    """A client of the model server, with a cache of answers; a server of the pipeline starts at the first question."""
    llm = run.config.llm
    return Client(
        run.llm_url,
        run.llm_name,
        llm.concurrency,
        llm.timeout,
        Store(run.store("answers"), ".json"),
        os.environ.get(LLM_KEY),
        patience=llm.deadline,
        identity=run.provenance.llm,
        ready=lambda: on_demand.ready(run.llm_wanted),
        picture=image_store(run).read,
    )
