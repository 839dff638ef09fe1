from __future__ import annotations

import time

import pytest

from pipeline.corpora import markdown
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


NESTED = "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 9))


@pytest.mark.parametrize(
    "front",
    [
        "date: !!timestamp foo\n",  # PyYAML raises AttributeError
        "date: 2023-99-99\n",
        f"a: {{x: 1}}\na0: &a0 {{x: 1}}\n{NESTED}",  # it never ends
        "a: &x [*x]\n",
        "x: !ruby/object:Gem::Version {}\n",
    ],
)
def test_settings_that_no_object_can_be_made_of_leave_the_title(read, front):
    document = read(f"---\n{front}title: Tea\n---\nBoil the water.\n")
    assert (document.title, document.texts) == ("Tea", ("Boil the water.",))


@pytest.mark.parametrize(
    "front",
    [f"a: {'[' * 50_000}\ntitle: Tea\n", f"title: Tea\nb: {'x' * 70_000}\n", "title: Tea\na: [\n", "- title\n- Tea\n"],
)
def test_settings_that_cannot_be_read_are_left_out(read, front):
    assert read(f"---\n{front}---\n# Kettles\n").title == "Kettles"


@pytest.mark.parametrize(
    "title, found",
    [
        ("Tea", "Tea"),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("'Green\n\n  tea'", "Green tea"),
        ("''", ""),
        ("12", "Kettles"),
        ("yes", "Kettles"),
        ("[Tea]", "Kettles"),
        ("\n  en: Tea", "Kettles"),
    ],
)
def test_a_title_is_a_string(read, title, found):
    assert read(f"---\na: {{title: no}}\n? [title]\n: x\ntitle: {title}\n---\n# Kettles\n").title == found


@pytest.mark.parametrize(
    "piece",
    ["<!--", "<a ", "<img ", "<div>\n<img ", "{{< figure ", '{% image "a" ', '{% image "', ":::image ", "{{ site."],
)
def test_tags_that_are_not_closed_take_no_time(read, piece):
    started = time.process_time()
    body = piece * (100_000 // len(piece))
    list(markdown._html(body, {}, None))
    markdown._removed(markdown._COMMENT, "-->", markdown._TAGS.sub(markdown._as_html, body))
    assert time.process_time() - started < 1


def test_a_long_word_in_a_tag_takes_no_time(read):
    started = time.process_time()
    tag = markdown._TAGS.sub(markdown._as_html, "{{< figure " + "a" * 200_000 + ' src="a.png" >}}')
    assert 'src="a.png"' in tag and time.process_time() - started < 1


def test_what_is_open_stays_and_what_is_closed_goes(read):
    assert read("Pour. <!-- not\nyet --> Stir <b>it</b>. `<!--` opens.\n").texts == (
        "Pour.  Stir <b>it</b>. `<!--` opens.",
    )
    assert read("<p>Pour <b\nclass='x'>it</b> if a < b</p>\n").texts == ("Pour it if a",)


def test_a_page_of_more_than_two_mebibytes_is_a_fault(tree, read_all):
    long, good = read_all("markdown", tree(**{"a.md": "tea\n" * 600_000, "b.md": "# Tea\n"}))
    assert (long.error, good.title) == ("too_long", "Tea")
