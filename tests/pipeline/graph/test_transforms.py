"""How a plain function becomes a Beam transform: order, batches, windows, and an outcome for every end."""

import concurrent.futures
import dataclasses
import threading

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.graph.transforms import ENDED, Batches, Each, InFlight, must_stop
from schemas.errors import UserError
from schemas.records import Document, Drop, ImageDrop, LastState
from tests.pipeline.runs import a_run

IDS = ["good 1", "drop 2", "good 3", "fail 4", "good 5"]


def judge(document: Document):
    if document.id.startswith("drop"):
        return Drop("length", 1.0, 2.0)
    if document.id.startswith("fail"):
        raise ValueError("no such thing\nat all")
    return dataclasses.replace(document, title=document.id.upper())


def make_each(run):
    return judge


def make_batches(run):
    """Fails as a whole when one document does, as a model does on one bad picture."""
    def step(documents):
        assert len(documents) <= 2
        return [judge(document) for document in documents]
    return step


def make_in_flight(run):
    """Answers the later question first: order must not matter."""
    pool = concurrent.futures.ThreadPoolExecutor(2)
    second = threading.Event()

    def answer(document):
        if document.id == IDS[0]:
            assert second.wait(20)
        second.set()
        return judge(document)
    return lambda document: pool.submit(answer, document)


@pytest.mark.parametrize("do", [
    lambda run: Each(run, "text", make_each), lambda run: Batches(run, "text", make_batches, 2),
    lambda run: InFlight(run, "text", make_in_flight, 2)], ids=["each", "batches", "in_flight"])
def test_every_document_passes_or_has_an_outcome(tmp_path, do):
    with beam.Pipeline(runner="FnApiRunner") as p:
        outputs = (p | beam.Create([Document(i, "s", ()) for i in IDS], reshuffle=False)
                   | beam.ParDo(do(a_run(tmp_path))).with_outputs(ENDED, main="passed"))
        assert_that(outputs["passed"] | beam.Map(lambda d: d.title), equal_to(["GOOD 1", "GOOD 3", "GOOD 5"]))
        ended = outputs[ENDED] | "Row" >> beam.Map(lambda o: (o.id, o.status, o.stage, o.rule or o.error, o.detail))
        assert_that(ended, equal_to([("drop 2", "dropped", "text", "length", ""),
                                     ("fail 4", "failed", "text", "ValueError", "no such thing at all")]),
                    label="ended")


def full(run):
    def step(document):
        raise OSError(28, "No space left on device")
    return step


def test_a_full_disk_ends_the_run(tmp_path):
    with pytest.raises(Exception, match="No space left"):
        with beam.Pipeline(runner="FnApiRunner") as p:
            _ = p | beam.Create([Document("a", "s", ())]) | beam.ParDo(Each(a_run(tmp_path), "text", full))


def test_what_must_stop():
    assert must_stop(UserError("mend it")) and must_stop(OSError(28, "full")) and must_stop(MemoryError())
    assert not must_stop(FileNotFoundError(2, "gone")) and not must_stop(ValueError())


def make_poorer(run):
    lost = ImageDrop(0, "a.png", "image_rules", Drop("shorter_side", 48.0, 100.0))
    return lambda document: LastState(dataclasses.replace(document, dropped_images=(lost,)),
                                      Drop("image_count", 0.0, 1.0))


def test_the_outcome_of_a_drop_tells_what_the_step_had_taken_out(tmp_path):
    do = Each(a_run(tmp_path), "image_rules", make_poorer)
    do.setup()
    (output,) = do.process(Document("d", "s", ()))
    assert (output.tag, output.value.rule, output.value.value) == (ENDED, "image_count", 0.0)
    assert [image.uri for image in output.value.dropped_images] == ["a.png"]
