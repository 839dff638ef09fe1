"""The image store: every picture fetched once, decoded once, kept in normal form under the hash of its bytes.

Three folders under the root: `pictures/` the files themselves, `sources/` source hash -> picture (so that a second
run decodes nothing), `addresses/` http(s) address -> picture or fault (so that it fetches nothing).
"""

from __future__ import annotations

import collections
import dataclasses
import errno
import hashlib
import json
import threading

import PIL.Image

from pipeline.images.children import normalise
from pipeline.images.decode import RECIPE, extension
from pipeline.images.faults import PASSING, ImageFault
from pipeline.images.fetch import Http, fetch, refuse_listed
from pipeline.images.frames import read_bytes
from pipeline.images.header import Header, read_header
from pipeline.storage.bucket import is_remote
from pipeline.storage.recent import Recent
from pipeline.storage.store import Store, content_key
from pipeline.storage.uris import is_http
from schemas.codec import Json
from schemas.images import open_published
from schemas.records import Image, SizedImage, StoredImage

_PREFIX = 64 << 10
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
_UNREADABLE = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENODEV, errno.ENXIO, errno.EINVAL, errno.EIO}
_counting = threading.Lock()
_recent = Recent(256 << 20)
"""Sources and pictures of object stores: what one stage has read or written, the next has without a request."""


def header(uri: str, max_bytes: int = 32 << 20, folders: tuple[str, ...] = ()) -> Header:
    """Pixels and format of a picture in a file, a tar or an object store, from its first bytes: 64 KiB of a file are
    enough for nearly all, and no more than `max_bytes` are read. `folders` as of ImageStore. Raises ImageFault.

    It cannot see that the rest is missing or damaged: storing the picture does.
    """
    if is_remote(uri):  # one request for the header and the picture: it is what costs
        return read_header(_read(uri, max_bytes + 1, folders))
    prefix = _read(uri, _PREFIX, folders)
    try:
        return read_header(prefix)
    except ImageFault:
        if len(prefix) < _PREFIX:
            raise
    return read_header(_read(uri, max_bytes, folders))


class ImageStore:
    """Pictures by hash below `root` (a folder or an object-store URL). Cheap to make, safe to pickle and to share.

    max_side: pixels of the longer side of a stored picture. max_bytes: of a source file. max_pixels: width x height
    that a source's header may claim. folders: where local sources must lie, their links resolved (none: anywhere).
    retry: a name of this run, where it is to ask again for images that earlier runs failed to fetch and this one may not.
    See `decode.normalise` for the normal form.
    """

    def __init__(
        self,
        root: str,
        *,
        max_side: int,
        max_bytes: int,
        max_pixels: int,
        http: Http = Http(),
        folders: tuple[str, ...] = (),
        retry: str = "",
    ):
        self.max_side, self.max_bytes, self.max_pixels, self.http = max_side, max_bytes, max_pixels, http
        self.folders, self.retry = folders, retry
        self.pictures = Store(f"{root}/pictures")
        self.sources = Store(f"{root}/sources", ".json")
        self.addresses = Store(f"{root}/addresses", ".json")
        self._counts: collections.Counter[str] = collections.Counter()

    def header(self, uri: str) -> Header:
        """As the function `header`; a picture on the web is fetched and stored for it, once. Raises ImageFault."""
        if not is_http(uri):
            return header(uri, self.max_bytes, self.folders)
        return Header(**self._fetched(uri)["header"])

    def sized(self, image: Image) -> SizedImage:
        """The image with the pixels of its source, as `header` gives them. Raises ImageFault."""
        found = self.header(image.uri)
        return SizedImage(image.uri, image.alt, image.caption, width=found.width, height=found.height)

    def store(self, image: Image) -> StoredImage:
        """The image with the hash and the pixels of its stored picture.

        Raises ImageFault with a kind of `decode.KINDS` where the source gives no picture, and OSError where the
        store cannot be written (a full disk).
        """
        stored = self._fetched(image.uri)["stored"] if is_http(image.uri) else self._stored(self._source(image.uri))
        return StoredImage(image.uri, image.alt, image.caption, **stored)

    def open(self, sha256: str) -> PIL.Image.Image:
        """The picture, decoded, RGB. Raises FileNotFoundError for a hash that was never stored."""
        return open_published(self.read(sha256), self.max_side**2)

    def preview(self, image: Image) -> PIL.Image.Image | None:
        """The picture for people to look at: stored or not, but never fetched for it. None where it cannot be had."""
        try:
            if isinstance(image, StoredImage):
                return self.open(image.sha256)
            if is_http(image.uri):
                return None
            source = self._source(image.uri)
            found = normalise(source, max_side=self.max_side, max_pixels=self.max_pixels)
            return open_published(found.data, self.max_side**2)
        except (ImageFault, OSError, ValueError, MemoryError):  # nothing depends on it
            return None

    def read(self, sha256: str) -> bytes:
        """The bytes of the file. Raises FileNotFoundError for a hash that was never stored."""
        data = self._picture(sha256, sure=True)
        if data is None:
            raise FileNotFoundError(self.pictures.path(sha256))
        return data

    def _picture(self, sha256: str, sure: bool = False) -> bytes | None:
        path = self.pictures.path(sha256)
        if not is_remote(path):
            return self.pictures.read(sha256)
        data = _recent.get(path)
        if data is None and (data := self.pictures.find(sha256) if sure else self.pictures.read(sha256)) is not None:
            _recent.put(path, data)
        return data

    def counts(self) -> dict[str, int]:
        """What this object has done so far: images normalised and taken from earlier runs, bytes read and fetched."""
        return dict(self._counts)

    def _count(self, name: str, n: int = 1) -> None:
        with _counting:
            self._counts[name] += n

    def _source(self, uri: str) -> bytes:
        data = _read(uri, self.max_bytes + 1, self.folders)
        if len(data) > self.max_bytes:
            raise ImageFault("too_many_bytes", f"more than {self.max_bytes}")
        self._count("bytes_read", len(data))
        return data

    def _stored(self, source: bytes) -> Json:
        """Normalise and write, unless that was done before: the fields that a StoredImage adds."""
        key = content_key(hashlib.sha256(source).hexdigest(), RECIPE, self.max_side, self.max_pixels)
        known = self.sources.read_json(key)
        if known is not None and self._has(known["sha256"]):
            self._count("images_known")
            return dict(known)
        picture = normalise(source, max_side=self.max_side, max_pixels=self.max_pixels)
        self._count("images_normalised")
        sha256 = hashlib.sha256(picture.data).hexdigest()
        if not self._has(sha256):
            self.pictures.write(sha256, picture.data)
            if is_remote(path := self.pictures.path(sha256)):
                _recent.put(path, picture.data)
        stored = {
            "sha256": sha256,
            "width": picture.width,
            "height": picture.height,
            "extension": extension(picture.data),
        }
        self.sources.write(key, json.dumps(stored).encode())  # last: it promises the picture
        return stored

    def _has(self, sha256: str) -> bool:
        """Is the picture there, and whole?"""
        data = self._picture(sha256)
        return data is not None and hashlib.sha256(data).hexdigest() == sha256

    def _fetched(self, url: str) -> Json:
        """Fetch and store, once for all runs: {"header", "stored"}. Faults are kept too; who is in the opt-out list
        is not even looked for."""
        refuse_listed(url, self.http)
        key = content_key(url, RECIPE, self.max_side, self.max_bytes, self.max_pixels, self.http.decisive)
        found: Json | None = self.addresses.read_json(key)
        if found is None or self._again(found) or ("stored" in found and not self._has(found["stored"]["sha256"])):
            found = self._ask(url)
            self.addresses.write(key, json.dumps(found).encode())
        if "fault" in found:
            raise ImageFault(*found["fault"])
        return found

    def _ask(self, url: str) -> Json:
        try:
            source = fetch(url, self.max_bytes, self.http)
            self._count("images_fetched")
            self._count("bytes_fetched", len(source))
            return {"header": dataclasses.asdict(read_header(source)), "stored": self._stored(source)}
        except ImageFault as fault:
            return {"fault": [fault.kind, fault.detail], "run": self.retry}

    def _again(self, found: Json) -> bool:
        """Whether this run asks again for what it, or another one, has found."""
        fault = found.get("fault", [""])[0]
        return bool(self.retry) and fault in PASSING and found.get("run") != self.retry


def _read(uri: str, at_most: int, folders: tuple[str, ...]) -> bytes:
    try:
        if not is_remote(uri):
            return read_bytes(uri, at_most, folders)
        if (data := _recent.get(uri)) is None:
            data = read_bytes(uri, at_most, folders)
            _recent.put(uri, data)
        return data
    except OSError as error:
        if error.errno in _MISSING or isinstance(error, FileNotFoundError):
            raise ImageFault("missing", str(error)) from error
        if error.errno in _UNREADABLE:
            raise ImageFault("unreadable", str(error)) from error
        raise
    except ValueError as error:  # a name with a NUL, a scheme that no store has
        raise ImageFault("missing", str(error)) from error
