"""Generates interleaved text and images, token by token, with one loop for every backbone.

The loop drives `Generalist.hidden` with a transformers cache. Outside an image it asks for text logits, inside one for
image logits or the next vector; tokens that the layout determines are not predicted, but read together with the next
step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from tqdm import tqdm

from moss import data
from moss.backbones.continuous import Continuous
from moss.backbones.generalist import Generalist, pixels_of
from moss.generation.reading import Reader
from moss.generation.sampling import Draw, Sampling
from moss.generation.whole_images import FREE, WholeImages, forced, not_text
from moss.layout import ImageLayout
from schemas.errors import UserError
from schemas.records import Text

TEXT_TOKENS, IMAGES = 2048, 8
"""The numbers of text tokens and images for which an answer has room if no limit is given."""


class PromptTooLong(UserError):
    """A prompt that leaves the model no room to answer."""


@dataclasses.dataclass(frozen=True)
class Prompt:
    """The ids of a prompt, and the vectors of its images for a continuous backbone.

    budget: the most new tokens, if `Sampling.max_tokens` is not less; None: as `Sampling` says.
    """

    ids: Sequence[int]
    vectors: np.ndarray | None = None
    budget: int | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """A generated answer.

    ids: the new tokens, eos included. finished: whether eos was reached. budget: the most tokens that were allowed.
    vectors: float32 (image tokens, c), the vectors in the slots of a continuous backbone; else None.
    """

    ids: tuple[int, ...]
    finished: bool
    budget: int
    vectors: np.ndarray | None = None


def answer(
    generalist: Generalist,
    prompt: Sequence[int],
    vectors: np.ndarray | None,
    sampling: Sampling,
    progress: bool = False,
) -> Answer:
    """Continue one prompt (ids, and the vectors of its images for a continuous backbone); see `answers`."""
    return answers(generalist, [Prompt(prompt, vectors)], sampling, progress)[0]


@torch.no_grad()
def answers(
    generalist: Generalist, prompts: Sequence[Prompt], sampling: Sampling, progress: bool = False
) -> list[Answer]:
    """Continue prompts (see `moss.data.prompt_sample`) together, one token for each row in each step.

    A row's budget is the smallest of the prompt's own, `Sampling.max_tokens` and the rest of the model's context. Every
    image is complete. Raises PromptTooLong if a prompt fills the model's context.
    """
    layout, tokenizer, given = generalist.layout, generalist.tokenizer, forced(generalist.layout)
    rows = [_Row(generalist, prompt, sampling) for prompt in prompts]
    bare = data.bare_prompt(tokenizer)
    guided = sampling.image_guidance != 1
    reader = Reader(
        generalist,
        [*(p.ids for p in prompts), *[bare] * len(rows) * guided],
        [*(row.vectors for row in rows), *([None] * len(rows) * guided)],
    )
    tokens: list[Tensor] = []
    pad = torch.full((1,), tokenizer.pad, device=reader.device)

    def guide(of: Callable[[Tensor], Tensor], hidden: Tensor, numbers: list[int]) -> Tensor:
        """The predictions `of` the rows with these numbers, guided away from the predictions without a prompt."""
        found = of(hidden[numbers])
        if not guided:
            return found
        without = of(hidden[[len(rows) + number for number in numbers]]).float()  # bfloat16 would round the difference
        return without + sampling.image_guidance * (found.float() - without)

    with tqdm(total=max(row.budget for row in rows), desc="generating", unit=" tokens", disable=not progress) as bar:
        while live := [n for n, row in enumerate(rows) if not row.done]:
            asking = [n for n in live if not rows[n].place or given[rows[n].place] == FREE]
            drawing = [n for n in asking if rows[n].place]
            writing = [n for n in asking if not rows[n].place]
            following = [pad] * len(rows)
            vectors: list[Tensor | None] = [None] * len(rows)
            for n in live:
                if n not in asking:
                    following[n] = torch.full((1,), given[rows[n].place], device=reader.device)
            hidden = reader.hidden() if asking else None
            if hidden is not None and drawing and has_slots(layout):
                found = guide(lambda some: vectors_of(generalist, some), hidden, drawing)
                for n, vector in zip(drawing, found.split(1), strict=True):
                    vectors[n], following[n] = vector, torch.full((1,), layout.low, device=reader.device)
                    rows[n].drawn.append(vector)
            elif hidden is not None and drawing:
                found = guide(generalist.image_logits, hidden, drawing)
                for n, logits in zip(drawing, found.split(1), strict=True):
                    following[n] = rows[n].draw.image(logits) + layout.low
            if hidden is not None and writing:
                for n, logits in zip(writing, generalist.text_logits(hidden[writing]).split(1), strict=True):
                    following[n] = rows[n].write(logits)
            for n in live:
                rows[n].advance(layout, following[n] if n in writing else None, tokenizer.eos)
            step = torch.cat(following)
            tokens.append(step)
            reader.append(torch.cat([step] * (1 + guided)), vectors * (1 + guided))
            bar.update()
    written = torch.stack(tokens, 1).tolist() if tokens else [[] for _ in rows]
    return [row.answer(ids[: row.written]) for row, ids in zip(rows, written, strict=True)]


@torch.no_grad()
def free_answer(generalist: Generalist, prompt: Sequence[int], sampling: Sampling) -> Answer:
    """Continue a prompt without constraints, up to the first invalid image.

    Every token is drawn from the whole vocabulary, so that an image may come out in any form (see `metrics.blocks`).
    What follows an invalid image says nothing about a model, and adapters refuse it. For backbones with
    `image_tokens_in_vocabulary`.
    """
    layout, eos = generalist.layout, generalist.tokenizer.eos
    row = _Row(generalist, Prompt(prompt), sampling)
    reader, draw, most = Reader(generalist, [prompt], [None]), row.draw, row.budget
    given = forced(layout)
    tokens: list[Tensor] = []
    place, finished, broken = 0, False, False
    while len(tokens) < most and not (finished or broken):
        logits = generalist.text_logits(reader.hidden())
        token = draw.image(logits) if place else draw.text(logits)
        tokens.append(token)
        reader.append(token, [None])
        id = token.item()
        fits = layout.low <= id < layout.high if given[place] == FREE else id == given[place]
        broken = not fits and (place > 0 or layout.low <= id < layout.high or id == layout.row_end)
        place = (place + 1) % layout.block_length if fits else 0
        finished = id == eos
    return Answer(_ids(tokens), finished, most)


def parts(written: Answer, generalist: Generalist) -> list[Text | np.ndarray]:
    """The parts of an answer in order.

    Texts are split at blank lines (by which training joins them); images are codes (rows, columns) or vectors (rows,
    columns, c).

    texts, split at blank lines (by which training joins them), and images as codes (rows, columns) or vectors (rows,
    columns, c).
    """
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
    """The parts of an answer, with decoded images."""
    return [
        part if isinstance(part, Text) else pixels_of(generalist).decode(part) for part in parts(written, generalist)
    ]


def vectors_of(generalist: Generalist, hidden: Tensor) -> Tensor:
    """(N, d) -> (N, c): the next vectors of a backbone that has slots."""
    assert isinstance(generalist, Continuous)
    return generalist.image_vectors(hidden)


def budget(layout: ImageLayout, sampling: Sampling, images: int = 0) -> int:
    """How many tokens an answer may have, without regard to the model's context.

    If `max_tokens` is None, there is also room for the `images` that its reference has.
    """
    if sampling.max_tokens is not None:
        return sampling.max_tokens
    most = max(IMAGES, images) if sampling.max_images is None else sampling.max_images
    return TEXT_TOKENS + most * layout.block_length


def check_room(generalist: Generalist, prompt: Prompt) -> int | None:
    """How many tokens of the model's context are left after a prompt; None if the context is unlimited.

    Raises PromptTooLong.
    """
    room = generalist.context_length
    if room is not None and len(prompt.ids) >= room:
        raise PromptTooLong(f"the prompt has {len(prompt.ids)} tokens and the model can hold {room}: give less context")
    return None if room is None else room - len(prompt.ids)


def has_slots(layout: ImageLayout) -> bool:
    """Whether image tokens are vectors in slots of one id, rather than codes."""
    return layout.high - layout.low == 1


def image_tokens_in_vocabulary(generalist: Generalist) -> bool:
    """Whether the text logits include image tokens, so that an answer can be drawn freely."""
    vocabulary = generalist.plain_model.config.get_text_config().vocab_size
    return not has_slots(generalist.layout) and generalist.layout.high <= vocabulary


class _Row:
    """One prompt's answer so far.

    place: the position in an image block, 0 outside; begun: the number of images; written: the number of tokens.
    """

    def __init__(self, generalist: Generalist, prompt: Prompt, sampling: Sampling) -> None:
        device = next(generalist.model.parameters()).device
        limits = [most for most in (prompt.budget, sampling.max_tokens) if most is not None]
        wanted = min(limits, default=budget(generalist.layout, sampling))
        self.budget = min(wanted, check_room(generalist, prompt) or wanted)
        given = prompt.vectors
        self.vectors = None if given is None or not len(given) else torch.from_numpy(given).float().to(device)
        seed = np.random.SeedSequence([sampling.seed, *prompt.ids]).generate_state(1)[0]  # a generator of its own
        self.draw = Draw(sampling, int(seed), device)
        self.rules = WholeImages(
            generalist.layout,
            prompt_length=len(prompt.ids),
            max_tokens=self.budget,
            max_images=sampling.max_images,
            forbidden=not_text(generalist.layout, generalist.tokenizer),
        )
        self.drawn: list[Tensor] = []  # the vectors in slots
        self.place = self.begun = self.written = 0
        self.finished = False

    @property
    def done(self) -> bool:
        return self.finished or self.written >= self.budget

    def write(self, logits: Tensor) -> Tensor:
        """The next token (1,) outside an image, from logits (1, V)."""
        state = torch.tensor([[self.place], [self.begun]], device=logits.device)
        return self.draw.text(self.rules.mask(logits, state[0], state[1], self.written))

    def advance(self, layout: ImageLayout, text: Tensor | None, eos: int) -> None:
        """Count a token; `text` is a token that was written outside an image."""
        begins = text is not None and text.item() == layout.begin
        self.finished = text is not None and not begins and text.item() == eos
        self.place = (self.place + 1) % layout.block_length if self.place or begins else 0
        self.begun, self.written = self.begun + begins, self.written + 1

    def answer(self, ids: Sequence[int]) -> Answer:
        drawn = torch.cat(self.drawn).float().cpu().numpy() if self.drawn else None
        return Answer(tuple(ids), self.finished, self.budget, drawn)


def _ids(tokens: list[Tensor]) -> tuple[int, ...]:
    return tuple(torch.cat(tokens).tolist()) if tokens else ()
