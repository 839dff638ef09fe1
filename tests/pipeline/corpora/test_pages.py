from __future__ import annotations

import pytest

from schemas.records import Image, Text

P = (
    "Boil the water in a kettle until the steam rises, and pour it slowly over the leaves, which must be dry. Wait for "
    "three minutes before you serve it, or it will be bitter and cold."
)
PAGE = f"""<html><head><title>Tea | Kitchen</title><link rel="canonical" href="https://example.org/tea/"></head><body>
<nav class="menu"><ul><li><a href="/">Home</a></li><li><a href="/b">About us</a></li></ul><img src="logo.png"></nav>
<article><h1>Make  tea</h1><p>{P}</p>
<figure><img src="kettle.jpg" alt="A kettle"><figcaption>The kettle on the <b>stove</b></figcaption></figure>
<h2>Pour</h2><p>{P} Take the pot <img data-src="pour.jpg" src="data:image/gif;base64,xx"> and wait.</p>
<ul><li>Green: two minutes</li><li>Black: four</li></ul><pre><code>tea
  --hot</code></pre><p>{P}</p></article>
<aside class="sidebar"><img src="ad.png"> Buy now</aside><div id="comments" class="comments">First!</div>
<footer>Copyright 2020 <img src="f.png"></footer></body></html>"""


@pytest.fixture
def read(tree, read_all):
    def read(content, **files):
        [found] = read_all("html", tree(**{"site/tea.html": content}, **files))
        return found

    return read


def test_the_main_content_in_reading_order_without_boilerplate(read):
    document = read(PAGE)
    assert (document.title, document.url) == ("Make tea", "https://example.org/tea/")
    assert document.segments == (
        Text("## Make tea"),
        Text(P),
        Image("https://example.org/tea/kettle.jpg", "A kettle", "The kettle on the stove"),
        Text("## Pour"),
        Text(f"{P} Take the pot"),
        Image("https://example.org/tea/pour.jpg"),
        Text("and wait."),
        Text("- Green: two minutes\n- Black: four"),
        Text("```\ntea\n  --hot\n```"),
        Text(P),
    )


def test_an_image_beside_the_page_comes_first(read, tmp_path):
    document = read(PAGE, **{"site/kettle.jpg": b"x"})
    assert document.images[0].uri == f"{tmp_path}/site/kettle.jpg"
    assert document.images[1].uri == "https://example.org/tea/pour.jpg"


def test_without_an_address_images_are_files_of_the_tree(read, tmp_path):
    document = read(PAGE.replace('rel="canonical"', ""))
    assert document.images[0].uri == f"{tmp_path}/site/kettle.jpg" and document.url == ""


@pytest.mark.parametrize("content", ["", b"\x00\x01", "{}"])
def test_what_is_no_page_is_a_fault(read, content):
    assert read(content).error == "bad_record"


def test_a_page_in_another_encoding(read):
    document = read(
        PAGE.replace("Make  tea", "Thé noir").replace("<head>", '<head><meta charset="iso-8859-1">').encode("latin-1")
    )
    assert document.title == "Thé noir"
