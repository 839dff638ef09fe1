"""The bill of a large run, from two small ones."""

from __future__ import annotations

import pytest

from benchmarks import scaling


def run(documents: int, cpu: float, **store: int) -> dict:
    named = {name.replace("_", " "): count for name, count in store.items()}
    return {
        "documents": documents,
        "cpu_seconds": cpu,
        "pictures": documents,
        "corpus_bytes": {"images": 300 * documents, "texts": 2000 * documents},
        "stages": {"Read": 1.0 * documents, "Filter text": 3.0 * documents},
        "store": {"read corpus png": 2 * documents, "bytes corpus jsonl": 10_000 * documents} | named,
    }


@pytest.fixture
def bill() -> dict[str, scaling.Line]:
    few = run(100, 21.0, write_work_answers=10, write_work_dropped=50)
    many = run(1100, 31.0, write_work_answers=20, write_work_dropped=900)
    return {line.name.strip(): line for line in scaling.bill(few, many, decode=0.036, hashing=0.009)}


def test_processor_time_is_what_one_more_document_takes_and_is_divided_by_the_samples(bill):
    assert bill["documents, all transforms"].amount == pytest.approx(7e6 * 0.01 / 3600)
    assert bill["Filter text"].amount == pytest.approx(3 * bill["Read"].amount)
    assert bill["decoding pictures"].amount == pytest.approx(200) and bill["perceptual hashes"].amount == pytest.approx(
        50
    )


def test_examples_of_dropped_documents_are_not_counted_for_each_document(bill):
    assert bill["operations that write or list"].amount == pytest.approx(7 * 0.01)
    assert bill["operations that read"].amount == pytest.approx(2 * 20)
    assert bill["store"].amount == pytest.approx(40e6 * 4e-7 + 70e3 * 5e-6)


def test_bytes_are_those_of_pictures_that_are_needed_and_of_all_texts(bill):
    corpus = scaling.Corpus()
    moved = 2 * 20e6 * corpus.picture_bytes + 5 * 7e6 * corpus.text_bytes
    assert bill["bytes read"].amount == pytest.approx(moved / corpus.bytes)


def test_the_table_says_which_budgets_hold(bill):
    table = scaling.table(list(bill.values()))
    [cpu] = [line for line in table.splitlines() if line.startswith("| CPU |")]
    [store] = [line for line in table.splitlines() if line.startswith("| store |")]
    assert cpu.endswith("| 250 CPU-hours | **no** |") and store.endswith("| 30 dollars | yes |")
    assert bill["CPU"].amount > 250
