import pytest

from filters.headings import RECURS, box, heading_key, heading_keys, perhaps_box, recurring
from schemas.records import Document, Text


def page(number: int, *texts: str, source: str = "s") -> Document:
    return Document(str(number), source, tuple(map(Text, texts)))


def test_a_heading_recurs_from_five_documents_on():
    pages = [page(k, "# Summary", f"# Own {k}", "Text.") for k in range(RECURS)]
    assert recurring(pages) == {heading_key("s", "Summary")}
    assert recurring(pages[1:]) == frozenset()


def test_twice_in_one_document_counts_once_and_other_sources_count_apart():
    pages = [page(k, "# Summary", "## summary", source=f"source-{k % 2}") for k in range(RECURS)]
    assert recurring(pages) == frozenset()


def test_only_headings_have_keys():
    assert heading_keys(page(1, "Summary", "## **Key** _terms_", "# Two\nlines")) == [heading_key("s", "key terms")]


@pytest.mark.parametrize(
    "text, kind",
    [
        ("## Teacher Support", "teaching"),
        ("### AP Practice Questions", "teaching"),
        ("# Check your understanding:", "teaching"),
        ("## Test Prep Short Answer", "teaching"),
        ("## 🚀 Challenge", "teaching"),
        ("## Section Learning Objectives", "teaching"),
        ("## Answers to Questions in the Book", "teaching"),
        ("# About OpenStax Resources", "book"),
        ("## Senior Contributing Authors", "book"),
        ("## **See also**", "book"),
        ("## Table of contents", "book"),
        ("Key terms\n---------", "book"),
        ("## Question the sources", ""),
        ("## Solving problems", ""),
        ("## Resources of the sea", ""),
        ("## Summary", ""),
        ("## Introduction", ""),
        ("## Learning goals", "teaching"),
        ("## Senior Editors", "book"),
        ("## Project Goal", "teaching"),
        ("## Duration: 30 minutes", "teaching"),
        ("## Duration", ""),
        ("## Contacting support", "book"),
        ("## Feedback on the documentation", "book"),
        ("## Feedback on essays", ""),
        *((f"## {name}", "") for name in ("Goal", "Editor", "Sequencing", "Exercises", "Links", "Comments", "Index")),
    ],
)
def test_boxes_are_known_by_their_whole_heading(text, kind):
    assert box(text) == kind


@pytest.mark.parametrize(
    "text, kind",
    [
        ("## Exercises:", "teaching"),
        ("## Problems", "teaching"),
        ("## Links", "book"),
        ("# **Comments**", "book"),
        ("## Links in HTML", ""),
        ("## Goal", ""),
        ("## Editor", ""),
    ],
)
def test_a_name_may_be_one_of_a_box_or_of_a_lesson(text, kind):
    assert (box(text), perhaps_box(text)) == ("", kind)
