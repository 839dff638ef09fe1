"""`leafinstruct plan`: what a build would read, fetch, score and ask, and what is in the work folder already."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import Counter
from typing import NoReturn

from filters.duplicates import text_digest
from filters.headings import RECURS, heading_keys
from pipeline import corpora
from pipeline.corpora.parts import Part
from pipeline.dataset.wording import count
from pipeline.graph import asking, reading, stages
from pipeline.graph.ocr import kept_texts
from pipeline.instances.excerpt import best_excerpt
from pipeline.launch.build import configured, served_model
from pipeline.launch.stored import excerpting, measured
from pipeline.llm import choice, questions
from pipeline.llm.client import Client
from pipeline.run import Run, image_store
from pipeline.storage import bucket
from pipeline.storage.store import Store
from pipeline.storage.uris import exists, is_http
from prompts import Prompt
from prompts.control import tokens_of
from schemas.errors import RecordFault, UserError
from schemas.printable import line
from schemas.records import Document, Drop, DroppedDocument, RatedDocument, ScoredDocument, StoredDocument

CHARACTERS = 3.8
"""Characters of a question to a token, on the safe side.

The demo's questions have 4.26, with the prompt set `instruct` 3.89, by the embedded model's tokenizer.
"""
ANSWER = 22
"""Tokens of an answer: the demo's have 23 (ratings) and 21 (instructions) on average, by its metrics."""


@dataclasses.dataclass(frozen=True)
class Prices:
    """In any currency: a gigabyte fetched, a thousand images scored, a million tokens of questions, and of answers."""

    fetched: float = 0.0
    scored: float = 0.0
    asked: float = 0.0
    answered: float = 0.0


def plan(
    config: str, corpora_: list[str] | None, work: str, *, limit: int | None = None, llm_url: str | None = None
) -> Counter[str]:
    """The counts of which `text` makes lines; each name begins with the name of its line there.

    Reads the corpora, and their local images where the rules ask for them; neither fetches, decodes, scores, asks nor
    writes anything. A document whose images or scores are missing is counted as if it came to the questions. Near
    repeats, images that recur in other documents and benchmarks are not looked for. Raises UserError as `build` does.
    """
    settings = configured(config, corpora_, limit, llm_url)
    bucket.check(work)
    if exists(f"{work}/manifest.json"):
        raise UserError(f"{work} is the --output folder of a build: give its --work folder, by default {work}/.work")
    url = settings.llm.url
    llm = served_model(settings.llm) if url else choice.reserve(settings.llm)[2]
    run, counts = measured(settings, work, llm), Counter[str]()
    run = dataclasses.replace(run, prompts=dataclasses.replace(run.prompts, control=tokens_of(settings.llm.model)))
    repeats, recurring = _identified(run, counts)
    with contextlib.closing(_Kept(run, recurring, counts)) as kept:
        for part in reading.parts(run):
            for record in corpora.read(part):
                if not isinstance(record, Document):
                    counts[f"unreadable {record.error}"] += 1
                elif record.location not in repeats:
                    counts[f"documents {_end(kept, record)}"] += 1
        counts["scores not_looked_for"] = len(run.preset.content_rules)
        counts["read image_bytes"] = kept.images.counts().get("bytes_read", 0)
        counts["questions there"] = kept.client.counts().get("from_cache", 0)
    return counts


def text(counts: Counter[str], prices: Prices = Prices()) -> str:
    """The counts as a table, with money where there are prices."""
    known, to_fetch = counts["images web_there"], counts["images to_fetch"]
    fetched = to_fetch * counts["images web_bytes"] / known / 1e9 if known else 0.0
    asked, answered = counts["questions characters"] / CHARACTERS, counts["questions to_ask"] * ANSWER
    ends = "done to_ask to_score dropped repeated failed unreadable".split()

    def there(name: str) -> str:
        looked = not counts["scores not_looked_for"]
        return f"{counts[f'{name} there']:,} there" if looked else "what is there is not looked for (`content` rules)"

    size = f" (about {fetched:,.2f} GB)" if known else " (of unknown size)" if to_fetch else ""
    lines = [
        ("read", f"{count(counts['read records'], 'record')} of {counts['read bytes'] / 1e6:,.1f} MB, and local images of "
                 f"{counts['read image_bytes'] / 1e6:,.1f} MB"),
        ("documents", ", ".join(f"{counts[f'documents {end}']:,} {end.replace('_', ' ')}" for end in ends)),
        *((end, names) for end in ("dropped", "failed", "unreadable") if (names := _names(counts, end))),
        ("images", f"at most {to_fetch:,} to fetch{size} and {counts['images to_decode']:,} to decode; "
                   f"{counts['images there']:,} there"),
        ("scores", f"at most {counts['scores to_compute']:,} to compute, of {counts['scores images']:,} images; "
                   f"{there('scores')}"),
        ("questions", f"at most {counts['questions to_ask']:,} to ask: about {_rounded(asked)} tokens to read and "
                      f"{_rounded(answered)} to write; {there('questions')}"),
    ]  # fmt: skip
    if prices != Prices():
        money = {
            "fetching": fetched * prices.fetched,
            "scoring": counts["scores images"] / 1e3 * prices.scored,
            "asking": (asked * prices.asked + answered * prices.answered) / 1e6,
        }
        unknown = ", and fetching images of unknown size" if prices.fetched and to_fetch and not known else ""
        parts = ", ".join(f"{name} {amount:,.2f}" for name, amount in money.items())
        lines.append(("money", f"at most about {sum(money.values()):,.2f} ({parts}){unknown}"))
    return "\n".join(f"{name:<10} {words}" for name, words in lines)


def _names(counts: Counter[str], end: str) -> str:
    """The rules or errors with which documents end so, as in the funnel."""
    found = {name.partition(" ")[2]: n for name, n in counts.items() if name.startswith(f"{end} ")}
    return ", ".join(line(f"{name} {n:,}") for name, n in sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _rounded(tokens: float) -> str:
    return f"{tokens / 1e3:,.0f} thousand" if tokens >= 1e3 else f"{tokens:,.0f}"


def _identified(run: Run, counts: Counter[str]) -> tuple[set[str], frozenset[bytes]]:
    """The locations of documents that repeat another, and the keys of headings that recur; counts what is read."""
    ids, firsts, texts, files, repeats = set[str](), set[str](), set[str](), set[str](), set[str]()
    headings = Counter[bytes]()
    for part in reading.parts(run):
        counts["read bytes"] += _bytes(part, files)
        for record in corpora.read(part):
            counts["read records"] += 1
            if not isinstance(record, Document):
                counts["documents unreadable"] += 1
                continue
            digest = text_digest(record)
            if digest not in texts:
                headings.update(heading_keys(record))
            if record.id in ids or digest in firsts:
                repeats.add(record.location)
            else:
                firsts.add(digest)  # not of one that repeats an id, as in the graph
            ids.add(record.id)
            texts.add(digest)
    counts["documents repeated"] = len(repeats)
    return repeats, frozenset(key for key, n in headings.items() if n >= RECURS)


def _bytes(part: Part, files: set[str]) -> int:
    """The bytes of a part. If it does not know them, the bytes of its file, once."""
    if part.size is not None or part.file in files:
        return part.size or 0
    files.add(part.file)
    with contextlib.suppress(OSError):
        if bucket.is_remote(part.file):
            store, name = bucket.split(part.file)
            return store.size(name)
        return os.path.getsize(part.file)
    return 0


class _NotKept(Exception):
    """A question whose answer is not in the work folder."""


async def _not_kept() -> NoReturn:
    raise _NotKept


class _Kept:
    """What earlier runs have left in the work folder, and the stages that go on from there."""

    def __init__(self, run: Run, recurring: frozenset[bytes], counts: Counter[str]):
        self.run, self.recurring, self.counts = run, recurring, counts
        self.images, self.scores = image_store(run), Store(run.store("scores"))
        self.filter_text, self.filter_headers = stages.filter_text(run), stages.filter_headers(run)
        self.store_images, self.score_coherence = stages.store_images(run), stages.score_coherence(run)
        self.with_texts = kept_texts(run) if run.config.ocr else None
        self.excerpt_of, self.filter_ratings = excerpting(run, recurring), stages.filter_ratings(run)
        answers = Store(run.store("answers"))
        nobody = "http://127.0.0.1:9/v1"  # never asked: `ready` raises before
        self.client = Client(nobody, "", cache=answers, identity=run.provenance.llm, ready=_not_kept)

    def missing(self) -> int:
        """How many questions so far had no answer in the work folder."""
        counts = self.client.counts()
        return counts.get("questions", 0) - counts.get("from_cache", 0)

    def close(self) -> None:
        self.client.close()
        self.store_images.close()


def _end(kept: _Kept, document: Document) -> str:
    """How far a document comes with what is there: `dropped`, `failed`, `to_score`, `to_ask` or `done`."""
    try:
        return _followed(kept, document)
    except RecordFault as fault:
        kept.counts[f"failed {fault.kind}"] += 1
        return "failed"


def _dropped(kept: _Kept, ended: object) -> str:
    """As `_end`, for a document that a rule drops; counts the rule."""
    drop = ended.drop if isinstance(ended, DroppedDocument) else ended
    assert isinstance(drop, Drop)
    kept.counts[f"dropped {drop.rule}"] += 1
    return "dropped"


def _followed(kept: _Kept, document: Document) -> str:
    passed = kept.filter_text(document)
    if not isinstance(passed, Document):
        return _dropped(kept, passed)
    sized = kept.filter_headers(passed)
    if not isinstance(sized, Document):
        return _dropped(kept, sized)
    known = [kept.images.is_known(image) for image in sized.images]
    for image, there in zip(sized.images, known, strict=True):
        kept.counts[f"images {'there' if there else 'to_fetch' if is_http(image.uri) else 'to_decode'}"] += 1
    if not all(known):
        return _unscored(kept, sized)
    stored = kept.store_images(sized).result()
    if not isinstance(stored, StoredDocument):
        return _dropped(kept, stored)
    _weigh(kept, stored)
    read = kept.with_texts(stored) if kept.with_texts else stored
    if (
        read is None
        or kept.run.preset.content_rules  # what images show is not looked for, and may remove some
        or kept.scores.read_json(stages.score_key(kept.run, read)) is None
    ):
        return _unscored(kept, stored)
    kept.counts["scores there"] += 1
    (scored,) = kept.score_coherence([read])
    excerpt = kept.excerpt_of(scored)
    return _asked(kept, excerpt) if isinstance(excerpt, ScoredDocument) else _dropped(kept, excerpt)


def _weigh(kept: _Kept, document: StoredDocument) -> None:
    """Count the bytes that fetching took, by estimate: those of the stored images, which may be scaled down."""
    for image in document.images:
        if is_http(image.uri):
            source = kept.images.header(image.uri)
            scale = source.width * source.height / (image.width * image.height)
            kept.counts["images web_there"] += 1
            kept.counts["images web_bytes"] += round(len(kept.images.read(image.sha256)) * scale)


def _asked(kept: _Kept, document: ScoredDocument) -> str:
    """As `_end`, for an excerpt that comes to the questions."""
    run, client, config = kept.run, kept.client, kept.run.config
    wordings, candidates = asking.wordings(run, document), config.instructions.candidates
    write = run.prompts.write_prompt(document, config.domains, wordings[0].ask if wordings else "")
    try:
        ratings = client.submit(questions.rate(client, run.prompts, document)).result()
    except _NotKept:
        _ask(kept, run.prompts.rate_prompt(document), *[write] * candidates)
        return "to_ask"
    rated = kept.filter_ratings(RatedDocument.of(document, ratings=ratings))
    if not isinstance(rated, RatedDocument):
        return _dropped(kept, rated)
    before = kept.missing()
    try:
        written = client.submit(
            questions.write(client, run.prompts, document, config.domains, wordings, candidates)
        ).result()
    except _NotKept:
        _ask(kept, *[write] * (kept.missing() - before))
        return "to_ask"
    return _dropped(kept, written) if isinstance(written, Drop) else "done"


def _unscored(kept: _Kept, document: Document) -> str:
    """Count the scores and the questions that the document takes if no rule drops it on the way."""
    config, prompts = kept.run.config, kept.run.prompts
    kept.counts["scores to_compute"] += 1
    kept.counts["scores images"] += len(document.images)
    if excerpt := best_excerpt(document, recurring=kept.recurring, **dataclasses.asdict(config.excerpt)):
        write = prompts.write_prompt(excerpt, config.domains)
        _ask(kept, prompts.rate_prompt(excerpt), *[write] * config.instructions.candidates)
    return "to_score"


def _ask(kept: _Kept, *prompts: Prompt) -> None:
    kept.counts["questions to_ask"] += len(prompts)
    kept.counts["questions characters"] += sum(len(m["content"]) for prompt in prompts for m in prompt.messages)
