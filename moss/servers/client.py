"""A small client of OpenAI-compatible servers, for chat completions with pictures and for image generation.

Answers are cached under a hash of their question (the model's name is part of it, the address is not), so the same
command asks nothing twice. Errors are those of `schemas.errors`: what a user has to fix is a UserError, a server that
stays unreachable is a ServiceError, and one question without a valid answer is a RecordFault, which is returned.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import aiohttp
import jsonschema
import PIL.Image
from tqdm import tqdm

from schemas import retry_after
from schemas.codec import parse_json
from schemas.errors import AGAIN, RecordFault, ServiceError, UserError, one_line

KEY = "LEAFINSTRUCT_LLM_KEY"
"""The environment variable with the API key of a server that needs one; the pipeline reads the same."""
TRIES = 3
"""How often a question is asked, each time with another seed, until its answer fits the schema."""
SHOWN = 768
"""The longer side in pixels of an image that is sent: more costs tokens and helps a judge little."""

T = TypeVar("T")
Message = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server, and how to ask it.

    url: the base address, with /v1. cache: a folder, or None. concurrency: the most questions at once. timeout: seconds
    for one answer. patience: seconds for a server that is unreachable or busy.
    """

    url: str
    model: str
    cache: pathlib.Path | None = None
    concurrency: int = 8
    timeout: float = 300.0
    patience: float = 120.0


@dataclasses.dataclass(frozen=True)
class Question:
    """Chat messages, and the JSON schema that the answer has to fit."""

    messages: Sequence[Message]
    schema: dict[str, Any]
    seed: int = 0
    temperature: float = 0.0
    max_tokens: int = 2048


def base_url(url: str) -> str:
    """The base address for requests. Raises UserError if it is not an http(s) address.

    >>> base_url("http://127.0.0.1:8000")
    'http://127.0.0.1:8000/v1'
    """
    if not url.startswith(("http://", "https://")) or not url.partition("://")[2].strip("/"):
        raise UserError(f"{url!r} is no http(s) address, such as http://127.0.0.1:8000/v1")
    url = url.rstrip("/")
    return url if "/" in url.partition("://")[2] else f"{url}/v1"


def text_part(text: str) -> dict[str, Any]:
    """A text as part of a question."""
    return {"type": "text", "text": text}


def picture_part(picture: PIL.Image.Image) -> dict[str, Any]:
    """An image as part of a question, of at most SHOWN pixels; the same bytes for the same image."""
    copy, file = picture.convert("RGB"), io.BytesIO()
    copy.thumbnail((SHOWN, SHOWN))
    copy.save(file, "PNG")
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"},
    }


def model_of(url: str) -> str:
    """The name of the first model that a server lists. Raises UserError for a server that lists none."""

    async def first(session: aiohttp.ClientSession) -> str:
        status, data = await _post(session, Server(url, ""), "models", None)
        try:
            return str(json.loads(data)["data"][0]["id"])
        except (ValueError, LookupError, TypeError):
            raise UserError(f"{url} lists no model ({status}); name one") from None

    return asyncio.run(_with_session(Server(url, ""), first))


def ask_all(server: Server, items: Sequence[T], question: Callable[[T], Question], *, progress: str = "") -> list[Any]:
    """The answer to every item's question, as JSON values in the items' order; a RecordFault if there is none.

    A question is made only when it is sent, so that the images of thousands of questions are not in memory. Raises
    UserError and ServiceError (see above).
    """

    asking: dict[str, asyncio.Lock] = collections.defaultdict(asyncio.Lock)

    async def one(session: aiohttp.ClientSession, item: T) -> Any:
        asked = await asyncio.to_thread(question, item)
        name = _name("answer", server.model, dataclasses.asdict(asked))
        async with asking[name]:  # who asks the same at the same time waits, and finds the answer in the cache
            return await _ask(session, server, asked, name)

    return _all(server, items, one, progress)


def draw_all(server: Server, prompts: Sequence[str], size: str, *, progress: str = "") -> list[Any]:
    """The bytes of a PNG for every prompt, by /images/generations; a RecordFault if the server refuses one."""

    async def one(session: aiohttp.ClientSession, prompt: str) -> Any:
        return await _draw(session, server, prompt, size)

    return _all(server, prompts, one, progress)


def _all(
    server: Server, items: Sequence[T], one: Callable[[aiohttp.ClientSession, T], Awaitable[Any]], progress: str
) -> list[Any]:
    async def run(session: aiohttp.ClientSession) -> list[Any]:
        slots = asyncio.Semaphore(server.concurrency)
        with tqdm(total=len(items), desc=progress, disable=not progress) as bar:

            async def turn(item: T) -> Any:
                async with slots:
                    try:
                        return await one(session, item)
                    except RecordFault as fault:
                        return fault
                    finally:
                        bar.update()

            tasks = [asyncio.ensure_future(turn(item)) for item in items]
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(_with_session(server, run))


async def _with_session(server: Server, run: Callable[[aiohttp.ClientSession], Awaitable[T]]) -> T:
    key = os.environ.get(KEY)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),  # vLLM closes idle connections after 5 s
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=aiohttp.ClientTimeout(total=server.timeout),
    ) as session:
        return await run(session)


async def _ask(session: aiohttp.ClientSession, server: Server, question: Question, name: str) -> Any:
    kept = _kept(server, name)
    try:
        return _checked(json.loads(kept)["text"], question.schema)
    except (ValueError, LookupError, TypeError):
        pass  # not in the cache, or a damaged file
    body = {
        "model": server.model,
        "messages": list(question.messages),
        "temperature": question.temperature,
        "max_tokens": question.max_tokens,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": question.schema, "strict": True},
        },
    }
    said = ""
    for attempt in range(TRIES):
        status, data = await _post(session, server, "chat/completions", body | {"seed": question.seed + 1000 * attempt})
        if status != 200:
            raise RecordFault("refused", f"{status}: {one_line(data.decode(errors='replace'))}")
        try:
            choice = parse_json(data)["choices"][0]
            text = choice["message"]["content"]
            if choice.get("finish_reason") == "length":
                raise ValueError("cut off at max_tokens")
            answer = _checked(text, question.schema)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            said = one_line(error)
            continue
        _keep(server, name, json.dumps({"text": text}, ensure_ascii=False).encode())
        return answer
    raise RecordFault("invalid_answer", said)


async def _draw(session: aiohttp.ClientSession, server: Server, prompt: str, size: str) -> bytes:
    name = _name("picture", server.model, [prompt, size])
    if (kept := _kept(server, name)) and _is_picture(kept):
        return kept
    body = {"model": server.model, "prompt": prompt, "n": 1, "size": size, "response_format": "b64_json"}
    status, data = await _post(session, server, "images/generations", body)
    if status == 400 and b"response_format" in data:  # some models always send base64 and refuse to be asked for it
        del body["response_format"]
        status, data = await _post(session, server, "images/generations", body)
    if status != 200:
        raise RecordFault("refused", f"{status}: {one_line(data.decode(errors='replace'))}")
    try:
        picture = base64.b64decode(parse_json(data)["data"][0]["b64_json"], validate=True)
    except (ValueError, LookupError, TypeError) as error:
        raise RecordFault("invalid_answer", "the reply holds no picture as b64_json") from error
    if not _is_picture(picture):
        raise RecordFault("invalid_answer", "the reply's picture cannot be read")
    _keep(server, name, picture)
    return picture


async def _post(session: aiohttp.ClientSession, server: Server, path: str, body: Message | None) -> tuple[int, bytes]:
    """The status and body of a reply about the question; a GET if `body` is None.

    Waits for a server that is unreachable or busy, at least as long as its `Retry-After` asks for. Raises UserError for
    a refused key and an unknown path or model, ServiceError after `patience` seconds.
    """
    started, pause = time.monotonic(), 0.25
    while True:
        wanted = 0.0  # seconds that the server asks for
        try:
            async with session.request(
                "GET" if body is None else "POST", f"{server.url}/{path}", json=body, allow_redirects=False
            ) as reply:
                status, data = reply.status, await reply.read()
                wanted = retry_after.seconds(reply.headers.get("retry-after", ""))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            said = one_line(error) or type(error).__name__
        else:
            said = f"{status}: {one_line(data.decode(errors='replace'))}"
            if status in (401, 403):
                raise UserError(f"{server.url} refuses the API key ({status}); set {KEY} to the right one")
            if 300 <= status < 400 or status in (402, 404, 405):
                raise UserError(f"{server.url} takes no questions for {server.model!r} at {path} ({said})")
            if status != 429 and status < 500:
                return status, data
        wait = max(pause, wanted)
        if time.monotonic() + wait > started + server.patience:
            raise ServiceError(f"{server.url} did not answer within {server.patience:g} s ({said}); {AGAIN}")
        await asyncio.sleep(wait)
        pause = min(2 * pause, 8.0)


def _checked(text: str, schema: dict[str, Any]) -> Any:
    """The JSON value of a text. Raises ValueError unless it is strict JSON that fits the schema."""
    value = parse_json(text.encode())
    wrong = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    if wrong:
        raise ValueError(f"{wrong.json_path}: {wrong.message}")
    return value


def _is_picture(data: bytes) -> bool:
    try:
        PIL.Image.open(io.BytesIO(data)).load()
    except (OSError, ValueError, PIL.Image.DecompressionBombError):
        return False
    return True


def _name(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _kept(server: Server, name: str) -> bytes:
    """The cached bytes; empty if there are none."""
    path = None if server.cache is None else server.cache / name[:2] / name
    return path.read_bytes() if path and path.is_file() else b""


def _keep(server: Server, name: str, data: bytes) -> None:
    if server.cache is not None:
        path = server.cache / name[:2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{name}.{uuid.uuid4().hex}.tmp")
        temporary.write_bytes(data)
        os.replace(temporary, path)
