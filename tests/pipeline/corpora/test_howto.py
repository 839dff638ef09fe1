"""The native reader on a real corpus, which is not part of the repository."""

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path

import pytest

from schemas.records import Document

TAR = Path(__file__).parents[4] / "shared/corpora/howto.tar"


def test_folder_and_tar_give_the_same_documents(tmp_path, read_all):
    if not TAR.exists():
        pytest.skip(f"{TAR} is not here")
    with tarfile.open(TAR) as tar:
        tar.extract("howto/docs.jsonl", tmp_path, filter="data")
    found = read_all("native", TAR)
    assert len(found) == 1512 and all(isinstance(document, Document) for document in found)
    assert len({image.uri for document in found for image in document.images}) == 6609
    assert {document.url[:19] for document in found} == {"https://github.com/"}
    assert not any("&lt;" in document.title for document in found)

    def moved(document):
        segments = tuple(
            dataclasses.replace(s, uri=s.uri.replace(f"{TAR}!", str(tmp_path))) if hasattr(s, "uri") else s
            for s in document.segments
        )
        return dataclasses.replace(
            document, segments=segments, location=document.location.replace(f"{TAR}!", str(tmp_path))
        )

    assert [moved(document) for document in found] == read_all("native", tmp_path / "howto")
