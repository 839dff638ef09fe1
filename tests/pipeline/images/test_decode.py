"""Every kind of picture that a corpus may hold has one outcome."""

from __future__ import annotations

import errno
import io
import pickle
import re
import struct
import zlib
from pathlib import Path

import numpy
import pytest
from PIL import Image

from pipeline.images import faults, header
from pipeline.images.decode import extension, normalise
from pipeline.images.faults import KINDS, ImageFault
from pipeline.images.header import Header, read_header
from schemas.images import open_published

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def photo(width=300, height=200, mode="RGB"):
    return Image.effect_noise((width, height), 60).convert("RGB").convert(mode)


def encoded(picture, format, **options):
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def normal(data, max_side=512, max_pixels=1_000_000):
    return normalise(data, max_side=max_side, max_pixels=max_pixels)


def decoded(data, **limits):
    picture = Image.open(io.BytesIO(normal(data, **limits).data))
    picture.load()
    assert picture.mode == "RGB" and picture.format in ("JPEG", "PNG")
    return picture


def kind(data, **limits):
    with pytest.raises(ImageFault) as caught:
        normal(data, **limits)
    return caught.value.kind


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width, height):
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_every_format_becomes_rgb_and_is_bounded(format):
    result = normal(encoded(photo(300, 200), format), max_side=90)
    assert (result.width, result.height) == (90, 60)
    assert decoded(encoded(photo(300, 200), format)).size == (300, 200)  # never enlarged
    assert read_header(encoded(photo(300, 200), format)) == Header(300, 200, format)


@pytest.mark.parametrize(
    "format, options",
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("GIF", {}), ("BMP", {}), ("AVIF", {})],
)
def test_a_file_that_ends_anywhere_in_its_header_has_a_header_and_a_size_in_memory_or_a_fault(format, options):
    whole, faulty = encoded(photo(300, 200), format, **options), 0
    for size in range(min(len(whole), 1000)):
        try:
            found = header.check(whole[:size], 1_000_000)
        except ImageFault:
            faulty += 1
        else:
            assert header.memory(whole[:size], found, 64) > 0
    assert faulty


@pytest.mark.parametrize(
    "format, kinds",
    [
        ("JPEG", {"truncated"}),
        ("PNG", {"truncated"}),
        ("WEBP", {"truncated"}),
        ("GIF", {"truncated"}),
        ("BMP", {"truncated"}),
        ("AVIF", {"unreadable", "truncated"}),
    ],
)
def test_truncated(format, kinds):
    data = encoded(photo(), format)
    assert kind(data[: len(data) // 2]) in kinds
    assert kind(data[: len(data) * 9 // 10]) in kinds
    for size in range(0, 400, 7):
        assert kind(data[:size]) in ("truncated", "unreadable", "unsupported_format")


def test_empty_html_svg_and_other_files():
    assert kind(b"") == "truncated"
    assert kind(b"<!DOCTYPE html><html><body>404</body></html>") == "unsupported_format"
    assert kind(b'<svg xmlns="http://www.w3.org/2000/svg"/>') == "unsupported_format"
    assert kind(encoded(photo(), "TIFF")) == "unsupported_format"
    assert kind(b"\0\0\0\x18ftypheic" + b"\0" * 100) == "unsupported_format"
    assert kind(b"RIFF\0\0\0\0AVI LIST" + b"\0" * 100) == "unsupported_format"
    assert kind(b"\xff\xd8\xff" + b"\0" * 500) == "unreadable"


def test_bytes_flipped_anywhere_give_a_picture_or_a_fault():
    random = numpy.random.default_rng(7)
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        data = encoded(photo(64, 48), format)
        for _ in range(60):
            damaged = bytearray(data)
            for at in random.integers(0, len(data), 4):
                damaged[at] = random.integers(256)
            try:
                assert max(decoded(bytes(damaged), max_side=64).size) <= 64
            except ImageFault as fault:
                assert fault.kind in KINDS


def test_a_bomb_is_refused_by_its_header():
    assert kind(png_of(30_000, 30_000)) == "too_many_pixels"  # beyond what Pillow itself opens
    assert kind(png_of(1001, 1000)) == "too_many_pixels"
    assert kind(png_of(1000, 1000)) == "truncated"  # allowed, so it is decoded
    assert read_header(png_of(30_000, 30_000)) == Header(30_000, 30_000, "PNG")  # and a rule may drop it by that


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animations_are_refused(format):
    frames = [photo(), photo().transpose(Image.Transpose.ROTATE_180)]
    assert kind(encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=50)) == "animated"


def test_a_jpeg_with_a_second_picture_inside_is_no_animation():
    data = encoded(photo(), "MPO", save_all=True, append_images=[photo(30, 20)])
    assert decoded(data).size == (300, 200) and read_header(data).format == "JPEG"


def test_cmyk_keeps_its_colours():
    red = decoded(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")).getpixel((8, 8))
    assert red[0] > 240 and max(red[1:]) < 15


def test_16_bit_grey_is_scaled_not_clipped():
    data = encoded(Image.fromarray(numpy.full((8, 8), 0x8000, numpy.uint16)), "PNG")
    assert decoded(data).getpixel((0, 0)) == (128, 128, 128)


def test_transparency_lies_on_white():
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30, *RED] + [0] * 762)
    palette.putpixel((3, 3), 1)
    picture = decoded(encoded(palette, "PNG", transparency=0))
    assert (picture.getpixel((0, 0)), picture.getpixel((3, 3))) == (WHITE, RED)
    for clear in (Image.new("RGBA", (4, 4), (0, 0, 0, 0)), Image.new("LA", (4, 4), (0, 0))):
        assert decoded(encoded(clear, "PNG")).getpixel((0, 0)) == WHITE
    assert decoded(encoded(Image.new("RGB", (4, 4), RED), "PNG", transparency=RED)).getpixel((0, 0)) == WHITE
    half = decoded(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG")).getpixel((0, 0))
    assert half == (127, 127, 127)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_1_bit(mode):
    assert decoded(encoded(Image.new(mode, (4, 4), 1 if mode == "1" else 255), "PNG")).getpixel((0, 0)) == WHITE


def marked():
    """Red, green and blue corners, clockwise from the upper left; the fourth is white."""
    picture = Image.new("RGB", (48, 32), WHITE)
    for colour, corner in ((RED, (0, 0)), (GREEN, (32, 0)), (BLUE, (32, 16))):
        picture.paste(colour, (*corner, corner[0] + 16, corner[1] + 16))
    return picture


@pytest.mark.parametrize(
    "orientation, turned",
    [
        (1, None),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_exif_orientation(format, orientation, turned):
    camera = marked().transpose(turned) if turned is not None else marked()  # as the sensor saw it
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(camera.convert("RGBA") if format == "PNG" else camera, format, exif=exif)
    picture = decoded(data)
    assert picture.size == (48, 32)
    for corner, colour in (((4, 4), RED), ((44, 4), GREEN), ((44, 28), BLUE), ((4, 28), WHITE)):
        assert numpy.abs(numpy.subtract(picture.getpixel(corner), colour)).max() < 12
    assert "exif" not in picture.info
    if format == "JPEG":
        assert (read_header(data).width, read_header(data).height) == (48, 32)


@pytest.mark.parametrize("orientation", [0, 9, 12, 255, 65535])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_an_orientation_that_is_none_turns_nothing(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photo(300, 200), format, exif=exif)
    assert decoded(data).size == (300, 200) and read_header(data) == Header(300, 200, format)


def test_a_progressive_jpeg_is_written_anew():
    """Its scans would be decoded again by whoever opens the instance."""
    data = encoded(photo(), "JPEG", progressive=True)
    assert normal(data).data != data and open_published(normal(data).data).size == (300, 200)
    with pytest.raises(ValueError, match="segment FFC2"):
        open_published(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_no_fault_quotes_the_file(format):
    secret = b"correct horse battery"
    for data in (
        secret * 9,
        encoded(photo(), format)[:60] + secret * 9,
        b"RIFF" + secret,
        b"\x89PNG\r\n\x1a\n" + secret * 3,
    ):
        with pytest.raises(ImageFault) as caught:
            normal(data)
        assert not any(word.decode() in caught.value.detail for word in secret.split())


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_matter():
    data = encoded(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffbroken")
    assert decoded(data).size == (300, 200) and read_header(data).width == 300


def test_metadata_goes():
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    data = encoded(photo(), "JPEG", exif=exif, comment=b"secret word", icc_profile=b"secret colours")
    assert b"secret" in data and b"secret" not in normal(data).data


def test_the_result_of_normalising_is_a_fixed_point():
    for data in (encoded(photo(900, 600), "JPEG", quality=95), encoded(marked(), "PNG"), encoded(photo(), "WEBP")):
        once = normal(data)
        assert normal(data) == once and normal(once.data) == once


def test_a_plain_jpeg_is_kept_byte_for_byte_but_not_with_bytes_behind_it():
    data = encoded(photo(), "JPEG", quality=70)
    assert normal(data).data == data
    assert normal(data + b"hidden").data != data + b"hidden"
    assert normal(encoded(photo(mode="L"), "JPEG")).data[:2] == b"\xff\xd8"  # grey is written anew, as RGB


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 2}, {"optimize": True}])
def test_nothing_hides_in_a_jpeg_that_is_kept(options):
    data = encoded(photo(), "JPEG", **options)
    assert normal(data).data == data
    segment = b"\xff\xfe\0\x08hidden"  # a comment
    table = data.index(b"\xff\xdb")
    for hiding in (
        data + b"hidden\xff\xd9",
        data + data,
        data[:-2] + segment + data[-2:],
        data[:table] + segment + data[table:],
        data[:table] + b"hidden" + data[table:],
    ):
        assert b"hidden" not in normal(hiding).data and normal(hiding).data.count(b"\xff\xd9") == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.EIO, "Input/output error"),
        OSError("out of memory error when reading image file"),
    ],
)
def test_what_the_machine_lacks_is_no_fault_of_the_picture(monkeypatch, error):
    def fail(*_, **__):
        raise error

    data = encoded(photo(mode="L"), "PNG")
    for at in ((Image.Image, "convert"), (Image, "open"), (Image.Image, "getexif")):
        with monkeypatch.context() as patch, pytest.raises((MemoryError, OSError)):
            patch.setattr(*at, fail)
            normal(data)


def test_few_colours_from_a_lossless_file_stay_lossless():
    assert extension(normal(encoded(marked(), "PNG")).data) == "png"
    assert extension(normal(encoded(marked(), "GIF")).data) == "png"
    assert extension(normal(encoded(photo(), "PNG")).data) == "png"  # 256 greys
    assert extension(normal(encoded(marked(), "JPEG")).data) == "jpg"
    many = Image.fromarray(numpy.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=numpy.uint8))
    assert extension(normal(encoded(many, "PNG")).data) == "jpg"


def test_one_pixel():
    assert decoded(encoded(Image.new("RGB", (1, 1), RED), "PNG")).size == (1, 1)
    assert decoded(encoded(Image.new("RGB", (2000, 1), RED), "PNG"), max_side=100).size == (100, 1)


def test_faults_travel_and_their_kinds_are_the_table():
    fault = pickle.loads(pickle.dumps(ImageFault("animated", "2 frames")))
    assert (fault.kind, fault.detail) == ("animated", "2 frames")
    source = "".join(
        (Path(faults.__file__).parent / f"{name}.py").read_text()
        for name in ("decode", "header", "children", "decoder", "store", "fetch")
    )
    raised = set(re.findall(r'(?:Image|Fetch)Fault\(\s*"(\w+)"', source))
    raised |= {"truncated", "unreadable"}  # chosen between in _damage
    raised |= {"not_found", "http_status"}  # chosen between in fetch
    raised |= {"too_slow", "too_much_memory"}  # a child's limits: see test_children.py
    assert raised == set(KINDS)
