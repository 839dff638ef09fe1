"""The configurations that come with the project. They are installed with it and can be named without a path."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def find(name: str) -> str:
    """The path of a configuration.

    `name` itself if there is such a file, else the one of that name that comes with the project.

    `demo`, `demo.yaml` and `configs/demo.yaml` name the same one. A name that fits none is returned unchanged; reading
    it then fails with a message.
    """
    shipped = FOLDER / f"{Path(name).name.removesuffix('.yaml')}.yaml"
    if not Path(name).exists() and Path(name).parent in (Path("."), Path("configs")) and shipped.exists():
        return str(shipped)
    return name
