"""Which words a document's instruction gets, and how an answer's subject comes into them."""

import collections
import dataclasses

import pytest

import prompts
from filters.instruction import asks, length, placeholder
from prompts.wordings import Kinds, Wording, Wordings
from schemas.errors import UserError
from schemas.records import Document, Text

EMBEDDED = prompts.load("embedded").wordings
BOAT = Document("1", "s", (Text("A paper boat is folded from a sheet."), Text("The paper must be dry.")))
COMPARED = Document(
    "1", "s", (Text("Unlike tea, coffee is bitter. They differ in colour: coffee is darker than tea."),)
)


def chosen(count: int, text: Document = BOAT, kinds: Kinds = Kinds(), pictures: float = 0.5, context: bool = False):
    """The first wordings of so many documents."""
    return [
        EMBEDDED.choose(Document(str(n), "s", text.segments), kinds, pictures, "salt", context=context)[0]
        for n in range(count)
    ]


def shares(wordings) -> dict[str, float]:
    counts = collections.Counter(w.kind for w in wordings)
    return {kind: count / len(wordings) for kind, count in counts.items()}


def test_kinds_have_the_shares_that_are_asked_for():
    found = shares(chosen(4000, kinds=Kinds(how_to=0.6, question=0.1, explanation=0.3)))
    assert found == pytest.approx({"how_to": 0.6, "question": 0.1, "explanation": 0.3}, abs=0.03)
    assert sum(w.pictures for w in chosen(4000, pictures=0.2)) / 4000 == pytest.approx(0.2, abs=0.03)


def test_only_what_has_a_context_is_continued_and_only_what_compares_is_compared():
    assert shares(chosen(2000, context=True)) == {"continuation": 1}
    some = shares(chosen(2000, context=True, kinds=Kinds(continuation=0.7)))
    assert some["continuation"] == pytest.approx(0.7, abs=0.03)
    assert "continuation" not in shares(chosen(2000)) and "comparison" not in shares(chosen(2000))
    assert shares(chosen(2000, COMPARED))["comparison"] == pytest.approx(0.4, abs=0.04)


def test_no_beginning_of_three_words_is_frequent():
    """Whatever the subjects are: the frames' own words are counted, and a subject of one letter."""
    for text, context in ((BOAT, False), (BOAT, True), (COMPARED, False)):
        for form in ("do", "about"):
            made = [getattr(w, form) or "" for w in chosen(4000, text, context=context)]
            counts = collections.Counter(" ".join(m.replace("{}", "x").split()[:3]) for m in made if m)
            assert counts.most_common(1)[0][1] / len(made) < 0.08, counts.most_common(3)


def test_the_same_document_and_salt_get_the_same_words():
    def words(salt):
        return [EMBEDDED.choose(Document(str(n), "s", ()), Kinds(), 0.5, salt, context=False) for n in range(50)]

    assert words("a") == words("a") != words("b")


@pytest.mark.parametrize(
    "answer, form, subject",
    [
        ("Describe, with pictures, how to build a resistor.", "do", "build a resistor"),
        ("How do I lift? Show me with pictures.", "do", "lift"),
        ("Write an illustrated lesson on folding paper, with pictures.", "about", "folding paper"),
        ("Tell me about triangles, step by step.", "about", "triangles"),
        ("Write an illustrated lesson on how to sew.", "do", "sew"),
        ("Write an illustrated lesson on kneading the dough.", "about", "kneading the dough"),
        ("Tell me about the form of a boat.", "about", "the form of a boat"),
        ("Can you explain bulbs to me?", "about", "bulbs"),
        ("Is a spider an insect?", "", ""),
        ("Explain how to .", "", ""),
    ],
)
def test_the_subject_is_taken_from_the_forms_of_the_answers(answer, form, subject):
    assert EMBEDDED.subject(answer) == (form, subject)


@pytest.mark.parametrize("wording", EMBEDDED.wordings, ids=lambda w: w.do or w.about)
def test_every_frame_makes_an_instruction(wording):
    for frame, subject in ((wording.do, "fold the paper"), (wording.about, "tea and coffee")):
        made = frame.replace("{}", subject)
        assert not frame or not (length(made) or asks(made) or placeholder(made))


def test_a_subject_is_put_into_the_frame_and_begins_as_in_the_text():
    how, what = Wordings((prompts.wordings.Wording("how_to", do="Teach me to {}.", about="Teach me {}."),)), EMBEDDED
    given = Wordings(how.wordings, what.answers)
    assert given.reworded("Explain how to fold a boat.", BOAT, given.wordings) == "Teach me to fold a boat."
    assert given.reworded("Tell me about Paper boats.", BOAT, given.wordings) == "Teach me paper boats."
    assert given.reworded("Tell me about Boston.", BOAT, given.wordings) == "Teach me Boston."
    git = dataclasses.replace(BOAT, segments=(Text("It is about using Git."),))
    assert given.reworded("Tell me about Using Git.", git, given.wordings) == "Teach me to use Git."
    tiles = dataclasses.replace(BOAT, segments=(Text("A TileMap is a tilemap."),))
    assert given.reworded("Tell me about TileMap.", tiles, given.wordings) == "Teach me a TileMap."
    named = dataclasses.replace(BOAT, segments=(Text("A boat, which is seen at the Boat Harbour."),))
    assert given.reworded("Tell me about Boat Harbour.", named, given.wordings) == "Teach me Boat Harbour."


@pytest.mark.parametrize(
    "answer, text, asked",
    [
        # an action in the form for things: a verb of the list, of the text, or an -ing form
        ("Tell me about add MIME types.", "Add MIME types. MIME types are added.", "Teach me to add MIME types."),
        ("Tell me about knead the dough.", "Press it.", "Teach me to knead the dough."),
        (
            "Tell me about trigger quality checks.",
            "You trigger a quality check.",
            "Teach me to trigger quality checks.",
        ),
        ("Tell me about accepting the terms.", "Accept them. I accept the terms.", "Teach me to accept the terms."),
        ("Tell me about floating the rates.", "The rates are floating.", "Teach me floating the rates."),
        ("Tell me about shift in supply.", "Prices shift in supply.", "Teach me shift in supply."),
        ("Tell me about rack resource.", "Rack\nThe rack resource is for tools.", "Teach me rack resource."),
        # a title's opening
        ("Tell me about introduction to the gland.", "A gland.", "Teach me the gland."),
        ("Tell me about Overview of byte ranges.", "Byte ranges.", "Teach me byte ranges."),
        # capitals as the text has them
        (
            "Tell me about privacy Act of 1974.",
            "It is the Privacy Act of 1974, and this act is law.",
            "Teach me the Privacy Act of 1974.",
        ),
        ("Tell me about egg Drop Test.", "Drop an egg: a test. We drop it.", "Teach me egg drop test."),
        # the article that the text has
        ("Tell me about brain.", "Then the brain grows. Feed the brain, and a brain works.", "Teach me the brain."),
        (
            "Tell me about earth law.",
            "# The Earth Law\nit is an earth law of a planet; this law",
            "Teach me an earth law.",
        ),
        (
            "Tell me about heat.",
            "Here the heat is used. In the oven, heat is lost, and heat of fire.",
            "Teach me heat.",
        ),
        ("Tell me about axes.", "See the axes of it. Draw the axes.", "Teach me axes."),
        ("Tell me about entropy.", "This is the entropy of the gas.", "Teach me entropy."),
        ("Tell me about saws, nails, glue.", "Saws, nails, glue.", "Teach me saws, nails, and glue."),
        ("Tell me about saws, nails and glue.", "Saws, nails, glue.", "Teach me saws, nails and glue."),
    ],
)
def test_a_subject_is_put_into_the_frame_as_english_writes_it(answer, text, asked):
    given = (Wording("how_to", do="Teach me to {}.", about="Teach me {}."),)
    document = dataclasses.replace(BOAT, segments=(Text(text),))
    assert EMBEDDED.reworded(answer, document, given) == asked


@pytest.mark.parametrize(
    "subject", ["???", "of of", " of x", "日本", "1", "a", "(", "\\", "A. B.", "-ing x", "ing x", "x, , y"]
)
def test_a_strange_subject_is_worded_too(subject):
    given = (Wording("how_to", do="Teach me to {}.", about="Teach me {}."),)
    for form in ("Tell me about {}.", "Explain how to {}.", "What should I know about {}?"):
        assert EMBEDDED.reworded(form.replace("{}", subject), BOAT, given)


@pytest.mark.parametrize(
    "frame,stays",
    [
        ("Add the next pictures, so that I can {}.", False),
        ("Teach me to {}.", False),
        ("Help me {}, one step at a time.", False),
        ("Guide a beginner who wants to {}.", False),
        ("Let's {}! Give me pictures.", False),
        ("Show me how to {}.", True),
        ("Help me understand how to {}.", True),
    ],
)
def test_i_do_nothing_that_is_yours(frame, stays):
    given = (Wording("how_to", do=frame), Wording("how_to", do="Explain how to {}."))
    asked = EMBEDDED.reworded("How do I water your garden?", BOAT, given)
    assert asked == (frame if stays else "Explain how to {}.").replace("{}", "water your garden")
    assert EMBEDDED.reworded("How do I water a garden?", BOAT, given) == frame.replace("{}", "water a garden")


def test_an_answer_of_no_known_form_keeps_its_words():
    assert EMBEDDED.reworded("Is paper dry?", BOAT, EMBEDDED.wordings) == "Is paper dry?"
    assert EMBEDDED.reworded("Explain how to fold.", BOAT, ()) == "Explain how to fold."


def test_one_thing_is_not_compared():
    of_kind = [w for w in EMBEDDED.wordings if w.kind == "comparison"]
    found = EMBEDDED.choose(COMPARED, Kinds(comparison=1.0), 0.5, "salt", context=False)
    assert found[0].kind == "comparison" and found[-1].kind == "explanation"
    assert EMBEDDED.reworded("Tell me about tea.", COMPARED, of_kind) == "Tell me about tea."
    asked = EMBEDDED.reworded("Tell me about tea and coffee.", COMPARED, found)
    assert asked in [w.about.replace("{}", "tea and coffee") for w in of_kind]
    assert "compar" not in EMBEDDED.reworded("Tell me about tea.", COMPARED, found).lower()


@pytest.mark.parametrize("name", prompts.names())
def test_every_set_has_every_kind_with_and_without_pictures(name):
    found = {(w.kind, w.pictures) for w in prompts.load(name).wordings.wordings}
    assert len(found) == 10


@pytest.mark.parametrize(
    "text, message",
    [
        ("wordings: [{kind: riddle, ask: Why}]", "wordings.0..kind must be one of how_to, question"),
        ("wordings: [{kind: question}]", "needs `ask`"),
        ("wordings: [{kind: question, do: How}]", "must have {} once"),
        ("answers: {do: ['{} and {}']}", "must have {} once"),
        ("wholes: [The subject]", "must have {} once"),
    ],
)
def test_mistakes_in_a_file_of_wordings_are_told(tmp_path, text, message):
    (tmp_path / "wordings.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        prompts.wordings.load(tmp_path / "wordings.yaml")


def test_the_question_of_the_instruct_set_says_how_to_word_it():
    given = prompts.load("instruct")
    with_ask = given.write_prompt(BOAT, ("Crafts",), "Word it as a riddle.").messages[1]["content"]
    assert "Word it as a riddle." in with_ask
    assert "Word it" not in given.write_prompt(BOAT, ("Crafts",)).messages[1]["content"]
