"""The client of an OpenAI-compatible server: asks many questions at once, validates the answers and caches them.

Each answer is stored under a hash of its question when it arrives (`storage/packs.py` says how soon it is on the disk):
a second run asks nothing again, and a killed run keeps what was finished. The server's address is not part of the question.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import itertools
import json
import random
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import aiohttp

from pipeline.llm import slots
from pipeline.llm.address import base_url, headers, shown
from pipeline.llm.faults import AWAY, LlmFault, refuse
from pipeline.llm.pictures import messages_of
from pipeline.llm.responses import MOST_BYTES, Answer, check, clean, message, parse, read, tokens
from pipeline.storage.store import Store, content_key
from prompts import Prompt
from schemas import replies, retry_after
from schemas.errors import ServiceError

TRIES = 3  # for a question: asked again if its answer is invalid
ERROR_TRIES = 6  # for a question at which the server fails: about 8 seconds, in which it may recover
BROKEN_TRIES = 10  # for a question whose connection breaks while the server answers others: about 35 seconds
FIRST_FAILURES = 20  # so many failed questions before the first answer stop the run
RETRY_TEMPERATURE = 0.7  # at 0 another seed would give the same answer
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0  # seconds between tries while the server does not answer


T = TypeVar("T")


class Client:
    """Asks `model` at `url`, at most `concurrency` questions at once, from an event loop in a separate thread.

    Fewer are asked while the server does not answer them in time (`slots.py`). `timeout` is for one answer,
    `patience` for a server that is unreachable or overloaded (both in seconds); after that time, further questions
    fail at the first attempt. `identity` is the model's name in the cache; it differs from `model` if the same name
    may mean other weights later. `ready` is awaited before a question is sent, but not if the answer is in the cache;
    it may start the server. `picture` returns the bytes of a stored picture (JPEG or PNG) by its hash, for prompts
    with pictures.
    """

    def __init__(
        self,
        url: str,
        model: str,
        concurrency: int = 64,
        timeout: float = 120.0,
        cache: Store | None = None,
        api_key: str | None = None,
        *,
        patience: float = 600.0,
        identity: str | None = None,
        ready: Callable[[], Awaitable[None]] | None = None,
        picture: Callable[[str], bytes] | None = None,
    ):
        self.url, self.model, self.identity = base_url(url), model, identity or model
        self.timeout, self.patience, self.cache = timeout, patience, cache
        self.ready, self.picture, self.shown = ready, picture, shown(self.url)
        self._away_since: float | None = None
        self._answered, self._failures = False, 0
        self._counts: collections.Counter[str] = collections.Counter()
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        self.submit(self._open(concurrency, api_key)).result()

    async def _open(self, concurrency: int, api_key: str | None) -> None:
        self._slots = slots.of(self.url, concurrency)
        # aiohttp: 0.14 ms of CPU a request here, against 1.2 to 2.6 ms for httpx2, openai and httpx. vLLM closes a
        # connection that was idle for 5 s, so ours are given up before that.
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),
            headers=headers(api_key),
            timeout=aiohttp.ClientTimeout(total=self.timeout),
        )

    @property
    def limit(self) -> float:
        """How many questions are asked at once now."""
        return self._slots.limit

    def counts(self) -> dict[str, int]:
        """The totals so far: questions, answers from the cache, retried requests, and tokens."""
        return dict(self._counts)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine (`ask`, or one that awaits it) on the client's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """Cancel the questions in flight, and end the thread."""

        async def end() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._http.close()

        self.submit(end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def ask(
        self,
        prompt: Prompt,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        max_tokens: int = 256,
        logprobs: int = 0,
        validate: Callable[[Answer], object] | None = None,
    ) -> Answer:
        """The valid answer to a prompt, from the cache or from the server.

        `logprobs` is the number of alternatives to report for each token, 0 for none. An answer is valid if it is JSON,
        fits the schema and `validate(answer)` raises no ValueError; after an invalid one the question is asked again,
        up to twice. Raises LlmFault; UserError or ServiceError if the server answers no question at all.
        """
        messages = list(prompt.messages)
        question = {"temperature": temperature, "seed": seed, "max_tokens": max_tokens, "logprobs": logprobs}
        shown = [list(prompt.pictures)] if prompt.pictures else []
        key = content_key("answer", self.identity, question, messages, prompt.schema, *shown)
        self._counts["questions"] += 1
        # Of equal questions one is asked, and the others take its answer, as a later run will. The lock goes with them.
        async with self._turns.setdefault(key, asyncio.Lock()) if self.cache else contextlib.nullcontext():
            if answer := await self._remembered(key, prompt.schema, validate):
                self._counts["from_cache"] += 1
                return answer
            answer = await self._asked(prompt, question, validate)
            if self.cache:
                data = json.dumps({"text": answer.text, "logprobs": answer.logprobs}, ensure_ascii=False)
                await asyncio.to_thread(self.cache.write, key, data.encode())
            return answer

    async def _asked(
        self, prompt: Prompt, question: dict[str, Any], validate: Callable[[Answer], object] | None
    ) -> Answer:
        """The server's answer to a question that was not asked before; it counts what fails."""
        if self.ready:
            await self.ready()
        messages = list(prompt.messages)
        body = {
            "model": self.model,
            "messages": await asyncio.to_thread(messages_of, prompt, self.picture) if prompt.pictures else messages,
            **{name: question[name] for name in ("temperature", "seed", "max_tokens")},
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": prompt.schema, "strict": True},
            },
        }
        if question["logprobs"]:
            body |= {"logprobs": True, "top_logprobs": question["logprobs"]}
        try:
            answer = await self._answer(body, prompt.schema, validate)
        except LlmFault as fault:
            self._count(fault)
            raise
        self._answered = True
        return answer

    async def _answer(
        self, body: dict[str, Any], schema: dict[str, Any], validate: Callable[[Answer], object] | None
    ) -> Answer:
        """The server's answer to the question; it is asked again with other seeds if the answer is invalid."""
        for attempt in range(TRIES):
            again = {"temperature": max(body["temperature"], RETRY_TEMPERATURE), "seed": body["seed"] + 1000 * attempt}
            self._counts["invalid_answers"] += bool(attempt)
            data = await self._post(body | again if attempt else body)
            try:
                if len(data) > MOST_BYTES:
                    raise ValueError(f"a reply of more than {MOST_BYTES >> 20} MiB")
                reply = parse(data)
                self._counts.update(tokens(reply.get("usage")))
                answer = read(reply)
                check(answer, schema, validate)
                return answer
            except ValueError as error:
                fault = LlmFault("invalid_answer", clean(error))
        raise fault

    def _count(self, fault: LlmFault) -> None:
        """Raise ServiceError if the server has failed at FIRST_FAILURES questions and answered none."""
        if self._answered or fault.kind not in ("server_error", "invalid_answer", "timeout"):
            return
        self._failures += 1
        if self._failures >= FIRST_FAILURES:
            raise ServiceError(
                f"The model server at {self.shown} answered none of the first {FIRST_FAILURES} questions "
                f"({fault}): see to it, or give the address of another, and run the same command again."
            )

    async def _remembered(
        self, key: str, schema: dict[str, Any], validate: Callable[[Answer], object] | None
    ) -> Answer | None:
        if not self.cache:
            return None
        data = await asyncio.to_thread(self.cache.read, key)  # a thread: the store may be across a network
        if data is None:
            return None
        try:
            answer = Answer(**parse(data), cached=True)
            check(answer, schema, validate)
        except (ValueError, TypeError):
            return None  # damaged, or `validate` has become stricter since
        return answer

    async def _post(self, body: dict[str, Any]) -> bytes:
        """The server's response; the request is retried while the server is unreachable or busy."""
        started, broken = time.monotonic(), 0
        for attempt in itertools.count():
            wanted = 0.0  # seconds that the server asks for
            try:
                queued = time.monotonic()
                async with self._slots:
                    sent = time.monotonic()
                    started += sent - queued  # waiting for a slot is not the server's fault
                    # no redirects: the key is for this address alone
                    post = self._http.post(f"{self.url}/chat/completions", json=body, allow_redirects=False)
                    async with post as reply:
                        data = await replies.body(reply, MOST_BYTES)
                        wanted = retry_after.seconds(reply.headers.get("retry-after", ""))
                if reply.status in AWAY:
                    self._slots.overloaded(sent)
                else:
                    self._away_since = None
                    self._slots.answered()
                if reply.status == 200 and data.lstrip().startswith(b"{"):
                    return data
                said = f"{reply.status}: {message(data.decode(errors='replace'))}"
                refuse(reply.status, said, self.shown, self.model)
                fault, since = self._away(said) if reply.status in AWAY else (LlmFault("server_error", said), started)
            except TimeoutError:
                self._slots.overloaded(sent)
                fault, since = LlmFault("timeout", f"no answer within {self.timeout:g} s"), started
            except (aiohttp.ClientError, OSError) as error:
                said = f"{type(error).__name__}: {clean(error)}"
                broken += not isinstance(error, aiohttp.ClientConnectorError)
                if broken >= BROKEN_TRIES and await self._answers(body):  # so it is not the server, but this question
                    raise LlmFault("server_error", f"{said}, {broken} times") from error
                fault, since = self._away(said)
            pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE, self.patience / 4) * random.uniform(0.5, 1)
            now = time.monotonic() + (pause := max(pause, min(wanted, self.patience / 4)))
            over = now > since + self.patience or (fault.kind == "server_error" and attempt + 1 >= ERROR_TRIES)
            blamed = fault.kind == "timeout" or (fault.kind == "server_error" and self._answered)
            if over and blamed and not await self._answers(body):
                fault, over = LlmFault("unreachable", fault.detail), now > started + self.patience
            if over:
                raise fault
            if now > started + 2 * self.patience:  # it comes and goes: perhaps this question kills it
                raise LlmFault("timeout", f"no answer in {2 * self.patience:g} s: {fault}")
            self._counts["tried_again"] += 1
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _answers(self, body: dict[str, Any]) -> bool:
        """Whether the server answers a question of one word; if it does not, another question is not why it fails."""
        hello = body | {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with self._http.post(f"{self.url}/chat/completions", json=hello, allow_redirects=False) as reply:
                return reply.status < 500 and reply.status not in AWAY
        return False

    def _away(self, detail: str) -> tuple[LlmFault, float]:
        """The fault of an unreachable server, and the time since when it is unreachable: for all clients of the process."""
        self._away_since = max(self._away_since or time.monotonic(), self._slots.last_answer)
        return LlmFault("unreachable", detail), self._away_since
