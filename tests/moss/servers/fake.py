"""A vision model and an image model on the loopback: they really look at what they are sent."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import PIL.Image

from moss.answers.folder import Answered
from schemas.records import Text
from tests.fake_openai import FakeOpenAI

COLOURS = {"red": (200, 20, 20), "green": (20, 180, 20), "blue": (20, 20, 210), "yellow": (220, 210, 30)}


class FakeVision(FakeOpenAI):
    """`reply(body) -> str` answers chat completions. `drawn` are the prompts of /images/generations, each answered by
    a picture of the colour that it names; a prompt with "refuse" gets status 400."""

    def __init__(self, reply, **more):
        super().__init__(**more)
        self.reply_to, self.drawn = reply, []
        self.raw = lambda body: (200, self._wrapped(reply(body)))

    def _wrapped(self, text):
        return {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}

    async def _answer(self, path, data):
        if path != "/v1/images/generations":
            return await super()._answer(path, data)
        prompt = json.loads(data)["prompt"]
        self.drawn.append(prompt)
        if "refuse" in prompt:
            return 400, {"error": {"message": "not this"}}
        file = io.BytesIO()
        picture_of(next((c for c in COLOURS if c in prompt), "blue"), len(prompt)).save(file, "PNG")
        return 200, {"data": [{"b64_json": base64.b64encode(file.getvalue()).decode()}]}


def picture_of(colour: str, seed: int) -> PIL.Image.Image:
    """Of one colour, with grain."""
    grain = np.random.default_rng(seed).integers(-15, 16, (24, 32, 3))
    return PIL.Image.fromarray((np.array(COLOURS[colour]) + grain).clip(0, 255).astype(np.uint8))


def answer(number: int, *, colour: str = "", text: str = "", empty: bool = False) -> Answered:
    """To "Paint thing <number> in <colour>."; as it should be, unless told otherwise."""
    right = list(COLOURS)[number % 4]
    shown = colour or right
    text = text or f"Take thing{number} and paint it {right}."
    output = [] if empty else [Text(text), picture_of(shown, number), Text("Let it dry.")]
    return Answered(f"q{number}", f"Paint thing{number} in {right}.", [Text("You have a brush.")], output)


def looked_at(parts) -> tuple[list[str], list[np.ndarray]]:
    texts = [part["text"] for part in parts if part["type"] == "text"]
    pictures = [
        np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))), float)
        for part in parts
        if part["type"] == "image_url"
    ]
    return texts, pictures


def rated(request: str, texts: list[str], pictures: list[np.ndarray]) -> dict[str, int]:
    """What an honest judge says of such an answer."""
    words = " ".join(texts)
    named = [np.array(value) for name, value in COLOURS.items() if name in words]
    near = [any(np.abs(p.mean((0, 1)) - value).max() < 20 for value in named) for p in pictures]
    topic = next((word for word in request.split() if word.startswith("thing")), "?")
    return {
        "text_quality": 5 if all(t.rstrip().endswith(".") for t in texts) else 1,
        "perceptual_quality": 5 if all(p.std((0, 1)).max() > 1 for p in pictures) else 0,
        "image_coherence": 4,
        "text_image_coherence": 5 if all(near) else 1,
        "helpfulness": 5 if topic in words else 1,
    }


def split(parts) -> tuple[str, list[list]]:
    """The request, and the parts of each answer."""
    request, answers, at = "", [], None
    for part in parts:
        text = part.get("text", "")
        if text.startswith("==="):
            if text.startswith("=== REQUEST"):
                request = text
            at = [] if "ANSWER ===" in text else None
            answers += [at] if at is not None else []
        elif at is not None:
            at.append(part)
    return request, answers


def honest(body) -> str:
    """Scores, or which of two answers has more of them in sum."""
    wanted = body["response_format"]["json_schema"]["schema"]["properties"]
    request, answers = split(body["messages"][-1]["content"])
    found = [rated(request, *looked_at(parts)) for parts in answers]
    if "better" in wanted:
        one, other = (sum(part.values()) for part in found)
        return json.dumps({"reason": "r", "better": "first" if one > other else "second" if other > one else "equal"})
    return json.dumps({name: {"reason": f"about {name}", "score": found[0][name]} for name in wanted})


def blind(body) -> str:
    """Full marks for anything; the first of two is always better."""
    wanted = body["response_format"]["json_schema"]["schema"]["properties"]
    if "better" in wanted:
        return json.dumps({"reason": "r", "better": "first"})
    return json.dumps({name: {"reason": "fine", "score": 5} for name in wanted})
