"""Do the measures of what images show notice a planted watermark, and faces? Prints how well.

    python -m benchmarks.content --config configs/demo.yaml --images examples/corpus/images --most 40

Watermarks are planted in the images of a folder: a line of text, half transparent, repeated across the image. Faces are
the 100 of scikit-image's `lfw_subset` (25 x 25 pixels, enlarged) against its 100 pieces of images without a face.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageOps
import skimage.data

from pipeline import config as configuration
from pipeline.coherence.scorer import Scorer
from pipeline.content import clip, faces
from pipeline.selftest.result import auc, wilson

SIDE, TEXT = 400, "SAMPLE PHOTO"


def marked(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The image with a watermark of half-transparent white letters."""
    layer = PIL.Image.new("RGBA", picture.size, (0, 0, 0, 0))
    draw = PIL.ImageDraw.Draw(layer)
    height = max(16, picture.height // 10)
    for at, y in enumerate(range(0, picture.height, 3 * height)):
        for x in range(-height * (at % 2) * 3, picture.width, 8 * height):
            draw.text(
                (x, y), TEXT, fill=(255, 255, 255, 128), font_size=height, stroke_width=1, stroke_fill=(0, 0, 0, 96)
            )
    return PIL.Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def _watermarks(config: str, folder: pathlib.Path, most: int) -> str:
    settings = configuration.load(config).clip
    scorer = Scorer(settings.model, settings.pretrained, settings.dtype)
    paths = sorted(folder.iterdir(), key=lambda path: hashlib.sha256(path.name.encode()).digest())[:most]
    pictures = {path.name: PIL.Image.open(path).convert("RGB") for path in paths}
    copies = {f"{name} marked": marked(picture) for name, picture in pictures.items()}
    opened = pictures | copies
    measure = clip.detector("watermark", scorer.version, lambda: scorer).measure
    values = measure(list(copies), opened.__getitem__), measure(list(pictures), opened.__getitem__)
    return (
        f"watermark, {scorer.version}: AUC {auc(*values)} for {len(paths)} images, medians {np.median(values, axis=1)}"
    )


def _faces() -> str:
    pieces = skimage.data.lfw_subset()
    pictures = [PIL.Image.fromarray((255 * piece).astype(np.uint8)).resize((SIDE // 4,) * 2) for piece in pieces]
    framed = [PIL.ImageOps.expand(picture, SIDE // 8, fill=128) for picture in pictures]
    counts = faces.detector().measure([str(at) for at in range(len(framed))], lambda name: framed[int(name)])
    found, wrong = (wilson(sum(map(bool, half)), len(half)) for half in (counts[:100], counts[100:]))
    return f"faces: found in {found.kept} of {found.of} faces, and in {wrong.kept} of {wrong.of} pieces without one"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--config", default="configs/demo.yaml")
    parser.add_argument("--images", type=pathlib.Path, default=pathlib.Path("examples/corpus/images"))
    parser.add_argument("--most", type=int, default=40)
    options = parser.parse_args()
    print(_watermarks(options.config, options.images, options.most))
    print(_faces())


if __name__ == "__main__":
    main()
