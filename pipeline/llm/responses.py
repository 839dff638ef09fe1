"""Reads the responses of an OpenAI-compatible server: the answer, whether it is valid, and error messages.

A server may send anything. The functions here return complete, finite and encodable values, or raise ValueError.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import jsonschema

MOST_BYTES = 4 << 20
"""The most bytes of a response that are read. A normal one has about 50 kB: 160 tokens with ten alternatives each."""

FORBIDDEN = -9999.0  # vLLM's log-probability of a token that the schema does not allow
WORDS = 300  # characters of a server's own words in a message


@dataclasses.dataclass(frozen=True)
class Answer:
    """`text` is JSON that fits the schema; `logprobs` is OpenAI's list, one entry a token, or None."""

    text: str
    logprobs: list[dict[str, Any]] | None = None
    cached: bool = False


def parse(text: str | bytes) -> Any:
    """The value of strict JSON. Raises ValueError for everything else.

    That is: NaN and infinities, numbers beyond the range of a float, duplicate names in an object, unpaired surrogates,
    and too deep nesting.
    """
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_distinct)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deep") from None
    except UnicodeError:
        raise ValueError("not Unicode text") from None
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits[:40])


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def read(reply: Any) -> Answer:
    """The answer in a response of chat completions. Raises ValueError if it is missing or incomplete."""
    try:
        choice = reply["choices"][0]
        text, finish = choice["message"]["content"] or "", choice.get("finish_reason")
        tokens = (choice.get("logprobs") or {}).get("content")
    except (LookupError, TypeError, AttributeError):
        raise ValueError("the reply holds no message") from None
    if finish == "length":
        raise ValueError("cut off at max_tokens")
    if not isinstance(text, str):
        raise ValueError("the message is not a text")
    try:
        return Answer(text, [_token(token) for token in tokens] if tokens else None)
    except (LookupError, TypeError, AttributeError, OverflowError):
        raise ValueError("its log-probabilities cannot be read") from None


def _token(token: dict[str, Any]) -> dict[str, Any]:
    """A token's entry without its bytes, with rounded numbers, and without the tokens that the schema forbids."""
    slim = _entry(token)
    if "top_logprobs" in token:
        # llama.cpp sends null for a token that its grammar forbids
        allowed = (other for other in token["top_logprobs"] if other["logprob"] is not None)
        slim["top_logprobs"] = [_entry(other) for other in allowed if other["logprob"] > FORBIDDEN]
    return slim


def _entry(token: dict[str, Any]) -> dict[str, Any]:
    text, logprob = token["token"], token["logprob"]
    if not isinstance(text, str) or isinstance(logprob, bool) or logprob > 0.01:  # 0.01: servers round
        raise ValueError(f"a log-probability of {clean(logprob, 40)}")
    return {"token": text, "logprob": round(float(logprob), 4)}


def check(answer: Answer, schema: dict[str, Any], validate: Callable[[Answer], object] | None) -> None:
    """Raises ValueError unless the answer is JSON, fits the schema and passes `validate`, if that is not None."""
    try:
        value = parse(answer.text)
    except ValueError as error:
        raise ValueError(f"not JSON by the schema ({error}): {clean(answer.text, 80)}") from None
    if wrong := jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value)):
        raise ValueError(f"{wrong.json_path}: {clean(wrong.message, 160)}")
    if validate:
        validate(answer)


def message(text: str) -> str:
    """The server's error message on one line: OpenAI's `error.message`, vLLM's `message`, or the start of the body."""
    try:
        value = parse(text)
        text = (value.get("error") or value)["message"]
    except (ValueError, LookupError, AttributeError, TypeError):
        pass
    return clean(text)


def clean(text: object, most: int = WORDS) -> str:
    """The text on one line of at most `most` characters, without control characters."""
    text = str(text)[: 4 * most]
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def tokens(usage: object) -> dict[str, int]:
    """The tokens of prompt and answer, as far as a reply states them."""
    found = usage if isinstance(usage, dict) else {}
    return {name: found[name] for name in ("prompt_tokens", "completion_tokens") if isinstance(found.get(name), int)}
