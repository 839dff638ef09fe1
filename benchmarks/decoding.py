"""What decoding images in child processes costs, and how near ordinary images come to its limits.

    python -m benchmarks.decoding --corpus ../shared/corpora/howto.tar --images 1500
    python -m benchmarks.decoding --largest
    python -m benchmarks.decoding --memory

The first prints processor time for an image, in this process and in a child, twice each. The second decodes images of 50
million pixels of every kind, each in a new process, and prints what part of its memory and of its time each takes. The
third decodes 12 of the largest at once, as by 32 workers on 16 processors, and prints the peak of all processes together.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import io
import itertools
import pathlib
import resource
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable

import numpy as np
import PIL.Image

from pipeline.images import children, decode, header
from pipeline.images.faults import ImageFault

WIDTH, HEIGHT = 8000, 6250


def cost(corpus: str, count: int) -> None:
    with tarfile.open(corpus) as tar:
        names = (member for member in tar if member.name.lower().endswith((".jpg", ".png", ".jpeg", ".gif", ".webp")))
        images = [file.read() for member in itertools.islice(names, count) if (file := tar.extractfile(member))]
    pool = children.Children(1, children.BUDGET)
    ways: dict[str, Callable[[bytes], object]] = {
        "in this process": lambda data: decode.normalise(data, max_side=512, max_pixels=50_000_000),
        "in a child": lambda data: pool.normalise(data, 512, 50_000_000),
    }
    ways["in a child"](images[0])
    for way, normalise in (*ways.items(), *ways.items()):
        before, started = _processor_time(), time.perf_counter()
        for data in images:
            with contextlib.suppress(ImageFault):
                normalise(data)
        took, wall = _processor_time() - before, time.perf_counter() - started
        print(
            f"{way:16} {1000 * took / len(images):.2f} ms of processor time, {1000 * wall / len(images):.2f} ms an image"
        )
    pool.close()


def largest() -> None:
    noise = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8))
    rgb = noise.resize((WIDTH, HEIGHT), PIL.Image.Resampling.BILINEAR)
    flat = PIL.Image.new("RGB", (WIDTH, HEIGHT), (9, 99, 199))
    kinds: dict[str, tuple[PIL.Image.Image, dict[str, object]]] = {
        "JPEG": (rgb, {"quality": 80}),
        "JPEG progressive": (rgb, {"quality": 90, "progressive": True, "subsampling": 0}),
        "JPEG CMYK": (rgb.convert("CMYK"), {"quality": 70}),
        "PNG": (flat, {}),
        "PNG RGBA": (flat.convert("RGBA"), {}),
        "PNG grey, 16 bits": (PIL.Image.new("I;16", (WIDTH, HEIGHT), 999), {}),
        "GIF": (flat.convert("P"), {}),
        "BMP": (flat, {}),
        "WEBP": (rgb, {"method": 0}),
        "WEBP lossless": (flat.convert("RGBA"), {"lossless": True, "method": 0}),
        "AVIF": (rgb, {"speed": 10}),
        "AVIF RGBA": (rgb.convert("RGBA"), {"speed": 10, "subsampling": "4:4:4"}),
    }
    for name, (picture, options) in kinds.items():
        file = io.BytesIO()
        picture.save(file, name.split()[0], **options)
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.decoding", "--one"],
            input=file.getvalue(),
            stdout=subprocess.PIPE,
            check=True,
        )
        print(f"{name:18} {found.stdout.decode()}", end="")


def one() -> None:
    """Decode an image from standard input, in this process."""
    data = sys.stdin.buffer.read()
    found = header.read_header(data)
    room = header.memory(data, found, 1024)
    seconds = children.SECONDS + found.width * found.height // children.PIXELS_A_SECOND
    before, started = _status("VmSize"), time.process_time()
    decode.normalise(data, max_side=1024, max_pixels=50_000_000)
    took = time.process_time() - started
    memory = _status("VmPeak") - before
    print(f"{memory / 1e6:5.0f} MB, {memory / room:4.0%} of its room; {took:4.1f} s, {took / seconds:4.0%} of its time")


def memory() -> None:
    from tests.pipeline.images.hostile import encoded, png

    images = [
        png(7000, 7000, colour=6),
        png(7000, 7000, depth=16, colour=6),
        encoded(PIL.Image.new("RGB", (7000, 7000)), "AVIF", speed=10),
    ] * 4
    pool, peak, done = children.Children(16, children.BUDGET), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            pids = pathlib.Path(f"/proc/self/task/{threading.main_thread().native_id}/children").read_text().split()
            for task in pathlib.Path("/proc/self/task").iterdir():
                pids += (task / "children").read_text().split()
            peak[0] = max(peak[0], sum(_resident(pid) for pid in {*pids, "self"}))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        list(threads.map(lambda data: pool.normalise(data, 1024, 50_000_000), images))
    done.set()
    watcher.join()
    pool.close()
    print(f"{len(images)} images of 49 million pixels by 32 workers: at most {peak[0] / 1e6:,.0f} MB in all processes")


def _resident(pid: str) -> int:
    try:
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _status(name: str) -> int:
    """A field of /proc/self/status, in bytes."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


def _processor_time() -> float:
    """Seconds of this process and of the children that it has now."""
    total = time.process_time()
    for task in pathlib.Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / 100
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--corpus", help="a tar with images")
    parser.add_argument("--images", type=int, default=1500)
    for name in ("largest", "memory", "one"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    if options.corpus:
        cost(options.corpus, options.images)
    for name, function in (("largest", largest), ("memory", memory), ("one", one)):
        if getattr(options, name):
            function()


if __name__ == "__main__":
    main()
