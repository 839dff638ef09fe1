"""Reads the text in pictures with RapidOCR, whose models are in its package, in bounded time.

Time goes into two networks: one finds boxes of text, and its time grows with the picture's area; one reads each box,
and its time grows with the number and the width of boxes. So pictures are scaled down for the first, and only the first
boxes are given to the second, cut to a greatest width. A picture without text costs the first network alone.
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
"""The greatest width of a box in heights: about 50 letters. What is beyond is not read."""

SURE = 0.5
"""The least mean confidence of a line; RapidOCR's own default."""

OpenImage = Callable[[str], PIL.Image.Image]


class Reader:
    """Reads pictures, each on one core, as many at a time as there are cores.

    side: the longer side, in pixels, of the picture in which boxes are searched. boxes: the number of boxes that are
    read, from the top.
    """

    def __init__(self, side: int = 480, boxes: int = 8):
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
        """The lines of text from the top, one a line; empty if there is none."""
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
