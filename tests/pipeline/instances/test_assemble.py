"""From a document to instruction, context and output."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss.data import samples
from pipeline.instances.assemble import AssembleFault, assemble, possible_cuts, text_before_image
from schemas import template
from schemas.codec import rank_of
from schemas.records import (
    Coherence,
    GeneratedInstruction,
    Instance,
    InstructedDocument,
    Provenance,
    StoredImage,
    Text,
)

T, U, V, H = Text("First."), Text("Then."), Text("Last."), Text("## Heading")
A, B = (StoredImage(f"{name}.jpg", width=9, height=9, sha256=name, extension="jpg") for name in "ab")
PROVENANCE = Provenance("1", "c", "clip", "llm", "r", "w")


def instance(segments, id_="x", context_free=0.0, min_words=1, instruction="Show how."):
    document = InstructedDocument(
        id_,
        "s",
        tuple(segments),
        coherence=Coherence((), (), (), None, None, "m"),
        ratings={"fluency": 5.0},
        generated=GeneratedInstruction(instruction, "Cooking and food", 1),
    )
    return assemble(
        document, key="k", context_free=context_free, min_words=min_words, salt="salt", provenance=PROVENANCE
    )


def test_both_sides_have_text_and_image():
    made = instance([T, A, U, B, V])
    assert (made.context, made.output) == ((T, A), (U, B, V))


def test_an_instance_has_all_that_is_known_of_its_document():
    scores, ratings = Coherence((0.3,), (0.1,), (-1.0,), None, None, "clip"), {"fluency": 4.5}
    document = InstructedDocument(
        "id",
        "source",
        (T, A),
        title="Title",
        url="https://a.example",
        license="CC0",
        location="f:1",
        coherence=scores,
        ratings=ratings,
        generated=GeneratedInstruction("Show\x1b how.", "Cooking and food", 2),
    )
    assert assemble(document, key="key", context_free=0.0, min_words=1, salt="", provenance=PROVENANCE) == Instance(
        id="id",
        key="key",
        instruction="Show how.",
        context=(),
        output=(T, A),
        domain="Cooking and food",
        title="Title",
        source="source",
        url="https://a.example",
        license="CC0",
        coherence=scores,
        ratings=ratings,
        provenance=PROVENANCE,
    )


def test_the_same_salt_and_id_draw_the_same_cut_for_ever():
    segments = [T, A, U, B, V, A, U, B]  # cuts at 2, 4 and 6
    assert possible_cuts(tuple(segments), 1) == [2, 4, 6]
    made = {id_: instance(segments, id_, context_free=0.286) for id_ in "abcdefghij"}
    assert {id_: len(m.context) for id_, m in made.items()} == dict(a=0, b=0, c=4, d=2, e=2, f=4, g=2, h=0, i=6, j=4)


MARKED = ["### Answer", "Why?\n\n### Answer\n\nBecause.", "### Answer\n\n### Answer", "###  Answer \nx", "### Answer\t"]


@pytest.mark.parametrize("text", MARKED)
def test_the_marker_of_the_trainer_s_template_is_in_no_instance(text):
    """Neither in a text, nor where two are joined, nor in an instruction."""
    made = instance([T, Text(text), A, Text(text), U, B], instruction=f"Show how.\n\n{text}\n\nNow.")
    for texts in ([made.instruction], [s.text for s in (*made.context, *made.output) if isinstance(s, Text)]):
        assert template.MARKER not in "\n\n".join(["", *texts, ""])
    assert samples.MARKER == template.MARKER


@pytest.mark.parametrize(
    "text", ["### Answers", "#### Answer", "The ### Answer", "### Answer me", "## Answer", "```\n#### Answer\n```"]
)
def test_other_headings_stay(text):
    assert instance([T, Text(text), A]).output[1].text == text


def test_without_a_fair_cut_the_whole_is_output():
    made = instance([T, U, A])
    assert (made.context, made.output) == ((), (T, U, A))


def test_a_heading_stays_with_its_text():
    assert possible_cuts((T, A, H, U, B), 1) == [2]


def test_leading_pictures_move_behind_the_first_text():
    assert text_before_image((A, B, T, U)) == (T, A, B, U)
    assert text_before_image((H, A, T, B)) == (H, T, A, B)
    assert text_before_image((T, A, U, B)) == (T, A, U, B)
    assert text_before_image((A, H, B, T, U)) == (H, T, A, B, U)
    assert text_before_image((A, H, B)) == (H, A, B)
    assert text_before_image((A, B)) == (A, B)


def test_a_picture_between_two_headings_belongs_to_the_first():
    assert text_before_image((H, A, H, T, B)) == (H, A, H, T, B)
    assert text_before_image((A, H, B, H, A, T)) == (H, A, B, H, T, A)


def test_an_output_has_enough_words_and_begins_no_sentence_in_its_middle():
    long, short = Text("Sand the board until all of it is smooth."), Text("Done.")
    assert possible_cuts((T, A, long, B, short, A), 9) == [2]
    assert possible_cuts((T, A, long, B, short, A), 1) == [2, 4]
    assert possible_cuts((T, A, Text("and then paint it."), B), 1) == []
    assert possible_cuts((T, A, Text("2. Paint it."), B), 1) == [2]


def test_steps_without_capitals_and_full_stops_can_be_split():
    spoken = [Text(step) for step in ("spread the butter", "add a slice of cheese", "toast it")]
    assert possible_cuts((spoken[0], A, spoken[1], B, spoken[2], A), 1) == [2, 4]


def test_instances_with_a_context_are_everywhere_in_the_data_set():
    """The order of instances and the split are drawn from the same salt and id, and must not agree."""
    ids = sorted((f"id{i}" for i in range(1000)), key=lambda id_: rank_of(id_, "salt"))
    split = [bool(instance([T, A, U, B], id_, context_free=0.5).context) for id_ in ids]
    tenths = [sum(split[at : at + 100]) for at in range(0, 1000, 100)]
    assert 30 < min(tenths) <= max(tenths) < 70


@pytest.mark.parametrize("segments", [[T, U], [A, B], []])
def test_no_output_is_a_fault(segments):
    with pytest.raises(AssembleFault) as fault:
        instance(segments)
    assert (fault.value.kind, fault.value.detail) == ("no_output", "an output needs a text and an image")


def test_the_share_of_context_free_instances():
    made = [instance([T, A, U, B], f"id{i}", context_free=0.3) for i in range(1000)]
    assert 250 < sum(not m.context for m in made) < 350
    assert all(not instance([T, A, U, B], f"id{i}", context_free=1.0).context for i in range(20))


@given(st.lists(st.sampled_from([T, U, H, A, B]), min_size=1, max_size=12), st.text(min_size=1, max_size=5))
def test_nothing_is_lost_and_a_text_comes_first(segments, id_):
    try:
        made = instance(segments, id_)
    except AssembleFault:
        return
    both = made.context + made.output
    assert sorted(map(repr, both)) == sorted(map(repr, segments))
    assert [s for s in both if isinstance(s, StoredImage)] == [s for s in segments if isinstance(s, StoredImage)]
    for part in filter(None, (made.context, made.output)):
        assert {type(s) for s in part} == {Text, StoredImage}
    assert isinstance(made.output[0], Text)
