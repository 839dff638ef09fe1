"""The commands. Each prints its result on stdout, and progress and errors on stderr.

Exit codes: 0 done; 1 `validate` found defects; 2 the user has to fix something; 3 a bug; 4 a server, a store or a disk
failed, and the same command can be run again; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys

import configs
from pipeline import arguments
from pipeline.launch import finished, logs
from schemas.errors import BugError, ServiceError, UserError, exit_code, is_users, reason
from schemas.printable import line, printable

STOPPED = "leafinstruct: stopped; what was finished is kept, run the same command again to resume"
_log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run a command with these arguments (default: those of the process); returns the exit code."""
    parser = arguments.parser(
        str(__doc__).split("\n")[0], {command.__name__.rstrip("_"): command for command in COMMANDS}
    )
    options, rest = parser.parse_known_args(argv)
    logs.to_terminal(options.log_level)
    if rest and options.command is not build:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        code = int(options.command(options, rest))
        from pipeline.storage import packs  # here, because numpy would be half of the time of --help

        packs.flush()  # what a command without Beam's bundles has kept
        return code
    except (UserError, BugError, ServiceError) as error:
        print(printable(f"leafinstruct: {error}"), file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return 130
    except SystemExit as stop:
        if stop.code == 128 + signal.SIGTERM:
            print(STOPPED, file=sys.stderr)
        raise
    except BrokenPipeError:
        return 0
    except OSError as error:
        print(
            line(f"leafinstruct: {error.filename or options.command.__name__.rstrip('_')}: {reason(error)}"),
            file=sys.stderr,
        )
        return 2 if is_users(error) else 4
    except MemoryError:
        print("leafinstruct: out of memory", file=sys.stderr)
        return 4
    except Exception as error:  # noqa: BLE001 - a bug, also in a reader or a rule of the user's own
        _log.debug("the traceback", exc_info=True)
        print(
            line(f"leafinstruct: a bug: {type(error).__name__}: {error} (--log-level debug shows the traceback)"),
            file=sys.stderr,
        )
        return 3


def build(options: argparse.Namespace, beam_flags: list[str]) -> int:
    """Run the pipeline and publish what it made."""
    from pipeline.launch.build import build as run

    return finished.of_build(
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
            retry_failed=options.retry_failed,
            sign=options.sign,
            replace=options.replace,
            until=options.until,
        ),
    )


def attach(options: argparse.Namespace, _: list[str]) -> int:
    """Wait for a run that another process has started, show its progress, and publish it if its launcher does not."""
    from pipeline.launch.attach import attach as run

    return finished.of_left_run(*run(options.work, options.sign))


def publish(options: argparse.Namespace, _: list[str]) -> int:
    """Publish a run whose job has ended without its launcher."""
    from pipeline.launch.attach import publish_run as run

    return finished.of_left_run(*run(options.work, options.run, options.sign))


def demo(options: argparse.Namespace, _: list[str]) -> int:
    """Run the pipeline on the example corpus, with the embedded models."""
    from pipeline.launch.demo import demo as run

    return finished.of_build(options.output, run(options.output, options.llm_url))


def validate(options: argparse.Namespace, _: list[str]) -> int:
    """Check a dataset folder."""
    from pipeline.storage.folder import opened
    from schemas import selection
    from schemas.report import FORMATS
    from schemas.validate import Options, examine

    first, last = selection.numbers(options.shards) if options.shards else (0, None)
    sample = selection.share(options.sample) if options.sample else 1.0
    deep = bool(options.deep or options.shards or options.sample)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = cores if options.workers is None else options.workers
    if workers < 1:
        raise UserError(f"--workers must be at least 1, not {workers}")
    report = examine(opened(options.folder), Options(deep, first, last, sample, workers, options.public_key))
    print(FORMATS["json" if options.json else options.format](report, options.folder))
    return 1 if report.defects else 0


def funnel(options: argparse.Namespace, _: list[str]) -> int:
    """Show how many documents passed each stage."""
    from pipeline.dataset import ledger
    from pipeline.dataset import reader as instances

    stages = ledger.run_stages(ledger.read_manifest(options.folder))
    counts = ledger.funnel(ledger.read_outcomes(options.folder), stages)
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


def selftest(options: argparse.Namespace, _: list[str]) -> int:
    """Test whether the filter keeps documents and drops copies of them with planted damage."""
    from pipeline.launch.selftest import selftest as run
    from pipeline.launch.selftest import told

    result = run(
        configs.find(options.config),
        options.corpus,
        options.documents,
        options.work,
        limit=options.limit,
        llm_url=options.llm_url,
    )
    print(told(result, options.work, as_json=options.json))
    return 0


def try_(options: argparse.Namespace, _: list[str]) -> int:
    """Show what a language model is asked about a few documents, what it answers, and the verdict."""
    from pipeline.launch.try_out import try_out

    for text in try_out(
        configs.find(options.config),
        options.corpus,
        options.documents,
        limit=options.limit,
        llm_url=options.llm_url,
        llm_server=options.llm_server,
    ):
        print(printable(text), flush=True)
    return 0


def score(options: argparse.Namespace, _: list[str]) -> int:
    """Measure a corpus, as a table and a page that says how far to believe it, without building anything."""
    from pipeline.launch.score import score as run

    print(
        run(
            configs.find(options.config),
            options.corpus,
            options.output,
            limit=options.limit,
            llm_url=options.llm_url,
            work=options.work,
            proof=options.proof,
        )
    )
    return 0


def audit(options: argparse.Namespace, _: list[str]) -> int:
    """Write a page on which two readers judge kept and dropped documents, or compare their answers."""
    from pipeline.launch import audit as audits

    if options.answers:
        print(printable(audits.result(options.folder, *options.answers)))
    else:
        print(audits.write_page(options.folder, options.sample, options.work))
    return 0


def plan(options: argparse.Namespace, _: list[str]) -> int:
    """Show what a build would read, fetch, score and ask, and what is in the work folder already."""
    from pipeline.launch import plan as planning

    counts = planning.plan(
        configs.find(options.config), options.corpus, options.work, limit=options.limit, llm_url=options.llm_url
    )
    prices = planning.Prices(options.price_fetched, options.price_scored, options.price_asked, options.price_answered)
    print(planning.text(counts, prices))
    return 0


def corpora(options: argparse.Namespace, _: list[str]) -> int:
    """List the corpus formats: what they are, how to get them, and under what terms."""
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


COMMANDS = (
    build,
    attach,
    publish,
    demo,
    validate,
    funnel,
    explain,
    show,
    calibrate,
    selftest,
    try_,
    score,
    plan,
    audit,
    corpora,
    decontaminate,
)


if __name__ == "__main__":
    sys.exit(main())
