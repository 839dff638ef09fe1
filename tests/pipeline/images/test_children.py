"""Whatever the bytes of an image are, decoding them ends soon, within its memory, with an image or a fault."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import PIL.Image
import pytest

from pipeline.images import children, decode
from pipeline.images.children import BUDGET, Budget, Children
from pipeline.images.faults import ImageFault
from schemas.errors import ServiceError
from tests.pipeline.images.hostile import HOSTILE, encoded, photo, png

LIMITS = {"max_side": 512, "max_pixels": 50_000_000}


def of_all_children() -> list[int]:
    """The ids of this process's children."""
    found: list[int] = []
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


def memory(pid: int) -> int:
    """The bytes that a process alone uses; 0 when it has ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


@pytest.fixture
def faulty():
    pool = Children(2, BUDGET, "tests.pipeline.images.faulty_decoder")
    yield lambda order: pool.normalise(encoded(photo(30, 20), "JPEG") + order.encode(), 64, 1000)
    pool.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_image_is_an_image_or_a_fault(name):
    make, outcomes = HOSTILE[name]
    try:
        found = children.normalise(make(), **LIMITS)
    except ImageFault as fault:
        assert fault.kind in outcomes, f"{fault}"
    else:
        assert "" in outcomes and max(found.width, found.height) <= 512


def test_the_result_is_that_of_the_decoder():
    data = encoded(photo(900, 600, "RGBA"), "PNG")
    assert children.normalise(data, **LIMITS) == decode.normalise(data, **LIMITS)


@pytest.mark.parametrize("order, kind", [("S", "unreadable"), ("L", "too_slow"), ("M", "too_much_memory")])
def test_a_decoder_that_crashes_loops_or_hoards_is_the_image_s_fault(faulty, order, kind):
    with pytest.raises(ImageFault) as caught:
        faulty(order)
    assert caught.value.kind == kind
    assert faulty("").data == b"fine"  # by another child


@pytest.mark.parametrize(
    "order, error",
    [("K", MemoryError), ("X", RuntimeError), ("B", RuntimeError), ("D", OSError), ("V", ServiceError)],
)
def test_what_is_not_the_image_s_fault_stops_the_run(faulty, order, error):
    with pytest.raises(error):
        faulty(order)
    assert faulty("").data == b"fine"


def test_a_decoder_sees_no_key(faulty, monkeypatch):
    monkeypatch.setenv("LEAFINSTRUCT_LLM_KEY", "secret")
    names = faulty("E").data.decode().split("\n")
    assert "PYTHONPATH" in names and not [name for name in names if "KEY" in name]


def test_a_signal_to_all_processes_is_for_the_parent():
    """A service manager stops a run by SIGTERM to each of its processes: that is no fault of an image, and no bug."""
    before, pool = set(of_all_children()), Children(1, BUDGET)
    try:
        data = encoded(photo(), "JPEG")
        first = pool.normalise(data, **LIMITS)
        [child] = set(of_all_children()) - before
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(child, number)
        assert pool.normalise(data, **LIMITS) == first and child in of_all_children()
    finally:
        pool.close()


def test_memory_of_many_hostile_images_at_once_is_bounded():
    """32 workers of production, with 16 processors. Each of these images took 0.6 to 1 GB before."""
    images = [
        png(7000, 7000, colour=6),
        png(7000, 7000, depth=16, colour=6),
        encoded(PIL.Image.new("RGB", (7000, 7000)), "AVIF", speed=10),
    ] * 2
    pool, peak, done = Children(16, BUDGET), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], sum(memory(pid) for pid in of_all_children()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(32) as threads:
            found = list(threads.map(lambda data: pool.normalise(data, 1024, 50_000_000), images))
    finally:
        done.set()
        watcher.join()
        pool.close()
    assert [max(image.width, image.height) for image in found] == [1024] * len(images)
    assert 300_000_000 < peak[0] < BUDGET + 16 * 40_000_000  # the images', and those of 16 children at rest


def test_children_end_with_their_parent():
    program = (
        "import sys, time\nfrom tests.pipeline.images.hostile import encoded, photo\n"
        "from pipeline.images import children\n"
        "children.normalise(encoded(photo(), 'PNG'), max_side=64, max_pixels=10**6)\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=pathlib.Path(__file__).parents[3]
    )
    assert parent.stdout.readline() == b"ready\n"
    [child] = pathlib.Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if (
            not pathlib.Path(f"/proc/{child}").exists()
            or "State:\tZ" in pathlib.Path(f"/proc/{child}/status").read_text()
        ):
            return
        time.sleep(0.1)
    os.kill(int(child), signal.SIGKILL)
    pytest.fail("the child outlived its parent by 10 s")


def test_a_budget_is_lent_in_order_and_never_exceeded():
    budget, held, order = Budget(10), [], []

    def borrow(name: str, wanted: int) -> None:
        with budget.lent(wanted):
            order.append(name)
            held.append(wanted)
            assert sum(held) <= 10
            time.sleep(0.05)
            held.remove(wanted)

    threads = []
    for name, wanted in (("a", 6), ("all", 99), ("b", 1), ("c", 1)):  # more than there is: everything
        wanted = min(wanted, 10)
        threads.append(threading.Thread(target=borrow, args=(name, wanted)))
        threads[-1].start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert order == ["a", "all", "b", "c"] and not held
