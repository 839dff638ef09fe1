"""What an OpenAI-compatible server replies: the answer in it, whether that is valid, and what an error says."""

from __future__ import annotations

import dataclasses
import json

import jsonschema

FORBIDDEN = -9999.0             # vLLM's log-probability of a token that the schema does not allow


@dataclasses.dataclass(frozen=True)
class Answer:
    """`text` is JSON that fits the schema; `logprobs` is OpenAI's list, one entry a token, or None."""

    text: str
    logprobs: list[dict] | None = None
    cached: bool = False


def read(reply: dict) -> Answer:
    """The answer in a reply of chat completions. Raises ValueError where there is none, or only a part of one."""
    try:
        choice = reply["choices"][0]
        text, finish = choice["message"]["content"] or "", choice.get("finish_reason")
        tokens = (choice.get("logprobs") or {}).get("content")
    except (LookupError, TypeError, AttributeError):
        raise ValueError("the reply holds no message") from None
    if finish == "length":
        raise ValueError("cut off at max_tokens")
    return Answer(text, tokens and [_slim(token) for token in tokens])


def _slim(token: dict) -> dict:
    """A token's entry without its bytes, with rounded numbers, and without the tokens that the schema forbids."""
    slim = {"token": token["token"], "logprob": round(token["logprob"], 4)}
    if "top_logprobs" in token:
        slim["top_logprobs"] = [_slim(other) for other in token["top_logprobs"] if other["logprob"] > FORBIDDEN]
    return slim


def check(answer: Answer, schema: dict, validate) -> None:
    """Raises ValueError unless the answer is JSON, fits the schema and passes `validate`, if that is not None."""
    value = json.loads(answer.text)
    if error := jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value)):
        raise ValueError(f"{error.json_path}: {error.message}")
    if validate:
        validate(answer)


def message(text: str) -> str:
    """The server's own words in one line: OpenAI's `error.message`, vLLM's `message`, or the start of what it sent."""
    try:
        value = json.loads(text)
        text = str((value.get("error") or value)["message"])
    except (ValueError, LookupError, AttributeError, TypeError):
        pass
    return " ".join(text.split())[:300]
