"""From a document to instruction, context and output."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.instances.assemble import AssembleFault, assemble, possible_cuts, text_before_image
from schemas.records import Coherence, GeneratedInstruction, InstructedDocument, Provenance, StoredImage, Text

T, U, V, H = Text("First."), Text("Then."), Text("Last."), Text("## Heading")
A, B = (StoredImage(f"{name}.jpg", width=9, height=9, sha256=name, extension="jpg") for name in "ab")
PROVENANCE = Provenance("1", "c", "clip", "llm", "r", "w")


def instance(segments, id_="x", context_free=0.0):
    document = InstructedDocument(
        id_,
        "s",
        tuple(segments),
        coherence=Coherence((), (), (), None, None, "m"),
        ratings={"fluency": 5.0},
        generated=GeneratedInstruction("Show how.", "Cooking and food", 1),
    )
    return assemble(document, key="k", context_free=context_free, salt="salt", provenance=PROVENANCE)


def test_both_sides_have_text_and_image():
    made = instance([T, A, U, B, V])
    assert (made.context, made.output) == ((T, A), (U, B, V))


def test_without_a_fair_cut_the_whole_is_output():
    made = instance([T, U, A])
    assert (made.context, made.output) == ((), (T, U, A))


def test_a_heading_stays_with_its_text():
    assert possible_cuts((T, A, H, U, B)) == [2]


def test_leading_pictures_move_behind_the_first_text():
    assert text_before_image((A, B, T, U)) == (T, A, B, U)
    assert text_before_image((H, A, T, B)) == (H, T, A, B)
    assert text_before_image((T, A, U, B)) == (T, A, U, B)


@pytest.mark.parametrize("segments", [[T, U], [A, B], []])
def test_no_output_is_a_fault(segments):
    with pytest.raises(AssembleFault) as fault:
        instance(segments)
    assert fault.value.kind == "no_output"


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
