"""Near-duplicate texts: planted repeats found beside datasketch, and texts signed beside datasketch and datatrove.

    python -m benchmarks.near_duplicates --corpus native:../shared/corpora/howto.tar --json

It needs a separate environment: the project's `bench` extra, and then `xxhash<4`, which datatrove's hashes need. Each
side signs the same texts in one process in its own way: ours and
datasketch 128 values, datatrove its default 112, all of runs of five words. The true pairs are those of the exact Jaccard
similarity.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict

import datasketch
from datatrove.pipeline.dedup.minhash import MinhashDedupSignature

from filters.near_duplicates import RUN, VALUES, bands, signature, similarity
from filters.words import words
from pipeline import config, corpora
from schemas.records import Document, Text

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)  # of the words replaced in a planted repeat


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    given = config.parse_corpus(options.corpus)
    documents = [
        record
        for part in corpora.parts(given.format, given.path)
        for record in corpora.read(part)
        if isinstance(record, Document) and len(words("\n".join(record.texts))) >= 100
    ]
    found = {
        "documents": len(documents),
        "threshold": options.threshold,
        **speeds(documents),
        **planted(documents[:300], options.threshold),
    }
    print(json.dumps(found, indent=None if options.json else 2))


def runs(document: Document) -> set[str]:
    """The runs of five words, as the signature has them."""
    found = words("\n".join(document.texts).casefold())
    return {" ".join(found[i : i + RUN]) for i in range(len(found) - RUN + 1)}


def speeds(documents: list[Document]) -> dict[str, float]:
    """Documents a second, signed by each side from their texts."""
    started = time.process_time()
    for document in documents:
        signature(document)
    ours, started = time.process_time() - started, time.process_time()
    for document in documents:
        theirs(document)
    other = time.process_time() - started
    trove, some = MinhashDedupSignature("unused"), documents[:300]
    trove.get_shingles("It loads its splitter of words at the first text.")
    started = time.process_time()
    for document in some:
        trove.get_signature(trove.get_shingles("\n".join(document.texts)))
    trove_each = (time.process_time() - started) / len(some)
    return {
        "ours_per_second": round(len(documents) / ours),
        "datasketch_per_second": round(len(documents) / other),
        "datatrove_per_second": round(1 / trove_each, 1),
        "ratio_to_datasketch": round(other / ours, 1),
        "ratio_to_datatrove": round(trove_each * len(documents) / ours, 1),
    }


def theirs(document: Document) -> datasketch.MinHash:
    """datasketch's signature."""
    signed = datasketch.MinHash(num_perm=VALUES)
    signed.update_batch([run.encode() for run in runs(document)])
    return signed


def planted(documents: list[Document], threshold: float) -> dict[str, object]:
    """Of planted repeats, which pairs each side finds, against the exact Jaccard similarity of every pair."""
    chance = random.Random(0)
    vocabulary = sorted({word for document in documents for text in document.texts for word in words(text)})
    everyone = list(documents)
    for share in SHARES:
        for document in documents:
            changed = [
                chance.choice(vocabulary) if chance.random() < share else word
                for text in document.texts
                for word in words(text)
            ]
            everyone.append(Document(f"{document.id}-{share}", "planted", (Text(" ".join(changed)),)))
    sets = [runs(document) for document in everyone]
    places: dict[str, list[int]] = defaultdict(list)
    for place, some in enumerate(sets):
        for run in some:
            places[run].append(place)
    true: set[tuple[int, int]] = set()
    for place, some in enumerate(sets):
        shared: dict[int, int] = defaultdict(int)
        for run in some:
            for other in places[run]:
                if other < place:
                    shared[other] += 1
        true |= {(other, place) for other, n in shared.items() if n / (len(some) + len(sets[other]) - n) >= threshold}
    return {
        "pairs": len(true),
        "ours": _rates(_ours(everyone, threshold), true),
        "datasketch": _rates(_datasketch(everyone, threshold), true),
    }


def _ours(documents: list[Document], threshold: float) -> set[tuple[int, int]]:
    signed = [signature(document) for document in documents]
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place, one in enumerate(signed):
        for band in bands(one):
            groups[band].append(place)
    pairs = {(one, other) for group in groups.values() for i, one in enumerate(group) for other in group[i + 1 :]}
    return {(one, other) for one, other in pairs if similarity(signed[one], signed[other]) >= threshold}


def _datasketch(documents: list[Document], threshold: float) -> set[tuple[int, int]]:
    index = datasketch.MinHashLSH(threshold=threshold, num_perm=VALUES)
    pairs = set()
    signed = [theirs(document) for document in documents]
    for place, one in enumerate(signed):
        pairs |= {(other, place) for other in index.query(one) if signed[other].jaccard(one) >= threshold}
        index.insert(place, one)
    return pairs


def _rates(found: set[tuple[int, int]], true: set[tuple[int, int]]) -> dict[str, float]:
    both = len(found & true)
    return {"recall": round(both / len(true), 4), "precision": round(both / max(len(found), 1), 4)}


if __name__ == "__main__":
    main()
