"""Frames of hostile videos: FFmpeg opens nothing but the file that it was given, and nothing of it stops the run."""

from __future__ import annotations

import io

import av
import PIL.Image
import pytest

from pipeline.images import frames
from pipeline.images.faults import ImageFault
from pipeline.images.frames import read_bytes
from pipeline.images.store import ImageStore
from pipeline.storage.child import Child
from pipeline.storage.recent import Recent
from schemas.records import Image
from tests.pipeline.images.hostile import encoded, photo
from tests.pipeline.web import Server, answer


@pytest.fixture
def video(tmp_path):
    """Three seconds, a second each of red, green and blue."""
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            picture = PIL.Image.new("RGB", (64, 48), [(250, 0, 0), (0, 250, 0), (0, 0, 250)][i // 10])
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))
    return path


def kind(uri):
    with pytest.raises(ImageFault) as caught:
        read_bytes(str(uri))
    return caught.value.kind


def test_a_frame_and_a_page(video, tmp_path):
    middle = PIL.Image.open(io.BytesIO(read_bytes(f"{video}#t=1.5"))).getpixel((30, 20))
    assert middle[1] > 200 and max(middle[0], middle[2]) < 60
    pages = [photo(30, 20), photo(40, 20)]
    (tmp_path / "a.tiff").write_bytes(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert PIL.Image.open(io.BytesIO(read_bytes(f"{tmp_path}/a.tiff#page=1"))).size == (40, 20)
    assert kind(f"{tmp_path}/a.tiff#page=2") == "unreadable"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}/part.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {url}/part.mp4\n",
        "ffconcat version 1.0\nfile /etc/hostname\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation>'
        "<BaseURL>{url}/part.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>",
    ],
)
def test_a_playlist_under_the_name_of_a_video_opens_nothing(tmp_path, text):
    with Server({"/part.ts": answer(b"x"), "/part.mp4": answer(b"x")}) as server:
        (tmp_path / "v.mp4").write_text(text.format(url=server.url("")))
        assert kind(f"{tmp_path}/v.mp4#t=1") == "unreadable"
        assert server.asked == []


def test_damage_and_size(video, tmp_path, monkeypatch):
    data = video.read_bytes()
    for at in range(0, len(data), len(data) // 12):
        (tmp_path / "d.mp4").write_bytes(data[:at] + b"\xff" * 40 + data[at + 40 :])
        try:
            read_bytes(f"{tmp_path}/d.mp4#t=1")
        except ImageFault as fault:
            assert fault.kind in ("unreadable", "too_many_pixels")
        monkeypatch.setattr(frames, "_recent", Recent(0))
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert kind(f"{tmp_path}/empty.mp4#t=1") == "truncated"
    big = PIL.Image.new("1", (60_000, 60_000))
    (tmp_path / "big.tiff").write_bytes(encoded(big, "TIFF", compression="group4"))
    assert kind(f"{tmp_path}/big.tiff#page=0") in ("too_many_pixels", "unreadable")


def test_no_more_of_a_page_is_kept_than_is_asked_for(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(frames, "Child", lambda module: started.append(module) or Child(module))
    noise = PIL.Image.effect_noise((300, 300), 90).convert("RGB")
    (tmp_path / "a.tiff").write_bytes(encoded(noise, "TIFF"))
    page = f"{tmp_path}/a.tiff#page=0"
    whole = read_bytes(page)
    received = []
    monkeypatch.setattr(
        Child, "receive", lambda child, real=Child.receive: received.append(real(child)) or received[-1]
    )
    assert read_bytes(page, 5000) == whole[:5000] == received[0][1]
    small = ImageStore(str(tmp_path / "s"), max_side=64, max_bytes=5000, max_pixels=100_000)
    assert small.header(page).width == 300  # as of any file, from its first bytes
    with pytest.raises(ImageFault, match="too_many_bytes"):
        small.store(Image(page))
    large = ImageStore(str(tmp_path / "l"), max_side=64, max_bytes=1 << 20, max_pixels=100_000)
    assert large.header(page).width == 300 and large.store(Image(page)).width == 64
    assert len(started) == 4  # the whole, the first 5000, and one for each store: header and image are read at once
    assert frames._recent.room <= 64 << 20


def test_a_link_out_of_the_corpus_is_not_followed(video, tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/v.mp4").symlink_to(video)
    with pytest.raises(PermissionError, match="leads out of the corpus"):
        read_bytes(f"{tmp_path}/corpus/v.mp4#t=1", folders=(f"{tmp_path}/corpus",))
