"""Why a question has no answer: its own fault, the server's, or the address's."""

from __future__ import annotations

from pipeline.llm import keys
from pipeline.llm.responses import clean
from schemas.errors import RecordFault, UserError

AWAY = (429, 502, 503, 504)  # no server, or a busy one: not because of the question, and temporary
CLOSED = (402, 404, 405)  # no credit, no such model or path: the same for every question, and permanent


class LlmFault(RecordFault):
    """A question without a valid answer.

    Kinds: `unreachable` (no server, or a busy one, for longer than `patience`: other questions would fail too),
    `timeout`, `server_error` (another 5xx), `refused` (4xx), `invalid_answer`.
    """


def wrong_key(server: str, status: int) -> UserError:
    """The error of a server that refuses the key, or asks for one."""
    return UserError(
        f"The model server at {server} refuses the API key ({status}): set the right one in {keys.VARIABLE} or in the "
        "file that llm.key_file names."
    )


def refuse(status: int, said: str, server: str, model: str) -> None:
    """Raise the error of a status that a retry would not change."""
    if status in (401, 403):
        raise wrong_key(server, status)
    if 300 <= status < 400:
        raise UserError(
            f"The model server at {server} points to another address ({status}), which is not "
            "followed: give that address yourself."
        )
    if status in CLOSED:
        raise UserError(
            f"The model server at {server} takes no questions for {clean(model, 80)!r} ({said}): "
            "mend that and run the same command again; what was finished is kept."
        )
    if 400 <= status < 500 and status not in (408, *AWAY):
        raise LlmFault("refused", said)
