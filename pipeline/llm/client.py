"""Questions to an OpenAI-compatible server: asked many at once, checked, and remembered.

An answer is kept by the content of its question, one file each, as soon as it is known: a second run asks nothing,
and a killed run loses nothing that was finished. The server's address is not part of the question.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import http.client
import itertools
import json
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable

import aiohttp

from pipeline.llm.responses import Answer, check, message, read
from pipeline.storage.store import Store, content_key
from schemas.errors import RecordFault, UserError

TRIES = 3                       # a question, and twice again when its answer is invalid
RETRY_TEMPERATURE = 0.7         # at 0 another seed would bring the same answer
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0      # seconds between tries while the server does not answer
AWAY = (429, 502, 503, 504)     # no server, or one too busy: about no question in particular, and it may pass
CLOSED = (402, 404, 405)        # no credit, model or such path: true of every question, and it will not pass


class LlmFault(RecordFault):
    """A question without a good answer.

    Kinds: `unreachable` (nobody there, or too busy, for longer than the patience: so it will be with every question),
    `timeout`, `server_error` (another 5xx), `refused` (4xx), `invalid_answer`.
    """


class Client:
    """Asks `model` at `url`, at most `concurrency` questions at once, from an event loop in a thread of its own.

    `timeout` is for one answer, `patience` for a server that is away or overloaded (both seconds); once a server has
    been away for that long, further questions fail at the first try. `identity` is what the cache calls the model:
    its name, unless that name can stand for other weights tomorrow. `ready` is awaited before a question goes out, not
    where the cache knows the answer: it may start the server.
    """

    def __init__(self, url: str, model: str, concurrency: int = 64, timeout: float = 120.0, cache: Store | None = None,
                 api_key: str | None = None, *, patience: float = 600.0, identity: str | None = None,
                 ready: Callable[[], Awaitable] | None = None):
        self.url, self.model, self.identity = base_url(url), model, identity or model
        self.timeout, self.patience, self.cache, self.ready = timeout, patience, cache, ready
        self._away_since: float | None = None
        self._counts: collections.Counter[str] = collections.Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        self.submit(self._open(concurrency, api_key)).result()

    async def _open(self, concurrency: int, api_key: str | None) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        # aiohttp: 0.14 ms of CPU a request here, against 1.2 to 2.6 ms for httpx2, openai and httpx. vLLM closes a
        # connection that was idle for 5 s, so ours are given up before that.
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4), headers=_headers(api_key),
            timeout=aiohttp.ClientTimeout(total=self.timeout))

    def counts(self) -> dict[str, int]:
        """What was asked so far: questions, those answered from the cache, requests sent again, and tokens."""
        return dict(self._counts)

    def submit(self, coroutine) -> concurrent.futures.Future:
        """Start a coroutine (`ask`, or one that awaits it) on the client's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """End what is under way and the thread."""
        async def end():
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

    def __exit__(self, *_) -> None:
        self.close()

    async def ask(self, prompt, *, temperature: float = 0.0, seed: int = 0, max_tokens: int = 256, logprobs: int = 0,
                  validate: Callable[[Answer], object] | None = None) -> Answer:
        """The valid answer to a prompt (`messages`, `schema`), from the cache or from the server; raises LlmFault, and
        UserError where the server will not answer any question.

        `logprobs` is the number of alternatives to report for each token, 0 for none. An answer is valid when it is
        JSON, fits the schema and `validate(answer)` raises no ValueError; an invalid one is asked again, twice.
        """
        messages = list(prompt.messages)
        question = {"temperature": temperature, "seed": seed, "max_tokens": max_tokens, "logprobs": logprobs}
        key = content_key("answer", self.identity, question, messages, prompt.schema)
        self._counts["questions"] += 1
        if answer := await self._remembered(key, prompt.schema, validate):
            self._counts["from_cache"] += 1
            return answer
        if self.ready:
            await self.ready()
        body = {"model": self.model, "messages": messages, "temperature": temperature, "seed": seed,
                "max_tokens": max_tokens, "response_format": {"type": "json_schema", "json_schema": {
                    "name": "answer", "schema": prompt.schema, "strict": True}}}
        if logprobs:
            body |= {"logprobs": True, "top_logprobs": logprobs}
        for attempt in range(TRIES):
            if attempt:
                self._counts["invalid_answers"] += 1
                body |= {"temperature": max(temperature, RETRY_TEMPERATURE), "seed": seed + 1000 * attempt}
            reply = await self._post(body)
            try:
                answer = read(reply)
                check(answer, prompt.schema, validate)
            except ValueError as error:
                fault = LlmFault("invalid_answer", str(error))
                continue
            if self.cache:
                data = json.dumps({"text": answer.text, "logprobs": answer.logprobs}, ensure_ascii=False)
                await asyncio.to_thread(self.cache.write, key, data.encode())
            return answer
        raise fault

    async def _remembered(self, key: str, schema: dict, validate) -> Answer | None:
        if not self.cache:
            return None
        data = await asyncio.to_thread(self.cache.read, key)    # a thread: the store may be across a network
        if data is None:
            return None
        try:
            answer = Answer(**json.loads(data), cached=True)
            check(answer, schema, validate)
        except (ValueError, TypeError):
            return None                         # a damaged file, or `validate` has become stricter since
        return answer

    async def _post(self, body: dict) -> dict:
        """The server's reply, tried again while the server is away or too busy."""
        started = time.monotonic()
        for attempt in itertools.count():
            try:
                async with self._slots, self._http.post(f"{self.url}/chat/completions", json=body) as reply:
                    text = await reply.text()
                if reply.status not in AWAY:
                    self._away_since = None
                if reply.status == 200 and text.lstrip().startswith("{"):
                    answer = json.loads(text)
                    self._count_tokens(answer.get("usage"))
                    return answer
                said = f"{reply.status}: {message(text)}"
                self._refuse(reply.status, said)
                fault, since = self._away(said) if reply.status in AWAY else (LlmFault("server_error", said), started)
            except TimeoutError:
                fault, since = LlmFault("timeout", f"no answer within {self.timeout:g} s"), started
            except (aiohttp.ClientError, OSError, ValueError) as error:
                fault, since = self._away(f"{type(error).__name__}: {error}")
            pause = min(FIRST_PAUSE * 2 ** attempt, LONGEST_PAUSE, self.patience / 4) * random.uniform(0.5, 1)
            now = time.monotonic() + pause
            if now > since + self.patience:
                raise fault
            if now > started + 2 * self.patience:               # it comes and goes: perhaps this question kills it
                raise LlmFault("timeout", f"no answer in {2 * self.patience:g} s: {fault}")
            self._counts["tried_again"] += 1
            await asyncio.sleep(pause)

    def _count_tokens(self, usage: object) -> None:
        for name in ("prompt_tokens", "completion_tokens"):
            if isinstance(usage, dict) and isinstance(count := usage.get(name), int):
                self._counts[name] += count

    def _away(self, detail: str) -> tuple[LlmFault, float]:
        """The fault of a server that is away, and since when it has been."""
        self._away_since = self._away_since or time.monotonic()
        return LlmFault("unreachable", detail), self._away_since

    def _refuse(self, status: int, said: str) -> None:
        """Raise what a status stands for that another try would not change."""
        if status in (401, 403):
            raise UserError(f"The LLM server at {self.url} refuses the API key ({status}): set the right one.")
        if status in CLOSED:
            raise UserError(f"The LLM server at {self.url} takes no questions for {self.model!r} ({said}): mend that "
                            "and run the same command again; what was finished is kept.")
        if 400 <= status < 500 and status not in (408, *AWAY):
            raise LlmFault("refused", said)


def check_server(url: str, model: str | None, api_key: str | None = None) -> str:
    """The id of the model to ask: `model` if the server has it, its only one if `model` is None; else UserError."""
    try:
        request = urllib.request.Request(f"{base_url(url)}/models", headers=_headers(api_key))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))       # as aiohttp: no proxy
        with opener.open(request, timeout=20) as reply:
            served = [str(entry["id"]) for entry in json.load(reply)["data"]]
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise UserError(f"The LLM server at {url} refuses the API key ({error.code}): set the right one.") from None
        raise UserError(f"The LLM server at {url} answers {error.code} to /models: give the address of an "
                        "OpenAI-compatible server, such as http://127.0.0.1:8000/v1.") from None
    except OSError as error:
        raise UserError(f"The LLM server at {url} does not answer ({getattr(error, 'reason', error)}): start it, or "
                        "correct the address.") from None
    except (http.client.HTTPException, ValueError, KeyError, TypeError):
        raise UserError(f"{url} is not an OpenAI-compatible server: its list of models cannot be read.") from None
    if model is None and len(served) == 1:
        return served[0]
    if model not in served:
        wanted = f"does not serve {model!r}" if model else "serves several models"
        raise UserError(f"The LLM server at {url} {wanted}: choose one of {', '.join(map(repr, sorted(served)))} "
                        "in the config.")
    return model


def base_url(url: str) -> str:
    """The address that `/chat/completions` is added to: `/v1` is understood where there is no path."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0     # `port` raises ValueError
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise UserError(f"{url!r} is not an http(s) address, such as http://127.0.0.1:8000/v1.")
    return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1"


def _headers(api_key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}
