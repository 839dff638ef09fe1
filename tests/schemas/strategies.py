"""Any instance and any outcome, for hypothesis."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from schemas.codec import key_of
from schemas.outcome import Outcome
from schemas.records import Coherence, Drop, Image, ImageDrop, Instance, Provenance, StoredImage, Text
from tests.schemas.example import ASPECTS

steady = settings(deadline=None, derandomize=True, max_examples=50)
"""The same examples in every run, and no clock."""

printing = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t")
words = st.text(printing, max_size=12)
filled = st.text(printing, min_size=1, max_size=12).filter(str.strip)
hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)
cosines = st.floats(-1, 1).map(lambda x: round(x, 4))
ratings = st.floats(1, 5).map(lambda x: round(x, 2))
texts = st.builds(Text, filled)
sides = st.integers(1, 4096)
images = st.builds(
    StoredImage,
    words,
    words,
    words,
    width=sides,
    height=sides,
    sha256=hexes,
    extension=st.sampled_from(["jpg", "png"]),
    ocr=st.none() | words,
)


@st.composite
def instances(draw) -> Instance:
    context = draw(st.lists(texts | images, max_size=3))
    output = draw(st.permutations([draw(texts), draw(images), *draw(st.lists(texts | images, max_size=3))]))
    count = sum(isinstance(s, Image) for s in [*context, *output])
    numbers = st.lists(cosines, min_size=count, max_size=count).map(tuple)
    provenance = draw(st.builds(Provenance, filled, hexes.map(lambda h: h[:16]), filled, filled, filled, filled))
    id_ = draw(filled)
    return Instance(
        id_,
        key_of(id_),
        draw(filled),
        tuple(context),
        tuple(output),
        draw(filled),
        draw(words),
        draw(filled),
        draw(words),
        draw(words),
        Coherence(
            draw(numbers),
            draw(numbers),
            draw(numbers),
            draw(st.none() | cosines),
            draw(st.none() | st.sampled_from([0.0, 0.5, 1.0])),
            provenance.clip,
        ),
        draw(st.fixed_dictionaries(dict.fromkeys(ASPECTS, ratings))),
        provenance,
    )


numbers = st.floats(allow_nan=False)
drops = st.builds(Drop, words, numbers, numbers)
outcomes = st.builds(
    Outcome,
    words,
    words,
    words,
    words,
    words,
    words,
    st.none() | numbers,
    st.none() | numbers,
    words,
    words,
    words,
    words,
    st.integers(0, 2**40),
    st.lists(st.builds(ImageDrop, st.integers(0, 99), words, words, drops), max_size=2).map(tuple),
    st.lists(st.tuples(words, numbers), max_size=3).map(tuple),
    words,
)
