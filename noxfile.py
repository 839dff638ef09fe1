"""The test suite on each Python that the project supports: `make test-pythons`, or `nox -s tests-3.13 -- tests/schemas`.

A Python that is not installed is skipped, and the report at the end says so.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """All tests, or those that the arguments name; the models of build/models serve every Python."""
    session.install("-e", ".[dev]", "-c", "requirements/constraints.txt")
    session.run("python", "-m", "pytest", "-n", "3", "--dist", "loadscope", *session.posargs)
