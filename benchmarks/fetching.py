"""Images fetched, decoded, scaled and written, beside img2dataset, from one server on the loopback with good and bad paths.

    python -m benchmarks.fetching --img2dataset V/bin/python --json

img2dataset needs a separate environment: `python -m venv V && V/bin/pip install img2dataset`. Both sides have one
process with as many threads, the same time for one answer, two retries, the same longest side and quality. The server
answers on as many addresses (127.0.0.1, 127.0.0.2, ...) as there are hosts; ours asks each for its rules, too. The time
is measured from the first request to the last written file, for img2dataset by its own clock (without its start).
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import concurrent.futures
import io
import json
import logging
import multiprocessing
import os
import pathlib
import random
import statistics
import subprocess
import time
from multiprocessing.connection import Connection

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
from aiohttp import web

from pipeline.images.faults import ImageFault
from pipeline.images.fetch import Http
from pipeline.images.store import ImageStore
from pipeline.storage import packs
from schemas.records import Image

SECONDS = 2.0  # for one answer
MAX_BYTES = 4_000_000
CASES = {  # path -> (share in a thousand, what is right)
    "good": (790, "stored"),
    "moved": (60, "stored"),
    "recovers": (20, "stored"),
    "noai": (30, "opted_out"),
    "reserved": (20, "opted_out"),
    "disallowed": (20, "robots"),
    "gone": (20, "not_found"),
    "circle": (10, "too_many_redirects"),
    "large": (10, "too_many_bytes"),
    "page": (10, "unsupported_format"),
    "cut": (10, "unreachable"),
}
SLOW = "slow"
"""Answers that never come: `--slow` of them; both sides wait for each of them three times `SECONDS`."""
DRIP = "drip"
"""Answers that come byte by byte for 20 s: no single read is slow. Three of them, in a separate run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--img2dataset", required=True, help="the Python of an environment that has it")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--slow", type=int, default=4, help="answers of each slow kind")
    parser.add_argument("--hosts", type=int, default=32)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    def both(paths: list[str]) -> tuple[_Run, _Run]:
        with packs.temporary() as folder:
            with _Server(options.hosts) as hosts:
                urls = [hosts[n % len(hosts)] + path for n, path in enumerate(paths)]
                ours = _ours(folder, urls, options.threads)
            with _Server(options.hosts) as hosts:
                urls = [hosts[n % len(hosts)] + path for n, path in enumerate(paths)]
                return ours, _img2dataset(folder, urls, options.threads, options.img2dataset)

    runs = [both(_paths(options.images, {SLOW: options.slow}, repeat)) for repeat in range(options.repeats)]
    dripping = both(_paths(100, {DRIP: 3}, 0))
    ours, theirs = zip(*runs, dripping, strict=True)
    count = options.images + options.slow
    rates = [[count / seconds for seconds, _ in side] for side in zip(*runs, strict=True)]
    right = {name: end for name, (_, end) in CASES.items()} | {SLOW: "timeout", DRIP: "timeout"}
    wrong = collections.Counter(f"{name}: {end}" for _, ends in ours for name, end in ends if right[name] != end)
    kept = collections.Counter(
        name for _, ends in theirs for name, end in ends if end == "success" and right[name] != "stored"
    )
    missed = collections.Counter(
        name for _, ends in theirs for name, end in ends if end != "success" and right[name] == "stored"
    )
    found = {
        "images": count,
        "ours_per_second": round(statistics.median(rates[0]), 1),
        "img2dataset_per_second": round(statistics.median(rates[1]), 1),
        "ratio": round(statistics.median(a / b for a, b in zip(*rates, strict=True)), 2),
        "ratios": [round(a / b, 2) for a, b in zip(*rates, strict=True)],
        "seconds_with_drip": [round(seconds, 1) for seconds, _ in dripping],
        "ours_wrong": dict(wrong),
        "img2dataset_fetched_wrongly": dict(kept),
        "img2dataset_missed": dict(missed),
    }
    print(json.dumps(found, indent=None if options.json else 2))


_Run = tuple[float, list[tuple[str, str]]]
"""Seconds, and (case, how it ended) of every address."""


def _paths(images: int, slow: dict[str, int], seed: int) -> list[str]:
    names = [name for name, (share, _) in CASES.items() for _ in range(round(share * images / 1000))]
    names = (names + ["good"] * images)[:images] + [name for name, n in slow.items() for _ in range(n)]
    random.Random(seed).shuffle(names)
    return [f"/{name}/{number}.jpg" for number, name in enumerate(names)]


def _ours(folder: str, urls: list[str], threads: int) -> _Run:
    """Fetch with this project; each address ends with the kind of its fault, or `stored`."""
    http = Http(read_timeout=SECONDS, deadline=3 * SECONDS, retries=2, allow_private_hosts=True, delay=0.0)
    store = ImageStore(f"{folder}/ours", max_side=512, max_bytes=MAX_BYTES, max_pixels=50_000_000, http=http)

    def end(url: str) -> str:
        try:
            store.store(Image(url))
        except ImageFault as fault:
            return fault.kind
        return "stored"

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        ends = list(pool.map(end, urls))
    return time.monotonic() - started, [(url.split("/")[3], end) for url, end in zip(urls, ends, strict=True)]


def _img2dataset(folder: str, urls: list[str], threads: int, python: str) -> _Run:
    """Fetch with img2dataset; each address ends with its status."""
    path = pathlib.Path(folder)
    (path / "urls.txt").write_text("\n".join(urls) + "\n")
    settings = {
        "url_list": f"{folder}/urls.txt",
        "input_format": "txt",
        "output_folder": f"{folder}/theirs",
        "output_format": "files",
        "processes_count": 1,
        "thread_count": threads,
        "number_sample_per_shard": 100_000,
        "image_size": 512,
        "resize_mode": "keep_ratio_largest",
        "resize_only_if_bigger": True,
        "encode_quality": 90,
        "timeout": SECONDS,
        "retries": 2,
        "disable_all_reencoding": False,
    }
    code = f"import img2dataset\nif __name__ == '__main__':\n    img2dataset.download(**{settings!r})\n"
    (path / "run.py").write_text(code)
    subprocess.run(
        [python, f"{folder}/run.py"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"},  # otherwise it makes a request when it is imported
    )
    stats = json.loads((path / "theirs/00000_stats.json").read_text())
    rows = pq.read_table(path / "theirs/00000.parquet", columns=["url", "status"]).to_pylist()
    return stats["end_time"] - stats["start_time"], [(row["url"].split("/")[3], row["status"]) for row in rows]


class _Server:
    """The server, in a separate process; entering the context returns the hosts' addresses."""

    def __init__(self, hosts: int):
        self._hosts = hosts
        self._ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, hosts), daemon=True)

    def __enter__(self) -> list[str]:
        self._process.start()
        port = self._ours.recv()
        return [f"http://127.0.0.{n + 1}:{port}" for n in range(self._hosts)]

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()


def _serve(ready: Connection, hosts: int) -> None:
    logging.disable()  # errors of answers that the client did not wait for
    asyncio.run(_serving(ready, hosts))


async def _serving(ready: Connection, hosts: int) -> None:
    pictures, asked = _pictures(), collections.Counter[str]()
    robots = b"User-agent: *\nDisallow: /disallowed/\n"
    tdm = b'[{"location": "/reserved/*", "tdm-reservation": 1}]'

    async def answer(request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/robots.txt":
            return web.Response(body=robots)
        if path == "/.well-known/tdmrep.json":
            return web.Response(body=tdm)
        _, name, number = path.split("/")
        asked[request.host + path] += 1
        picture = pictures[int(number.partition(".")[0]) % len(pictures)]
        if name == "moved":
            return web.Response(status=302, headers={"Location": f"/good/{number}"})
        if name == "circle":
            return web.Response(status=302, headers={"Location": path})
        if name == "recovers" and asked[request.host + path] == 1:
            return web.Response(status=503)
        if name == "gone":
            return web.Response(status=404)
        if name == "noai":
            return web.Response(body=picture, headers={"X-Robots-Tag": "noai"})
        if name == "large":
            return web.Response(body=picture + bytes(4 * MAX_BYTES))
        if name == "page":
            return web.Response(text="<html>It was here.</html>", content_type="text/html")
        if name in ("cut", "drip"):
            response = web.StreamResponse(headers={"Content-Length": str(len(picture))})
            await response.prepare(request)
            await response.write(picture[:1000])
            for at in range(1000, 1040 if name == "drip" else 0):
                await asyncio.sleep(0.5)
                await response.write(picture[at : at + 1])
            if name == "drip":
                await response.write(picture[1040:])
            elif request.transport:
                request.transport.abort()
            return response
        if name == "slow":
            await asyncio.sleep(600)
        return web.Response(body=picture, content_type="image/jpeg")

    runner = web.AppRunner(web.Application(), access_log=None)
    runner.app.router.add_get("/{path:.*}", answer)
    await runner.setup()
    port = 0
    for n in range(hosts):
        await web.TCPSite(runner, f"127.0.0.{n + 1}", port).start()
        port = runner.addresses[0][1]
    ready.send(port)
    await asyncio.Event().wait()


def _pictures() -> list[bytes]:
    """Forty photo-like JPEGs of 640 x 480 pixels and 60 kB."""
    chance, found = np.random.default_rng(0), []
    for _ in range(40):
        small = PIL.Image.fromarray(chance.integers(0, 256, (24, 32, 3), np.uint8))
        large = np.asarray(small.resize((640, 480), PIL.Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(large + chance.normal(0, 8, large.shape), 0, 255).astype(np.uint8)
        out = io.BytesIO()
        PIL.Image.fromarray(noisy).save(out, "JPEG", quality=80)
        found.append(out.getvalue())
    return found


if __name__ == "__main__":
    main()
