"""What reading JSON Lines in an object store costs, in bytes."""

from __future__ import annotations

import io
import json

from benchmarks.rehearsal import bucket
from pipeline import corpora
from pipeline.storage import bucket as stores
from schemas.records import Document


def test_a_part_is_read_without_the_bytes_of_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "STORES", dict(stores.STORES))
    stores._opened.cache_clear()
    folder = bucket.opened(tmp_path)
    lines = [json.dumps({"id": f"d{n}", "segments": [{"text": "Saw the board. " * 100}]}) for n in range(1000)]
    data = "".join(line + "\n" for line in lines).encode()
    folder.write("corpus/docs.jsonl", io.BytesIO(data))
    parts = list(corpora.parts("native", "counted://bucket/corpus"))
    folder.counts.clear()
    found = [record for part in parts for record in corpora.read(part)]
    assert len(parts) == 5 and [one.id for one in found if isinstance(one, Document)] == [f"d{n}" for n in range(1000)]
    assert folder.counts["bytes corpus jsonl"] == len(data) > 1 << 20
    stores._opened.cache_clear()
