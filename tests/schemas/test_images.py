"""Only what the pipeline publishes is opened as a published image, and nothing is decoded to find that out."""

from __future__ import annotations

import PIL.Image
import pytest

from pipeline.images.decode import normalise
from schemas import images
from schemas.images import open_published, published_size
from tests.pipeline.images.hostile import HOSTILE, behind_soi, chunk, encoded, jpeg_of, photo, png, segment


@pytest.mark.parametrize(
    "format, mode", [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("GIF", "P"), ("WEBP", "RGB"), ("BMP", "RGB")]
)
@pytest.mark.parametrize("size", [(300, 200), (1, 1), (900, 3)])
def test_what_the_pipeline_writes_is_opened(format, mode, size):
    found = normalise(encoded(photo(*size, mode), format), max_side=256, max_pixels=1_000_000)
    picture = open_published(found.data)
    assert (picture.mode, picture.size) == ("RGB", published_size(found.data)) == ("RGB", (found.width, found.height))


def test_a_jpeg_can_be_decoded_at_a_part_of_its_size():
    data = normalise(encoded(photo(900, 700), "JPEG"), max_side=1024, max_pixels=1_000_000).data
    sizes = [open_published(data, at_least=side).size for side in (1, 175, 176, 350, 351)]
    assert sizes == [(113, 88), (225, 175), (450, 350), (450, 350), (900, 700)]
    picture = normalise(encoded(photo(900, 700), "PNG"), max_side=1024, max_pixels=1_000_000).data
    assert open_published(png(900, 700), at_least=1).size == (900, 700) == open_published(picture).size


JPEG, PNG = encoded(photo(), "JPEG"), encoded(photo(), "PNG")
OTHER = {
    "progressive": (encoded(photo(), "JPEG", progressive=True), "the segment FFC2"),
    "EXIF": (encoded(photo(), "JPEG", exif=b"Exif\0\0x"), "the segment FFE1"),
    "comment": (encoded(photo(), "JPEG", comment=b"x"), "the segment FFFE"),
    "profile": (encoded(photo(), "JPEG", icc_profile=b"x"), "the segment FFE2"),
    "grey JPEG": (encoded(photo(mode="L"), "JPEG"), "decodes to L, 300 x 200"),
    "bytes behind": (JPEG + b"x", "a JPEG that goes on behind"),
    "two pictures": (JPEG + JPEG, "a JPEG that goes on behind"),
    "cut JPEG": (JPEG[:-2], "a JPEG that goes on behind"),
    "thumbnail": (behind_soi(JPEG, segment(0xE0, b"JFXX\0")), "neither a JFIF"),
    "between": (JPEG[:20] + b"xx" + JPEG[20:], "2 bytes between segments"),
    "no JFIF": (JPEG[:2] + JPEG[20:], "neither a JFIF"),
    "text chunk": (png(9, 9, before=chunk(b"tEXt", b"a\0b")), "another chunk"),
    "frames": (png(9, 9, before=chunk(b"acTL", bytes(8))), "another chunk"),
    "RGBA": (encoded(photo(mode="RGBA"), "PNG"), "not 8-bit RGB, or is"),
    "palette": (encoded(photo(mode="P"), "PNG"), "another chunk"),
    "16 bits": (png(9, 9, depth=16), "not 8-bit RGB, or is"),
    "interlaced": (png(9, 9, interlace=1), "not 8-bit RGB, or is"),
    "PNG with bytes behind": (PNG + b"x", "a PNG that goes on behind"),
    "cut PNG": (PNG[:-12], "a PNG that goes on behind"),
    "no side": (png(9, 9).replace(b"\0\0\0\x09\0\0\0\x09", bytes(8)), "sides of 0 x 0"),
    "GIF": (encoded(photo(mode="P"), "GIF"), "neither a JFIF"),
    "WebP": (encoded(photo(), "WEBP"), "neither a JFIF"),
    "empty": (b"", "neither a JFIF"),
    "huge": (jpeg_of(60_000, 60_000), "60000 x 60000; at most 50,000,000"),
    "chunks": (png(3000, 3000, pieces=12_000), "more than 10,000 chunks"),
    "damaged": (JPEG[:400] + bytes(400) + JPEG[800:], "bytes between segments"),
}


@pytest.mark.parametrize("name", OTHER)
def test_everything_else_is_refused_with_a_reason(name):
    data, reason = OTHER[name]
    with pytest.raises(ValueError, match=reason):
        open_published(data)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_images_are_refused_before_they_are_decoded(name, monkeypatch):
    """But for those that are only large."""

    def decoding(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr(PIL.Image, "open", decoding)
    with pytest.raises((ValueError, AssertionError)) as caught:
        open_published(HOSTILE[name][0](), 1_000_000)
    assert caught.type is ValueError or name in ("png-65535x1", "png-1x65535")


def test_limits_are_those_that_are_named():
    assert images.MAX_PIXELS == 50_000_000 and images.MAX_SIDE == 65_535
