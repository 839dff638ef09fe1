"""The configurations that the project ships. They are installed with it, and go by name where there is no checkout."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def find(name: str) -> str:
    """The path of a configuration: `name` itself if there is such a file, else the shipped one that it names.

    `demo`, `demo.yaml` and `configs/demo.yaml` name the same one. What names nothing comes back unchanged, for the
    reader of the file to complain about.
    """
    shipped = FOLDER / f"{Path(name).name.removesuffix('.yaml')}.yaml"
    if not Path(name).exists() and Path(name).parent in (Path("."), Path("configs")) and shipped.exists():
        return str(shipped)
    return name
