"""The configuration: one YAML file, read into frozen dataclasses; an unknown key or a wrong type is refused.

Every key is explained where it stands below, and in `configs/leafinstruct.yaml`.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from filters import presets
from number_format import FORMATS
from schemas import settings as settings_file
from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Where documents come from: a format (native, mmc4, obelics, omnicorpus, wikihow), and a folder, file, glob or
    tar."""

    format: str
    path: str


@dataclasses.dataclass(frozen=True)
class Images:
    """How pictures are fetched and stored. Sides in pixels, sizes in bytes, times in seconds."""

    max_side: int = 512
    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    timeout: float = 20.0
    allow_private_hosts: bool = False
    workers: int = 8


@dataclasses.dataclass(frozen=True)
class Clip:
    """The coherence model: an open_clip name with a pretrained tag, or `local-dir:FOLDER` without one. `dtype` is the
    number format (auto, bfloat16, float16, float32)."""

    model: str = "ViT-L-14"
    pretrained: str | None = None
    dtype: str = "auto"
    batch_documents: int = 128


@dataclasses.dataclass(frozen=True)
class CoherenceRules:
    """Cosines below which an image or a document goes; `leafinstruct calibrate` derives them for a model."""

    matched_at_least: float
    mean_at_least: float
    margin_at_least: float
    similarity_at_most: float


@dataclasses.dataclass(frozen=True)
class Excerpt:
    """How much of a document becomes the instance."""

    max_words: int = 300
    max_images: int = 4
    min_words: int = 40


@dataclasses.dataclass(frozen=True)
class Llm:
    """The instruct model behind an OpenAI-compatible server.

    `model` is a folder, hub name or GGUF file for a server that the pipeline starts: `server` is vllm, llama.cpp or
    auto (the first of them that is there), and `dtype` vLLM's number format (auto, bfloat16, float16, float32). `name`
    is what the server calls the model; `url` names a server that runs already. `concurrency` is the number of questions
    in flight, `deadline` the seconds after which a question that gets no answer has failed.
    """

    model: str
    name: str
    url: str | None = None
    server: str = "auto"
    dtype: str = "auto"
    concurrency: int = 64
    timeout: float = 120.0
    deadline: float = 600.0
    max_model_len: int = 2048


@dataclasses.dataclass(frozen=True)
class RatingRules:
    """Ratings (1 to 5) that a document must reach: its lowest of all aspects, and their mean."""

    lowest_at_least: float
    mean_at_least: float


@dataclasses.dataclass(frozen=True)
class Split:
    """`context_free` is the share without a context among the documents that can be cut into a context and an output;
    those that cannot are always without one."""

    context_free: float = 0.5


@dataclasses.dataclass(frozen=True)
class Shards:
    """Instances in a shard (exactly, but for the last), and the salt that fixes order and splits."""

    size: int = 1000
    salt: str = "leafinstruct"


@dataclasses.dataclass(frozen=True)
class Limits:
    """When to stop a run: `failed_at_most` is the share of documents that may fail at a stage, from the 100th on."""

    failed_at_most: float = 0.5


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides what comes out."""

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
    images: Images = Images()
    excerpt: Excerpt = Excerpt()
    split: Split = Split()
    shards: Shards = Shards()
    limits: Limits = Limits()


NOT_IN_HASH = {"llm": ("url", "server", "dtype", "concurrency", "timeout", "deadline"),
               "clip": ("dtype", "batch_documents"),
               "images": ("workers", "timeout")}
"""How a run is carried out, as against what comes out of it. (Server and number format change the last digits of scores,
and some answers: the identities of the models in the manifest name them.)"""


def load(path: str) -> Config:
    """Read a configuration file. Raises UserError with the file and the key."""
    config = settings_file.build(Config, settings_file.read(path, "configs/demo.yaml"), path)
    _check(config, path)
    return config


def as_dict(config: Config) -> dict[str, Any]:
    """All that decides what comes out, as plain JSON types: the settings, and the rules that the preset's name and the
    paths of word lists stand for. It is what `schemas.codec.config_hash` is made of."""
    return settings(config) | {"rules": presets.as_dict(preset(config))}


def preset(config: Config) -> presets.Preset:
    """The configuration's rules. Raises UserError where the preset, or something that it needs, is not there."""
    return presets.load(config.preset, config.accept_missing, config.word_lists)


def settings(config: Config) -> dict[str, Any]:
    """The configuration as a file can hold it, without what only says how a run is carried out."""
    tree: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    del tree["limits"]
    for section, keys in NOT_IN_HASH.items():
        for key in keys:
            del tree[section][key]
    return tree


def parse_corpus(text: str) -> Corpus:
    """`FORMAT:PATH`, as the command line gives it."""
    format_, colon, path = text.partition(":")
    if not colon or not path:
        raise UserError(f"--corpus wants FORMAT:PATH, such as native:examples/corpus, not {text!r}")
    return Corpus(format_, path)


def _check(config: Config, path: str) -> None:
    """What the types cannot say."""
    if not config.corpora:
        raise UserError(f"{path}: corpora is empty; name at least one, or give --corpus FORMAT:PATH")
    if len(set(config.domains)) < 12:
        raise UserError(f"{path}: domains must list at least 12 different names, not {len(set(config.domains))}")
    for domain in config.domains:
        if not domain.strip():
            raise UserError(f"{path}: domains holds a name that is blank; take it out")
        if config.domains.count(domain) > 1:
            raise UserError(f"{path}: domains names {domain!r} more than once; take the others out")
    for key, value, known in (("llm.server", config.llm.server, ("auto", "vllm", "llama.cpp")),
                              ("llm.dtype", config.llm.dtype, FORMATS), ("clip.dtype", config.clip.dtype, FORMATS)):
        if value not in known:
            raise UserError(f"{path}: {key} must be one of {', '.join(known)}, not {value!r}")
    for key, number in (("shards.size", config.shards.size), ("excerpt.max_images", config.excerpt.max_images),
                       ("llm.concurrency", config.llm.concurrency), ("images.workers", config.images.workers),
                       ("clip.batch_documents", config.clip.batch_documents),
                       ("images.max_side", config.images.max_side),
                       ("limit", 1 if config.limit is None else config.limit)):
        if number < 1:
            raise UserError(f"{path}: {key} must be at least 1, not {number}")
    if not (1 <= len(config.shards.salt) <= 64 and config.shards.salt.isascii() and config.shards.salt.isprintable()):
        raise UserError(f"{path}: shards.salt must be 1 to 64 printable ASCII characters")
    if config.excerpt.max_images > 100:
        raise UserError(f"{path}: excerpt.max_images must be at most 100, not {config.excerpt.max_images}")
    if not 0 < config.limits.failed_at_most <= 1:
        raise UserError(f"{path}: limits.failed_at_most is a share above 0 and up to 1, not "
                        f"{config.limits.failed_at_most}")
    if not 0 <= config.split.context_free <= 1:
        raise UserError(f"{path}: split.context_free is a share from 0 to 1, not {config.split.context_free}")
