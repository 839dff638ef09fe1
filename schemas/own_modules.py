"""Imports a module that a configuration or a preset names, which may be one of the user's own."""

from __future__ import annotations

import importlib
import os
import traceback
from types import ModuleType

from schemas.errors import UserError, one_line


def imported(name: str, what: str) -> ModuleType:
    """The module `name`; `what` says what it is, for the message.

    Raises ImportError if it, or a module that it needs, cannot be found, and UserError if its code fails, with the place,
    or if only PYTHONPATH is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        path = f"{name.replace('.', '/')}.py"
        if error.name and f"{name}.".startswith(f"{error.name}.") and os.path.isfile(path):
            raise UserError(f"{what} cannot be imported: PYTHONPATH=. finds {path} here") from error
        raise
    except Exception as error:
        if not (place := _place(error)):  # the name is none, such as one that begins with a dot
            raise ImportError(str(error), name=name) from error
        said = one_line(f"{type(error).__name__}: {getattr(error, 'msg', error)}")
        raise UserError(f"{what} cannot be imported: {said}, {place}") from error


def _place(error: Exception) -> str:
    """The file and line of the module that failed, not those of the libraries that it called; empty if none began."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.basename(error.filename)} line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    last = max((at for at, frame in enumerate(frames) if frame.filename.startswith("<frozen importlib")), default=-1)
    own = frames[last + 1 :] if last >= 0 else []
    return f"{os.path.basename(own[0].filename)} line {own[0].lineno}" if own else ""
