"""Reads and writes gs:// with Google's client.

STORAGE_EMULATOR_HOST names an emulator, GOOGLE_APPLICATION_CREDENTIALS a key file.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import BinaryIO

import google.cloud.storage as storage
import requests
import requests.adapters
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.retry import DEFAULT_RETRY

from pipeline.storage import bucket as stores
from schemas.errors import UserError

_TIMEOUT = 60.0  # seconds for one reply


@functools.lru_cache(maxsize=1)
def _client(process: int) -> storage.Client:
    try:
        client = storage.Client()
    except GoogleAuthError as error:
        raise UserError(f"gs:// finds no credentials: {error}") from error
    pool = requests.adapters.HTTPAdapter(pool_maxsize=stores.CONNECTIONS)
    client._http.mount("https://", pool)
    client._http.mount("http://", pool)
    return client


class GcsBucket:
    """A bucket of Google Cloud Storage."""

    def __init__(self, name: str):
        self.name = name
        self._bucket = _client(os.getpid()).bucket(name)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        if end is not None and end <= start:
            return b""
        with self._told(name):
            try:
                data: bytes = self._bucket.blob(name).download_as_bytes(
                    start=start or None,
                    end=None if end is None else end - 1,
                    raw_download=True,
                    timeout=_TIMEOUT,
                    retry=self._retry,
                )
                return data
            except GoogleAPICallError as error:
                if error.code == 416:  # the range starts after the end
                    return b""
                raise

    def size(self, name: str) -> int:
        with self._told(name):
            blob = self._bucket.get_blob(name, timeout=_TIMEOUT, retry=self._retry)
            if blob is None:
                raise FileNotFoundError(f"gs://{self.name}/{name}")
            return int(blob.size)

    def write(self, name: str, file: BinaryIO, absent: bool = False) -> None:
        with self._told(name):
            self._bucket.blob(name).upload_from_file(
                file,
                size=file.seek(0, os.SEEK_END),  # known: one request for a small object
                rewind=True,
                timeout=_TIMEOUT,
                retry=self._retry,
                if_generation_match=0 if absent else None,
            )

    def read_version(self, name: str) -> tuple[bytes, str]:
        with self._told(name):
            blob = self._bucket.blob(name)
            data = blob.download_as_bytes(raw_download=True, timeout=_TIMEOUT, retry=self._retry)
            return data, str(blob.generation or "")

    def replace(self, name: str, data: bytes, version: str) -> None:
        with self._told(name):
            self._bucket.blob(name).upload_from_string(
                data, timeout=_TIMEOUT, retry=self._retry, if_generation_match=_generation(version)
            )

    def list(self, prefix: str, deep: bool) -> Iterator[str]:
        with self._told(prefix):
            for blob in self._bucket.list_blobs(
                prefix=prefix, delimiter=None if deep else "/", fields="items(name),nextPageToken", retry=self._retry
            ):
                yield blob.name

    def described(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        with self._told(prefix):
            for blob in self._bucket.list_blobs(
                prefix=prefix, fields="items(name,size,crc32c),nextPageToken", retry=self._retry
            ):
                yield blob.name, int(blob.size), blob.crc32c or ""

    def copy(self, source: str, target: str) -> None:
        with self._told(source):
            token = ""
            blob = self._bucket.blob(target)
            while token is not None:  # a large object is copied in several calls
                token, _, _ = blob.rewrite(self._bucket.blob(source), token=token or None, retry=self._retry)

    def delete(self, name: str, version: str = "") -> None:
        with self._told(name), contextlib.suppress(FileNotFoundError), self._told(name):
            self._bucket.blob(name).delete(
                timeout=_TIMEOUT, retry=self._retry, if_generation_match=_generation(version)
            )

    @property
    def _retry(self) -> object:
        return DEFAULT_RETRY.with_timeout(stores.PATIENCE)

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except GoogleAPICallError as error:
            raise stores.fault(f"gs://{self.name}/{name}", error, error.code) from error
        except GoogleAuthError as error:
            raise UserError(f"gs://{self.name} cannot be used: {error}") from error
        except (requests.RequestException, RetryError, ConnectionError, TimeoutError) as error:
            raise stores.fault(f"gs://{self.name}/{name}", error, None) from error


def _generation(version: str) -> int | None:
    """The condition of a request; None, which is none, if the store has no generations (an emulator)."""
    return int(version) if version else None
