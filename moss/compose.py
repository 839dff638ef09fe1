"""Answers questions with two models.

A text model that writes texts and prompts, and an image model that draws the prompts.

    python -m moss.compose --questions out/reference --llm-url http://127.0.0.1:8000/v1 \
        --image-url http://127.0.0.1:8001/v1 --output out/composed

Such systems are the strongest rows of the published tables (Gemini1.5+SDXL, GPT-4o+DALL-E 3). The questions come from a
folder of answers, whose outputs are not read. The text model sees the context's pictures; the image model sees only its
prompt, so the images of an answer are connected by words only. Both are OpenAI-compatible servers. Replies and images
are cached in OUTPUT.cache: a run that was stopped continues where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import PIL.Image

from moss.answers import folder
from moss.answers.folder import Answered, opened
from moss.servers import client
from moss.servers.client import Question, picture_part, text_part
from moss.servers.transport import Server
from schemas.errors import AGAIN, RecordFault, ServiceError, UserError, exit_code
from schemas.images import open_foreign
from schemas.printable import printable
from schemas.records import Text

MOST = 12
"""Segments of an answer: more than any instance of ours has images."""
MAX_TOKENS = 8192
"""Tokens of a plan: MOST segments of 400 words, each with a prompt of 100, as JSON."""
_SYSTEM = (
    "You answer requests with text and pictures in turn. You cannot draw: for every picture write a prompt for an "
    "image generator that knows nothing of the request or of the other pictures, so describe subject, style and "
    "setting in full each time, and keep them the same where pictures belong together. Reply with JSON alone: "
    f'at most {MOST} segments in reading order, each a "text" and the "picture" prompt that follows it; either may be '
    "empty."
)
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "segments": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "picture": {"type": "string"}},
                "required": ["text", "picture"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["segments"],
    "additionalProperties": False,
}


Plan = list[dict[str, str]] | RecordFault


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return compose(options)
    except (UserError, ServiceError) as error:
        print(printable(f"moss.compose: {error}"), file=sys.stderr)
        return exit_code(error)


def compose(options: argparse.Namespace) -> int:
    output = pathlib.Path(options.output)
    if output.exists():
        raise UserError(f"{output} is there already; name another --output")
    if not re.fullmatch(r"\d+x\d+", options.size):
        raise UserError(f"--size is WIDTHxHEIGHT, such as 1024x1024, not {options.size!r}")
    questions = folder.read(pathlib.Path(options.questions))[: options.limit]
    cache = output.with_name(f"{output.name}.cache")
    writer, painter = (
        Server(client.base_url(url), model or client.model_of(client.base_url(url)), cache, options.concurrency)
        for url, model in ((options.llm_url, options.llm_model), (options.image_url, options.image_model))
    )
    replies = client.ask_all(writer, questions, question, progress="writing")
    refused = [str(reply) if isinstance(reply, RecordFault) else "" for reply in replies]
    folder.check_failed(refused, f"check the server at {writer.url}, and {AGAIN}")  # before pictures are paid for
    plans: list[Plan] = [r if isinstance(r, RecordFault) else r["segments"][:MOST] for r in replies]
    cut = sum(not isinstance(r, RecordFault) and len(r["segments"]) > MOST for r in replies)
    prompts = list(dict.fromkeys(prompt for plan in plans for prompt in prompts_of(plan)))
    drawn = dict(zip(prompts, client.draw_all(painter, prompts, options.size, progress="drawing"), strict=True))
    reasons = [answered(asked, plan, drawn).failed for asked, plan in zip(questions, plans, strict=True)]
    failed = folder.check_failed(reasons, f"check the servers at {writer.url} and {painter.url}, and {AGAIN}")
    facts = {"text_model": writer.model, "image_model": painter.model, "size": options.size}
    folder.publish(output, _files(questions, plans, drawn, facts))
    missing = sum(isinstance(picture, RecordFault) for picture in drawn.values())
    print(
        f"{len(questions)} answers, {failed} of them failed ({sum(map(bool, refused))} without a valid reply, {missing} of "
        f"{len(prompts)} pictures not drawn), which moss.judge leaves out; {cut} cut after {MOST} segments. {output}"
    )
    return 0


def question(asked: Answered) -> Question:
    """The question to the text model."""
    context = [text_part(s.text) if isinstance(s, Text) else picture_part(opened(s)) for s in asked.context]
    wanted = {
        ("text", "image"): "Answer with text and pictures.",
        ("image",): "Answer with pictures alone: leave every text empty.",
        ("text",): "Answer with text alone: leave every picture empty.",
    }[tuple(kind for kind in folder.KINDS if kind in asked.expects)]
    content = [text_part(f"{asked.instruction}\n\n{wanted}"), *context]
    messages: list[dict[str, Any]] = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": content}]
    return Question(messages, _SCHEMA, max_tokens=MAX_TOKENS)


def prompts_of(plan: Plan) -> list[str]:
    """The image prompts of a plan, in their order."""
    if isinstance(plan, RecordFault):
        return []
    return [part["picture"].strip() for part in plan if part["picture"].strip()]


def answered(asked: Answered, plan: Plan, drawn: dict[str, Any]) -> Answered:
    """The answer of a plan with its images; it failed if there is no plan, or if an image was not drawn."""
    if isinstance(plan, RecordFault):
        return dataclasses.replace(asked, output=[], missing=0, failed=f"no plan: {plan}")
    output: list[Text | PIL.Image.Image] = []
    refused: list[str] = []
    for part in plan:
        if part["text"].strip():
            output.append(Text(part["text"].strip()))
        if prompt := part["picture"].strip():
            if isinstance(drawn[prompt], RecordFault):
                refused.append(str(drawn[prompt]))
            else:
                output.append(open_foreign(io.BytesIO(drawn[prompt])))
    failed = f"{len(refused)} pictures were not drawn, the first: {refused[0]}" if refused else ""
    return dataclasses.replace(asked, output=output, missing=len(refused), failed=failed)


def _files(
    questions: Sequence[Answered], plans: Sequence[Plan], drawn: dict[str, Any], facts: dict[str, str]
) -> Iterator[tuple[str, bytes]]:
    for asked, plan in zip(questions, plans, strict=True):
        more = {**facts, "prompts": prompts_of(plan)}
        for name, content in folder.files(answered(asked, plan, drawn), more).items():
            yield f"{folder.name_of(asked.key)}/{name}", content


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m moss.compose", description="Answer by a text and an image model.")
    parser.add_argument("--questions", required=True, help="a folder of answers whose questions to answer")
    parser.add_argument("--llm-url", required=True, help="an OpenAI-compatible server of a text (or vision) model")
    parser.add_argument("--llm-model", help="its model (default: the first that it lists)")
    parser.add_argument("--image-url", required=True, help="a server with /v1/images/generations")
    parser.add_argument("--image-model", help="its model (default: the first that it lists)")
    parser.add_argument("--size", default="1024x1024", help="size of the images (default 1024x1024)")
    parser.add_argument("--limit", type=int, help="the maximum number of questions (default: all)")
    parser.add_argument("--output", required=True, help="a folder of answers to write")
    parser.add_argument("--concurrency", type=int, default=8, help="questions at once (default 8)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
