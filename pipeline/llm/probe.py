"""Checks a model server before the corpus is read: it must have the model, and answer by a JSON schema."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import NoReturn

from pipeline.llm.address import base_url, headers, several, shown
from pipeline.llm.client import Client
from pipeline.llm.faults import LlmFault, wrong_key
from pipeline.llm.questions import rating
from pipeline.llm.responses import MOST_BYTES, clean, parse
from pipeline.llm.server import say
from prompts import PromptSet
from schemas.errors import AGAIN, ServiceError, UserError
from schemas.records import Document, Text

SECONDS = 60.0
"""The time limit for the answer. A request with a schema takes a 135M model on two cores about 2 s; the first one may
take longer."""

_NO_ADDRESS = "the address of the model server is empty: give one, such as http://127.0.0.1:8000/v1."
BUSY = ("429:", "503:")
"""How the fault of a server begins that may answer later."""
NAMES = 8
"""The most models of a server that a message lists."""

_TEXT = Document(
    "probe",
    "probe",
    (
        Text("Fold the sheet in half along its long side and press the crease flat with your nail."),
        Text("Open it again and fold both upper corners to the middle, so that the paper ends in a point."),
    ),
)


def probe(urls: str, model: str, prompts: PromptSet, api_key: str | None = None, seconds: float = SECONDS) -> None:
    """Ask each server (`address.several`) the pipeline's first question about a text of two sentences.

    Raises UserError, with the server's error message, if there is no valid answer within `seconds` (three times as long
    if invalid answers come first), and ServiceError if the server is busy.
    """
    for url in several(urls):
        _probe(url, model, prompts, api_key, seconds)


def _probe(url: str, model: str, prompts: PromptSet, api_key: str | None, seconds: float) -> None:
    with Client(url, model, 1, seconds, api_key=api_key, patience=min(seconds, 5.0)) as client:
        try:
            if not client.submit(rating(client, prompts, _TEXT)).result(3 * seconds).logprobs:
                say(f"The model server at {client.shown} reports no log-probabilities: ratings will be whole numbers.")
        except (LlmFault, TimeoutError) as error:
            fault = error if isinstance(error, LlmFault) else LlmFault("timeout", f"no answer in {3 * seconds:g} s")
            _explain(client.shown, fault)


def _explain(place: str, fault: LlmFault) -> NoReturn:
    if fault.kind == "unreachable" and fault.detail.startswith(BUSY):
        raise ServiceError(f"the model server at {place} is busy or not ready yet ({fault.detail}); {AGAIN}")
    if fault.kind == "invalid_answer":
        what = f"does not keep to the JSON schema that it was asked to answer by ({fault.detail})"
    elif fault.kind in ("server_error", "refused"):
        what = f"cannot answer a question by JSON schema ({fault.detail})"
    else:
        what = f"does not answer a question ({fault.detail})"
    raise UserError(
        f"The model server at {place} {what}: give the address of one that knows response_format "
        "json_schema, such as vLLM's or llama.cpp's, or leave it out and the pipeline starts its own."
    )


def check_server(urls: str, model: str | None, api_key: str | None = None) -> str:
    """The id of the model to ask: `model` if each server has it, their only one if `model` is None; else UserError."""
    found = {_served(url, model, api_key) for url in several(urls)}
    if len(found) != 1:
        names = " and ".join(map(repr, sorted(found)))
        raise UserError(
            f"the model servers have different models ({names}): give servers of one." if found else _NO_ADDRESS
        )
    return found.pop()


def _served(url: str, model: str | None, api_key: str | None) -> str:
    place = shown(url)
    try:
        request = urllib.request.Request(f"{base_url(url)}/models", headers=headers(api_key))
        # like the client: no proxy, and no redirect, which would receive the key
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
        with opener.open(request, timeout=20) as reply:
            served = [clean(entry["id"], 200) for entry in parse(reply.read(MOST_BYTES))["data"]]
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise wrong_key(place, error.code) from None
        raise UserError(
            f"The model server at {place} answers {error.code} to /models: give the address of an "
            "OpenAI-compatible server, such as http://127.0.0.1:8000/v1."
        ) from None
    except OSError as error:
        raise UserError(
            f"The model server at {place} does not answer ({clean(getattr(error, 'reason', error))}): start "
            "it, or correct the address."
        ) from None
    except (http.client.HTTPException, ValueError, LookupError, TypeError):
        raise UserError(f"{place} is not an OpenAI-compatible server: its list of models cannot be read.") from None
    if model is None and len(served) == 1:
        return served[0]
    if model is None or model not in served:
        wanted = f"does not serve {model!r}" if model else "serves several models"
        names = ", ".join(map(repr, sorted(served)[:NAMES])) + (", ..." if len(served) > NAMES else "")
        raise UserError(f"The model server at {place} {wanted}: choose one of {names} in the config.")
    return model


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None
