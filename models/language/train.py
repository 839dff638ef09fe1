"""Trains the LoRA on a CPU: `python -m models.language.train --corpus HOWTO.tar --base FOLDER --out FILE`.

`--start` goes on from the adapters of an earlier run; notes.md says which runs the committed ones came from. `--base` is the plain model as `models.language.build` makes it (`adapters=None`). Each of the threads works on its own
half of a batch with one core, which is faster on a busy machine than two cores on one matrix.
"""

from __future__ import annotations

import argparse
import bisect
import concurrent.futures
import dataclasses
import functools
import math
import pathlib
import random
import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from models.language import lora
from models.language.build import load_model
from models.language.data import Pair, training_pairs

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

THREADS = 2
BATCH = 4
"""Examples a thread and step, all of about the same length."""
LONGEST = 600
"""Tokens. The few texts with more are tables and code, which tokenise badly."""
LEARNING_RATE = 6e-4
WARMUP = 20
GRADE_WEIGHT, FRAME_WEIGHT = 6.0, 0.1
"""Weights of a rating's digits and of its other tokens, which the JSON schema dictates; an instruction's tokens have 1.
So the four digits of an answer weigh about as much as a whole instruction."""
ORDER_LAYER, ORDER_WEIGHT = 22, 1.0
"""Of the 30 blocks, the one after which the order of sentences is asked for."""


@dataclasses.dataclass(frozen=True)
class Example:
    """Token ids, the positions that predict an answer's token and the weight of each, and the positions where a
    sentence ends, with 1.0 where it follows the sentence that it should."""

    ids: list[int]
    answer: list[int]
    weights: list[float]
    ends: list[int]
    follows: list[float]


def encode(pair: Pair, tokenizer: PreTrainedTokenizerBase) -> Example:
    """The pair as token ids."""
    prompt = tokenizer.apply_chat_template(list(pair.messages), add_generation_prompt=True, tokenize=False)
    assert isinstance(prompt, str)          # it is tokenised below, with the places of its sentences
    head = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
    ids = tokenizer(pair.answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
    weights = [1.0] * len(ids)
    if pair.task == "rate":
        weights = [GRADE_WEIGHT if str(tokenizer.decode([t])).isdigit() else FRAME_WEIGHT for t in ids]
    first = len(head["input_ids"])
    stops, ends, follows, at = [stop for _, stop in head["offset_mapping"]], [], [], 0
    for sentence, right in pair.marks:
        found = prompt.find(sentence, at)
        if found >= 0:                      # white space inside a sentence may be another in the prompt
            at = found + len(sentence)
            ends.append(bisect.bisect_left(stops, at))
            follows.append(float(right))
    return Example(head["input_ids"] + ids, list(range(first - 1, first + len(ids) - 1)), weights, ends, follows)


class Model(torch.nn.Module):
    """The language model with its adapters, and a linear layer that only training has: at the end of each sentence it
    tells whether the sentence follows the right one. A text's grade for its order is one number in 300 tokens; this
    says where the order is broken, in a layer whose outcome the grades can still read."""

    def __init__(self, model: LlamaForCausalLM):
        super().__init__()
        self.model = model
        width = model.config.hidden_size
        self.order = torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, 1))

    def losses(self, examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean weighted cross-entropy of the answers, the large output layer run at their positions only, and the
        mean cross-entropy of the sentences' order (0 where no sentence is marked)."""
        longest = max(len(e.ids) for e in examples)
        ids = torch.tensor([e.ids + [0] * (longest - len(e.ids)) for e in examples])    # causal: padding is inert
        out = self.model.model(input_ids=ids, use_cache=False, output_hidden_states=True)
        rows, columns = _places([e.answer for e in examples])
        weights = torch.tensor([w for e in examples for w in e.weights])
        logits = self.model.lm_head(out.last_hidden_state[rows, columns]).float()
        answers = (cross_entropy(logits, ids[rows, columns + 1], reduction="none") * weights).sum() / weights.sum()
        rows, columns = _places([e.ends for e in examples])
        marks = self.order(out.hidden_states[ORDER_LAYER][rows, columns].float()).squeeze(-1)
        follows = torch.tensor([f for e in examples for f in e.follows])
        order = binary_cross_entropy_with_logits(marks, follows, reduction="sum") / max(1, len(follows))
        return answers, order


def _places(positions: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns in the batch."""
    rows = [i for i, row in enumerate(positions) for _ in row]
    return torch.tensor(rows, dtype=torch.long), torch.tensor([p for row in positions for p in row], dtype=torch.long)


def batches(examples: list[Example], rng: random.Random) -> list[list[Example]]:
    """All examples once, in steps of THREADS * BATCH of about the same length, in random order."""
    size = THREADS * BATCH
    pools = [examples[i:i + 40 * size] for i in range(0, len(examples), 40 * size)]
    found = []
    for pool in pools:
        pool = sorted(pool, key=lambda e: len(e.ids))
        found += [pool[i:i + size] for i in range(0, len(pool), size)]
    found = [b for b in found if len(b) == size]
    rng.shuffle(found)
    return found


def train(corpus: pathlib.Path, base: pathlib.Path, out: pathlib.Path, *, minutes: float, start: pathlib.Path | None,
          seed: int = 0) -> None:
    """One pass over the pairs, or as much of it as fits; the rate falls along a cosine to zero at the end of either."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    model, tokenizer = load_model(base)
    adapters = lora.add(model)
    learner = Model(model)
    parameters = [*adapters, *learner.order.parameters()]
    if start:
        lora.load(model, start)
    examples = [encode(pair, tokenizer) for pair in training_pairs(corpus, seed=seed)]
    steps = batches([e for e in examples if len(e.ids) <= LONGEST], random.Random(seed))
    tokens = sum(len(e.ids) for batch in steps for e in batch)
    print(f"{len(steps)} steps, {tokens} tokens, {sum(p.numel() for p in parameters)} parameters", flush=True)
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0)
    began, seen = time.monotonic(), 0
    mean: np.ndarray | None = None

    def gradients(part: list[Example]) -> tuple[np.ndarray, tuple[torch.Tensor, ...]]:
        answers, order = learner.losses(part)
        return np.array([answers.item(), order.item()]), torch.autograd.grad(answers + ORDER_WEIGHT * order, parameters)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for step, batch in enumerate(steps):
            spent = (time.monotonic() - began) / 60
            done = max(step / len(steps), spent / minutes)
            if done >= 1:
                break
            rate = LEARNING_RATE * min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * done))
            for group in optimiser.param_groups:
                group["lr"] = rate
            found = list(pool.map(gradients, [batch[i::THREADS] for i in range(THREADS)]))
            for i, parameter in enumerate(parameters):
                parameter.grad = functools.reduce(torch.add, [g[i] for _, g in found]) / THREADS
            torch.nn.utils.clip_grad_norm_(adapters, 1.0)
            optimiser.step()
            seen += sum(len(e.ids) for e in batch)
            loss = np.mean([value for value, _ in found], axis=0)
            mean = loss if mean is None else 0.95 * mean + 0.05 * loss
            if step % 10 == 0:
                spent = (time.monotonic() - began) / 60
                left = min(minutes - spent, spent / seen * (tokens - seen))
                print(f"step {step} loss {mean[0]:.3f} order {mean[1]:.3f} lr {rate:.1e} {seen / spent / 60:.0f} tokens/s, "
                      f"{spent:.1f} min, {left:.1f} left", flush=True)
            if step % 100 == 99:
                lora.save(model, out)
    lora.save(model, out)
    print(f"wrote {out}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--base", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=lora.WEIGHTS)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--start", type=pathlib.Path, help="adapters of an earlier run to go on from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train(options.corpus, options.base, options.out, minutes=options.minutes, start=options.start, seed=options.seed)


if __name__ == "__main__":
    main()
