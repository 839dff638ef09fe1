from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import pickle
import socket
import subprocess
import sys
import tarfile

import PIL.Image
import pytest

from pipeline.images import store as images
from pipeline.images.decode import extension
from pipeline.images.faults import ImageFault
from pipeline.images.fetch import Http, agent
from pipeline.images.header import Header
from pipeline.images.store import ImageStore, header
from pipeline.storage import packs
from pipeline.storage.uris import folders_of
from schemas.records import Image, SizedImage
from tests.pipeline import disk  # noqa: F401  (Beam knows file systems by their classes)
from tests.pipeline.images.hostile import HOSTILE
from tests.pipeline.runs import ROOT
from tests.pipeline.web import Server, answer

LIMITS = {"max_side": 64, "max_bytes": 200_000, "max_pixels": 100_000}


def jpeg(width=96, height=48, **options):
    buffer = io.BytesIO()
    PIL.Image.effect_noise((width, height), 60).convert("RGB").save(buffer, "JPEG", **options)
    return buffer.getvalue()


def kind(function, *arguments):
    with pytest.raises(ImageFault) as caught:
        function(*arguments)
    return caught.value.kind


@pytest.fixture
def pictures(tmp_path):
    return ImageStore(str(tmp_path / "store"), **LIMITS)


def files(root):
    return sorted(
        os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names
    )


def test_header_reads_files_and_tar_members(tmp_path):
    (tmp_path / "a.png").write_bytes(jpeg())  # a wrong extension
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        tar.add(tmp_path / "a.png", "images/a.png")
    assert header(f"{tmp_path}/a.png") == Header(96, 48, "JPEG")
    assert header(f"{tmp_path}/c.tar!/images/a.png") == Header(96, 48, "JPEG")


def test_header_behind_long_metadata(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(icc_profile=b"x" * 150_000))
    assert header(f"{tmp_path}/a.jpg") == Header(96, 48, "JPEG")


def test_store_gives_hash_and_size_of_the_stored_file(tmp_path, pictures):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    stored = pictures.store(Image(f"{tmp_path}/a.jpg", alt="a saw", width=9999, height=1))
    assert (stored.alt, stored.width, stored.height) == ("a saw", 64, 32)
    data = pictures.read(stored.sha256)
    assert hashlib.sha256(data).hexdigest() == stored.sha256
    assert (stored.extension, extension(data)) == ("jpg", "jpg")
    picture = pictures.open(stored.sha256)
    assert (picture.mode, picture.size) == ("RGB", (64, 32))


def test_a_second_run_decodes_nothing_and_writes_nothing(tmp_path, pictures, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "b.jpg").write_bytes(jpeg())
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes())
    first = pictures.store(Image(f"{tmp_path}/a.jpg"))
    packs.flush()
    before = files(tmp_path / "store")
    assert len(before) == 2
    monkeypatch.setattr(images, "normalise", None)  # calling it would raise TypeError
    again = pickle.loads(pickle.dumps(pictures))
    assert again.store(Image(f"{tmp_path}/a.jpg")) == first
    assert again.store(Image(f"{tmp_path}/b.jpg")).sha256 == first.sha256
    packs.flush()
    assert files(tmp_path / "store") == before


def test_what_is_known_is_said_without_fetching_or_decoding_it(tmp_path, monkeypatch):
    """A fault of a local picture is kept nowhere, so each run decodes it again; one of a download is."""
    for name, data in {"a": jpeg(), "cut": jpeg()[:900]}.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
    with Server({"/a.jpg": answer(jpeg()), "/gone.jpg": answer(status=404)}) as server:
        places = [f"{tmp_path}/a.jpg", f"{tmp_path}/cut.jpg", server.url("/a.jpg"), server.url("/gone.jpg")]
        uris = [Image(uri) for uri in [*places, f"{tmp_path}/no.jpg"]]
        pictures = store_of_run(tmp_path / "store")
        assert [pictures.is_known(image) for image in uris] == [False, False, False, False, True]
        assert files(tmp_path / "store") == server.asked == []
        for image in uris:
            with contextlib.suppress(ImageFault):
                pictures.store(image)
        monkeypatch.setattr(images, "normalise", None)  # calling it would raise TypeError
        assert [pictures.is_known(image) for image in uris] == [True, False, True, True, True]
        assert server.asked == ["/a.jpg", "/gone.jpg"]


def test_a_glance_never_fetches_and_never_writes(tmp_path, pictures):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    image = Image(f"{tmp_path}/a.jpg")
    assert pictures.preview(image).size == (64, 32)
    assert pictures.preview(Image(f"{tmp_path}/no.jpg")) is None
    assert pictures.preview(Image("http://127.0.0.1:1/a.jpg")) is None
    assert files(tmp_path / "store") == []
    stored = pictures.store(image)
    os.unlink(tmp_path / "a.jpg")
    assert pictures.preview(stored).size == (64, 32)


def test_sized_replaces_the_claim_by_the_header(tmp_path, pictures):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    sized = pictures.sized(Image(f"{tmp_path}/a.jpg", "alt", width=9999))
    assert sized == SizedImage(f"{tmp_path}/a.jpg", "alt", width=96, height=48)


def test_other_limits_make_another_picture(tmp_path, pictures):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    small = ImageStore(str(tmp_path / "store"), **LIMITS | {"max_side": 16})
    pictures.store(Image(f"{tmp_path}/a.jpg"))
    assert small.store(Image(f"{tmp_path}/a.jpg")).width == 16


def test_a_picture_that_vanished_from_the_store_is_made_again(tmp_path, pictures):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    stored = pictures.store(Image(f"{tmp_path}/a.jpg"))
    packs.flush()
    (pack,) = (tmp_path / "store/pictures").glob("*.pack")
    os.unlink(pack)
    with pytest.raises(FileNotFoundError):
        pictures.open(stored.sha256)
    assert pictures.store(Image(f"{tmp_path}/a.jpg")) == stored and pictures.open(stored.sha256)


@pytest.mark.parametrize("keep", [0, 30, -1])
@pytest.mark.parametrize("folder", ["pictures", "sources"])
def test_what_a_power_cut_damaged_is_made_again(tmp_path, pictures, folder, keep):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    stored = pictures.store(Image(f"{tmp_path}/a.jpg"))
    packs.flush()
    (damaged,) = (tmp_path / "store" / folder).glob("*.pack")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:keep])
    packs._all.cache_clear()  # as a new process
    assert pictures.store(Image(f"{tmp_path}/a.jpg")) == stored
    packs.flush()
    _, new = sorted((tmp_path / "store" / folder).glob("*.pack"))
    assert new.read_bytes() == whole


def test_sources_that_give_nothing(tmp_path, pictures):
    (tmp_path / "long.jpg").write_bytes(jpeg() + bytes(200_000))
    (tmp_path / "wide.jpg").write_bytes(jpeg(1001, 100))
    (tmp_path / "cut.jpg").write_bytes(jpeg()[:900])
    (tmp_path / "folder.jpg").mkdir()
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        tar.add(tmp_path / "cut.jpg", "cut.jpg")
    for name, expected in {
        "no.jpg": "missing",
        "cut.jpg/no.jpg": "missing",
        "n" * 300: "missing",
        "a\0b": "missing",
        "c.tar!/no.jpg": "missing",
        "no.tar!/a.jpg": "missing",
        "folder.jpg": "unreadable",
        "long.jpg": "too_many_bytes",
        "wide.jpg": "too_many_pixels",
        "cut.jpg": "truncated",
        "c.tar!/cut.jpg": "truncated",
    }.items():
        assert kind(pictures.store, Image(f"{tmp_path}/{name}")) == expected, name
    assert kind(pictures.store, Image("nosuchscheme://bucket/a.jpg")) == "missing"
    assert kind(header, f"{tmp_path}/no.jpg") == "missing"
    assert files(tmp_path / "store") == []


def test_sources_and_store_may_lie_in_an_object_store(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        tar.add(tmp_path / "a.jpg", "a.jpg")
    pictures = ImageStore(f"disk:/{tmp_path}/store", **LIMITS)
    for uri in (f"disk:/{tmp_path}/a.jpg", f"disk:/{tmp_path}/c.tar!/a.jpg"):
        assert pictures.header(uri) == Header(96, 48, "JPEG")
        stored = pictures.store(Image(uri))
        assert pictures.open(stored.sha256).size == (64, 32) and stored.extension == "jpg"
    packs.flush()
    assert len(list(tmp_path.rglob("*.pack"))) == 2  # of pictures and of sources
    assert kind(pictures.store, Image(f"disk:/{tmp_path}/no.jpg")) == "missing"


def test_what_one_pass_has_stored_another_pass_of_the_run_does_not_read_again(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    source = Image(f"disk:/{tmp_path}/a.jpg")

    def of_a_pass(noting, notes="notes"):
        images._recent._found.clear()
        return ImageStore(f"disk:/{tmp_path}/store", notes=f"disk:/{tmp_path}/{notes}", noting=noting, **LIMITS)

    looking = of_a_pass(noting=True)
    stored = looking.store(looking.sized(source))
    packs.flush()
    (tmp_path / "a.jpg").unlink()  # whoever reads it again fails
    later = of_a_pass(noting=False)
    assert later.header(source.uri) == Header(96, 48, "JPEG")
    assert later.store(later.sized(source)) == stored and later.counts() == {"images_known": 1}
    assert kind(of_a_pass(noting=True).store, source) == "missing"
    assert kind(of_a_pass(noting=False, notes="notes of another run").store, source) == "missing"


def test_a_pass_in_another_process_finds_what_was_stored_after_it_began(tmp_path):
    """It has listed the store's packs before; the notes are listed at its first question for one."""
    (tmp_path / "a.jpg").write_bytes(jpeg())
    uri, limits = f"disk:/{tmp_path}/a.jpg", ", ".join(f"{name}={value}" for name, value in LIMITS.items())
    began = ImageStore(f"disk:/{tmp_path}/store", notes=f"disk:/{tmp_path}/notes", **LIMITS)
    assert began.pictures.read("0" * 64) is None
    script = f"""if True:
        from pipeline.images.store import ImageStore
        from pipeline.storage import packs
        from schemas.records import Image
        from tests.pipeline import disk
        looking = ImageStore("disk:/{tmp_path}/store", notes="disk:/{tmp_path}/notes", noting=True, {limits})
        print(looking.store(Image({uri!r})).sha256)
        packs.flush()
    """
    other = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    (tmp_path / "a.jpg").unlink()
    assert began.store(Image(uri)).sha256 == other.stdout.strip()
    assert began.counts() == {"images_known": 1}


def test_a_noted_picture_that_vanished_is_read_again_and_a_local_one_is_not_noted(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    notes = f"disk:/{tmp_path}/notes"
    looking = ImageStore(f"disk:/{tmp_path}/store", notes=notes, noting=True, **LIMITS)
    stored = looking.store(Image(f"disk:/{tmp_path}/a.jpg"))
    looking.store(Image(f"{tmp_path}/a.jpg"))
    packs.flush()
    elsewhere = ImageStore(f"disk:/{tmp_path}/another store", notes=notes, **LIMITS)
    assert elsewhere.store(Image(f"disk:/{tmp_path}/a.jpg")).sha256 == stored.sha256
    assert elsewhere.counts()["images_normalised"] == 1
    (tmp_path / "a.jpg").unlink()
    later = ImageStore(f"disk:/{tmp_path}/store", notes=notes, **LIMITS)
    assert kind(later.store, Image(f"{tmp_path}/a.jpg")) == "missing"


def test_a_full_disk_is_no_fault_of_the_picture(tmp_path, pictures, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(jpeg())

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as without_room:
        without_room.setattr(packs, "write_bytes", full)
        without_room.setattr(packs, "ROOM", 100)
        with pytest.raises(OSError, match="No space left"):
            pictures.store(Image(f"{tmp_path}/a.jpg"))


def test_running_out_of_memory_is_no_fault_that_is_kept(tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    with Server({"/a.png": answer(jpeg())}) as server:
        pictures = ImageStore(str(tmp_path), **LIMITS, http=Http(allow_private_hosts=True, retries=0))
        with monkeypatch.context() as patch, pytest.raises(MemoryError):
            patch.setattr(images, "normalise", exhausted)
            pictures.store(Image(server.url("/a.png")))
        assert pictures.store(Image(server.url("/a.png"))).width == 64


def test_a_picture_on_the_web_is_fetched_once_for_all(tmp_path):
    with Server({"/a.jpg": answer(jpeg()), "/page.jpg": answer(b"<html>"), "/gone.jpg": answer(status=404)}) as server:
        pictures = ImageStore(str(tmp_path), **LIMITS, http=Http(allow_private_hosts=True, retries=0))
        for _ in range(2):
            assert pictures.header(server.url("/a.jpg")) == Header(96, 48, "JPEG")
            assert pictures.store(Image(server.url("/a.jpg"))).width == 64
            assert kind(pictures.store, Image(server.url("/page.jpg"))) == "unsupported_format"
            assert kind(pictures.header, server.url("/gone.jpg")) == "not_found"
        assert sorted(server.asked) == ["/a.jpg", "/gone.jpg", "/page.jpg"]


@pytest.mark.parametrize(
    "before, after, first",
    [
        ({}, {"allow_private_hosts": True}, []),
        (
            {"allow_private_hosts": True, "max_redirects": 0},
            {"max_redirects": 1},
            [answer(status=302, headers=[("Location", "/b.jpg")])],
        ),
        ({"allow_private_hosts": True, "user_agent": "x"}, {"user_agent": "y"}, [answer(status=403)]),
    ],
)
def test_a_fault_of_the_settings_goes_with_them(tmp_path, before, after, first):
    """The server answers `first` with what the settings are to blame for, and then with the picture."""
    with Server({"/a.jpg": [*first, answer(jpeg())], "/b.jpg": answer(jpeg())}) as server:
        refusing, willing = (
            ImageStore(str(tmp_path), **LIMITS, http=Http(retries=0, **settings))
            for settings in (before, before | after)
        )
        for _ in range(2):
            assert kind(refusing.store, Image(server.url("/a.jpg"))) in (
                "refused_host",
                "http_status",
                "too_many_redirects",
            )
        assert willing.store(Image(server.url("/a.jpg"))).width == 64
        assert len(server.asked) == len(first) + 1


def test_what_was_fetched_is_not_fetched_again_when_the_contact_changes(tmp_path):
    with Server({"/a.jpg": [answer(jpeg())]}) as server:
        for contact in ("", "me@example.org"):
            pictures = store_of_run(tmp_path, user_agent=agent(contact))
            assert pictures.store(Image(server.url("/a.jpg"))).width == 64
        assert pictures.is_known(Image(server.url("/a.jpg"))) and server.asked == ["/a.jpg"]


def test_a_damaged_answer_is_asked_for_again(tmp_path):
    with Server({"/a.jpg": answer(jpeg())}) as server:
        pictures = ImageStore(str(tmp_path), **LIMITS, http=Http(allow_private_hosts=True, retries=0))
        stored = pictures.store(Image(server.url("/a.jpg")))
        for folder in ("addresses", "pictures"):
            packs.flush()
            for damaged in (tmp_path / folder).glob("*.pack"):
                damaged.write_bytes(b"")
            packs._all.cache_clear()  # as a new process
            assert pictures.store(Image(server.url("/a.jpg"))) == stored
        assert pictures.open(stored.sha256).size == (64, 32) and len(server.asked) == 3


def store_of_run(tmp_path, retry="", **settings):
    http = Http(allow_private_hosts=True, retries=0, **settings)
    return ImageStore(str(tmp_path), **LIMITS, http=http, retry=retry)


def test_a_failed_download_is_remembered_and_not_asked_for_again(tmp_path):
    with Server({"/a.jpg": [answer(status=503), answer(jpeg())]}) as server:
        for _ in range(3):
            assert kind(store_of_run(tmp_path).store, Image(server.url("/a.jpg"))) == "server_error"
        assert server.asked == ["/a.jpg"]


def test_a_run_that_retries_takes_what_may_succeed_now_and_nothing_else(tmp_path):
    """Each once, whether it fails again or not; the rest is not asked for."""
    answers = {
        "/busy.jpg": [answer(status=429), answer(status=429), answer(jpeg())],
        "/broken.jpg": [answer(status=500), answer(jpeg())],
        "/slow.jpg": [answer(jpeg(), wait=3), answer(jpeg())],
        "/gone.jpg": [answer(status=404)],
        "/no.jpg": [answer(jpeg(), headers=[("X-Robots-Tag", "noai")])],
        "/damaged.jpg": [answer(jpeg()[:900])],
        "/private.jpg": [answer(status=403)],
        "/good.jpg": [answer(jpeg())],
    }
    ends = {}
    with Server(answers) as server:
        for run in ("", "second", "third"):
            for path in answers:
                pictures = store_of_run(tmp_path, run, read_timeout=1.0)
                for ask in (pictures.sized, pictures.store):
                    try:
                        ask(Image(server.url(path)))
                        end = "stored"
                    except ImageFault as fault:
                        end = fault.kind
                ends.setdefault(path, []).append(end)
        asked = {path: server.asked.count(path) for path in answers}
    assert ends == {
        "/busy.jpg": ["too_many_requests", "too_many_requests", "stored"],
        "/broken.jpg": ["server_error", "stored", "stored"],
        "/slow.jpg": ["timeout", "stored", "stored"],
        "/gone.jpg": ["not_found"] * 3,
        "/no.jpg": ["opted_out"] * 3,
        "/damaged.jpg": ["truncated"] * 3,
        "/private.jpg": ["http_status"] * 3,
        "/good.jpg": ["stored"] * 3,
    }
    assert asked == dict.fromkeys(answers, 1) | {"/busy.jpg": 3, "/broken.jpg": 2, "/slow.jpg": 2}


def test_an_image_that_is_in_the_opt_out_list_now_is_not_taken_from_an_earlier_run(tmp_path):
    with Server({"/a.jpg": answer(jpeg())}) as server:
        assert store_of_run(tmp_path).store(Image(server.url("/a.jpg"))).width == 64
        (tmp_path / "list.txt").write_text(server.url("/a"))
        listed = store_of_run(tmp_path, opt_outs=str(tmp_path / "list.txt"))
        assert kind(listed.store, Image(server.url("/a.jpg"))) == "opt_out_list"
        assert server.asked == ["/a.jpg"]


@pytest.fixture
def corpus(tmp_path):
    """A corpus folder with a picture, and one beside it that is nobody's business."""
    (tmp_path / "corpus/images").mkdir(parents=True)
    (tmp_path / "corpus/images/a.jpg").write_bytes(jpeg())
    (tmp_path / "secret.jpg").write_bytes(jpeg(80, 80))
    return tmp_path / "corpus"


def guarded(corpus):
    return ImageStore(str(corpus.parent / "store"), **LIMITS, folders=folders_of(str(corpus)))


def test_a_link_out_of_the_corpus_is_not_stored_and_its_target_is_not_quoted(corpus):
    """Nor is a folder that is such a link; one that stays inside is followed."""
    (corpus / "images/out.jpg").symlink_to(corpus.parent / "secret.jpg")
    (corpus / "images/passwd.jpg").symlink_to("/etc/passwd")
    (corpus / "away").symlink_to(corpus.parent)
    (corpus / "images/in.jpg").symlink_to("a.jpg")
    pictures = guarded(corpus)
    for name in ("images/out.jpg", "images/passwd.jpg", "away/secret.jpg"):
        for read in (pictures.store, pictures.sized):
            with pytest.raises(ImageFault, match="leads out of the corpus") as caught:
                read(Image(f"{corpus}/{name}"))
            assert caught.value.kind == "unreadable" and "root:" not in caught.value.detail
        assert pictures.preview(Image(f"{corpus}/{name}")) is None
    assert pictures.store(Image(f"{corpus}/images/in.jpg")).width == 64
    assert kind(pictures.store, Image(f"{corpus}/images/nothing.jpg")) == "missing"


def test_a_corpus_that_is_named_by_a_link_is_read(corpus):
    (corpus.parent / "link").symlink_to(corpus)
    (corpus / "docs.jsonl").write_text("")
    for path in (f"{corpus.parent}/link", f"{corpus.parent}/link/docs.jsonl", f"{corpus.parent}/link/*.jsonl"):
        pictures = ImageStore(str(corpus.parent / "store"), **LIMITS, folders=folders_of(path))
        assert pictures.store(Image(f"{corpus.parent}/link/images/a.jpg")).width == 64


def test_a_pipe_a_device_and_a_socket_are_faults_at_once(corpus):
    os.mkfifo(corpus / "images/pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(corpus / "images/socket.jpg"))
    for name in ("images/pipe.jpg", "images/socket.jpg"):
        assert kind(guarded(corpus).store, Image(f"{corpus}/{name}")) == "unreadable"
    unguarded = ImageStore(str(corpus.parent / "store"), **LIMITS)
    assert kind(unguarded.store, Image("/dev/zero")) == "unreadable"


def test_a_disk_that_fails_is_not_the_fault_of_the_picture(corpus, monkeypatch):
    """A bucket that is mounted as a folder says so whenever the network fails for a moment."""

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(images, "read_bytes", broken)
    with pytest.raises(OSError, match="Input/output error"):
        guarded(corpus).store(Image(f"{corpus}/images/a.jpg"))


@pytest.mark.parametrize("name", ["png-44800000x1", "jpeg-200-scans", "png-huge", "gif-65535x65535"])
def test_a_glance_at_a_hostile_picture_is_no_more_than_none(corpus, name):
    """It may have been dropped already: nothing depends on it, and it stops nothing."""
    large = ImageStore(str(corpus.parent / "store"), max_side=64, max_bytes=50_000_000, max_pixels=50_000_000)
    (corpus / "images/x.png").write_bytes(HOSTILE[name][0]())
    assert large.preview(Image(f"{corpus}/images/x.png")) is None
