"""The commands. Each prints its result on stdout, and progress and errors on stderr.

Exit codes: 0 done; 1 `validate` found defects; 2 the user has to fix something; 3 a bug; 4 a server, a store or a disk
failed, and the same command can be run again; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import configs
from pipeline.launch import logs
from schemas.errors import BugError, ServiceError, UserError
from schemas.printable import line, printable

if TYPE_CHECKING:
    from pipeline.launch.build import Built


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    logs.to_terminal(options.log_level)
    if rest and options.command is not build:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return int(options.command(options, rest))
    except (UserError, BugError, ServiceError) as error:
        print(printable(f"leafinstruct: {error}"), file=sys.stderr)
        return 2 if isinstance(error, UserError) else 3 if isinstance(error, BugError) else 4
    except KeyboardInterrupt:
        print("leafinstruct: stopped; what was finished is kept, run the same command again to resume", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        print(
            line(f"leafinstruct: {error.filename or options.command.__name__}: {error.strerror or error}"),
            file=sys.stderr,
        )
        return 2


def build(options: argparse.Namespace, beam_flags: list[str]) -> int:
    """Run the pipeline and publish what it made."""
    from pipeline.launch.build import build as run

    return _finished(
        options.output,
        run(
            configs.find(options.config),
            options.output,
            corpora=options.corpus,
            limit=options.limit,
            llm_url=options.llm_url,
            llm_server=options.llm_server,
            work=options.work,
            beam_flags=beam_flags,
            keep_going=options.keep_going,
            allow_empty=options.allow_empty,
        ),
    )


def demo(options: argparse.Namespace, _: list[str]) -> int:
    """Run the pipeline on the example corpus, with the embedded models."""
    from pipeline.launch.demo import demo as run

    return _finished(options.output, run(options.output, options.llm_url))


def _finished(output: str, built: Built) -> int:
    """Print the result of a build and where to find it; returns the exit code."""
    print(built.funnel)
    print(f"\n{built.metrics}")
    print(f"\nOpen {output}/report.html; check with: leafinstruct validate {output} --deep")
    if built.bugs:
        print(
            f"leafinstruct: {built.bugs} documents failed because of a bug; tracebacks are in the ledger and in "
            f"{built.log}",
            file=sys.stderr,
        )
    return 3 if built.bugs else 0


def validate(options: argparse.Namespace, _: list[str]) -> int:
    """Check a dataset folder."""
    from schemas.validate import validate as check

    defects = check(options.folder, deep=options.deep)
    if options.json:
        print(json.dumps({"ok": not defects, "defects": [vars(d) for d in defects]}, indent=2))
    else:
        for defect in defects:
            print(line(str(defect)))
        print(
            f"{options.folder}: {len(defects)} defects"
            if defects
            else f"{options.folder}: valid"
            + ("" if options.deep else " (structure, schemas and counts; --deep also reads every byte)")
        )
    return 1 if defects else 0


def funnel(options: argparse.Namespace, _: list[str]) -> int:
    """Show how many documents passed each stage."""
    from pipeline.dataset import ledger
    from pipeline.dataset import reader as instances

    counts = ledger.funnel(ledger.read_outcomes(options.folder))
    have, lack = instances.context_counts(options.folder)
    if options.json:
        print(json.dumps(counts.to_json() | {"with_context": have, "without_context": lack}, indent=2))
    else:
        print(f"{ledger.funnel_text(counts)}\nOf the kept documents, {have:,} have a context and {lack:,} have none")
    return 0


def explain(options: argparse.Namespace, _: list[str]) -> int:
    """Show what happened to one document, and why."""
    from pipeline.dataset import ledger

    print(ledger.explain(options.folder, options.id))
    return 0


def show(options: argparse.Namespace, _: list[str]) -> int:
    """Show one instance as text, and write its images and a page."""
    from pipeline.report.show import show as text

    print(text(options.folder, options.id, options.to))
    return 0


def calibrate(options: argparse.Namespace, _: list[str]) -> int:
    """Derive the coherence thresholds of a model from a corpus, and write them into the configuration."""
    from pipeline.launch.calibrate import calibrate_config

    print(calibrate_config(options.config, options.corpus, options.limit, options.work))
    return 0


def corpora(options: argparse.Namespace, _: list[str]) -> int:
    """What can be read, how to get it, and under what terms."""
    from pipeline.corpora import FORMATS, format_of

    for name in FORMATS:
        shape = format_of(name)
        print(
            f"{name}: {shape.about}\n    files  {', '.join(f'*{ending}' for ending in shape.suffixes)}\n"
            f"    get    {shape.get}\n    terms  {shape.terms}"
        )
    print("\nA reader of your own is named by its module, such as my_package.my_reader (docs/extending.md).")
    return 0


def decontaminate(options: argparse.Namespace, _: list[str]) -> int:
    """Make the index of a benchmark, which `decontaminate` in a configuration keeps out of the dataset."""
    from pipeline import config
    from pipeline.decontamination import build as index

    sources = [config.parse_corpus(text) for text in options.benchmark]
    counts = index([(source.format, source.path) for source in sources], options.output)
    print(
        f"{options.output}: {counts['items']:,} items with {counts['id']:,} ids, {counts['text']:,} runs of words and "
        f"{counts['image']:,} images"
        + (f"; {counts['unreadable_images']:,} images could not be read" if counts["unreadable_images"] else "")
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="leafinstruct", description=__doc__.split("\n")[0], allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function: Callable[..., int], **kwargs: Any) -> argparse.ArgumentParser:
        made = commands.add_parser(
            function.__name__, help=function.__doc__, description=function.__doc__, allow_abbrev=False, **kwargs
        )
        made.set_defaults(command=function)
        made.add_argument(
            "--log-level",
            choices=logs.LEVELS,
            default="warning",
            help="which messages the terminal shows (default: %(default)s); the log file in the work "
            "folder has all of them",
        )
        return made

    made = command(build, epilog="Any other flag goes to Beam: --runner, --direct_num_workers, ...")
    made.add_argument(
        "--config", required=True, help="a YAML file, or the name of one that comes with the package, such as demo"
    )
    made.add_argument("--output", required=True, help="the folder to publish to (local, gs:// or s3://)")
    made.add_argument(
        "--corpus",
        action="append",
        metavar="FORMAT:PATH",
        help="instead of the configuration's corpora: a format that `leafinstruct corpora` lists, or the module "
        "of a reader of your own, and a folder, file, glob or tar; may be repeated",
    )
    made.add_argument("--limit", type=int, help="the maximum number of records to read")
    made.add_argument(
        "--llm-url",
        help="an OpenAI-compatible server, such as http://127.0.0.1:8000/v1; without it the pipeline starts a server",
    )
    made.add_argument(
        "--llm-server", choices=("auto", "vllm", "llama.cpp"), help="which server the pipeline starts (llm.server)"
    )
    made.add_argument("--work", help="folder of caches, log and temporary files (default: OUTPUT/.work)")
    made.add_argument(
        "--keep-going",
        action="store_true",
        help="a bug fails its document instead of stopping the run; the exit code is still 3",
    )
    made.add_argument("--allow-empty", action="store_true", help="publish even if no document was kept")

    made = command(demo)
    made.add_argument("--output", default="leafinstruct-demo", help="the folder to publish to (default: %(default)s)")
    made.add_argument("--llm-url", help="an OpenAI-compatible server, instead of one that the pipeline starts")

    made = command(validate)
    made.add_argument("folder")
    made.add_argument("--deep", action="store_true", help="read every byte: tars, records, images, hashes")
    made.add_argument("--json", action="store_true", help="print JSON")

    made = command(funnel)
    made.add_argument("folder")
    made.add_argument("--json", action="store_true", help="print JSON")

    made = command(explain)
    made.add_argument("folder")
    made.add_argument("id")

    made = command(show)
    made.add_argument("folder")
    made.add_argument("id", help="the id of a document, or the key of an instance")
    made.add_argument("--to", help="folder for the images (default: FOLDER/show/KEY)")

    made = command(calibrate)
    made.add_argument("--config", required=True, help="the configuration file to write the thresholds to")
    made.add_argument("--corpus", action="append", metavar="FORMAT:PATH", help="instead of the configuration's corpora")
    made.add_argument("--limit", type=int, help="the maximum number of records to read")
    made.add_argument("--work", required=True, help="folder of caches, such as build/calibrate")

    command(corpora)

    made = command(decontaminate)
    made.add_argument(
        "benchmark",
        nargs="+",
        metavar="FORMAT:PATH",
        help="such as interleavedbench:FOLDER, or any other corpus that nothing may be trained on",
    )
    made.add_argument("--output", required=True, help="the index, such as benchmark.parquet")
    return parser


if __name__ == "__main__":
    sys.exit(main())
