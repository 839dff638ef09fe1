"""Object stores on the loopback interface, each in a process of its own: Google's by gcp-storage-emulator, Amazon's by
moto. The clients find them by their own environment variables. Google's is taught conditional writes, which it lacks."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

_GCS = """
import logging, sys, threading
from http import HTTPStatus
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects

lock = threading.Lock()

def generation(request, storage):
    name = request.params.get("object_id") or request.query.get("name", [None])[0] or request.data["meta"]["name"]
    try:
        return storage.get_file_obj(request.params["bucket_name"], name)["generation"]
    except NotFound:
        return "0"

def conditional(handler):  # the emulator ignores preconditions
    def handle(request, response, storage, *arguments, **options):
        wanted = request.query.get("ifGenerationMatch")
        with lock:
            if wanted and wanted[0] != generation(request, storage):
                response.status = HTTPStatus.PRECONDITION_FAILED
            else:
                handler(request, response, storage, *arguments, **options)
    return handle

def stating(handler):  # nor does it say which generation it sends
    def handle(request, response, storage, *arguments, **options):
        with lock:
            response["X-Goog-Generation"] = generation(request, storage)
            handler(request, response, storage, *arguments, **options)
    return handle

objects.insert, objects.delete = conditional(objects.insert), conditional(objects.delete)
objects.download = stating(objects.download)
from gcp_storage_emulator.server import create_server
logging.disable()
server = create_server("127.0.0.1", 0, True, "bucket")
server.start()
print(server._api._httpd.server_port, flush=True)
sys.stdin.read()
server.stop()
"""
_S3 = """
import logging, sys, threading
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

logging.disable()
lock = threading.RLock()

def alone(handler):  # the emulator looks at preconditions some time before it writes
    def handle(self, *arguments, **options):
        with lock:
            return handler(self, *arguments, **options)
    return handle

S3Response.put_object = alone(S3Response.put_object)
S3Response.delete_object = alone(S3Response.delete_object)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
KINDS = ("gs", "s3")


@contextlib.contextmanager
def emulator(kind: str) -> Iterator[dict[str, str]]:
    """A store with the bucket `bucket`, and what the environment must hold for its client. It ends with the block, and
    with this process."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _GCS if kind == "gs" else _S3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        words = process.stdout.readline().split()
        assert words, "the emulator did not start"
        url = f"http://127.0.0.1:{words[-1]}"
        if kind == "s3":
            urllib.request.urlopen(urllib.request.Request(f"{url}/bucket", method="PUT")).close()
        yield environment(kind, url)
    finally:
        assert process.stdin
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def environment(kind: str, url: str) -> dict[str, str]:
    if kind == "gs":
        return {"STORAGE_EMULATOR_HOST": url}
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def forget_clients() -> None:
    """Let the next operation make a client of today's environment."""
    from pipeline.storage import bucket, gcs, s3

    for cached in (bucket._opened, gcs._client, s3._client):
        cached.cache_clear()
