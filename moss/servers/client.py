"""A small client of OpenAI-compatible servers, for chat completions with pictures and for image generation.

Answers are cached under a hash of their question (the model's name is part of it, the address is not), so the same
command asks nothing twice. Errors are those of `schemas.errors`: what a user has to fix is a UserError, a server that
stays unreachable is a ServiceError, and one question without a valid answer, or that the server fails on while it
answers others, is a RecordFault, which is returned.
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
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import jsonschema
import PIL.Image
from tqdm import tqdm

from moss.servers import transport
from moss.servers.transport import Connection, Message, Server
from schemas.codec import parse_json
from schemas.errors import RecordFault, UserError, one_line
from schemas.images import decode_foreign, open_foreign

TRIES = 3
"""How often a question is asked, each time with another seed, until its answer fits the schema."""
SHOWN = 768
"""The longer side in pixels of an image that is sent: more costs tokens and helps a judge little."""

T = TypeVar("T")


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

    async def first(connection: Connection) -> str:
        status, data = await transport.post(connection, "models", None)
        try:
            return str(json.loads(data)["data"][0]["id"])
        except (ValueError, LookupError, TypeError):
            raise UserError(f"{url} lists no model ({status}); name one") from None

    return asyncio.run(transport.connected(Server(url, ""), first))


def ask_all(server: Server, items: Sequence[T], question: Callable[[T], Question], *, progress: str = "") -> list[Any]:
    """The answer to every item's question, as JSON values in the items' order; a RecordFault if there is none.

    A question is made only when it is sent, so that the images of thousands of questions are not in memory. Raises
    UserError and ServiceError (see above).
    """

    asking: dict[str, asyncio.Lock] = collections.defaultdict(asyncio.Lock)

    async def one(connection: Connection, item: T) -> Any:
        asked = await asyncio.to_thread(question, item)
        name = _name("answer", server.model, dataclasses.asdict(asked))
        async with asking[name]:  # who asks the same at the same time waits, and finds the answer in the cache
            return await _ask(connection, asked, name)

    return _all(server, items, one, progress)


def draw_all(server: Server, prompts: Sequence[str], size: str, *, progress: str = "") -> list[Any]:
    """The bytes of a PNG for every prompt, by /images/generations; a RecordFault if the server refuses one."""

    async def one(connection: Connection, prompt: str) -> Any:
        return await _draw(connection, prompt, size)

    return _all(server, prompts, one, progress)


def _all(
    server: Server, items: Sequence[T], one: Callable[[Connection, T], Awaitable[Any]], progress: str
) -> list[Any]:
    async def run(connection: Connection) -> list[Any]:
        slots = asyncio.Semaphore(server.concurrency)
        with tqdm(total=len(items), desc=progress, disable=not progress) as bar:

            async def turn(item: T) -> Any:
                async with slots:
                    try:
                        return await one(connection, item)
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

    return asyncio.run(transport.connected(server, run))


async def _ask(connection: Connection, question: Question, name: str) -> Any:
    server = connection.server
    kept = _kept(server, name)
    try:
        known = _checked(json.loads(kept)["text"], question.schema)
        connection.answered += 1
        return known
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
    plain = {"model": server.model, "messages": [{"role": "user", "content": "Reply with yes."}], "max_tokens": 8}
    said = ""
    for attempt in range(TRIES):
        asked = body | {"seed": question.seed + 1000 * attempt}
        status, data = await transport.post(connection, "chat/completions", asked, plain)
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


async def _draw(connection: Connection, prompt: str, size: str) -> bytes:
    server = connection.server
    name = _name("picture", server.model, [prompt, size])
    if (kept := _kept(server, name)) and _is_picture(kept):
        connection.answered += 1
        return kept
    plain = {"model": server.model, "prompt": "a white circle", "n": 1, "size": size}
    body = plain | {"prompt": prompt, "response_format": "b64_json"}
    status, data = await transport.post(connection, "images/generations", body, plain)
    if status == 400 and b"response_format" in data:  # some models always send base64 and refuse to be asked for it
        del body["response_format"]
        status, data = await transport.post(connection, "images/generations", body, plain)
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


def _checked(text: str, schema: dict[str, Any]) -> Any:
    """The JSON value of a text. Raises ValueError unless it is strict JSON that fits the schema."""
    value = parse_json(text.encode())
    wrong = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    if wrong:
        raise ValueError(f"{wrong.json_path}: {wrong.message}")
    json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair could not be written to any file
    return value


def _is_picture(data: bytes) -> bool:
    try:
        decode_foreign(open_foreign(io.BytesIO(data)))
    except ValueError:
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
