from __future__ import annotations

import io
import json
import shutil
import tarfile

import numpy as np
import PIL.Image
import pytest

from moss.data import sidecar
from pipeline.dataset import shards
from schemas.codec import json_bytes
from schemas.errors import UserError
from schemas.validate import validate
from tests.moss.data import stub
from tests.schemas import example


@pytest.fixture
def pixels():
    return stub.generalist().pixels


def encode(folder, pixels, workers=0):
    return sidecar.encode_shards(folder, pixels, progress=False, workers=workers)


@pytest.mark.parametrize("continuous", [False, True])
def test_a_sidecar_holds_what_the_tokenizer_makes_of_each_picture(folder, continuous):
    pixels = stub.generalist(continuous).pixels
    paths = encode(folder, pixels)
    assert [path.relative_to(folder).as_posix() for path in paths] == [
        f".work/codes/{'colour' if continuous else 'brightness'}%2F1/leafinstruct-0000{n}.tar" for n in range(3)
    ]
    found = [sidecar.load(path, place) for path in paths for _, place in sidecar.places(path)]
    for (value, codes), (_, expected, pictures) in zip(found, example.samples(), strict=True):
        assert value == expected
        alone = pixels.encode([PIL.Image.open(io.BytesIO(data)).convert("RGB") for _, data in pictures])
        assert np.array_equal(codes, alone) and codes.dtype == alone.dtype
        assert codes.dtype == (np.float16 if continuous else np.uint16)


def test_instances_stay_with_their_codes_in_batches_of_any_size(folder, pixels, monkeypatch):
    whole = [path.read_bytes() for path in encode(folder, pixels)]
    given, encode_them = [], stub.Brightness.encode
    monkeypatch.setattr(
        stub.Brightness, "encode", lambda self, some: given.append(len(some)) or encode_them(self, some)
    )
    for size in (2, 4, 32):
        monkeypatch.setattr(sidecar, "BATCH", size)
        given.clear()
        again = sidecar.encode_shards(folder, pixels, folder / f"elsewhere {size}", progress=False)
        assert [path.read_bytes() for path in again] == whole
        assert sum(given) == 13 and sum(count < size for count in given) <= len(again)  # at the shards' ends


def test_the_sidecar_is_a_plain_tar_with_a_header_first(folder, pixels):
    with tarfile.open(encode(folder, pixels)[0]) as file:
        names = file.getnames()
        header = json.loads(file.extractfile("sidecar.json").read())
    keys = [value["key"] for _, value, _ in example.samples()[:3]]
    assert names == ["sidecar.json", *(f"{key}.{end}" for key in keys for end in ("json", "npy"))]
    shard = json.loads((folder / "manifest.json").read_text())["shards"][0]
    assert header == {"format": 1, "instances": 3, "pixels": "brightness/1", "sha256": shard["sha256"]}


def test_sidecars_are_made_once_and_no_defect_of_the_folder(folder, pixels):
    paths = encode(folder, pixels)
    before = [path.read_bytes() for path in paths]
    assert pixels.encoded == 13
    assert encode(folder, pixels) == paths and pixels.encoded == 13
    shutil.rmtree(paths[0].parent)
    assert [path.read_bytes() for path in encode(folder, pixels)] == before and pixels.encoded == 26
    assert validate(folder, deep=True) == []


def test_a_shard_that_changed_is_encoded_anew(folder, pixels):
    paths = encode(folder, pixels)
    before = [path.read_bytes() for path in paths]
    first = example.samples()[:3]
    changed = {**first[1][1], "title": "Another title"}
    first[1] = (json_bytes(changed), changed, first[1][2])
    result = shards.write_shard(f"{folder}/shards/leafinstruct-00000.tar", first)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["shards"][0] |= {"sha256": result.sha256, "bytes": result.bytes}
    shards.write_manifest(manifest, str(folder))
    encode(folder, pixels)
    assert pixels.encoded == 13 + sum(len(pictures) for _, _, pictures in first)
    assert [value["title"] for value, _ in sidecar.places(paths[0])][1] == "Another title"
    assert [path.read_bytes() == old for path, old in zip(paths, before, strict=False)] == [False, True, True]


def test_another_tokenizer_has_sidecars_of_its_own(folder, pixels):
    first, *_ = encode(folder, pixels)
    other = stub.generalist().pixels
    other.fingerprint = "brightness/2"
    assert encode(folder, other)[0] != first and other.encoded == 13
    assert encode(folder, pixels)[0] == first and pixels.encoded == 13


def test_a_header_that_cannot_be_read_is_made_again_and_a_damaged_rest_names_itself(folder, pixels):
    first, second, _ = encode(folder, pixels)
    first.write_bytes(b"nonsense")
    encode(folder, pixels)
    assert len(list(sidecar.places(first))) == 3
    second.write_bytes(second.read_bytes()[: -9 * 1024 - 512])
    with pytest.raises(UserError, match=f"{second.name} is damaged .*delete it"):
        list(sidecar.places(second))


SHARD = "leafinstruct-00001.tar"
KEY = example.samples()[4][1]["key"]


def truncated(path):
    data = path.read_bytes()
    path.write_bytes(data[: data.index(f"{KEY}.00".encode()) + 600])


def overwritten(path, member, new):
    data = path.read_bytes()
    at = data.index(f"{KEY}.{member}".encode()) + 512
    path.write_bytes(data[:at] + new + data[at + len(new) :])


def without_a_picture(path):
    samples = example.samples()[3:6]
    shards.write_shard(str(path), [samples[0], (*samples[1][:2], samples[1][2][:-1]), samples[2]])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "change, says",
    [
        (truncated, f"stops inside {KEY}.00"),
        (without_a_picture, "there is no member 00.jpg"),
        (lambda path: overwritten(path, "00", b"GIF89a"), "00.jpg cannot be decoded"),
        (lambda path: overwritten(path, "json", b"["), "is not strict JSON"),
        (lambda path: overwritten(path, "json", b'{"contexT"'), '"context" is a required property'),
    ],
)
def test_a_broken_shard_names_itself_and_the_instance(folder, pixels, change, says, workers):
    change(folder / "shards" / SHARD)
    with pytest.raises(UserError) as raised:
        encode(folder, pixels, workers)
    message = str(raised.value)
    assert f"{SHARD}, instance {KEY}: " in message and says in message and "leafinstruct validate" in message
    assert [path.name for path in (folder / ".work/codes/brightness%2F1").iterdir()] == ["leafinstruct-00000.tar"]


def test_the_first_of_two_faults_is_told_also_where_the_reader_is_ahead(folder, pixels):
    """The damaged picture of the first shard, not the second shard, which is not there."""
    overwritten(folder / "shards" / SHARD, "00", b"GIF89a")
    (folder / "shards" / "leafinstruct-00002.tar").unlink()
    said = []
    for workers in (0, 2):
        with pytest.raises(UserError, match=f"instance {KEY}: .*00.jpg cannot be decoded") as raised:
            encode(folder, pixels, workers)
        said.append(str(raised.value))
    assert said[0] == said[1]


def test_a_shard_that_is_not_the_manifests(folder, pixels):
    path = folder / "shards" / "leafinstruct-00000.tar"
    shutil.copy(folder / "shards" / "leafinstruct-00001.tar", path)
    with pytest.raises(UserError, match="leafinstruct-00000.tar: has the sha256"):
        encode(folder, pixels)
    path.unlink()
    with pytest.raises(UserError, match="leafinstruct-00000.tar: .*No such file"):
        encode(folder, pixels)


def test_a_folder_without_a_manifest(tmp_path, pixels):
    with pytest.raises(UserError, match="no manifest.*Give the output folder"):
        encode(tmp_path, pixels)
