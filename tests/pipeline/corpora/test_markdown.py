from __future__ import annotations

import pytest

from schemas.records import Image, Text


@pytest.fixture
def read(tree, read_all):
    def read(page):
        [document] = read_all("markdown", tree(**{"page.md": page}))
        return document

    return read


def test_blocks_stay_as_they_are_written_and_images_split_them(read, tmp_path):
    document = read("""---
title: "Making  tea"
image: /og.png
---
# Tea

Boil the *water* in a [kettle](k.md), then
wait. ![A kettle](img/kettle.png "On the stove") Pour it.

* green: two `minutes`
* black: four

```sh
make tea
```

| a | b |
|---|---|
| 1 | 2 |
""")
    assert document.title == "Making tea"
    assert document.segments == (
        Text("# Tea"),
        Text("Boil the *water* in a [kettle], then\nwait."),
        Image(f"{tmp_path}/img/kettle.png", alt="A kettle", caption="On the stove"),
        Text("Pour it."),
        Text("* green: two `minutes`\n* black: four"),
        Text("```sh\nmake tea\n```"),
        Text("| a | b |\n|---|---|\n| 1 | 2 |"),
    )


def test_images_in_lists_links_and_headings(read, tmp_path):
    document = read("## Step ![i](i.png)\n\n1. First\n\n   ![a](a.png)\n2. Second\n\n[![b](b.png)](large.png)\n")
    assert document.segments == (
        Text("## Step"),
        Image(f"{tmp_path}/i.png", "i"),
        Text("1. First"),
        Image(f"{tmp_path}/a.png", "a"),
        Text("2. Second"),
        Image(f"{tmp_path}/b.png", "b"),
    )
    assert document.title == "Step"


@pytest.mark.parametrize(
    "page",
    [
        '<p align="center"><img src="a.png" alt="A saw" title="New"></p>',
        'See <img alt="A saw" title="New" src="a.png"/>',
        ':::image type="content" source="a.png" alt-text="A saw":::',
        '{{< figure src="a.png" alt="A saw" >}}',
        '{% image "a.png" "A saw" %}',
        '{% image "a.png" "w-400" "A saw" %}',
        '<div>\n{% image "a.png" "A saw" %}\n</div>',
        '\t{% image "a.png" "A saw" %}',
    ],
)
def test_images_of_html_and_of_converters_tags(read, tmp_path, page):
    [image] = read(f"Words.\n\n{page}\n").images
    assert (image.uri, image.alt) == (f"{tmp_path}/a.png", "A saw")


def test_paths_from_the_root_of_a_site(tree, read_all):
    root = tree(
        **{
            "docs/static/a.png": b"x",
            "images/b.png": b"x",
            "docs/lessons/page.md": "![a](/static/a.png)\n\n![b]({{site.baseurl}}/images/b.png)\n\n![c](/static/gone.png)\n",
        }
    )
    [document] = read_all("markdown", root)
    assert [i.uri for i in document.images] == [
        f"{root}/docs/static/a.png",
        f"{root}/images/b.png",
        f"{root}/static/gone.png",
    ]


def test_comments_bare_tags_and_link_targets_are_no_text(read):
    document = read('<!-- hidden ![x](x.png) -->\n\n<div class="note">\n\nA note.\n\n</div>\n\n[k]: k.md\n\n***\n')
    assert document.segments == (Text("A note."),)


def test_front_matter_that_is_no_yaml_is_passed_over(read):
    document = read("---\ntitle: [\n---\n## Saws\n")
    assert (document.title, document.segments) == ("Saws", (Text("## Saws"),))


def test_an_empty_page_is_a_document_without_segments(read):
    assert read("").segments == ()
