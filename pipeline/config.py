"""The configuration: one YAML file, read into frozen dataclasses; unknown keys and wrong types are refused.

Every key is explained below, and in `configs/leafinstruct.yaml`.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from filters import presets
from number_format import FORMATS
from pipeline import held_out, opt_outs, ranges, sources
from pipeline.sources import Corpus, Duplicates, Web
from prompts.wordings import BASIC, Kinds
from schemas import settings as settings_file
from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Images:
    """How images are fetched and stored; sides in pixels, sizes in bytes, times in seconds."""

    max_side: int = 512
    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    timeout: float = 20.0
    allow_private_hosts: bool = False
    workers: int = 8


@dataclasses.dataclass(frozen=True)
class Clip:
    """The coherence model: an open_clip name with a pretrained tag, or `local-dir:FOLDER` without one.

    `dtype` is the number format (auto, bfloat16, float16, float32), `batch_documents` how many documents are scored at
    once.
    """

    model: str = "ViT-L-14"
    pretrained: str | None = None
    dtype: str = "auto"
    batch_documents: int = 128


@dataclasses.dataclass(frozen=True)
class Ocr:
    """How text in images is read, and how much it counts in the matched scores (`pipeline.coherence.witness`).

    similarity, words, neutral: weights in cosines of the CLIP model; `leafinstruct calibrate` derives them. side:
    pixels of the longer side in which text is searched. boxes: the most pieces of text that are read in one image.
    """

    similarity: float
    words: float
    neutral: float
    side: int = 480
    boxes: int = 16


@dataclasses.dataclass(frozen=True)
class CoherenceRules:
    """Thresholds (cosines) at which images and documents are dropped; `leafinstruct calibrate` derives them.

    matched_at_least, similarity_at_most: for each image (`filters.coherence.filter_images`). mean_at_least,
    margin_at_least: for the whole document, and for its excerpt.
    """

    matched_at_least: float
    mean_at_least: float
    margin_at_least: float
    similarity_at_most: float


@dataclasses.dataclass(frozen=True)
class Excerpt:
    """How much of a document becomes the instance.

    `whole_sections`: whether it must end with the section in which it begins; fewer documents have such an excerpt, and
    more of these are whole (docs/quality.md).
    """

    max_words: int = 300
    max_images: int = 4
    min_words: int = 40
    whole_sections: bool = False


@dataclasses.dataclass(frozen=True)
class Llm:
    """The instruct model behind an OpenAI-compatible server.

    `model` is a folder, hub name or GGUF file for a server that the pipeline starts: `server` is vllm, llama.cpp or
    auto (the first of them that is installed), and `dtype` is vLLM's number format (auto, bfloat16, float16, float32).
    `name` is the server's name for the model; `url` has the addresses of servers that are already running, separated by
    commas; `key_file` is a file with their key. `concurrency` is the number of questions in flight at each server from
    one worker process, `in_flight` from all of them (None: there is no such limit), `timeout` the seconds for one answer,
    `deadline` those for a question, `max_model_len` the most tokens of prompt and answer.
    """

    model: str
    name: str
    url: str | None = None
    key_file: str | None = None
    server: str = "auto"
    dtype: str = "auto"
    concurrency: int = 64
    in_flight: int | None = None
    timeout: float = 120.0
    deadline: float = 600.0
    max_model_len: int = 2048


@dataclasses.dataclass(frozen=True)
class Instructions:
    """How instructions are written.

    candidates: how many the language model writes for a document; the one that tells it best from others is taken. It
    writes one where a prompt set with frames takes the title. with_pictures: the share that asks for pictures. kinds: the
    shares of their kinds.
    """

    candidates: int = 4
    with_pictures: float = 0.5
    kinds: Kinds = Kinds()


@dataclasses.dataclass(frozen=True)
class RatingRules:
    """Ratings (1 to 5) that a document must reach: its lowest of all aspects, and their mean."""

    lowest_at_least: float
    mean_at_least: float


@dataclasses.dataclass(frozen=True)
class Split:
    """How documents are split into context and output.

    `context_free` is the share of documents that get no context although they could be split. Documents that cannot be
    split never have a context.
    """

    context_free: float = 0.5


@dataclasses.dataclass(frozen=True)
class Shards:
    """The number of instances in each shard but the last, and the salt that decides their order and the splits."""

    size: int = 1000
    salt: str = "leafinstruct"


@dataclasses.dataclass(frozen=True)
class Limits:
    """When to stop a run: `failed_at_most` is the share of documents that may fail at a stage, from the 100th."""

    failed_at_most: float = 0.5


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides the result of a run, and how it is carried out (`NOT_IN_HASH`, `limits`)."""

    corpora: tuple[Corpus, ...]
    clip: Clip
    coherence: CoherenceRules
    llm: Llm
    ratings: RatingRules
    domains: tuple[str, ...]
    preset: str = "leafinstruct"
    prompts: str = "embedded"
    accept_missing: tuple[str, ...] = ()
    word_lists: dict[str, str] = dataclasses.field(default_factory=dict)
    limit: int | None = None
    duplicates: Duplicates = dataclasses.field(default_factory=Duplicates)
    decontaminate: str | None = None
    images: Images = Images()
    web: Web = Web()
    ocr: Ocr | None = None
    excerpt: Excerpt = Excerpt()
    instructions: Instructions = Instructions()
    split: Split = Split()
    shards: Shards = Shards()
    limits: Limits = Limits()


NOT_IN_HASH = {
    "llm": ("url", "key_file", "server", "dtype", "concurrency", "in_flight", "timeout", "deadline"),
    "clip": ("dtype", "batch_documents"),
    "images": ("workers", "timeout"),
    "web": ("contact", "per_host", "delay"),
}
"""Keys that say how a run is carried out; the hash of the configuration does not cover them.

Server and number format change the last digits of scores, and some answers: the models' identities in the manifest name
them.
"""


def load(path: str) -> Config:
    """Read a configuration file. Raises UserError with the file and the key."""
    tree = settings_file.read(path, "configs/demo.yaml")
    sources.check_form(tree, path)
    config = settings_file.build(Config, tree, path)
    _check(config, path)
    return config


def as_dict(config: Config) -> dict[str, Any]:
    """Everything that decides the result, as plain JSON types; `schemas.codec.config_hash` is computed from it.

    These are the settings, and the rules of the preset with the words of its lists, not only their names and paths.
    """
    rules: dict[str, Any] = {"rules": presets.as_dict(preset(config))}
    if config.decontaminate:
        rules["benchmark"] = held_out.summary(config.decontaminate)
    if config.web.opt_outs:
        rules["opt_outs"] = opt_outs.summary(config.web.opt_outs)
    return settings(config) | rules


def preset(config: Config) -> presets.Preset:
    """The configuration's rules.

    Raises UserError if the preset, or something it needs, is missing, or it bars English.
    """
    return presets.with_english(presets.load(config.preset, config.accept_missing, config.word_lists))


def settings(config: Config) -> dict[str, Any]:
    """The configuration as plain types, without the keys that only say how a run is carried out."""
    tree: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    del tree["limits"]
    for section, keys in NOT_IN_HASH.items():
        for key in keys:
            del tree[section][key]
    return tree


def parse_corpus(text: str) -> Corpus:
    """`FORMAT:PATH`, as given on the command line. Raises UserError.

    >>> parse_corpus("native:examples/corpus")
    Corpus(format='native', path='examples/corpus', limit=None, weight=1.0)
    """
    format_, colon, path = text.partition(":")
    if not colon or not path:
        raise UserError(f"a corpus is given as FORMAT:PATH, such as native:examples/corpus, not as {text!r}")
    return Corpus(format_, path)


def _check(config: Config, path: str) -> None:
    """The checks that types cannot express."""
    if not config.corpora:
        raise UserError(f"{path}: corpora is empty; name at least one, or give --corpus FORMAT:PATH")
    sources.check(config.corpora, config.duplicates, config.web, path)
    if len(set(config.domains)) < 12:
        raise UserError(f"{path}: domains must list at least 12 different names, not {len(set(config.domains))}")
    for domain in config.domains:
        if not domain.strip():
            raise UserError(f"{path}: domains has a blank name; remove it")
        if config.domains.count(domain) > 1:
            raise UserError(f"{path}: domains names {domain!r} more than once; remove the others")
    for key, value, known in (
        ("llm.server", config.llm.server, ("auto", "vllm", "llama.cpp")),
        ("llm.dtype", config.llm.dtype, FORMATS),
        ("clip.dtype", config.clip.dtype, FORMATS),
    ):
        if value not in known:
            raise UserError(f"{path}: {key} must be one of {', '.join(known)}, not {value!r}")
    ranges.check(dataclasses.asdict(config), path)
    if not (1 <= len(config.shards.salt) <= 64 and config.shards.salt.isascii() and config.shards.salt.isprintable()):
        raise UserError(f"{path}: shards.salt must be 1 to 64 printable ASCII characters")
    if not 0 < config.limits.failed_at_most <= 1:
        raise UserError(
            f"{path}: limits.failed_at_most is a share above 0 and up to 1, not {config.limits.failed_at_most}"
        )
    if abs(sum(getattr(config.instructions.kinds, name) for name in BASIC) - 1) > 1e-6:
        raise UserError(f"{path}: instructions.kinds: the sum of {', '.join(BASIC)} must be 1")
