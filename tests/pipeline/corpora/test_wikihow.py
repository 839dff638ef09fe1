from __future__ import annotations

import json

from schemas.records import Image, Text


def step(method, index, **fields):
    return {
        "headline": "Hold it.",
        "description": "On a board.",
        "img": f"https://img.example.org/{method}{index}.jpg",
        "img_license": "Creative Commons",
        "step_id": f"700_{method}_{index}",
        **fields,
    }


def article(*methods):
    return {
        "file_id": "700",
        "goal": "How to Sharpen a Pencil",
        "goal_description": "A safe way.",
        "category_hierarchy": ["Hobbies"],
        "methods": [{"name": n, "steps": s} for n, s in methods],
    }


def test_a_method_is_a_document(tmp_path, read_all):
    path = tmp_path / "WikihowText_data.json"  # JSON Lines despite its name
    path.write_text(json.dumps(article(("By Knife", [step(0, 0), step(0, 1)]), ("", [step(1, 0)]))) + "\n")
    knife, other = read_all("wikihow", tmp_path)
    assert (knife.id, other.id, knife.source) == ("700_0", "700_1", "wikihow")
    assert (knife.title, knife.license) == ("How to Sharpen a Pencil", "CC-BY-NC-SA-3.0")
    assert knife.segments == (
        Text("## By Knife"),
        Text("Hold it."),
        Text("On a board."),
        Image("https://img.example.org/00.jpg"),
        Text("Hold it."),
        Text("On a board."),
        Image("https://img.example.org/01.jpg"),
    )
    assert other.segments[0] == Text("Hold it.")
    assert (knife.location, other.location) == (f"{path}:1#0", f"{path}:1#1")


def test_the_png_beside_the_file_comes_first_and_a_missing_picture_keeps_its_text(jsonl, read_all, tmp_path):
    (tmp_path / "wiki_images").mkdir()
    (tmp_path / "wiki_images" / "700_0_0.png").write_bytes(b"x")
    [document] = read_all(
        "wikihow",
        jsonl(
            article(
                (
                    "A",
                    [
                        step(0, 0),
                        step(0, 1, img=""),
                        step(0, 2, img=None, description=""),
                        step(0, 3, img="step_0.jpg"),
                    ],
                )
            )
        ),
    )
    assert [i.uri for i in document.images] == [f"{tmp_path}/wiki_images/700_0_0.png"]
    assert document.texts == ("## A", *["Hold it.", "On a board."] * 2, "Hold it.", "Hold it.", "On a board.")


def test_an_article_is_read_whole_or_not(read_one, tmp_path):
    (tmp_path / "wiki_images").mkdir()
    fault = read_one("wikihow", article(("A", [step(0, 0)]), ("B", [step(1, 0, headline=3)])))
    assert fault.location == f"{tmp_path}/docs.jsonl:1" and "headline must be a string" in fault.detail
    assert "has no methods" in read_one("wikihow", article()).detail
    assert "is no file name" in read_one("wikihow", article(("A", [step(0, 0, step_id="../../x")]))).detail
