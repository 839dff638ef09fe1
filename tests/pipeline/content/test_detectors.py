"""What images show. The embedded model and NudeNet's are not judged here: no test has pictures to judge them by."""

import importlib.metadata
import sys
import types

import numpy as np
import PIL.Image
import pytest

from pipeline.content import clip


class Scorer:
    """Two images: one is like the first description of what is unsafe, the other like the first harmless one."""

    def __init__(self):
        self.asked = []

    def image_vectors(self, hashes, open_image):
        self.asked += hashes
        return {sha256: np.eye(2, dtype=np.float32)[int(sha256 == "harmless")] for sha256 in hashes}

    def text_vectors(self, texts):
        sides = clip.prompts().unsafe_image
        return {text: np.float32([text == sides.shows[0], text == sides.instead[0]]) / 2 for text in texts}


def test_an_image_is_as_unsafe_as_the_description_that_it_is_like():
    scorer = Scorer()
    found = clip.detector("unsafe_image", "m@1", lambda: scorer)
    assert found.measure(["unsafe", "harmless"], None) == [0.5, -0.5]


def test_other_descriptions_and_other_models_are_other_versions():
    made = {clip.detector(name, model, Scorer).version for name in ("unsafe_image", "watermark") for model in "ab"}
    assert len(made) == 4


def test_a_face_is_counted_once_and_a_drawing_has_none():
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    import skimage.data

    from pipeline.content import faces

    astronaut = PIL.Image.fromarray(skimage.data.astronaut())
    face = np.asarray(astronaut)[:256, 96:352]
    pictures = {
        "one": astronaut,
        "two": PIL.Image.fromarray(np.hstack([face, face])),
        "none": PIL.Image.radial_gradient("L"),
        "tiny": astronaut.resize((20, 20)),
    }
    assert faces.detector().measure(list(pictures), pictures.__getitem__) == [1, 2, 0, 0]


def test_nudenet_gets_opencvs_colours_and_only_exposed_parts_count(monkeypatch):
    """A stand-in with NudeNet's interface; the package is not part of any environment of the project."""

    class NudeDetector:
        def detect(self, pixels):
            blue, green, red = pixels[0, 0]
            return [
                {"class": "FACE_FEMALE", "score": 0.99, "box": []},
                {"class": "BUTTOCKS_EXPOSED", "score": red / 255, "box": []},
                {"class": "FEMALE_BREAST_EXPOSED", "score": blue / 510, "box": []},
            ][: 1 + 2 * bool(green)]

    module = types.ModuleType("nudenet")
    module.NudeDetector = NudeDetector
    monkeypatch.setitem(sys.modules, "nudenet", module)
    monkeypatch.delitem(sys.modules, "pipeline.content.nudity", raising=False)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9")
    from pipeline.content import nudity

    pictures = {name: PIL.Image.new("RGB", (4, 4), name) for name in ("#ff0100", "#0001ff", "#ff0000")}
    found = nudity.detector()
    assert found.version == "nudenet@9"
    assert found.measure(list(pictures), pictures.__getitem__) == [1.0, 0.5, 0.0]
    monkeypatch.delitem(sys.modules, "pipeline.content.nudity")
