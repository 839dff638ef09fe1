"""The kinds of faults that an image may have, as the ledger names them; docs/corpora.md explains them."""

from __future__ import annotations

from schemas.errors import RecordFault
from schemas.images import MAX_PARTS, MAX_SIDE

MAX_SCANS = 32
"""The most scans of a JPEG. Each scan is decoded over the whole image; encoders write about 10 (libjpeg's default for
colour)."""
KINDS = {
    "missing": "there is no such file, or no such member of the tar",
    "unreadable": "the file may not be read, is no regular file, or is damaged in another way than being cut short",
    "truncated": "the file ends before its image does, or is empty",
    "too_many_bytes": "more bytes than max_bytes; no more than that were read",
    "too_many_pixels": "the header claims more pixels than max_pixels; nothing was decoded",
    "too_long_side": f"the header claims a side of more than {MAX_SIDE:,} pixels; nothing was decoded",
    "too_many_scans": f"a JPEG of more than {MAX_SCANS} scans, each as slow to decode as a whole image",
    "too_many_parts": f"more than {MAX_PARTS:,} segments of a JPEG or chunks of a PNG",
    "too_slow": "decoding took far longer than the slowest honest image of this size",
    "too_much_memory": "decoding took more memory than the header accounts for",
    "animated": "more than one frame: no single frame is what the text is about",
    "unsupported_format": "not JPEG, PNG, GIF, WebP, BMP or AVIF: SVG, HTML, TIFF and the rest",
    "timeout": "the server was too slow, or those of the document's images before it were",
    "unreachable": "no such host, nobody answers, TLS fails, or the connection broke",
    "not_found": "the server has no such image (404, 410)",
    "too_many_requests": "the server wants fewer requests (429), or asked for a longer pause than `timeout`",
    "server_error": "the server failed (5xx)",
    "http_status": "the server answered with another status than 200",
    "too_many_redirects": "the address leads on and on",
    "refused_host": "the address is not public, or not http(s)",
    "robots": "the host's robots.txt disallows the address, or asks for longer pauses than `timeout`",
    "rules_unreachable": "the host's robots.txt or tdmrep.json could not be had or read, so nobody knows what it allows",
    "opted_out": "the server reserves the image from this use (X-Robots-Tag, tdm-reservation, tdmrep.json)",
    "opt_out_list": "the address is in the list `web.opt_outs`",
}
PASSING = {"timeout", "unreachable", "too_many_requests", "server_error", "rules_unreachable"}
"""The temporary kinds: `--retry-failed` asks for these images again, and for no others."""


class ImageFault(RecordFault):
    """An image that cannot be fetched or decoded.

    `kind` is a key of KINDS; `detail` says more, but quotes nothing from the file, which may contain secrets.
    """


class FetchFault(ImageFault):
    """An image that cannot be fetched.

    again: whether another attempt may help. wait: the seconds until the earliest attempt.
    """

    def __init__(self, kind: str, detail: str, again: bool = False, wait: float = 0.0):
        super().__init__(kind, detail)
        self.args = (kind, detail, again, wait)  # what pickle makes it from
        self.again, self.wait = again, wait
