"""Reads the text in images with RapidOCR, whose models are in its package, in bounded time.

Two networks take the time. One finds boxes of text; its time grows with the area of the image. The other reads each
box; its time grows with the number and the width of the boxes. So images are scaled down for the first network, and
only the first boxes, cut to a maximum width, are given to the second. An image without text needs only the first
network.
"""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Iterable

import cv2
import numpy as np
import PIL.Image
from rapidocr import RapidOCR

from pipeline.ocr import version

WIDEST = 25
"""The greatest width of a box in heights: about 50 letters. The rest of a wider box is not read."""

SURE = 0.5
"""The least mean confidence of a line; RapidOCR's own default."""

OpenImage = Callable[[str], PIL.Image.Image]


class Reader:
    """Reads images, each on one core, as many at a time as there are cores.

    side: the longer side, in pixels, of the scaled image in which boxes are searched. boxes: the number of boxes that
    are read, from the top.
    """

    def __init__(self, side: int = 480, boxes: int = 16):
        self.version, self.boxes = version(side, boxes), boxes
        cv2.setNumThreads(1)
        self._engine = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Global.use_rec": False,
                "Det.limit_type": "max",
                "Det.limit_side_len": side,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)), "ocr")

    def read(self, picture: PIL.Image.Image) -> str:
        """The lines of text from top to bottom, joined by newlines; empty if there is no text."""
        pixels = np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])  # OpenCV's order of colours
        found = getattr(self._engine(pixels), "boxes", None)
        if found is None or not len(found):
            return ""
        cuts = self._engine.crop_text_regions(pixels, found[: self.boxes])
        cuts = [cut[:, : WIDEST * cut.shape[0]] for cut in cuts if cut.size]
        if not cuts:
            return ""
        lines = self._engine.recognize_txt(cuts)
        sure = (
            " ".join(text.split())
            for text, score in zip(lines.txts or (), lines.scores or (), strict=True)
            if score >= SURE
        )
        return "\n".join(line for line in sure if line)

    def read_all(self, hashes: Iterable[str], open_image: OpenImage) -> dict[str, str]:
        """Image hash -> its text; `open_image` opens an image by its hash."""
        distinct = list(dict.fromkeys(hashes))
        return dict(zip(distinct, self._pool.map(lambda sha256: self.read(open_image(sha256)), distinct), strict=True))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)
