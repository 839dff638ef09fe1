"""Ratings: the expected grade from the server's probabilities, invalid answers, and the two rules."""

import math

import pytest

import prompts
from filters import quality
from schemas.records import Coherence, Drop, RatedDocument, Ratings

ASPECTS = prompts.load("embedded").aspects
ANSWER = '{"fluency":5,"coherence":4,"completeness":3,"usefulness":2}'


def read(answer: str, logprobs=None) -> Ratings:
    return quality.read_ratings(answer, ASPECTS, logprobs)


def token(text: str, chances: dict[str, float] | None = None) -> dict:
    chances = chances or {text: 1.0}
    return {
        "token": text,
        "logprob": math.log(chances[text]),
        "top_logprobs": [{"token": t, "logprob": math.log(p)} for t, p in chances.items()],
    }


def tokens(first: dict, rest: str = ANSWER.partition("5")[2]) -> list[dict]:
    return [token('{"flu'), token("ency"), token('":'), first, *map(token, rest)]


def test_without_probabilities_the_integers_stand():
    assert read(ANSWER) == {"fluency": 5.0, "text_coherence": 4.0, "completeness": 3.0, "usefulness": 2.0}


def test_a_rating_is_the_expected_grade():
    found = read(ANSWER, tokens(token("5", {"5": 0.5, "4": 0.25, "1": 0.25})))
    assert found == {"fluency": 3.75, "text_coherence": 4.0, "completeness": 3.0, "usefulness": 2.0}


def test_other_tokens_do_not_count_and_the_rest_is_renormalised():
    found = read(ANSWER, tokens(token("5", {"5": 0.3, "2": 0.1, "{": 0.4, "7": 0.2})))
    assert found["fluency"] == 4.25


def test_the_digit_may_share_its_token():
    answer = ANSWER.replace(":5", ": 5")
    five = token(" 5,", {" 5,": 0.5, " 3,": 0.5, "3": 0.1})
    found = read(answer, tokens(five, rest=answer.partition(",")[2]))
    assert found["fluency"] == 4.0


def test_the_chosen_token_counts_though_it_is_not_among_the_likeliest():
    drawn = {"token": "1", "logprob": math.log(0.2), "top_logprobs": [{"token": "5", "logprob": math.log(0.6)}]}
    assert read(ANSWER.replace("5", "1"), tokens(drawn))["fluency"] == 4.0


def test_tokens_of_something_else_leave_the_integers():
    assert read(ANSWER, [token("Hello")]) == read(ANSWER)


def test_an_answer_may_be_a_single_token():
    assert read(ANSWER, [token(ANSWER)]) == read(ANSWER)


def test_a_rating_has_two_decimals():
    assert read(ANSWER, tokens(token("5", {"5": 2 / 3, "4": 1 / 3})))["fluency"] == 4.67


def test_a_grade_whose_tokens_have_no_probability_stands():
    none = {"token": "5", "logprob": -9999.0, "top_logprobs": None}  # what vLLM reports for minus infinity
    assert read(ANSWER, tokens(none))["fluency"] == 5.0


def test_a_long_answer_is_quoted_by_its_beginning():
    with pytest.raises(ValueError) as error:
        read("[" + "1," * 60 + "1]")
    assert str(error.value) == "the ratings are not an object: [" + "1," * 39 + "1"


@pytest.mark.parametrize(
    "answer, reason",
    [
        ("fluency 5", "not JSON"),
        ("[5,4,3,2]", "not an object"),
        (ANSWER.replace('"fluency":5,', ""), "no rating of fluency"),
        (ANSWER.replace(":5", ":6"), "fluency is 6"),
        (ANSWER.replace(":5", ":4.5"), "fluency is 4.5"),
        (ANSWER.replace(":5", ":true"), "fluency is True"),
        (ANSWER.replace(":5", ':"5"'), "fluency is '5'"),
    ],
)
def test_invalid_answers_say_why(answer, reason):
    with pytest.raises(ValueError, match=reason):
        read(answer)


def rated(**ratings: float) -> RatedDocument:
    return RatedDocument(
        "1",
        "s",
        (),
        coherence=Coherence((), (), (), None, None, "m"),
        ratings={aspect.name: 4.0 for aspect in ASPECTS} | ratings,
    )


def test_the_lowest_rating_names_the_fault():
    assert quality.lowest_rating(rated(text_coherence=1.94), at_least=2.0) == Drop("text_coherence", 1.94, 2.0)
    assert quality.lowest_rating(rated(usefulness=2.0), at_least=2.0) is None


def test_the_mean_rating():
    assert quality.mean_rating(rated(fluency=1.0), at_least=3.5) == Drop("mean_rating", 3.25, 3.5)
    assert quality.mean_rating(rated(fluency=2.0), at_least=3.5) is None
