"""Objects as files, on emulators of both stores."""

from __future__ import annotations

import concurrent.futures
import http.server
import io
import threading

import pytest

from pipeline.storage import bucket, remote
from pipeline.storage.files import open_bytes, replacing, write_bytes
from pipeline.storage.store import Store
from schemas.errors import ServiceError, UserError
from tests.pipeline.storage import emulators


def test_what_is_written_is_read_whole_and_in_ranges(store):
    url = f"{store}/ranges/a b+ü.bin"
    write_bytes(url, b"0123456789")
    assert remote.get(url) == b"0123456789"
    assert remote.get(url, 3, 6) == b"345"
    assert remote.get(url, 8, 100) == b"89"
    assert remote.get(url, 100, 200) == remote.get(url, 4, 4) == b""


def test_a_large_object_survives_its_upload_in_parts(store):
    data = bytes(range(256)) * 40_000  # 10 MB
    write_bytes(f"{store}/large", data)
    assert remote.get(f"{store}/large") == data


def test_an_object_is_sought_like_a_file(store):
    write_bytes(f"{store}/seek", bytes(range(200)))
    with remote.open_read(f"{store}/seek", 16) as file:
        assert file.read(3) == bytes([0, 1, 2])
        assert file.seek(-4, io.SEEK_END) == 196
        assert file.read() == bytes([196, 197, 198, 199])
        assert file.read(5) == b""
        file.seek(100)
        assert file.read(50) == bytes(range(100, 150))
        with pytest.raises(OSError):
            file.seek(-1)


def test_what_is_not_there_is_told(store):
    with pytest.raises(FileNotFoundError):
        remote.get(f"{store}/nothing")
    with pytest.raises(FileNotFoundError):
        open_bytes(f"{store}/nothing")
    assert Store(f"{store}/cache").read("0" * 64) is None


def test_a_write_that_fails_leaves_nothing(store):
    with pytest.raises(RuntimeError), replacing(f"{store}/half") as file:
        file.write(b"half")
        raise RuntimeError
    assert not remote.exists(f"{store}/half")


def test_of_two_writers_one_succeeds(store):
    remote.put_if_absent(f"{store}/lease", b"first")
    with pytest.raises(FileExistsError):
        remote.put_if_absent(f"{store}/lease", b"second")
    assert remote.get(f"{store}/lease") == b"first"


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("find", ["a.jsonl", "b.txt"]),
        ("find/", ["a.jsonl", "b.txt"]),
        ("find/a.jsonl", ["a.jsonl"]),
        ("find/*.jsonl", ["a.jsonl"]),
        ("find/*/*.jsonl", ["deep/c.jsonl"]),
        ("find/**.jsonl", ["a.jsonl", "deep/c.jsonl", "deep/er/d.jsonl"]),
        ("find/[ab].*", ["a.jsonl", "b.txt"]),
        ("find/[!a].*", ["b.txt"]),
        ("find/?.txt", ["b.txt"]),
        ("nowhere", []),
    ],
)
def test_a_pattern_means_what_it_means_in_a_shell(store, pattern, found):
    if not remote.exists(f"{store}/find"):
        for name in ("a.jsonl", "b.txt", "deep/c.jsonl", "deep/er/d.jsonl"):
            write_bytes(f"{store}/find/{name}", b"x")
    assert remote.find(f"{store}/{pattern}") == [f"{store}/find/{name}" for name in found]


def test_a_folder_exists_if_anything_is_in_it(store):
    write_bytes(f"{store}/folder/a", b"")
    assert remote.exists(f"{store}/folder") and remote.exists(f"{store}/folder/a")
    assert not remote.exists(f"{store}/fold")


def test_objects_are_moved_and_folders_deleted(store):
    write_bytes(f"{store}/old/a", b"a")
    write_bytes(f"{store}/older", b"stays")
    remote.move(f"{store}/old/a", f"{store}/new/a")
    assert remote.get(f"{store}/new/a") == b"a" and not remote.exists(f"{store}/old")
    remote.remove(f"{store}/new")
    remote.remove(f"{store}/old")  # nothing there
    assert not remote.exists(f"{store}/new") and remote.get(f"{store}/older") == b"stays"


def test_a_bucket_that_is_not_there_is_for_the_user_to_make(store):
    with pytest.raises(UserError, match="no such bucket"):
        write_bytes(f"{store}-of-nobody/a", b"")
    assert remote.find(f"{store}-of-nobody/*") == [] and not remote.exists(f"{store}-of-nobody/a")


@pytest.mark.parametrize("url", ["ftp://host/a", "gs://", "azfs://bucket/a"])
def test_other_addresses_are_refused(url):
    with pytest.raises(UserError, match="no address in gs:// or s3://"):
        bucket.check(url)


@pytest.mark.parametrize("url", ["s3://", "gs:///", "s3:///out"])
def test_a_folder_to_write_to_needs_a_bucket(url):
    with pytest.raises(UserError, match="no address in gs:// or s3://"):
        remote.folder(url)
    assert [remote.folder(path) for path in ("out/", "out//", "s3/out")] == ["out", "out", "s3/out"]


@pytest.mark.parametrize("url", ["s3://bucket/run[1]/out", "gs://bucket/*", "gs://bucket/a?"])
def test_folders_to_write_to_have_no_name_that_is_a_glob(url):
    with pytest.raises(UserError, match=r"cannot be written to: choose a name without \*, \? and \["):
        remote.check_folders(url)
    remote.check_folders("runs/[1]/out")


@pytest.fixture
def failing(request, monkeypatch):
    """A store that answers with a status, or at first does: (scheme, the list of requests, the replies to come).

    A reply is a status, a body, and perhaps the number of bytes that are announced and do not come.
    """
    asked, replies = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            if "projection=" not in self.path:  # Google's client looks for the bucket's place, in a thread of its own
                asked.append(f"{self.command} {self.path} if-none-match={self.headers.get('if-none-match')}")
                status, body, *missing = replies.pop(0) if len(replies) > 1 else replies[0]
            else:
                status, body, *missing = 404, b""
            start = self.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
            body = body[int(start) :]  # Google's client asks for what is missing
            self.send_response(status)
            self.send_header("content-length", str(len(body) + sum(missing)))
            self.send_header("etag", '"1"')
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = answer

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name, value in emulators.environment(request.param, f"http://127.0.0.1:{server.server_port}").items():
            monkeypatch.setenv(name, value)
        emulators.forget_clients()
        yield request.param, asked, replies
        server.shutdown()
        thread.join()
        emulators.forget_clients()


@pytest.mark.parametrize("failing", emulators.KINDS, indirect=True)
def test_a_passing_fault_is_mended_by_a_retry(failing):
    scheme, asked, replies = failing
    replies += [(503, b""), (200, b"good")]
    assert remote.get(f"{scheme}://bucket/a") == b"good"
    assert len(asked) == 2


@pytest.mark.parametrize("failing", emulators.KINDS, indirect=True)
def test_a_reply_that_breaks_off_is_asked_for_again(failing):
    scheme, asked, replies = failing
    replies += [(200, b"go", 2), (200, b"good")]
    assert remote.get(f"{scheme}://bucket/a") == b"good"
    assert len(asked) == 2


@pytest.mark.parametrize("failing", emulators.KINDS, indirect=True)
def test_many_requests_that_fail_at_once_are_all_repeated(failing):
    """Amazon's client has a mode with one quota of retries for all of its requests, which these would use up."""
    scheme, asked, replies = failing
    replies += [*[(503, b"")] * 72, (200, b"good")]
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        assert list(pool.map(remote.get, [f"{scheme}://bucket/a"] * 24)) == [b"good"] * 24
    assert len(asked) == 72 + 24


@pytest.mark.parametrize("failing", emulators.KINDS, indirect=True)
def test_a_lasting_fault_is_a_service_error(failing, monkeypatch):
    scheme, asked, replies = failing
    monkeypatch.setattr("pipeline.storage.bucket.PATIENCE", 2.0)
    monkeypatch.setattr("pipeline.storage.s3._TRIES", 2)
    emulators.forget_clients()
    replies += [(503, b"")]
    with pytest.raises(ServiceError, match=f"{scheme}://bucket/a could not be read or written, in spite of retries"):
        remote.get(f"{scheme}://bucket/a")
    with pytest.raises(ServiceError):
        write_bytes(f"{scheme}://bucket/a", b"")
    assert len(asked) >= 4


@pytest.mark.parametrize("failing", emulators.KINDS, indirect=True)
def test_a_lost_race_for_a_name_is_told(failing):
    scheme, asked, replies = failing
    replies += [(412, b"")]
    with pytest.raises(FileExistsError):
        remote.put_if_absent(f"{scheme}://bucket/a", b"")
    assert len(asked) == 1 and ("ifGenerationMatch=0" in asked[0] or "if-none-match=*" in asked[0])


@pytest.mark.parametrize("failing", emulators.KINDS, indirect=True)
def test_no_access_is_for_the_user_to_mend(failing):
    scheme, asked, replies = failing
    replies += [(403, b"")]
    with pytest.raises(UserError, match="mend the access"):
        remote.get(f"{scheme}://bucket/a")
    assert len(asked) == 1
