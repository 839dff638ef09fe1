"""Reads and writes s3:// with Amazon's client, with its own settings.

AWS_ENDPOINT_URL for an emulator or another vendor's store, AWS_PROFILE, AWS_ACCESS_KEY_ID and others.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import boto3
import botocore.config
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from pipeline.storage import bucket as stores
from schemas.errors import UserError

_TRIES = 10  # with pauses of up to 1, 2, 4, ... 256 s: PATIENCE, about
_CUT = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
_PARTS = TransferConfig(use_threads=False)  # objects over 8 MB go in parts


@functools.lru_cache(maxsize=1)
def _client(process: int) -> Any:
    # "standard" has one quota of retries for a client: some dozens of requests that fail at once use it up, and give up
    # after a moment
    retries = {"mode": "legacy", "total_max_attempts": _TRIES}
    return boto3.client("s3", config=botocore.config.Config(retries=retries, max_pool_connections=stores.CONNECTIONS))


class S3Bucket:
    """A bucket of S3, or of a store with a compatible API."""

    def __init__(self, name: str):
        self.name = name
        try:
            self._client = _client(os.getpid())
        except BotoCoreError as error:  # an incomplete configuration
            raise UserError(f"s3:// cannot be used: {error}") from error

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        if end is not None and end <= start:
            return b""
        span = {} if not start and end is None else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        with self._told(name):
            try:
                return self._whole(Key=name, **span)[0]
            except ClientError as error:
                if _status(error) == 416:  # the range starts after the end
                    return b""
                raise

    def _whole(self, **question: str) -> tuple[bytes, str]:
        """The bytes of an object and its version; of a reply that breaks off the client does not ask again."""
        for attempt in range(_TRIES):
            found = self._client.get_object(Bucket=self.name, **question)
            try:
                return found["Body"].read(), str(found["ETag"])
            except _CUT:
                if attempt + 1 == _TRIES:
                    raise
            time.sleep(random.uniform(0, 2.0**attempt))
        raise AssertionError("unreachable")

    def size(self, name: str) -> int:
        with self._told(name):
            return int(self._client.head_object(Bucket=self.name, Key=name)["ContentLength"])

    def write(self, name: str, file: BinaryIO, absent: bool = False) -> None:
        file.seek(0)
        with self._told(name):
            if absent:
                self._client.put_object(Bucket=self.name, Key=name, Body=file, IfNoneMatch="*")
            else:
                self._client.upload_fileobj(_Unclosed(file), self.name, name, Config=_PARTS)

    def read_version(self, name: str) -> tuple[bytes, str]:
        with self._told(name):
            return self._whole(Key=name)

    def replace(self, name: str, data: bytes, version: str) -> None:
        with self._told(name):
            self._client.put_object(Bucket=self.name, Key=name, Body=data, IfMatch=version)

    def list(self, prefix: str, deep: bool) -> Iterator[str]:
        with self._told(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, **({} if deep else {"Delimiter": "/"})
            )
            for page in pages:
                yield from (found["Key"] for found in page.get("Contents", ()))

    def described(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        with self._told(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                yield from ((found["Key"], found["Size"], found["ETag"]) for found in page.get("Contents", ()))

    def copy(self, source: str, target: str) -> None:
        with self._told(source):
            self._client.copy({"Bucket": self.name, "Key": source}, self.name, target, Config=_PARTS)

    def delete(self, name: str, version: str = "") -> None:
        with contextlib.suppress(FileNotFoundError), self._told(name):
            self._client.delete_object(Bucket=self.name, Key=name, **({"IfMatch": version} if version else {}))

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise stores.fault(f"s3://{self.name}/{name}", error, _status(error)) from error
        except NoCredentialsError as error:
            raise UserError(f"s3:// finds no credentials: {error}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise stores.fault(f"s3://{self.name}/{name}", error, None) from error


class _Unclosed:
    """A file that the client leaves open; it closes other files after sending them."""

    def __init__(self, file: BinaryIO):
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def close(self) -> None:
        pass


def _status(error: ClientError) -> int:
    if error.response["Error"]["Code"] == "ConditionalRequestConflict":  # another writer was faster by a moment
        return 412
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
