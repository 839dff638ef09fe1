"""Counts in how many documents common words occur: `python -m models.common_words --corpus ../shared/corpora/howto.tar`.

The table is part of the score of images with text (`pipeline/coherence/words.py`). Held-out sources are left out.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter

from filters.words import plain
from models import HELD_OUT
from pipeline import corpora
from pipeline.coherence.words import RAREST, TABLE, stems
from schemas.records import Document


def shares(corpus: str) -> dict[str, float]:
    """Stem -> share of the corpus's documents that have it, for those in at least `RAREST` of them."""
    counts: Counter[str] = Counter()
    documents = 0
    for part in corpora.parts("native", corpus):
        for record in corpora.read(part):
            if isinstance(record, Document) and record.source not in HELD_OUT:
                documents += 1
                counts.update(stems(plain("\n".join(record.texts))))
    return {stem: round(n / documents, 3) for stem, n in sorted(counts.items()) if n >= RAREST * documents}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True, help="a corpus in the native format")
    TABLE.write_text(json.dumps(shares(parser.parse_args().corpus), ensure_ascii=False, separators=(",", ":")) + "\n")
