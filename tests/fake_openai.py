"""A tiny OpenAI-compatible server on the loopback, for tests: answers at once, counts, and fails when told to.

What it does is written in the user's message. `!429*2` is answered with status 429 twice and properly from then on;
without `*N` it is always so. The words: any HTTP status; `garbage` (an answer that is no JSON), `wrong` (JSON that
misses the schema), `cut` (stopped at max_tokens), `drop` (the connection ends), `hang` (no answer), `slow=0.2`
(seconds). Without a word the answer is the smallest JSON that fits the schema asked for. `trouble(n)` gives a word to
question number n (from 1), whatever it says.

As a program (`python fake_openai.py --port 8000 ...`) it stands in for vLLM: the same flags, /health, and a child
process of its own, as vLLM has. It ends by itself after five minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import re
import subprocess
import sys
import threading

LIFETIME = 300  # seconds


def smallest(schema: dict):
    """The smallest value that fits a JSON schema (of the simple kind that prompts use)."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: smallest(part) for name, part in schema["properties"].items()}
    return {
        "integer": schema.get("minimum", 0),
        "number": 0.5,
        "string": "Show me how to fold a paper boat.",
        "array": [],
        "boolean": True,
    }[kind]


class FakeOpenAI:
    """`with FakeOpenAI() as server: server.url`. Counts: `requests` (bodies), `in_flight`, `most_in_flight`.

    `reply(body) -> str` replaces the default answer, `raw(body) -> (status, bytes)` the whole reply. Redirects (`!307`)
    point to `elsewhere`. `heads` are the requests' headers.
    """

    def __init__(
        self,
        model: str = "fake",
        port: int = 0,
        host: str = "127.0.0.1",
        reply=None,
        slow: float = 0.0,
        raw=None,
        elsewhere: str = "/",
        trouble=None,
        retry_after: str = "",
    ):
        self.trouble, self.retry_after = trouble, retry_after
        self.model, self.host, self.port, self.slow = model, host, port, slow
        self.raw, self.elsewhere, self.heads = raw, elsewhere, []
        self.reply = reply or (lambda body: json.dumps(smallest(body["response_format"]["json_schema"]["schema"])))
        self.requests: list[dict] = []
        self.in_flight = self.most_in_flight = 0
        self._seen: collections.Counter = collections.Counter()
        self._loop = asyncio.new_event_loop()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    def __enter__(self) -> FakeOpenAI:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), self._loop).result()
        return self

    def __exit__(self, *_) -> None:
        async def stop():
            self._server.close()
            others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connection, self.host, self.port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connection(self, reader, writer) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head.decode())
                length = re.search(rb"content-length: *(\d+)", head, re.I)
                body = await reader.readexactly(int(length[1])) if length else b""
                status, answer = await self._answer(head.split(b" ", 2)[1].decode(), body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                place = b"location: %s\r\n" % self.elsewhere.encode() if 300 <= status < 400 else b""
                if status >= 400 and self.retry_after:
                    place = b"retry-after: %s\r\n" % self.retry_after.encode()
                writer.write(
                    b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s"
                    % (status, place, len(data), data)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:  # the server stops; of a cancelled task, Python 3.11's streams log an error
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, data: bytes) -> tuple[int, dict | bytes]:
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": self.model, "object": "model"}]}
        if path != "/v1/chat/completions":
            if path == "/v1/moved/models":
                return 307, {}
            return (200, {}) if path == "/health" else (404, {"error": {"message": "no such path"}})
        body = json.loads(data)
        self.requests.append(body)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._complete(body)
        finally:
            self.in_flight -= 1

    async def _complete(self, body: dict) -> tuple[int, dict | bytes]:
        if self.raw:
            return self.raw(body)
        content = body["messages"][-1]["content"]
        if isinstance(content, list):  # with pictures, before the text
            content = content[-1]["text"]
        self._seen[content] += 1
        word = ""
        if match := re.search(r"!(\w+)(?:=([\d.]+))?(?:\*(\d+))?", content):
            if not match[3] or self._seen[content] <= int(match[3]):
                word = match[1]
        if self.trouble:
            word = self.trouble(len(self.requests))
        if word == "hang":
            await asyncio.sleep(LIFETIME)
        if word == "drop":
            raise ConnectionResetError
        await asyncio.sleep(float(match[2]) if word == "slow" else self.slow)
        if word.isdigit():
            return int(word), {"error": {"message": f"told to answer {word}"}}
        text = {"garbage": "I would rather not.", "wrong": '{"surprise": 1}', "cut": '{"cut'}.get(word)
        text = self.reply(body) if text is None else text
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "length" if word == "cut" else "stop",
        }
        if body.get("logprobs"):
            choice["logprobs"] = {
                "content": [
                    {
                        "token": c,
                        "logprob": -0.5,
                        "bytes": [ord(c)],
                        "top_logprobs": [{"token": c, "logprob": -0.5, "bytes": [ord(c)]}],
                    }
                    for c in text
                ]
            }
        return 200, {"id": "1", "object": "chat.completion", "model": self.model, "choices": [choice]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--served-model-name", default="fake")
    parser.add_argument("--fail", action="store_true", help="say something and end with 3, as a broken server does")
    args, _ = parser.parse_known_args()
    if args.fail:
        sys.exit(print("loading weights\nRuntimeError: the weights are not there", flush=True) or 3)
    child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LIFETIME})"])
    print(f"pids {os.getpid()} {child.pid}", flush=True)

    async def serve() -> None:
        await FakeOpenAI(args.served_model_name, args.port, args.host).start()
        await asyncio.sleep(LIFETIME)

    asyncio.run(serve())


if __name__ == "__main__":
    main()
