"""Thumbnails: copies agree, and pictures that differ in one place do not, whose perceptual hashes are nearly equal."""

from __future__ import annotations

import io

import PIL.Image
import PIL.ImageDraw
import pytest

from filters.decontaminate import image_hash
from filters.repeated_images import distance, inner_thumbnail, sets
from filters.thumbnails import BYTES, alike, thumbnail, values

WIDE, HIGH = 480, 360


def dialog(ticked=1, title="Select server roles", frame=None):
    image = PIL.Image.new("RGB", (WIDE, HIGH), "white")
    draw = PIL.ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDE, 40), fill="navy")
    draw.rectangle((0, 40, 150, HIGH), fill="steelblue")
    draw.text((12, 8), title, fill="white", font_size=20)
    for at in range(8):
        top = 60 + 28 * at
        draw.rectangle((180, top, 192, top + 12), outline="black", width=1)
        if at == ticked:
            draw.rectangle((183, top + 3, 189, top + 9), fill="black")
        draw.text((205, top), f"Role number {at} of this server", fill="black", font_size=13)
    if frame is not None:
        draw.rectangle((174, 54 + 28 * frame, 420, 78 + 28 * frame), outline="red", width=2)
    return image


def lights(*on):
    image = PIL.Image.new("RGB", (WIDE, HIGH), "white")
    draw = PIL.ImageDraw.Draw(image)
    draw.rectangle((60, 20, 420, 340), fill="black", outline="gold", width=24)
    draw.rectangle((100, 60, 240, 100), fill="deepskyblue")
    for at in range(25):
        x, y = 180 + 30 * (at % 5), 140 + 30 * (at // 5)
        draw.rectangle((x, y, x + 8, y + 14), fill="red" if at in on else "midnightblue")
    return image


def encoded(image, quality):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return PIL.Image.open(out).convert("RGB")


def scaled(image, scale):
    return image.resize((round(image.width * scale), round(image.height * scale)), PIL.Image.Resampling.BICUBIC)


def same(one, other):
    return bool(alike(values([thumbnail(one)])[0], values([thumbnail(other)]))[0])


@pytest.mark.parametrize("image", [dialog(), lights(6, 8, 16, 17, 18)], ids=["dialog", "lights"])
@pytest.mark.parametrize("scale", [0.5, 0.73, 1, 1.37, 2])
@pytest.mark.parametrize("quality", [60, 75, 95])
def test_copies_agree(image, scale, quality):
    assert len(thumbnail(image)) == BYTES
    assert same(image, encoded(scaled(image, scale), quality))


@pytest.mark.parametrize(
    "one, other",
    [
        (dialog(), dialog(ticked=2)),
        (dialog(), dialog(title="Select server files")),
        (dialog(frame=1), dialog(frame=3)),
        (lights(6, 8, 16, 17, 18), lights(6, 8, 11, 12, 13)),
        (PIL.Image.new("RGB", (WIDE, HIGH), "white"), PIL.Image.new("RGB", (WIDE, HIGH), "red")),
    ],
    ids=["tick", "title", "frame", "lights", "blank"],
)
def test_what_differs_in_one_place_does_not_agree_though_its_hash_is_near(one, other):
    assert distance(image_hash(one), image_hash(other)) <= 4
    assert not same(one, other) and not same(encoded(one, 75), encoded(other, 75))


def test_colours_count():
    """Two colours of one brightness in a field of a chart."""
    red, green = (PIL.Image.new("RGB", (WIDE, HIGH), "white") for _ in range(2))
    PIL.ImageDraw.Draw(red).rectangle((120, 120, 240, 240), fill=(200, 60, 60))
    PIL.ImageDraw.Draw(green).rectangle((120, 120, 240, 240), fill=(60, 131, 62))
    assert distance(image_hash(red), image_hash(green)) <= 4
    assert not same(red, green) and same(red, encoded(red, 60))


@pytest.mark.parametrize("image", [dialog(), lights(6, 8, 16, 17, 18)], ids=["dialog", "lights"])
def test_what_is_left_of_a_cut_copy_agrees_with_the_inside_of_the_whole(image):
    x, y = round(0.05 * WIDE), round(0.05 * HIGH)
    inside, cut = (values([small])[0] for small in (inner_thumbnail(image), thumbnail(dialog(ticked=3))))
    copy = values([thumbnail(encoded(image.crop((x, y, WIDE - x, HIGH - y)), 75))])
    assert alike(inside, copy, cut=True).tolist() == [True] and alike(cut, copy, cut=True).tolist() == [False]


def test_sets_are_of_images_that_are_confirmed_directly_or_through_others():
    near, far = bytes(8), bytes([255] * 8)
    small = [bytes([grey]) * BYTES for grey in (100, 200, 106, 112, 100)]
    hashes = [near, near, bytes(7) + b"\1", bytes(7) + b"\3", far]
    numbers = sets(hashes, small, [], 1)
    assert numbers[0] == numbers[2] == numbers[3] and len({numbers[0], numbers[1], numbers[4]}) == 3
    assert len(set(sets(hashes, small, [], 0))) == 5
    inner = [(far, small[4])] + [(bytes([9 * at] * 8), small[0]) for at in range(1, 5)]
    numbers = sets(hashes, small, inner, 1)
    assert numbers[0] == numbers[4] != numbers[1]
    assert sets([], [], [], 4) == []
