"""Makes the images of the example corpus again: `python -m examples.make_pictures [--out DIR] [--clipart]`.

Photographs and drawings need numpy, Pillow and scikit-image. `--clipart` also converts the clip art, which needs the
Debian packages openclipart-svg and librsvg2-bin.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from examples.pictures import clipart, drawings, faults, fields, photographs
from examples.pictures.canvas import Pictures, encoded

HERE = Path(__file__).parent


def write(pictures: Pictures, folder: Path) -> None:
    """Write pictures under their names, as JPEG of quality 85 or as PNG; bytes are a complete file."""
    for name, picture in pictures.items():
        if not isinstance(picture, bytes):
            jpeg = name.endswith(".jpg")
            picture = encoded(picture, "JPEG", quality=85) if jpeg else encoded(picture, "PNG", optimize=True)
        (folder / name).write_bytes(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "corpus" / "images")
    parser.add_argument("--clipart", action="store_true", help="convert the clip art as well")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for make in (*photographs.ALL, *drawings.ALL, *fields.ALL, *faults.ALL):
        write(make(), arguments.out)
    if arguments.clipart:
        write(clipart.convert_all(), arguments.out)


if __name__ == "__main__":
    main()
