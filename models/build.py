"""Builds the embedded models below build/models: `python -m models.build`, or `make models`.

A model that was already built from the same files by the same recipe is not built again.
"""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import sys
import time
from collections.abc import Callable

from models import packages
from schemas.errors import UserError

HERE = pathlib.Path(__file__).parent
MODELS = pathlib.Path("build/models")


def main() -> None:
    MODELS.mkdir(parents=True, exist_ok=True)
    make(
        "coherence",
        [HERE / "dual_encoder" / "build.py", *sorted((HERE / "dual_encoder").glob("*.safetensors"))],
        [packages.EFFICIENTNET_LITE0, packages.MINILM],
        _coherence,
    )
    make(
        "language",
        [
            HERE / "language" / "build.py",
            HERE / "language" / "lora.py",
            *sorted((HERE / "language").glob("*.safetensors")),
        ],
        [packages.SMOLLM2],
        _language,
    )
    make("language.gguf", [HERE / "language" / "gguf_file.py", MODELS / "language.recipe"], [], _gguf)


def make(
    name: str,
    recipe: list[pathlib.Path],
    wanted: list[packages.Package],
    build: Callable[[pathlib.Path, pathlib.Path, pathlib.Path], None],
) -> None:
    """Make the folder or file MODELS/name with `build(files, out, final)`, unless its stamp says it is up to date.

    It is written under another name first, so that it is never incomplete.
    """
    final, stamp = MODELS / name, MODELS / f"{name}.recipe"
    digest = recipe_hash(recipe, wanted, final)
    if final.exists() and stamp.is_file() and stamp.read_text().strip() == digest:
        print(f"{final} is up to date", flush=True)
        return
    start, work = time.monotonic(), MODELS / f"{name}.making"
    shutil.rmtree(work, ignore_errors=True)  # left by an interrupted run
    work.mkdir()
    for package in wanted:
        print(f"{final}: downloading its parts", flush=True)
        packages.fetch(package, work / "files")
    print(f"{final}: building", flush=True)
    build(work / "files", work / "out", final)
    if final.is_dir():
        shutil.rmtree(final)
    (work / "out").replace(final)
    stamp.write_text(digest + "\n")
    shutil.rmtree(work)
    print(f"{final}: built in {time.monotonic() - start:.0f} s", flush=True)


def recipe_hash(recipe: list[pathlib.Path], wanted: list[packages.Package], final: pathlib.Path) -> str:
    """A hash of what decides the result: our files, the packages' files, and the path (in open_clip's config)."""
    parts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in recipe]
    parts += [f"{package.name}=={package.version} {package.files}" for package in wanted]
    return hashlib.sha256("\n".join([*parts, str(final.absolute())]).encode()).hexdigest()


def _coherence(files: pathlib.Path, out: pathlib.Path, final: pathlib.Path) -> None:
    from models.dual_encoder.build import build  # torch is slow to import, and often there is nothing to do

    build(files / "efficientnet-lite0-57934424.pth", files, out, final=final)


def _language(files: pathlib.Path, out: pathlib.Path, final: pathlib.Path) -> None:
    from models.language.build import build

    build(files / "SmolLM2-135M-Instruct.Q4_1.gguf", out)


def _gguf(files: pathlib.Path, out: pathlib.Path, final: pathlib.Path) -> None:
    from models.language.gguf_file import write

    write(MODELS / "language", out)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"make models: {error}")
