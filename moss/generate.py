"""Answers instructions with interleaved text and images.

    python -m moss.generate --checkpoint out/moss_demo --instruction "How do I fold a paper boat?" --output out/boat
    python -m moss.generate --checkpoint out/moss_demo --shards out/demo --limit 8 --output out/answers
    torchrun --nproc_per_node 8 -m moss.generate --checkpoint out/moss --shards out/howto --batch 16 --output out/answers

The first writes answer.json, 00.png, 01.png ... (see moss/answers/folder.py) and page.html. The others answer the first
instances of a dataset folder, of the sources that the run held out if it held any out, each in a folder named by its key,
with one page that shows them beside the reference. An answer is written when it is finished, so the same command
continues where it was stopped, and processes share the instances. Every image is complete; the same seed gives the same
answer.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import pathlib
import sys
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import PIL.Image
from tqdm import tqdm

from moss import data, settings
from moss.answers import folder
from moss.backbones.generalist import Generalist, pixels_of
from moss.data import instances
from moss.evaluation import metrics
from moss.generation import answers, decoding, page
from moss.generation.answers import GenerationResult, Segments
from moss.generation.sampling import Sampling
from moss.training import fingerprints, runs
from schemas.errors import UserError
from schemas.printable import printable
from schemas.records import Instance, Text

SHOWN = 100
"""The most answers on the page, because their images are in the file itself."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        _check(options)
        return generate(options)
    except UserError as error:
        print(printable(f"moss.generate: {error}"), file=sys.stderr)
        return 2


def generate(options: argparse.Namespace) -> int:
    sampling = Sampling(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Sampling)})
    sources = options.sources or ()
    if options.checkpoint:
        run = runs.find_run(options.checkpoint)
        sources = sources or run.settings.data.held_out_sources
        generalist, name = runs.load_run(run.checkpoint), str(run.checkpoint)
        if sampling.image_guidance != 1 and not run.settings.training.condition_dropout:
            print(
                f"moss.generate: {run.checkpoint} was trained with training.condition_dropout 0, so the adapters never saw "
                "an answer without instruction and context, which --image-guidance asks them for: train with 0.1, or "
                "compare with --image-guidance 1",
                file=sys.stderr,
            )
    else:
        backbone = settings.load(options.config).backbone
        generalist, name = runs.load_backbone(backbone), f"{backbone.name} {backbone.path}, without adapters"
    _check_pictures(generalist)
    output = pathlib.Path(options.output)
    answers.check_output(output, one=not options.shards)
    facts = {
        "model": name,
        "weights": fingerprints.whole(generalist),
        "decoder": pixels_of(generalist).decoder_fingerprint,
        "sampling": dataclasses.asdict(sampling),
    }
    if options.shards:
        chosen = itertools.islice(instances.read(pathlib.Path(options.shards), sources), options.limit)
        return answer_shards(generalist, chosen, sampling, output, facts, options)
    context = read_context(options.context)
    prompt = data.prompt_sample(generalist, options.instruction, context)
    written = decoding.answer(generalist, prompt.ids.tolist(), prompt.vectors, sampling, progress=True)
    result = GenerationResult("", options.instruction, context, written, decoding.segments(written, generalist))
    files = answers.files(result, facts)
    lead = "Written token by token: text, and pictures where the model began them."
    files["page.html"] = page.render("1 answer", lead, [answers.entry(result)], answers.shown(facts)).encode()
    folder.publish(output, files.items())
    print(f"{options.instruction}: {answers.summary(result)}\n{output / 'page.html'}")
    return 0


def answer_shards(
    generalist: Generalist,
    chosen: Iterator[tuple[Instance, instances.Pictures]],
    sampling: Sampling,
    output: pathlib.Path,
    facts: dict[str, Any],
    options: argparse.Namespace,
) -> int:
    """Answer this process's share of instances, `options.batch` at a time, and write the page of all that there are."""
    rank, ranks = runs.share(options.share)
    if ranks == 1:
        folder.tidy(output)
    answers.check_same(output, facts)
    entries, waiting = [], []
    for number, (instance, pictures) in enumerate(chosen):
        context, reference = (instances.with_pictures(part, pictures) for part in (instance.context, instance.output))
        question = GenerationResult(instance.key, instance.instruction, context, None, [], reference)
        entries.append(question)
        if (output / instance.key / folder.FILE).is_file():
            answers.check_question(question, output)
        elif number % ranks == rank:
            waiting.append(question)
    left_out = 0
    for at in tqdm(range(0, len(waiting), options.batch), desc="answering", unit=" batches"):
        fitting = []
        for question in waiting[at : at + options.batch]:
            sample = data.prompt_sample(generalist, question.instruction, question.context)
            most = decoding.budget(generalist.layout, sampling, metrics.images_in(question.reference or []))
            prompt = decoding.Prompt(sample.ids.tolist(), sample.vectors, most)
            try:
                decoding.check_room(generalist, prompt)
            except decoding.PromptTooLong as error:
                print(printable(f"{question.key} left out: {error}"), file=sys.stderr)
                left_out += 1
                continue
            fitting.append((question, prompt))
        if not fitting:
            continue
        found = decoding.answers(generalist, [prompt for _, prompt in fitting], sampling)
        for (question, _), written in zip(fitting, found, strict=True):
            result = dataclasses.replace(question, answer=written, segments=decoding.segments(written, generalist))
            folder.publish(output / result.key, answers.files(result, facts).items())
            print(printable(f"{result.key}: {answers.summary(result)}"))
    if left_out == len(entries):
        raise UserError(f"no instance of {options.shards} leaves room for an answer in the model's context")
    done = [question for question in entries if (output / question.key / folder.FILE).is_file()]
    present = [answers.entry(answers.from_disk(question, output)) for question in done[:SHOWN]]
    lead = "Instances of the dataset: the reference, and what the model answered."
    title = "1 answer" if len(done) == 1 else f"{len(done)} answers"
    text = page.render(title, lead, present, answers.shown(facts))
    output.mkdir(parents=True, exist_ok=True)
    temporary = output / f".page.{uuid.uuid4().hex}"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, output / "page.html")
    print(f"{output / 'page.html'}")
    return 0


def read_context(arguments: Sequence[str]) -> Segments:
    """The segments of the arguments.

    Each is a text, an image's path, or a JSON file with a list of segments as in the dataset (an image names a file
    next to it). Raises UserError for a file that cannot be read.
    """
    found: Segments = []
    for argument in arguments:
        path = pathlib.Path(argument)
        if argument.lower().endswith(".json"):
            found += _context_file(path)
        else:
            found.append(_picture(path) if argument.lower().endswith(PICTURES) else Text(argument))
    return found


def _check_pictures(generalist: Generalist) -> None:
    """Raise UserError for a checkpoint that cannot draw images, before minutes are spent on generation."""
    pixels = pixels_of(generalist)
    pixels.decode(pixels.encode([PIL.Image.new("RGB", (64, 64))])[0])


def _context_file(path: pathlib.Path) -> Segments:
    try:
        segments = json.loads(path.read_text(encoding="utf-8"))
        return [Text(s["text"]) if s["type"] == "text" else _picture(path.parent / s["image"]) for s in segments]
    except OSError as error:
        raise UserError(f"--context: cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'--context: {path} must hold a list of {{"type": "text", "text": ...}} and '
            '{"type": "image", "image": FILE}'
        ) from error


def _picture(path: pathlib.Path) -> PIL.Image.Image:
    try:
        return folder.upright(path)
    except UserError as error:
        raise UserError(f"--context: cannot read the picture {path}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m moss.generate", description="Answer with interleaved text and images."
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--checkpoint", help="a training run's output folder, or one checkpoint in it")
    model.add_argument("--config", help="a training config: its backbone, without adapters")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--instruction", help="what to answer")
    asked.add_argument("--shards", help="a dataset folder whose instances are answered")
    parser.add_argument(
        "--context",
        nargs="*",
        default=[],
        metavar="TEXT|PICTURE|FILE.json",
        help="with --instruction: texts, images and files of segments, in their order",
    )
    parser.add_argument(
        "--sources",
        nargs="*",
        help="with --shards: instances of these sources (default: those that the run held out, or all)",
    )
    parser.add_argument("--limit", type=int, default=8, help="with --shards: the number of instances (default 8)")
    parser.add_argument("--batch", type=int, default=1, help="with --shards: instances at a time (default 1)")
    parser.add_argument(
        "--share", help="with --shards: I/N, the I-th of N processes from 0 on (default: torchrun's RANK/WORLD_SIZE)"
    )
    parser.add_argument(
        "--output", required=True, help="a folder to write; with --shards, answers of the same model are kept"
    )
    parser.add_argument("--greedy", action="store_true", help="always the most likely token")
    for name, kind, text in (
        ("seed", int, "the same seed gives the same answer on the same machine"),
        ("text-temperature", float, "of text tokens"),
        ("text-top-p", float, "draw text from the most likely tokens that make up this share of the probability"),
        ("image-temperature", float, "of image tokens"),
        ("image-top-k", int, "draw images from this number of most likely codes (default: all)"),
        ("image-guidance", float, "classifier-free guidance of images; 1: none, which takes half the time"),
        ("max-tokens", int, "the most new tokens, of text and images (default: 2,048 and those of eight images)"),
        ("max-images", int, "the most new images (default: no limit)"),
    ):
        default = getattr(Sampling(), name.replace("-", "_"))
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=default,
            help=text if default is None else f"{text} (default {default})".strip(),
        )
    return parser


def _check(options: argparse.Namespace) -> None:
    for name, right, wanted in (
        ("text_temperature", options.text_temperature > 0, "more than 0; --greedy takes the likeliest"),
        ("image_temperature", options.image_temperature > 0, "more than 0; --greedy takes the likeliest"),
        ("text_top_p", 0 < options.text_top_p <= 1, "more than 0 and at most 1"),
        ("image_top_k", options.image_top_k is None or options.image_top_k > 0, "at least 1"),
        ("max_tokens", options.max_tokens is None or options.max_tokens > 0, "at least 1"),
        ("limit", options.limit > 0, "at least 1"),
        ("batch", options.batch > 0, "at least 1"),
        ("image_guidance", options.image_guidance >= 0, "at least 0"),
        ("seed", options.seed >= 0, "at least 0"),
        ("max_images", options.max_images is None or options.max_images >= 0, "at least 0"),
    ):
        if not right:
            raise UserError(f"--{name.replace('_', '-')} must be {wanted}")
    if options.shards and options.context:
        raise UserError("--context goes with --instruction; the instances of --shards bring their own")


if __name__ == "__main__":
    sys.exit(main())
