from __future__ import annotations

import pytest

from filters import image
from schemas.records import Drop, Image

WIDE, TALL = Image("a.jpg", width=300, height=100), Image("b.jpg", width=100, height=300)


@pytest.mark.parametrize(
    "rule, picture, drop",
    [
        (lambda i: image.shorter_side(i, at_least=150), WIDE, Drop("shorter_side", 100, 150)),
        (lambda i: image.shorter_side(i, at_least=100), WIDE, None),
        (lambda i: image.shorter_side(i, at_most=99), WIDE, Drop("shorter_side", 100, 99)),
        (lambda i: image.shorter_side(i, at_most=100), Image("a.jpg", width=0, height=5), None),
        (lambda i: image.longer_side(i, at_most=299), TALL, Drop("longer_side", 300, 299)),
        (lambda i: image.aspect_ratio(i, at_most=2), TALL, Drop("aspect_ratio", 3, 2)),
        (lambda i: image.aspect_ratio(i, at_most=3), WIDE, None),
        (lambda i: image.aspect_ratio(i, at_most=2), Image("a.jpg", width=200, height=100), None),
        (lambda i: image.width_to_height(i, at_least=1, at_most=2), TALL, Drop("width_to_height", 0.333333, 1)),
        (lambda i: image.width_to_height(i, at_least=1, at_most=2), WIDE, Drop("width_to_height", 3, 2)),
        (lambda i: image.width_to_height(i, at_most=2), TALL, None),
        (
            lambda i: image.width_to_height(i, at_most=2),
            Image("a.jpg", width=3, height=1),
            Drop("width_to_height", 3, 2),
        ),
        (
            lambda i: image.width_to_height(i, at_most=2),
            Image("a.jpg", width=3, height=0),
            Drop("width_to_height", 3, 2),
        ),
        (lambda i: image.aspect_ratio(i, at_most=2), Image("a.jpg", width=7, height=0), Drop("aspect_ratio", 7, 2)),
    ],
)
def test_sizes(rule, picture, drop):
    assert rule(picture) == drop


@pytest.mark.parametrize(
    "uri, kept",
    [
        ("photo.JPG", True),
        ("x.tar!/a/b.webp", True),
        ("https://a.example/p.png?size=2.gif#x", True),
        ("https://a.example/image/4711", True),
        ("https://a.example/v1.5/4711", True),
        ("p.png#page.gif", True),
        ("two words.png", True),
        ("drawing.XPNG", False),
        ("spinner.gif", False),
        ("https://a.example/p.svg?v=1.png", False),
        ("http://[odd/p.jpg", True),
    ],
)
def test_file_type_goes_by_the_name(uri, kept):
    drop = image.file_type(Image(uri), allowed=["jpg", "jpeg", "png", "webp"])
    assert drop == (None if kept else Drop("file_type", 0, 1))
