"""How a plain function becomes a Beam transform: order, batches, windows, and an outcome for every end."""

import concurrent.futures
import dataclasses
import threading

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.graph import failures
from pipeline.graph.transforms import ENDED, Batches, Each, InFlight, Step
from pipeline.storage import packs
from schemas.errors import RecordFault, ServiceError, UserError
from schemas.records import Document, Drop, DroppedDocument, ImageDrop
from schemas.stage_names import FILTER_HEADERS, FILTER_TEXT
from tests.pipeline import disk  # noqa: F401  (disk://)
from tests.pipeline.runs import a_run

IDS = ["good 1", "drop 2", "good 3", "fail 4", "good 5"]


def judge(document: Document):
    if document.id.startswith("drop"):
        return Drop("length", 1.0, 2.0)
    if document.id.startswith("fail"):
        raise RecordFault("strange", "no such thing\nat all")
    return dataclasses.replace(document, title=document.id.upper())


def make_each(run):
    return Step(judge)


def make_batches(run):
    """Fails as a whole when one document does, as a model does on one bad picture."""

    def step(documents):
        assert len(documents) <= 2
        return [judge(document) for document in documents]

    return Step(step)


def make_in_flight(run):
    """Answers the later question first: order must not matter."""
    pool = concurrent.futures.ThreadPoolExecutor(2)
    second = threading.Event()

    def answer(document):
        if document.id == IDS[0]:
            assert second.wait(20)
        second.set()
        return judge(document)

    return Step(lambda document: pool.submit(answer, document), pool.shutdown)


@pytest.mark.parametrize(
    "do",
    [
        lambda run: Each(run, FILTER_TEXT, make_each),
        lambda run: Batches(run, FILTER_TEXT, make_batches, 2),
        lambda run: InFlight(run, FILTER_TEXT, make_in_flight, 2),
    ],
    ids=["each", "batches", "in_flight"],
)
def test_every_document_passes_or_has_an_outcome(tmp_path, do):
    with beam.Pipeline(runner="FnApiRunner") as p:
        outputs = (
            p
            | beam.Create([Document(i, "s", ()) for i in IDS], reshuffle=False)
            | beam.ParDo(do(a_run(tmp_path))).with_outputs(ENDED, main="passed")
        )
        assert_that(outputs["passed"] | beam.Map(lambda d: d.title), equal_to(["GOOD 1", "GOOD 3", "GOOD 5"]))
        ended = outputs[ENDED] | "Row" >> beam.Map(lambda o: (o.id, o.status, o.stage, o.rule or o.error, o.detail))
        assert_that(
            ended,
            equal_to(
                [
                    ("drop 2", "dropped", FILTER_TEXT, "length", ""),
                    ("fail 4", "failed", FILTER_TEXT, "strange", "no such thing at all"),
                ]
            ),
            label="ended",
        )


@pytest.mark.parametrize(
    "do",
    [
        lambda run, keep: Each(run, FILTER_TEXT, lambda _: Step(keep)),
        lambda run, keep: Batches(run, FILTER_TEXT, lambda _: Step(lambda some: list(map(keep, some))), 2),
        lambda run, keep: InFlight(run, FILTER_TEXT, lambda _: Step(lambda one: answered(keep(one))), 2),
    ],
    ids=["each", "batches", "in_flight"],
)
def test_other_workers_find_what_is_kept_when_a_bundle_ends_and_a_stage_that_begins_finds_theirs(tmp_path, do):
    """The next stage may be on another machine, and an engine ends a worker without a word."""
    run = dataclasses.replace(a_run(tmp_path), work=f"disk:/{tmp_path}/work")
    root = run.store("answers")
    ours, theirs = packs.of(root), packs.Packs(root)
    assert ours.read("theirs") is None
    theirs.write("theirs", b"1")
    theirs.flush()

    def keep(document: Document) -> Document:
        ours.write(document.id, b"1")
        return document

    stage = do(run, keep)
    stage.setup()
    assert ours.read("theirs") == b"1"
    if hasattr(stage, "start_bundle"):
        stage.start_bundle()
    document = Document("ours", "s", ())
    assert [*stage.process(document), *(one.value for one in stage.finish_bundle() or ())] == [document]
    assert theirs.find("ours") == b"1"


def answered(found) -> concurrent.futures.Future:
    future: concurrent.futures.Future = concurrent.futures.Future()
    future.set_result(found)
    return future


def raising(error):
    def step(document):
        raise error

    return lambda run: Step(step)


def ran(run, error) -> list:
    """The outcomes of one document whose step raises the error."""
    with beam.Pipeline(runner="FnApiRunner") as p:
        ended = (
            p
            | beam.Create([Document("a", "s", ())])
            | beam.ParDo(Each(run, FILTER_TEXT, raising(error))).with_outputs(ENDED, main="passed")
        )[ENDED]
        assert_that(
            ended | beam.Map(lambda o: (o.status, o.error, "Traceback" in o.detail)),
            equal_to([("failed", f"bug:{type(error).__name__}", True)]),
        )


@pytest.mark.parametrize(
    "error, kind, message",
    [
        (OSError(28, "No space left on device"), failures.SERVICE, "the disk is full"),
        (ServiceError("the server is gone"), failures.SERVICE, "the server is gone"),
        (MemoryError(), failures.SERVICE, "out of memory"),
        (UserError("mend it"), failures.USER, "mend it"),
        (AttributeError("no such field"), failures.BUG, "AttributeError: no such field"),
    ],
)
def test_what_stops_a_run_leaves_a_record(tmp_path, error, kind, message):
    run = a_run(tmp_path)
    with pytest.raises(Exception):
        ran(run, error)
    failure = failures.read(run.failures)
    assert (failure.kind, failure.stage, failure.document, failure.message) == (kind, FILTER_TEXT, "a", message)
    assert "in step" in failure.traceback


def test_a_run_that_keeps_going_makes_a_row_of_a_bug_with_its_traceback(tmp_path):
    ran(dataclasses.replace(a_run(tmp_path), keep_going=True), AttributeError("no such field"))


def test_a_run_that_keeps_going_stops_for_a_full_disk_all_the_same(tmp_path):
    with pytest.raises(Exception, match="No space left"):
        ran(dataclasses.replace(a_run(tmp_path), keep_going=True), OSError(28, "No space left on device"))


def test_a_stage_that_fails_most_documents_stops_the_run(tmp_path):
    """At the 100th document, not before; half may fail."""
    run = a_run(tmp_path)
    do = Each(run, FILTER_TEXT, raising(RecordFault("invalid_answer", "rubbish")))
    do.setup()
    documents = [Document(str(n), "s", ()) for n in range(100)]
    assert [next(do.process(d)).value.status for d in documents[:99]] == ["failed"] * 99
    with pytest.raises(
        ServiceError,
        match="100 of 100 documents failed at the stage “Filter text”, 100 of them with "
        "invalid_answer .the last: rubbish",
    ):
        next(do.process(documents[99]))
    assert failures.read(run.failures).kind == failures.SERVICE


def test_half_of_the_documents_may_fail(tmp_path):
    do = Each(a_run(tmp_path), FILTER_TEXT, lambda run: Step(judge))
    do.setup()
    for n in range(150):
        for name in (f"good {n}", f"fail {n}"):
            next(do.process(Document(name, "s", ())))


def make_poorer(run):
    lost = ImageDrop(0, "a.png", FILTER_HEADERS, Drop("shorter_side", 48.0, 100.0))
    return Step(
        lambda document: DroppedDocument(
            dataclasses.replace(document, dropped_images=(lost,)), Drop("image_count", 0.0, 1.0)
        )
    )


def test_the_outcome_of_a_drop_tells_what_the_step_had_taken_out(tmp_path):
    do = Each(a_run(tmp_path), FILTER_HEADERS, make_poorer)
    do.setup()
    (output,) = do.process(Document("d", "s", ()))
    assert (output.tag, output.value.rule, output.value.value) == (ENDED, "image_count", 0.0)
    assert [image.uri for image in output.value.dropped_images] == ["a.png"]
