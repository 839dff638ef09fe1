"""Requests to an OpenAI-compatible server: patience with one that is busy, and whose fault a failure is."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp

from schemas import replies, retry_after
from schemas.errors import AGAIN, RecordFault, ServiceError, UserError, one_line

KEY = "LEAFINSTRUCT_LLM_KEY"
"""The environment variable with the API key of a server that needs one; the pipeline reads the same."""
MOST_BYTES = 256 << 20
"""The most bytes of a reply: a PNG of 50 million pixels as base64 fits in."""
BUSY = (429, 503)
"""Statuses of a server that has no time now, whatever it is asked."""

T = TypeVar("T")
Message = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server, and how to ask it.

    url: the base address, with /v1. cache: a folder, or None. concurrency: the most questions at once. timeout: seconds
    for one answer. patience: seconds for a server that is unreachable or busy. Raises UserError for a concurrency below 1.
    """

    url: str
    model: str
    cache: pathlib.Path | None = None
    concurrency: int = 8
    timeout: float = 300.0
    patience: float = 120.0

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise UserError(f"--concurrency must be at least 1, not {self.concurrency}")


@dataclasses.dataclass
class Connection:
    """A server, the session with it, and how many questions it has answered, now or in the cache."""

    server: Server
    session: aiohttp.ClientSession
    answered: int = 0


async def connected(server: Server, run: Callable[[Connection], Awaitable[T]]) -> T:
    """What `run` gives with a connection to the server, which is closed afterwards."""
    key = os.environ.get(KEY)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),  # vLLM closes idle connections after 5 s
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=aiohttp.ClientTimeout(total=server.timeout),
    ) as session:
        return await run(Connection(server, session))


async def post(
    connection: Connection, path: str, body: Message | None, plain: Message | None = None
) -> tuple[int, bytes]:
    """The status and body of a reply about the question; a GET if `body` is None.

    Waits for a server that is unreachable or busy, at least as long as its `Retry-After` asks for, and tries once more
    after a timeout. Raises UserError for a refused key and an unknown path or model. After `patience` seconds, raises
    RecordFault if it is the question that the server fails on: it has answered others, and now answers `plain`, a
    question without any difficulty. Otherwise it is the server that fails: raises ServiceError.
    """
    server = connection.server
    started, pause, tries = time.monotonic(), 0.25, 0
    while True:
        tries += 1
        wanted = 0.0  # seconds that the server asks for
        busy = late = False
        try:
            status, data, wanted = await _once(connection, path, body)
        except TimeoutError:
            said, late = f"no answer in {server.timeout:g} s", True
        except (aiohttp.ClientError, OSError) as error:
            said = one_line(error) or type(error).__name__
        else:
            said = f"{status}: {one_line(data.decode(errors='replace'))}"
            if status in (401, 403):
                raise UserError(f"{server.url} refuses the API key ({status}); set {KEY} to the right one")
            if 300 <= status < 400 or status in (402, 404, 405):
                raise UserError(f"{server.url} takes no questions for {server.model!r} at {path} ({said})")
            if status != 429 and status < 500:
                connection.answered += status == 200
                return status, data
            busy = status in BUSY
        wait = max(pause, wanted)
        if time.monotonic() + wait > started + server.patience and not (late and tries == 1):
            spent = f"{tries} tries in {time.monotonic() - started:.1f} s"
            if not busy and connection.answered and plain and await _answers(connection, path, plain):
                raise RecordFault("server_error", f"{said} ({spent}, while the server answers other questions)")
            raise ServiceError(f"{server.url} did not answer ({spent}; the last: {said}); {AGAIN}")
        await sleep(wait)
        pause = min(2 * pause, 8.0)


async def _once(connection: Connection, path: str, body: Message | None) -> tuple[int, bytes, float]:
    """The status, the body, and the seconds that the server asks to be left alone for."""
    method, url = "GET" if body is None else "POST", f"{connection.server.url}/{path}"
    async with connection.session.request(method, url, json=body, allow_redirects=False) as reply:
        data = await replies.body(reply, MOST_BYTES)
        return reply.status, data, retry_after.seconds(reply.headers.get("retry-after", ""))


async def _answers(connection: Connection, path: str, plain: Message) -> bool:
    try:
        status, _, _ = await _once(connection, path, plain)
    except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
        return False
    return status == 200
