"""The image store: every image is fetched once, decoded once, and kept in normal form under the hash of its bytes.

Three stores under the root: `pictures/` has the images themselves, `sources/` maps a source's hash to a stored image
(so that a second run decodes nothing), `addresses/` maps an http(s) address to a stored image or a fault (so that it
fetches nothing).
"""

from __future__ import annotations

import collections
import dataclasses
import errno
import hashlib
import json
import threading

import PIL.Image

from pipeline.images.allowance import allowance
from pipeline.images.children import normalise
from pipeline.images.decode import RECIPE, extension
from pipeline.images.faults import PASSING, ImageFault
from pipeline.images.fetch import Http, fetch, refuse_listed
from pipeline.images.frames import is_frame, read_bytes
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
_UNREADABLE = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENODEV, errno.ENXIO, errno.EINVAL}
_counting = threading.Lock()
_recent = Recent(256 << 20)
"""Recent sources and images of object stores: what one stage has read or written, the next one gets without a
request."""


def header(uri: str, max_bytes: int = 32 << 20, folders: tuple[str, ...] = ()) -> Header:
    """Size and format of an image in a file, a tar or an object store, from its first bytes.

    64 KiB of a file are enough for nearly all, and no more than `max_bytes` are read. `folders`: as in ImageStore.
    Raises ImageFault.

    It does not see whether the rest is missing or damaged; `ImageStore.store` does.
    """
    if is_remote(uri) or is_frame(uri):  # one request for header and image, because requests are what costs
        return read_header(_read(uri, max_bytes + 1, folders))
    prefix = _read(uri, _PREFIX, folders)
    try:
        return read_header(prefix)
    except ImageFault:
        if len(prefix) < _PREFIX:
            raise
    return read_header(_read(uri, max_bytes, folders))


class ImageStore:
    """Images by hash below `root` (a folder or an object-store URL). Cheap to make, safe to pickle and to share.

    max_side: the most pixels of the longer side of a stored image. max_bytes: the most bytes of a source file.
    max_pixels: the largest width x height that a source's header may claim. folders: where local sources must be, after
    links are resolved (none: anywhere). retry: a name of this run if it asks again for images with temporary faults,
    else empty. notes: a folder of this run where one pass over the corpora (`noting`) notes what it stored, so that
    another pass reads no source in an object store again; empty: none. See `decode.normalise` for the normal form.
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
        notes: str = "",
        noting: bool = False,
    ):
        self.max_side, self.max_bytes, self.max_pixels, self.http = max_side, max_bytes, max_pixels, http
        self.folders, self.retry, self.noting = folders, retry, noting
        self.notes = Store(notes) if notes else None
        self.pictures = Store(f"{root}/pictures")
        self.sources = Store(f"{root}/sources")
        self.addresses = Store(f"{root}/addresses")
        self._counts: collections.Counter[str] = collections.Counter()

    def header(self, uri: str) -> Header:
        """As the function `header`; an image on the web is fetched and stored for it, once. Raises ImageFault."""
        if found := self._fetched(uri) if is_http(uri) else self._noted(uri):
            return Header(**found["header"])
        return header(uri, self.max_bytes, self.folders)

    def sized(self, image: Image) -> SizedImage:
        """The image with the size of its source in pixels, as `header` returns it. Raises ImageFault."""
        found = self.header(image.uri)
        return SizedImage(image.uri, image.alt, image.caption, width=found.width, height=found.height)

    def store(self, image: Image) -> StoredImage:
        """The image with the hash and the size of its stored file.

        The source is fetched, decoded and stored if it is new.

        Raises ImageFault with a kind of `faults.KINDS` if the source gives no image. A store that cannot be written (a
        full disk) raises OSError, here or at the end of the bundle.
        """
        stored = self._fetched(image.uri)["stored"] if is_http(image.uri) else self._read_and_stored(image.uri)
        return StoredImage(image.uri, image.alt, image.caption, **stored)

    def is_known(self, image: Image) -> bool:
        """Whether `store` would neither fetch nor decode anything.

        Reads a local source to know it. A remembered fault is known, and so is a local source that cannot be read.
        """
        try:
            if is_http(image.uri):
                refuse_listed(image.uri, self.http)
                return self._kept_address(self._address_key(image.uri)) is not None
            return self._kept_source(self._source_key(self._source(image.uri))) is not None
        except ImageFault:
            return True

    def open(self, sha256: str, at_least: int | None = None) -> PIL.Image.Image:
        """The decoded RGB image; `at_least` as in `open_published`.

        Raises FileNotFoundError for a hash that was never stored.
        """
        return open_published(self.read(sha256), self.max_side**2, at_least)

    def preview(self, image: Image) -> PIL.Image.Image | None:
        """The image for people to look at, stored or not; None if it cannot be read without fetching it."""
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
        """The bytes of a stored image. Raises FileNotFoundError for one that was never stored, or is damaged."""
        data = self._picture(sha256, sure=True)
        if data is None:
            raise FileNotFoundError(f"there is no image {sha256} in {self.pictures.root}")
        return data

    def _picture(self, sha256: str, sure: bool = False) -> bytes | None:
        """The image's bytes; None if it is not stored, or damaged. `sure`: also if another process has just stored it."""
        name = f"{self.pictures.root}/{sha256}"
        if (data := _recent.get(name)) is not None:
            return data
        data = self.pictures.find(sha256) if sure else self.pictures.read(sha256)
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            return None
        if is_remote(name):
            _recent.put(name, data)
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

    def _read_and_stored(self, uri: str) -> Json:
        if (noted := self._noted(uri)) and self._has(noted["stored"]["sha256"], sure=True):
            self._count("images_known")
            return dict(noted["stored"])
        source = self._source(uri)
        stored = self._stored(source)
        if self.notes and self.noting and is_remote(uri):
            note = {"header": dataclasses.asdict(read_header(source)), "stored": stored}
            self.notes.write(content_key(uri), json.dumps(note).encode())
        return stored

    def _noted(self, uri: str) -> Json | None:
        """What another pass of this run noted of a source in an object store: {"header", "stored"}."""
        if self.notes is None or self.noting or not is_remote(uri):
            return None
        found: Json | None = self.notes.read_json(content_key(uri))
        return found

    def _stored(self, source: bytes) -> Json:
        """Normalise and write the image, unless that was done before; returns the fields that a StoredImage adds."""
        key = self._source_key(source)
        if known := self._kept_source(key):
            self._count("images_known")
            return known
        picture = normalise(source, max_side=self.max_side, max_pixels=self.max_pixels)
        self._count("images_normalised")
        sha256 = hashlib.sha256(picture.data).hexdigest()
        if not self._has(sha256):
            self.pictures.write(sha256, picture.data)
            if is_remote(self.pictures.root):
                _recent.put(f"{self.pictures.root}/{sha256}", picture.data)
        stored = {
            "sha256": sha256,
            "width": picture.width,
            "height": picture.height,
            "extension": extension(picture.data),
        }
        self.sources.write(key, json.dumps(stored).encode())
        return stored

    def _source_key(self, source: bytes) -> str:
        return content_key(hashlib.sha256(source).hexdigest(), RECIPE, self.max_side, self.max_pixels)

    def _kept_source(self, key: str) -> Json | None:
        """What `_stored` returned for this source before, if the image is still there."""
        known = self.sources.read_json(key)
        return dict(known) if known is not None and self._has(known["sha256"]) else None

    def _has(self, sha256: str, sure: bool = False) -> bool:
        return self._picture(sha256, sure) is not None

    def _fetched(self, url: str) -> Json:
        """Fetch and store, once for all runs: {"header", "stored"}.

        Faults are remembered too. The opt-out list is checked before the cache.
        """
        refuse_listed(url, self.http)
        key = self._address_key(url)
        found = self._kept_address(key)
        if found is None:
            if allowance.left <= 0:  # not remembered: another document may have the image, and it was not asked for
                raise ImageFault("timeout", "the servers of the images before it have taken the document's time")
            found = self._ask(url)
            self.addresses.write(key, json.dumps(found).encode())
        if "fault" in found:
            raise ImageFault(*found["fault"])
        return found

    def _address_key(self, url: str) -> str:
        return content_key(url, RECIPE, self.max_side, self.max_bytes, self.max_pixels, self.http.decisive)

    def _kept_address(self, key: str) -> Json | None:
        """What `_fetched` found for this address before; None if the image is gone or this run asks again."""
        found: Json | None = self.addresses.read_json(key)
        if found is None or self._again(found) or ("stored" in found and not self._has(found["stored"]["sha256"])):
            return None
        return found

    def _ask(self, url: str) -> Json:
        try:
            source = fetch(url, self.max_bytes, self.http)
            self._count("images_fetched")
            self._count("bytes_fetched", len(source))
            return {"header": dataclasses.asdict(read_header(source)), "stored": self._stored(source)}
        except ImageFault as fault:
            return {"fault": [fault.kind, fault.detail], "run": self.retry, "agent": self.http.user_agent}

    def _again(self, found: Json) -> bool:
        """Whether this run asks again for an image with this remembered result: another agent may be served."""
        fault = found.get("fault", [""])[0]
        if fault and found.get("agent") != self.http.user_agent:
            return True
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
    except ValueError as error:  # a name with a NUL, or an unknown scheme
        raise ImageFault("missing", str(error)) from error
