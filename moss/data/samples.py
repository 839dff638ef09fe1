r"""The template: how an instance becomes one sequence of tokens.

    bos  instruction  context ...  "\n\n### Answer\n\n"  output ...  eos

Texts that follow each other are joined by a blank line and tokenised in one piece, the instruction and the context's
first texts too. An image is `layout.block(codes)`, with nothing before or after it; its alternative text and caption
are not used. The marker is tokenised on its own, so that a prompt's ids are exactly how training's ids begin, whatever
the output's first letters are. Instruction, context and marker are given; the output and eos are the targets.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image

from moss.backbones.generalist import Generalist, TextTokenizer, pixels_of
from moss.batch import Sample
from moss.layout import ImageLayout
from schemas import template
from schemas.records import Instance, Text

MARKER = template.MARKER
"""Where the output begins. Our choice, like the rest of the template: no published one is known."""
BETWEEN_TEXTS = "\n\n"

Parts = list[tuple[np.ndarray, int]]
"""The ids (n,) of a text, with 0, or of an image, with its number from 1 on."""


def sample(
    instance: Instance, codes: np.ndarray, layout: ImageLayout, tokenizer: TextTokenizer, train_boundaries: bool = True
) -> Sample:
    """An instance as tokens.

    `codes` (images, rows, columns), or vectors (images, rows, columns, c), are those of its images in reading order
    over context, then output.

    Without `train_boundaries`, an output image's begin, header, row ends, footer and end are not targets, only its
    image tokens. Raises ValueError if the number of images is not the instance's, or their shape not the layout's.
    """
    if len(codes) != image_count(instance):
        raise ValueError(f"{instance.key} has {image_count(instance)} images, but there are codes of {len(codes)}")
    blocks = _blocks(codes, layout)
    given = _prompt(instance.instruction, instance.context, blocks, tokenizer)
    learnt = [*_parts(instance.output, blocks, tokenizer), (np.array([tokenizer.eos]), 0)]
    return _sample(instance.key, given, learnt, codes, layout, train_boundaries)


def bare_sample(
    instance: Instance, codes: np.ndarray, layout: ImageLayout, tokenizer: TextTokenizer, train_boundaries: bool = True
) -> Sample:
    """An instance without its instruction and context: its output after `bare_prompt`. Arguments as for `sample`."""
    given = sum(not isinstance(segment, Text) for segment in instance.context)
    bare = dataclasses.replace(instance, instruction="", context=())
    return sample(bare, codes[given:], layout, tokenizer, train_boundaries)


def prompt_sample(generalist: Generalist, instruction: str, context: Sequence[Text | PIL.Image.Image] = ()) -> Sample:
    """The prompt of generation: the same ids (and vectors) as those of a training sample before its output."""
    pictures = [s for s in context if not isinstance(s, Text)]
    layout = generalist.layout
    codes = (
        pixels_of(generalist).encode(pictures) if pictures else np.zeros((0, layout.rows, layout.columns), np.uint16)
    )
    given = _prompt(instruction, context, _blocks(codes, layout), generalist.tokenizer)
    return _sample("", given, [], codes, layout, True)


def bare_prompt(tokenizer: TextTokenizer) -> list[int]:
    """The ids of a prompt without instruction and context: what condition dropout trains, and guidance starts from."""
    return [tokenizer.bos, *tokenizer.encode(MARKER)]


def sample_length(instance: Instance, layout: ImageLayout, tokenizer: TextTokenizer) -> int:
    """The number of tokens of an instance, without its codes."""
    codes = np.zeros((image_count(instance), layout.rows, layout.columns), np.uint16)
    return len(sample(instance, codes, layout, tokenizer).ids)


def image_count(instance: Instance) -> int:
    """The number of images in context and output together."""
    return sum(not isinstance(segment, Text) for segment in instance.context + instance.output)


def _sample(key: str, given: Parts, learnt: Parts, codes: np.ndarray, layout: ImageLayout, boundaries: bool) -> Sample:
    ids = np.concatenate([part for part, _ in given + learnt]).astype(np.int64)
    start = sum(len(part) for part, _ in given)
    number = np.concatenate([np.zeros(start, np.int64), *(np.full(len(part), n) for part, n in learnt)])
    is_image = (layout.low <= ids) & (ids < layout.high)
    trained = (np.arange(len(ids)) >= start) & (boundaries | is_image | (number == 0))
    vectors = codes.reshape(-1, codes.shape[-1]).astype(np.float32) if codes.ndim == 4 else None
    return Sample(key, ids, trained, np.where(is_image, number, 0), vectors)


def _prompt(
    instruction: str, context: Sequence[object], blocks: Iterator[np.ndarray], tokenizer: TextTokenizer
) -> Parts:
    return [
        (np.array([tokenizer.bos]), 0),
        *_parts([Text(instruction), *context], blocks, tokenizer),
        (np.array(tokenizer.encode(MARKER)), 0),
    ]


def _parts(segments: Sequence[object], blocks: Iterator[np.ndarray], tokenizer: TextTokenizer) -> Parts:
    """The parts of some segments; `blocks` yields the ids of each image in turn."""
    parts: Parts = []
    number = itertools.count(1)
    for is_text, run in itertools.groupby(segments, key=lambda segment: isinstance(segment, Text)):
        if is_text:
            text = BETWEEN_TEXTS.join(segment.text for segment in run if isinstance(segment, Text))
            parts.append((np.array(tokenizer.encode(text), dtype=np.int64), 0))
        else:
            parts += [(next(blocks), next(number)) for _ in run]
    return parts


def _blocks(codes: np.ndarray, layout: ImageLayout) -> Iterator[np.ndarray]:
    """The ids of each image's block; the id of a vector is `layout.low`, the slot."""
    return map(layout.block, np.zeros(codes.shape[:3], np.int64) if codes.ndim == 4 else codes)
