"""Errors that the user can mend, and how errors are put into one line."""


class UserError(Exception):
    """Something the user has to mend. The message is one sentence that says what; the command exits with code 2."""


def one_line(text: object, limit: int = 300) -> str:
    """The text without line breaks, cut after `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[:limit - 1] + "…"
