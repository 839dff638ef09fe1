from __future__ import annotations

import pytest

from schemas.records import Image, Text

ARTICLE = {
    "methods": [
        {
            "name": "By hand",
            "steps": [
                {"headline": "Fill a basin with cool water.", "img": "step_0.jpg"},
                {"headline": "Press, do not wring.", "img": ""},
            ],
        },
        {"name": "By machine", "steps": [{"headline": "Use a bag."}]},
    ]
}


def test_a_method_is_a_document_and_images_lie_beside_it(tree, read_all):
    root = tree(**{"data/812_wash-wool/wikihow.json": ARTICLE})
    hand, machine = read_all("wikihow_folders", root)
    assert (hand.id, machine.id, hand.title) == ("812_0", "812_1", "wash wool")
    assert hand.segments == (
        Text("## By hand"),
        Text("Fill a basin with cool water."),
        Image(f"{root}/data/812_wash-wool/image/step_0.jpg"),
        Text("Press, do not wring."),
    )
    assert (hand.license, hand.location) == ("CC-BY-NC-SA-3.0", f"{root}/data/812_wash-wool/wikihow.json:1#0")


@pytest.mark.parametrize(
    "content, error",
    [
        ("", "bad_json"),
        ("{", "bad_json"),
        (b"\xff", "bad_utf8"),
        ("[]", "not_an_object"),
        ("{}", "bad_record"),
        ({"methods": []}, "bad_record"),
        ({"methods": [{"steps": [3]}]}, "bad_record"),
        ({"methods": [{"steps": [{"headline": 3}]}]}, "bad_record"),
    ],
)
def test_every_malformed_article_is_one_fault(tree, read_all, content, error):
    [fault] = read_all("wikihow_folders", tree(**{"1_a/wikihow.json": content}))
    assert fault.error == error


def test_an_image_outside_the_corpus_is_a_missing_one(tree, read_all):
    root = tree(**{"1_a/wikihow.json": {"methods": [{"steps": [{"headline": "x", "img": "../../../secret.jpg"}]}]}})
    [document] = read_all("wikihow_folders", root)
    assert document.images[0].uri.startswith(f"{root}/image%2F..")
