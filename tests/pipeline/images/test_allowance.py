"""What the servers of one document's images may cost, and what is not counted."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from pipeline.graph import stages
from pipeline.images import fetch
from pipeline.images.allowance import allowance
from pipeline.images.faults import ImageFault
from pipeline.images.fetch import Http
from pipeline.images.hosts import Hosts
from pipeline.images.reservations import Rules
from pipeline.images.store import ImageStore
from schemas.records import Document, Image
from tests.pipeline.images.hostile import encoded, photo
from tests.pipeline.web import Server, answer

HERE = Http(allow_private_hosts=True, retries=0, deadline=2.0)
PAGE = {f"/{n}.jpg": answer(encoded(photo(), "JPEG"), wait=0.2) for n in range(8)}


def store_of(tmp_path):
    return ImageStore(str(tmp_path / "store"), max_side=64, max_bytes=200_000, max_pixels=100_000, http=HERE)


def run():
    preset = SimpleNamespace(image_rules=(), after_images=())
    return SimpleNamespace(preset=preset, config=SimpleNamespace(images=SimpleNamespace(workers=1)))


def test_when_a_documents_time_is_spent_the_rest_of_its_images_is_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "TIMEOUTS", 0.25)  # of 2 s
    images = store_of(tmp_path)
    with Server(PAGE) as server:
        urls = [server.url(path) for path in PAGE]
        step = stages.store_images(run(), images)
        page = step(Document("a", "s", tuple(map(Image, urls)))).result()
        assert 1 <= len(page.images) <= 3 and len(server.asked) == len(page.images)
        assert all(drop.drop.rule == "timeout" for drop in page.dropped_images)
        other = step(Document("b", "s", (Image(urls[-1]),))).result()  # not remembered: it was nobody's fault
        assert len(other.images) == 1
        step.close()


def test_a_document_of_many_quick_images_keeps_them_all(tmp_path):
    quick = {path: answer(found.body) for path, found in PAGE.items()}
    with Server(quick) as server:
        step = stages.store_images(run(), store_of(tmp_path))
        page = step(Document("a", "s", tuple(Image(server.url(path)) for path in quick))).result()
        assert len(page.images) == len(quick)
        step.close()


def test_waiting_for_other_documents_costs_nothing_and_a_pause_that_the_host_asks_for_does(monkeypatch):
    hosts, ready = Hosts(1, lambda origin: Rules()), threading.Event()
    monkeypatch.setattr(fetch, "_hosts", lambda http, process: hosts)
    url = fetch._parsed("http://example.org/a.jpg")

    def other():
        with hosts.turn("http://example.org", 0.0, 9.0):
            ready.set()
            time.sleep(0.5)

    thread = threading.Thread(target=other)
    thread.start()
    ready.wait()
    with allowance.of(10.0):
        fetch._in_turn(url, HERE, 0.0, lambda: None)
        assert allowance.left > 9.8
        fetch._in_turn(url, HERE, 3.0, lambda: None)
        assert 6.8 < allowance.left <= 7.0
    thread.join()
    assert allowance.left == float("inf")


def test_an_image_that_is_in_the_store_is_there_for_a_document_without_time(tmp_path):
    images = store_of(tmp_path)
    with Server(PAGE) as server:
        image = Image(server.url("/0.jpg"))
        images.store(image)
        with allowance.of(0.0):
            assert images.store(image).width == 64
            with pytest.raises(ImageFault, match="timeout"):
                images.store(Image(server.url("/1.jpg")))
