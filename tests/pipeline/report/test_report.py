"""The page says what the ledger says, is complete in itself, stays small, and lets no document take part in it."""

from __future__ import annotations

import base64
import html.parser
import io
import json
import pathlib
import re
import shutil
import subprocess
from collections import Counter

import PIL.Image
import pytest

from pipeline.graph import outcomes
from pipeline.report import _content_rules, page, write_report
from pipeline.report.dropped import PER_RULE, STORED, dropped_sample, keep_sample, rank, read_samples
from pipeline.report.figures import BASE, WIDTH, histogram, median
from pipeline.report.gallery import card, gallery
from pipeline.report.pictures import Album
from pipeline.report.render import markdown
from schemas.records import Drop, Image, Text
from tests.pipeline.finished_run import CONFIG, HOSTILE, document, finish, jpeg, small_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    small_run(path)
    write_report(str(path))
    return path


class Tags(html.parser.HTMLParser):
    """Every start tag with its attributes, and the text outside of <style>."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.words, self.inside = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag

    def handle_data(self, data):
        if self.inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def check_inert(tags: Tags, sources: tuple[str, ...]) -> None:
    for tag, attributes in tags.tags:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form")
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("src", sources[0]).startswith(sources)
        assert re.match(r"#|https?://example\.org/", attributes.get("href", "#"))
        assert "srcset" not in attributes and "url(" not in attributes.get("style", "")


def test_the_page_is_complete_in_itself_and_inert(folder):
    source = (folder / "report.html").read_text()
    tags = Tags(source)
    check_inert(tags, ("data:image/jpeg;base64,",))
    assert "default-src 'none'" in source  # and the browser is told to hold it to that
    assert "url(" not in source and "@import" not in source
    assert all("alt" in attributes and attributes["alt"] for tag, attributes in tags.tags if tag == "img")


def test_what_a_document_says_is_shown_as_text(folder):
    tags = Tags((folder / "report.html").read_text())
    assert f"Do {HOSTILE}?" in tags.text and f"{HOSTILE} [click](javascript:alert(3)) there" in tags.text
    assert "pixel <img src=x onerror=alert(4)>" in tags.text
    assert "javascript:" not in str(tags.tags)


def test_numbers_on_the_page_are_those_of_the_ledger(folder):
    text = Tags((folder / "report.html").read_text()).text
    assert "13 of 24 documents became instances" in text and "9 were dropped by a rule and 2 failed" in text
    assert "5 min_words" in text and "1 not_json (error)" in text
    assert "min words is 12, below the threshold 40" in text
    assert "margin is -0.03, below the threshold 0.02" in text
    assert "corpus/docs.jsonl:77" in text and "no answer in 20 s" in text
    assert "at least 0.2" in text and "local/dual-encoder" in text and "mean_at_least: 0.2" in text
    assert "Among the 3 lowest in coherence: 0.2" in text


def test_stages_that_were_off_are_named_and_have_no_bar(folder):
    source = (folder / "report.html").read_text()
    bars = [title.strip() for title in re.findall(r'<span class="name">(.*?)</span>', source.split("</ol>")[0])]
    assert bars[0] == "Read" and bars[-1] == "Kept" and len(bars) == 14
    assert not {"Compare images", "Decontaminate", "Read images"} & set(bars)
    text = Tags(source).text
    assert "Off in this run's configuration: Compare images, Decontaminate, Read images." in text


def test_a_run_with_every_stage_has_a_bar_for_each_and_nothing_off(tmp_path):
    pictures = {}
    ended = [outcomes.dropped(document(1, pictures), "filter_text", Drop("word_count", 3, 80))]
    asked = {"duplicates": {"image_distance": 4}, "decontaminate": "index.parquet", "ocr": {"similarity": 0.6}}
    finish(tmp_path, [], ended, {}, config=CONFIG | asked)
    source = pathlib.Path(write_report(str(tmp_path))).read_text()
    assert source.split("</ol>")[0].count('<span class="name">') == 17
    assert "Off in this run" not in source


def test_the_page_says_which_rules_about_what_images_show_were_on(folder):
    assert "not looked for: unsafe_image, watermark, faces, nudity" in Tags(page(str(folder), "none")).text
    on = {"content": [{"rule": "content.faces", "at_most": 0}]}
    assert _content_rules(on) == "faces at most 0; not looked for: unsafe_image, watermark, nudity"


def test_headings_are_in_order(folder):
    levels = [int(tag[1]) for tag, _ in Tags((folder / "report.html").read_text()).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert set(levels) <= {1, 2, 3, 4}


def test_the_same_folder_gives_the_same_page(folder):
    assert page(str(folder), f"{folder}/.work/dropped") == (folder / "report.html").read_text()


def test_without_samples_the_ledger_alone_tells_what_was_dropped(folder, tmp_path):
    text = Tags(page(str(folder), str(tmp_path / "none"))).text
    assert "min words is 12, below the threshold 40" in text and "4 texts" not in text


def test_a_run_that_keeps_nothing_has_a_page(tmp_path):
    pictures = {}
    ended = [outcomes.dropped(document(1, pictures), "filter_text", Drop("word_count", 3, 80))]
    finish(tmp_path, [], ended, {})
    text = Tags(pathlib.Path(write_report(str(tmp_path))).read_text()).text
    assert "0 of 1 documents became instances" in text and "Nothing was kept." in text and "Nothing failed." in text


def test_the_page_stays_small_whatever_it_shows(tmp_path):
    """30 instances of noise, which JPEG cannot make small, and of text that escaping makes five times longer."""
    noise = PIL.Image.effect_noise((500, 500), 200).convert("RGB")
    out = io.BytesIO()
    noise.save(out, "JPEG", quality=95)
    pictures, kept = {}, []
    for n in range(30):
        base = document(n, pictures)
        kept.append(
            document(n, pictures, segments=(Text("&" * 20_000), *base.images, Text("<" * 20_000), *base.images))
        )
    pictures = dict.fromkeys(pictures, out.getvalue())
    finish(tmp_path, kept, [], pictures)
    size = pathlib.Path(write_report(str(tmp_path))).stat().st_size
    assert 3_000_000 < size < 6_000_000
    assert "Image not shown here" in (tmp_path / "report.html").read_text()


def test_the_weakest_are_shown_and_nothing_twice(folder):
    typical, weakest = gallery(str(folder), Album(10**9))
    keys = [c.key for c in typical + weakest]
    assert len(keys) == len(set(keys)) == 13
    lowest = min(s.value for c in typical + weakest for s in c.scores if s.name == "coherence")
    weak = [c for c in weakest if "coherence" in c.note]
    assert len(weak) == 3 and lowest in [s.value for c in weak for s in c.scores if s.name == "coherence" and s.weak]
    assert [c.key for c in typical] == sorted(c.key for c in typical)


def test_a_long_side_is_folded_after_its_first_picture():
    image = {"type": "image", "image": "00.jpg", "width": 400, "height": 800, "alt": "a", "caption": ""}
    texts = [{"type": "text", "text": "word " * 120} for _ in range(4)]
    instance = {
        "key": "k",
        "id": "i",
        "title": "",
        "source": "",
        "license": "",
        "url": "",
        "domain": "",
        "instruction": "",
        "context": [],
        "output": [texts[0], texts[1], image, *texts, image],
        "scores": {"coherence": 0.3, "margin": None, "recall_at_1": None, "matched": [0.3], "ratings": {"fluency": 3}},
    }
    side = card(instance, "s.tar", lambda name: name).output
    assert [b.kind for b in side.shown] == ["text", "text", "image"]
    assert side.more == "4 paragraphs and 1 image more"
    assert (side.shown[2].width, side.shown[2].height) == (180, 360)
    assert card(instance, "s.tar", lambda name: name, fold=False).output.folded == ()


def test_an_album_stops_at_its_room():
    album = Album(100)
    assert album.add("A" * 50) == "data:image/jpeg;base64," + "A" * 50
    assert album.add("A" * 50) is None
    assert album.add("A" * 4) is not None


def test_a_sample_holds_the_beginning_and_small_pictures():
    pictures = {}
    base = document(1, pictures)
    long = document(1, pictures, segments=(*[Text("x" * 2000)] * 6, *base.images * 3, Image("elsewhere.png")))
    outcome = outcomes.dropped(long, "filter_text", Drop("word_count", 9, 80))
    big = PIL.Image.open(io.BytesIO(jpeg(1, (900, 600))))
    sample = json.loads(json.dumps(dropped_sample(long, outcome, lambda image: big if image.sha256 else None)))
    assert (sample["texts"], sample["images"], sample["rule"]) == (6, 7, "word_count")
    assert [len(s["text"]) for s in sample["segments"] if s["type"] == "text"] == [600] * 4
    images = [s for s in sample["segments"] if s["type"] == "image"]
    assert len(images) == 3
    assert PIL.Image.open(io.BytesIO(base64.b64decode(images[0]["thumbnail"]))).size == (240, 160)


@pytest.mark.parametrize("step", [1, -1, 7])
def test_the_same_samples_are_kept_in_whatever_order_they_come(tmp_path, step):
    ids = [f"doc-{n}" for n in range(40)][::step]
    for id_ in ids + ids[:10]:
        one = document(0, {}, id=id_, segments=(Text(id_), Image("gone.jpg")))
        keep_sample(
            str(tmp_path), one, outcomes.dropped(one, "filter_text", Drop("word_count", 1, 2)), lambda image: None
        )
    samples = read_samples(str(tmp_path), ["word_count", "never_met"])
    assert sorted(samples, key=rank) == sorted(ids, key=rank)[:PER_RULE]
    more = read_samples(str(tmp_path), ["word_count"], STORED)
    assert sorted(more, key=rank) == sorted(ids, key=rank)[:STORED]


def test_markdown_of_documents_is_tamed():
    assert str(markdown("# A *b*")) == '<p class="heading level-1">A <em>b</em></p>\n'
    assert str(markdown("[go](https://evil.example) ![p](https://evil.example/p.png)")) == (
        '<p><span class="link">go</span> p</p>\n'
    )
    assert "<script" not in markdown(HOSTILE) and "&lt;script&gt;" in markdown(HOSTILE)
    assert "<table>" in markdown("| a | b |\n|---|---|\n| 1 | 2 |")
    assert "href" not in markdown("<javascript:alert(1)> <https://evil.example>")


def test_no_bin_holds_values_of_both_sides_of_the_threshold():
    kept = Counter({0.215: 3, 0.3: 5, 0.41: 1})
    figure = histogram("coherence", kept, Counter({0.2149: 2, -0.05: 1, 0.3: 1}), 0.215)
    x, label = figure.threshold
    assert label == "0.215"
    left = [bar for bar in figure.bars if bar.x + bar.width <= x + 0.01]
    assert sum(int(re.search(r"(\d+) kept", bar.label)[1]) for bar in left) == 0
    assert sum(int(re.search(r", (\d+) not kept", bar.label)[1]) for bar in left) == 3
    assert sum(int(re.search(r"(\d+) kept", bar.label)[1]) for bar in figure.bars) == 9
    assert all(0 <= bar.x and bar.x + bar.width <= WIDTH and bar.other_y >= 0 for bar in figure.bars)
    assert all(abs(bar.kept_y + bar.kept_height - BASE) < 0.02 for bar in figure.bars)
    assert figure.medians == (0.3, 0.2149)


def test_a_histogram_of_one_value_and_of_large_numbers():
    assert len(histogram("x", Counter({1.0: 7}), Counter()).bars) == 1
    figure = histogram("words", Counter({120.0: 1, 90_000.0: 1}), Counter())
    assert len(figure.bars) == 2 and len(figure.ticks) >= 3
    assert median(Counter()) is None


def test_a_browser_paints_it_and_runs_nothing(folder, tmp_path):
    """A real headless Chromium, without network: the page has its colours, and no dialog or script held it up."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not browser:
        print("skipped: no chromium here; install it to see the report painted")
        pytest.skip("no chromium here; install it to see the report painted")
    for width, name in ((1200, "wide"), (500, "phone")):
        picture = tmp_path / f"{name}.png"
        subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={tmp_path}/{name}",
                f"--window-size={width},2400",
                f"--screenshot={picture}",
                (folder / "report.html").as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        painted = PIL.Image.open(picture).convert("RGB")
        colours = {colour: count for count, colour in painted.getcolors(painted.width * painted.height)}
        assert painted.size == (width, 2400)
        assert colours[(0x2F, 0x7A, 0x4F)] > 1000 and colours[(0xD2, 0x9A, 0x3A)] > 1000  # kept, dropped
        right = painted.crop((width - 12, 0, width, 2400)).getcolors(99)
        assert len(right) == 1  # nothing runs over the edge
