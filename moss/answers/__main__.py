"""Makes folders of answers from the outputs of other programs and from datasets.

    python -m moss.answers shards out/howto --output out/reference [--sources iot] [--limit 100]
    python -m moss.answers interleavedbench interleaved_bench.json --images images --output out/reference
    python -m moss.answers folders out/minigpt5 --questions out/reference --output out/minigpt5-answers

The first two write reference answers: questions for `moss.compose` and other systems, and a reference to compare them
with.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from moss.answers import folder, interleavedbench, plain
from moss.answers.folder import Answered
from moss.data import instances
from schemas.errors import UserError
from schemas.printable import printable


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        output = pathlib.Path(options.output)
        if output.exists():
            raise UserError(f"{output} is there already; name another --output")
        written: dict[str, str] = {}
        folder.publish(output, _files(itertools.islice(_answers(options), options.limit), written))
    except UserError as error:
        print(printable(f"moss.answers: {error}"), file=sys.stderr)
        return 2
    failed = [key for key, reason in written.items() if reason]
    missing = (
        f" ({len(failed)} of them have no folder, such as {failed[0]}: moss.judge leaves them out)" if failed else ""
    )
    if options.kind == "interleavedbench":
        print(interleavedbench.tasks(pathlib.Path(options.source)))
    if options.kind == "folders" and (unread := plain.unread(pathlib.Path(options.source))):
        print(printable(f"{len(unread)} files or folders in the answers were not read, such as {unread[0]}"))
    print(printable(f"{len(written)} answers{missing}, in {output}"))
    return 0


def of_shards(shards: pathlib.Path, sources: Sequence[str] = ()) -> Iterator[Answered]:
    """The instances of a dataset folder, with their own outputs as the answers."""
    for instance, pictures in instances.read(shards, sources):
        context, output = (instances.with_pictures(part, pictures) for part in (instance.context, instance.output))
        yield Answered(instance.key, instance.instruction, context, output)


def _files(answers: Iterable[Answered], written: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """The files of the answers, one in memory at a time; its key is added to `written`, with why it failed, if so."""
    for answer in answers:
        if answer.key in written:
            raise UserError(f"{answer.key} comes twice")
        written[answer.key] = answer.failed
        for file, content in folder.files(answer).items():
            yield f"{folder.name_of(answer.key)}/{file}", content


def _answers(options: argparse.Namespace) -> Iterator[Answered]:
    source = pathlib.Path(options.source)
    if options.kind == "shards":
        return of_shards(source, options.sources)
    if options.kind == "interleavedbench":
        return interleavedbench.read(source, pathlib.Path(options.images or source.parent / "images"))
    return plain.read(source, folder.read(pathlib.Path(options.questions)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m moss.answers", description="Make folders of answers.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, text in (
        ("shards", "the instances of a folder that `leafinstruct build` made"),
        ("interleavedbench", "InterleavedBench's JSON, or a system's answers in it"),
        ("folders", "one folder an answer, of texts and pictures"),
    ):
        own = kinds.add_parser(kind, help=text)
        own.add_argument("source", help=text)
        own.add_argument("--output", required=True, help="a folder to write")
        own.add_argument("--limit", type=int, help="the maximum number of answers (default: all)")
        if kind == "shards":
            own.add_argument("--sources", nargs="*", default=[], help="only instances of these sources")
        elif kind == "interleavedbench":
            own.add_argument("--images", help="the folder of its images (default: images/ beside the file)")
        else:
            own.add_argument("--questions", required=True, help="a folder of answers with the questions")
    return parser


if __name__ == "__main__":
    sys.exit(main())
