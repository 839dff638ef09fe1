"""The arguments of each command."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping

from pipeline.launch import logs
from schemas.stage_names import UNTIL


def parser(description: str, commands: Mapping[str, Callable[..., int]]) -> argparse.ArgumentParser:
    """The command line's parser; `commands` are the functions to call, whose docstrings are the help."""
    whole = argparse.ArgumentParser(prog="leafinstruct", description=description, allow_abbrev=False)
    added = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, epilog: str | None = None) -> argparse.ArgumentParser:
        about = commands[name].__doc__
        made = added.add_parser(name, help=about, description=about, epilog=epilog, allow_abbrev=False)
        made.set_defaults(command=commands[name])
        made.add_argument(
            "--log-level",
            choices=logs.LEVELS,
            default="warning",
            help="which messages the terminal shows (default: %(default)s); build, attach and publish also write a "
            "log file, of the level info or debug",
        )
        return made

    def of_corpora(name: str, epilog: str | None = None) -> argparse.ArgumentParser:
        """A command that needs a configuration, and takes other corpora than those in it."""
        made = command(name, epilog)
        made.add_argument("--config", required=True, help="a YAML file, or the name of one that comes with the package")
        made.add_argument(
            "--corpus", action="append", metavar="FORMAT:PATH", help="instead of the configuration's corpora"
        )
        return made

    made = command("build", epilog="Any other flag goes to Beam: --runner, --direct_num_workers, ...")
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
        help="an OpenAI-compatible server, such as http://127.0.0.1:8000/v1, or several, with commas; without it the "
        "pipeline starts a server",
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
    made.add_argument(
        "--retry-failed",
        action="store_true",
        help="ask again for images on the web that earlier runs could not fetch and that may be there now",
    )
    made.add_argument("--allow-empty", action="store_true", help="publish even if no document was kept")
    made.add_argument("--sign", metavar="KEY", help="an OpenSSH private key (Ed25519), to sign the folder with")
    made.add_argument(
        "--until",
        choices=UNTIL,
        help="end after this stage and publish nothing: what was fetched and scored is kept for the next run, which may "
        "be one on other machines",
    )
    made.add_argument(
        "--replace",
        action="store_true",
        help="replace a finished folder, also one that was built from other files or with another configuration",
    )

    for name in ("attach", "publish"):
        made = command(name)
        made.add_argument(
            "--work", required=True, help="the run's work folder; for a build without --work: OUTPUT/.work"
        )
        made.add_argument("--sign", metavar="KEY", help="the key that the build was given, if it was given one")
    made.add_argument(
        "--run", metavar="ID", required=True, help="the run's id, which the launcher printed at its start"
    )

    made = command("demo")
    made.add_argument("--output", default="leafinstruct-demo", help="the folder to publish to (default: %(default)s)")
    made.add_argument("--llm-url", help="an OpenAI-compatible server, instead of one that the pipeline starts")

    made = command("validate")
    made.add_argument("folder")
    made.add_argument("--deep", action="store_true", help="read every byte: tars, records, images, hashes")
    made.add_argument("--shards", metavar="0-99", help="read every byte of these shards only")
    made.add_argument(
        "--sample",
        metavar="PERCENT",
        help="read every byte of this share of the shards only, such as 5%%; always the same ones",
    )
    made.add_argument("--workers", type=int, help="processes that read shards (default: one per core)")
    made.add_argument(
        "--public-key", metavar="FILE", help="OpenSSH public keys; one of them must have signed the folder"
    )
    made.add_argument("--format", choices=("text", "json", "sarif", "junit"), default="text", help="what to print")
    made.add_argument("--json", action="store_true", help="the same as --format json")

    made = command("funnel")
    made.add_argument("folder")
    made.add_argument("--json", action="store_true", help="print JSON")

    made = command("explain")
    made.add_argument("folder")
    made.add_argument("id")

    made = command("show")
    made.add_argument("folder")
    made.add_argument("id", help="the id of a document, or the key of an instance")
    made.add_argument("--to", help="folder for the images (default: FOLDER/.work/show/KEY)")

    made = command("calibrate")
    made.add_argument("--config", required=True, help="the configuration file to write the thresholds to")
    made.add_argument("--corpus", action="append", metavar="FORMAT:PATH", help="instead of the configuration's corpora")
    made.add_argument("--limit", type=int, help="the maximum number of records to read")
    made.add_argument("--work", required=True, help="folder of caches, such as build/calibrate")

    made = of_corpora("selftest")
    made.add_argument("--documents", type=int, default=120, help="how many to test with (default: %(default)s)")
    made.add_argument("--limit", type=int, help="take them from the first LIMIT records")
    made.add_argument("--llm-url", help="an OpenAI-compatible server: the documents are rated too")
    made.add_argument("--work", required=True, help="folder of caches and of the result, such as build/selftest")
    made.add_argument("--json", action="store_true", help="print JSON")

    made = of_corpora("try")
    made.add_argument("--documents", type=int, default=5, help="how many to show (default: %(default)s)")
    made.add_argument("--limit", type=int, help="take them from the first LIMIT records")
    made.add_argument("--llm-url", help="an OpenAI-compatible server; without it the pipeline starts one")
    made.add_argument("--llm-server", choices=("auto", "vllm", "llama.cpp"), help="which server the pipeline starts")

    made = command("score")
    made.add_argument("corpus", metavar="FORMAT:PATH", help="a corpus, as for build")
    made.add_argument(
        "--config",
        default="demo",
        help="the configuration with the models, and the settings for fetching (default: %(default)s)",
    )
    made.add_argument("--output", required=True, help="the folder for scores.parquet and scores.html")
    made.add_argument("--limit", type=int, help="the maximum number of records to read")
    made.add_argument("--llm-url", help="an OpenAI-compatible server to ask for ratings; without it there are none")
    made.add_argument(
        "--proof",
        type=int,
        default=200,
        metavar="N",
        help="the most documents whose copies are damaged, to see which measure notices (default: %(default)s; 0: none)",
    )
    made.add_argument("--work", help="folder of caches (default: OUTPUT/.work)")

    made = of_corpora("plan", epilog="Prices are in any currency; without them no money is computed.")
    made.add_argument("--work", required=True, help="the work folder that the build would be given")
    made.add_argument("--limit", type=int, help="the maximum number of records to read")
    made.add_argument("--llm-url", help="the server that the build would be given; it is asked for its models only")
    for option, what in (
        ("--price-fetched", "a gigabyte that is fetched"),
        ("--price-scored", "a thousand images that are scored"),
        ("--price-asked", "a million tokens of questions"),
        ("--price-answered", "a million tokens of answers"),
    ):
        made.add_argument(option, type=_price, default=0.0, metavar="PRICE", help=f"of {what} (default: 0)")

    made = command("audit")
    made.add_argument("folder", help="a finished build")
    made.add_argument("--sample", type=int, default=200, help="how many documents to show (default: %(default)s)")
    made.add_argument("--work", help="the build's work folder, where the page is written (default: FOLDER/.work)")
    made.add_argument(
        "--answers", nargs=2, metavar=("FIRST", "SECOND"), help="two files that the page saved: compare them"
    )

    command("corpora")

    made = command("decontaminate")
    made.add_argument(
        "benchmark",
        nargs="+",
        metavar="FORMAT:PATH",
        help="the benchmark, such as interleavedbench:FOLDER; any corpus can be kept out",
    )
    made.add_argument("--output", required=True, help="the file of the index, such as benchmark.parquet")
    return whole


def _price(text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not 0 <= price < math.inf:
        raise argparse.ArgumentTypeError(f"a price is a number from 0, not {text}")
    return price
