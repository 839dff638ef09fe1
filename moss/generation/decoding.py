"""Writing interleaved text and images, token by token: one loop for every backbone.

The loop drives `Generalist.hidden` with a transformers cache. Outside an image it asks for text logits, inside one for
image logits or the next vector; tokens that the layout gives are not asked for but read along with the next step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import DynamicCache, LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from moss.backbones.continuous import Continuous
from moss.backbones.generalist import Generalist, pixels_of
from moss.generation.whole_images import FREE, WholeImages, forced, not_text
from moss.layout import ImageLayout
from schemas.errors import UserError
from schemas.records import Text

TEXT_TOKENS, IMAGES = 2048, 8
"""What an answer has room for where no limit is given."""
NO_IDS = torch.LongTensor()
"""The warpers look at logits alone."""


class PromptTooLong(UserError):
    """A prompt that leaves the model no room to answer."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; the defaults are ours. Text: temperature, and the likeliest tokens that make up `top_p` of
    the probability. Images: temperature, and the `top_k` likeliest codes (None: all). Vectors are not drawn. `greedy`
    takes the likeliest everywhere. max_tokens: new tokens; None leaves room for `max_images` images (or IMAGES) and
    TEXT_TOKENS of text. The same seed gives a prompt the same answer on the same machine."""

    seed: int = 0
    text_temperature: float = 0.7
    text_top_p: float = 0.9
    image_temperature: float = 1.0
    image_top_k: int | None = None
    greedy: bool = False
    max_tokens: int | None = None
    max_images: int | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """ids: the new tokens, eos included. finished: eos was reached, not the budget, which is how many tokens there
    could be. vectors: float32 (image tokens, c), what a continuous backbone put into its slots; else None."""

    ids: tuple[int, ...]
    finished: bool
    budget: int
    vectors: np.ndarray | None = None


@torch.no_grad()
def answer(
    generalist: Generalist,
    prompt: Sequence[int],
    vectors: np.ndarray | None,
    sampling: Sampling,
    progress: bool = False,
) -> Answer:
    """Continue a prompt (ids, and the vectors of its images for a continuous backbone; see `moss.data.prompt_sample`).

    The budget is `Sampling.max_tokens` or what is left of the model's context, whichever is less; every image is whole.
    Raises PromptTooLong where the prompt fills the model's context.
    """
    layout, eos = generalist.layout, generalist.tokenizer.eos
    reader, draw, most = _begin(generalist, prompt, vectors, sampling)
    rules = WholeImages(
        layout,
        prompt_length=len(prompt),
        max_tokens=most,
        max_images=sampling.max_images,
        forbidden=not_text(layout, generalist.tokenizer),
    )
    given, device = forced(layout), draw.device
    tokens: list[Tensor] = []
    drawn: list[Tensor] = []  # what went into slots
    place = begun = 0
    finished = False
    with tqdm(total=most, desc="generating", unit=" tokens", disable=not progress) as bar:
        while len(tokens) < most and not finished:
            vector, begins = None, False
            if place and given[place] != FREE:
                token = torch.full((1,), given[place], device=device)
            elif place and has_slots(layout):
                vector = vectors_of(generalist, reader.hidden())
                token = torch.full((1,), layout.low, device=device)
                drawn.append(vector)
            elif place:
                token = draw.image(generalist.image_logits(reader.hidden())) + layout.low
            else:
                logits = generalist.text_logits(reader.hidden())
                state = torch.tensor([[place], [begun]], device=device)
                token = draw.text(rules.mask(logits, state[0], state[1], len(tokens)))
                begins, finished = token.item() == layout.begin, token.item() == eos
            tokens.append(token)
            reader.append(token, vector)
            place = (place + 1) % layout.block_length if place or begins else 0
            begun += begins
            bar.update()
            if begins:
                bar.set_postfix_str(f"image {begun}")
    return Answer(_ids(tokens), finished, most, torch.cat(drawn).float().cpu().numpy() if drawn else None)


@torch.no_grad()
def free_answer(generalist: Generalist, prompt: Sequence[int], sampling: Sampling) -> Answer:
    """Continue a prompt with nothing forbidden, up to the first image that comes out wrong.

    Every token is drawn from the whole vocabulary, so that an image may come out in any form (see `metrics.blocks`).
    What would follow a broken image says nothing of how a model writes, and adapters refuse it. For backbones with
    `image_tokens_in_vocabulary`.
    """
    layout, eos = generalist.layout, generalist.tokenizer.eos
    reader, draw, most = _begin(generalist, prompt, None, sampling)
    given = forced(layout)
    tokens: list[Tensor] = []
    place, finished, broken = 0, False, False
    while len(tokens) < most and not (finished or broken):
        logits = generalist.text_logits(reader.hidden())
        token = draw.image(logits) if place else draw.text(logits)
        tokens.append(token)
        reader.append(token, None)
        id = token.item()
        fits = layout.low <= id < layout.high if given[place] == FREE else id == given[place]
        broken = not fits and (place > 0 or layout.low <= id < layout.high or id == layout.row_end)
        place = (place + 1) % layout.block_length if fits else 0
        finished = id == eos
    return Answer(_ids(tokens), finished, most)


def parts(written: Answer, generalist: Generalist) -> list[Text | np.ndarray]:
    """What `answer` wrote, in order: texts, split where a blank line stands (training joined them so), and images as
    codes (rows, columns) or vectors (rows, columns, c)."""
    layout, tokenizer = generalist.layout, generalist.tokenizer
    found: list[Text | np.ndarray] = []
    vectors = iter(
        ()
        if written.vectors is None
        else written.vectors.reshape(-1, layout.rows, layout.columns, written.vectors.shape[-1])
    )
    rest = list(written.ids)
    while rest:
        length = rest.index(layout.begin) if layout.begin in rest else len(rest)
        text = tokenizer.decode([id for id in rest[:length] if id != tokenizer.eos])
        found.extend(Text(part.strip()) for part in text.split("\n\n") if part.strip())
        block, rest = rest[length : length + layout.block_length], rest[length + layout.block_length :]
        if block:
            codes = layout.codes(np.array(block))
            found.append(codes if written.vectors is None else next(vectors))
    return found


def segments(written: Answer, generalist: Generalist) -> list[Text | PIL.Image.Image]:
    """`parts`, with pictures."""
    return [
        part if isinstance(part, Text) else pixels_of(generalist).decode(part) for part in parts(written, generalist)
    ]


def vectors_of(generalist: Generalist, hidden: Tensor) -> Tensor:
    """(N, d) -> (N, c): the next vectors of a backbone that has slots."""
    assert isinstance(generalist, Continuous)
    return generalist.image_vectors(hidden)


def budget(layout: ImageLayout, sampling: Sampling, images: int = 0) -> int:
    """How many tokens an answer may have, the model's context aside; with `max_tokens` None there is room for the
    `images` that its reference has, too."""
    if sampling.max_tokens is not None:
        return sampling.max_tokens
    most = max(IMAGES, images) if sampling.max_images is None else sampling.max_images
    return TEXT_TOKENS + most * layout.block_length


def has_slots(layout: ImageLayout) -> bool:
    """Whether image tokens are vectors in slots of one id, rather than codes."""
    return layout.high - layout.low == 1


def image_tokens_in_vocabulary(generalist: Generalist) -> bool:
    """Whether the text logits also rate image tokens, so that an answer can be drawn freely."""
    vocabulary = generalist.plain_model.config.get_text_config().vocab_size
    return not has_slots(generalist.layout) and generalist.layout.high <= vocabulary


def _begin(
    generalist: Generalist, prompt: Sequence[int], vectors: np.ndarray | None, sampling: Sampling
) -> tuple[_Reader, _Draw, int]:
    device = next(generalist.model.parameters()).device
    config = generalist.plain_model.config.get_text_config()
    wanted = budget(generalist.layout, sampling)
    room = getattr(config, "max_position_embeddings", None) or len(prompt) + wanted
    if len(prompt) >= room:
        raise PromptTooLong(f"the prompt has {len(prompt)} tokens and the model can hold {room}: give less context")
    given = None if vectors is None or not len(vectors) else torch.from_numpy(vectors).float().to(device)
    reader = _Reader(generalist, torch.tensor([list(prompt)], device=device), given)
    seed = int(np.random.SeedSequence([sampling.seed, *prompt]).generate_state(1)[0])  # its own draws for each prompt
    return reader, _Draw(sampling, seed, device), min(wanted, room - len(prompt))


def _ids(tokens: list[Tensor]) -> tuple[int, ...]:
    return tuple(torch.cat(tokens).tolist()) if tokens else ()


class _Reader:
    """Feeds what is new to the model when its next hidden state is asked for."""

    def __init__(self, generalist: Generalist, ids: Tensor, vectors: Tensor | None) -> None:
        self.generalist, self.seen = generalist, 0
        self.cache = DynamicCache(config=generalist.plain_model.config)
        self.ids, self.vectors = [ids], [] if vectors is None else [vectors]

    def append(self, token: Tensor, vector: Tensor | None) -> None:
        self.ids.append(token[None])
        if vector is not None:
            self.vectors.append(vector)

    def hidden(self) -> Tensor:
        """(1, d), after everything so far."""
        ids = torch.cat(self.ids, 1)
        positions = torch.arange(self.seen, self.seen + ids.shape[1], device=ids.device)[None]
        vectors = torch.cat(self.vectors) if self.vectors else None
        self.seen, self.ids, self.vectors = self.seen + ids.shape[1], [], []
        return self.generalist.hidden(ids, positions, vectors, self.cache)[:, -1]


class _Draw:
    def __init__(self, sampling: Sampling, seed: int, device: torch.device) -> None:
        self.greedy, self.device = sampling.greedy, device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.warpers = [
            LogitsProcessorList([TemperatureLogitsWarper(float(t)), *more])
            for t, more in (
                (sampling.text_temperature, [TopPLogitsWarper(sampling.text_top_p)]),
                (sampling.image_temperature, [TopKLogitsWarper(sampling.image_top_k)] if sampling.image_top_k else []),
            )
        ]

    def text(self, logits: Tensor) -> Tensor:
        return self._draw(logits, self.warpers[0])

    def image(self, logits: Tensor) -> Tensor:
        return self._draw(logits, self.warpers[1])

    def _draw(self, logits: Tensor, warpers: LogitsProcessorList) -> Tensor:
        """(1, V) -> (1,)"""
        if self.greedy:
            return logits.argmax(-1)
        return torch.multinomial(warpers(NO_IDS, logits.float()).softmax(-1), 1, generator=self.generator)[:, 0]
