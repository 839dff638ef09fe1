"""The coherence model of a worker process: one for all its threads, each of which has stages of its own."""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Any

from pipeline.coherence.version import clip_version
from pipeline.run import Run
from schemas.errors import AGAIN, UserError

if TYPE_CHECKING:
    from pipeline.coherence.scorer import Scorer

_loading = threading.Lock()


def scorer_of(run: Run) -> Scorer:
    """The run's model, loaded by the first thread that asks for it.

    Raises UserError if it is not the launcher's, as which its scores would be kept and published.
    """
    from pipeline.coherence.scorer import Scorer

    clip = run.config.clip
    model = (clip.model, clip.pretrained, clip.dtype)
    with _loading:
        if (here := clip_version(*model)) != run.provenance.clip:
            raise UserError(
                f"the coherence model of this worker is {here}, and that of the launcher {run.provenance.clip}: give "
                f"both the same files and versions of open_clip, and {AGAIN}"
            )
        found: Scorer = _loaded(os.getpid(), Scorer, model, run.config.ocr)
        return found


@functools.lru_cache(maxsize=1)
def _loaded(process: int, make: Any, model: tuple[Any, ...], ocr: Any) -> Any:
    """`process`, its id, keeps a forked worker from using its parent's threads."""
    return make(*model, ocr=ocr)
