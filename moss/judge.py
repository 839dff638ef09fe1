"""Judges systems' answers to the same questions with a vision model: one table, and one page with the images.

    python -m moss.judge --answers base=out/base lora=out/lora moss=out/moss --llm-url http://127.0.0.1:8000/v1 \
        --output out/judged [--repeats 3] [--clip local-dir:build/models/coherence] [--published]

Every NAME=DIR is a folder of answers (moss/answers/folder.py), all to the same questions; differences and preferences
are to the first. A question to which any system's answer failed ("failed" in answer.json) is left out and counted.
Writes report.md, results.json, verdicts.jsonl and page.html. Controls come first: damaged answers
that this judge has to score lower. If a control fails, the report says by how much, and has no table (exit code 2).
Answers of the judge are cached in OUTPUT.cache: the same command asks nothing twice.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

from moss.answers import folder
from moss.answers.folder import Answered
from moss.judging import aspects, controls, figures, report, scores
from moss.judging.clip import Clip
from moss.judging.report import System
from moss.servers import client
from moss.servers.transport import Server
from schemas.codec import json_bytes
from schemas.errors import ServiceError, UserError, exit_code
from schemas.printable import printable

FILES = ("report.md", "results.json", "verdicts.jsonl", "page.html")
SHOWN = 50
"""The most questions on the page, because their images are in the file itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return judge(options)
    except (UserError, ServiceError) as error:
        print(printable(f"moss.judge: {error}"), file=sys.stderr)
        return exit_code(error)


def judge(options: argparse.Namespace) -> int:
    for name, least in (("repeats", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise UserError(f"--{name} must be at least {least}")
    output = pathlib.Path(options.output)
    if output.exists() and not (output.is_dir() and {path.name for path in output.iterdir()} <= set(FILES)):
        raise UserError(f"{output} holds something else than a report; name another --output")
    answers, left_out = without_failed(read(options.answers))
    if options.controls and options.controls not in answers:
        raise UserError(f"--controls must be one of {', '.join(answers)}")
    url = client.base_url(options.llm_url)
    model = options.llm_model or client.model_of(url)
    server = Server(url, model, output.with_name(f"{output.name}.cache"), concurrency=options.concurrency)
    clip = Clip(options.clip, options.clip_weights) if options.clip else None
    systems: list[System] = []
    for name, own in answers.items():
        coherence = [clip.coherence(answer) for answer in own] if clip else None
        found = scores.score(server, own, options.repeats, progress=f"{name}: scores")
        against = scores.prefer(server, own, systems[0].answers, f"{name}: pairs") if systems else None
        systems.append(System(name, own, found, against, figures.columns(own, coherence)))
    sound = options.controls or best(systems)
    whole = next(system for system in systems if system.name == sound)
    outcomes = controls.check(server, whole.answers, whole.scores.value, options.repeats, options.seed, progress=True)
    passed = all(outcome.passed for outcome in outcomes)
    about = {
        "judge": model,
        "questions_version": aspects.VERSION,
        "repeats": options.repeats,
        "seed": options.seed,
        "clip": options.clip,
        "clip_weights": options.clip_weights,
        "controls_from": sound,
        "answers": dict(argument.split("=", 1) for argument in options.answers),
    }
    found_results = report.results(systems, outcomes, options.seed, left_out)
    text = report.markdown(found_results, published=options.published)
    facts = [(key.replace("_", " "), str(value)) for key, value in about.items()]
    if not passed:
        found_results["systems"] = []
    results = json.dumps({**about, **found_results}, indent=2) + "\n"
    verdicts = b"".join(_verdicts(systems)) if passed else b""
    shown = report.render(systems, facts, SHOWN, passed)
    contents = (text.encode(), results.encode(), verdicts, shown.encode())
    folder.publish(output, zip(FILES, contents, strict=True))
    print(printable(text))
    if not passed:
        raise UserError(
            f"{model} did not pass the controls on {sound}; {output / FILES[0]} says by how much. Take another judge, "
            "more repeats, or better answers for the controls (--controls)"
        )
    return 0


def read(arguments: Sequence[str]) -> dict[str, list[Answered]]:
    """The answers by system. Raises UserError unless all answer the same questions."""
    found: dict[str, list[Answered]] = {}
    for argument in arguments:
        name, equals, place = argument.partition("=")
        if not (name and equals and place) or name in found:
            raise UserError(f"--answers wants NAME=DIR, each name once, such as moss=out/answers; not {argument!r}")
        found[name] = folder.read(pathlib.Path(place))
    (first, own), *others = found.items()
    for name, theirs in others:
        strangers = {answer.key for answer in own} ^ {answer.key for answer in theirs}
        if strangers:
            raise UserError(
                f"{first} and {name} do not answer the same questions: {len(strangers)} keys are in one alone, such as "
                f"{min(strangers)}. An answer that a system did not give has an empty output"
            )
        for one, other in zip(own, theirs, strict=True):
            if part := folder.other_part(one, other):
                raise UserError(
                    f"{first} and {name} answer other questions under the key {one.key}: their {part} differs. Give "
                    f'both the question\'s own "instruction", "context" and "expects" in {folder.FILE}'
                )
    return found


def without_failed(answers: dict[str, list[Answered]]) -> tuple[dict[str, list[Answered]], dict[str, dict[str, str]]]:
    """The answers to the questions that no system failed at, and by system its failed keys with their reasons.

    A question is left out for all systems, so that all are compared on the same ones. Raises UserError for a system
    that failed too often.
    """
    failed = {name: {answer.key: answer.failed for answer in own if answer.failed} for name, own in answers.items()}
    for name, own in answers.items():
        advice = f"{name} cannot be judged by the rest: make these answers again"
        folder.check_failed([answer.failed for answer in own], advice)
    keys = {key for some in failed.values() for key in some}
    return {name: [answer for answer in own if answer.key not in keys] for name, own in answers.items()}, failed


def best(systems: Sequence[System]) -> str:
    """The system with the highest mean score, whose scores can fall most."""
    means = {s.name: s.scores.value[~(s.scores.value != s.scores.value)].mean() for s in systems}
    return max(means, key=lambda name: float(means[name]))


def _verdicts(systems: Sequence[System]) -> list[bytes]:
    """One line for each answer and aspect that was judged, from the first repeat."""
    return [
        json_bytes({"system": s.name, "key": answer.key, "aspect": aspect, "score": score, "reason": reason})
        for s in systems
        for answer, reasons in zip(s.answers, s.scores.reasons, strict=True)
        for aspect, score, reason in reasons
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m moss.judge", description="Judge answers by a vision model.")
    parser.add_argument("--answers", required=True, nargs="+", metavar="NAME=DIR", help="folders of answers")
    parser.add_argument("--llm-url", required=True, help="an OpenAI-compatible server of a vision model")
    parser.add_argument("--llm-model", help="its model (default: the first that it lists)")
    parser.add_argument("--output", required=True, help="a folder for the report; an earlier report is replaced")
    parser.add_argument("--repeats", type=int, default=3, help="how often every answer is scored (default 3)")
    parser.add_argument("--controls", metavar="NAME", help="whose answers to damage (default: the best)")
    parser.add_argument("--clip", help="an open_clip model for the figures without a judge, or local-dir:FOLDER")
    parser.add_argument("--clip-weights", help="its weights, by open_clip's name for them or a file")
    parser.add_argument("--published", action="store_true", help="also print published scores")
    parser.add_argument("--concurrency", type=int, default=8, help="questions at once (default 8)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    return parser


if __name__ == "__main__":
    sys.exit(main())
