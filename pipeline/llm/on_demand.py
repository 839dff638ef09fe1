"""The pipeline's own model server, started at the first question whose answer is not in the cache.

Workers cannot start it: there may be several processes, and any of them may end before the run does. So the launcher
watches a folder. The first worker that has a question writes a file there, and every worker waits for the file that
says that the server is ready, or why it is not. The file `launcher` exists as long as the launcher watches the folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import Llm
from pipeline.llm import choice
from pipeline.llm.probe import probe
from pipeline.llm.server import Server, say
from pipeline.storage.files import write_bytes
from prompts import PromptSet
from schemas.errors import UserError

EVERY = 0.2
"""Seconds between two checks of the folder."""


@contextlib.contextmanager
def when_wanted(llm: Llm, url: str, folder: str, log_path: Path, prompts: PromptSet) -> Iterator[None]:
    """While the block runs, start a server at `url` as soon as a worker requests one in `folder`.

    `llm` has the settings from `choice.reserve`. The server is asked a first question (`probe`), and stopped at the end
    of the block.
    """
    done, servers = threading.Event(), []
    launcher = f"{folder}/launcher"
    write_bytes(launcher, str(os.getpid()).encode())

    def serve() -> None:
        try:
            start()
        finally:
            os.unlink(launcher)  # possible on a full disk too, where no reason can be written

    def start() -> None:
        while not os.path.exists(f"{folder}/wanted"):
            if done.wait(EVERY):
                return
        try:
            servers.append(Server(choice.program(llm, url), url, log_path=log_path, closing=done))
            if not done.is_set():
                probe(url, llm.name, prompts)
                write_bytes(f"{folder}/ready", b"")
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            try:
                write_bytes(f"{folder}/failed", str(error).encode())
            except OSError:
                say(f"language model: {error}")

    thread = threading.Thread(target=serve, name="server-start")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        for server in servers:
            server.close()


async def ready(folder: str) -> None:
    """Request the server, and wait until it is ready. Raises UserError if it fails or the launcher has ended."""
    if not folder or os.path.exists(f"{folder}/ready"):
        return
    write_bytes(f"{folder}/wanted", b"")
    while True:
        gone = not _launching(folder)  # checked first: the launcher writes its result before
        if os.path.exists(f"{folder}/ready"):
            return
        if os.path.exists(f"{folder}/failed"):
            raise UserError(Path(folder, "failed").read_text())
        if gone:
            raise UserError(
                "nobody starts the model server any more: the launcher has ended, or could not write to "
                f"{folder} (is its disk full?); run the same command again: what was finished is kept"
            )
        await asyncio.sleep(EVERY)


def _launching(folder: str) -> bool:
    """Whether the launcher is running and has not finished starting the server."""
    try:
        os.kill(int(Path(folder, "launcher").read_text()), 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True
