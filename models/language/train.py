"""Trains the LoRA on a CPU: `python -m models.language.train --corpus HOWTO.tar --base FOLDER --out FILE`.

`--start` continues from the adapters of an earlier run; notes.md describes the runs of the committed ones. `--base` is
the plain model as `models.language.build` makes it (`adapters=None`). Each thread processes its own half of a batch on
one core, which is faster on a busy machine than two cores on one matrix.
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
"""Examples per thread and step, all of about the same length."""
LONGEST = 600
"""The most tokens of an example; the few longer ones are tables and code, which need many tokens."""
LEARNING_RATE = 6e-4
WARMUP = 20
GRADE_WEIGHT, FRAME_WEIGHT = 6.0, 0.1
"""Loss weights of a rating's digits and of its other tokens, which the JSON schema determines; an instruction's tokens
have 1. So the four digits of an answer have about the weight of a whole instruction."""
ORDER_LAYER, ORDER_WEIGHT = 22, 1.0
"""The block (of 30) after which the order of sentences is predicted, and the weight of that loss."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A tokenised pair.

    ids: token ids. answer, weights: the positions that predict a token of the answer, and their loss weights. ends,
    follows: the positions at which a sentence ends, and 1.0 if it follows the right sentence, else 0.0.
    """

    ids: list[int]
    answer: list[int]
    weights: list[float]
    ends: list[int]
    follows: list[float]


def encode(pair: Pair, tokenizer: PreTrainedTokenizerBase) -> Example:
    """The pair as token ids."""
    prompt = tokenizer.apply_chat_template(list(pair.messages), add_generation_prompt=True, tokenize=False)
    assert isinstance(prompt, str)  # it is tokenised below, with the places of its sentences
    head = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
    ids = tokenizer(pair.answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
    weights = [1.0] * len(ids)
    if pair.task == "rate":
        weights = [GRADE_WEIGHT if str(tokenizer.decode([t])).isdigit() else FRAME_WEIGHT for t in ids]
    first = len(head["input_ids"])
    stops, ends, follows, at = [stop for _, stop in head["offset_mapping"]], [], [], 0
    for sentence, right in pair.marks:
        found = prompt.find(sentence, at)
        if found >= 0:  # whitespace inside a sentence may differ in the prompt
            at = found + len(sentence)
            ends.append(bisect.bisect_left(stops, at))
            follows.append(float(right))
    return Example(head["input_ids"] + ids, list(range(first - 1, first + len(ids) - 1)), weights, ends, follows)


class Model(torch.nn.Module):
    """The language model with its adapters, and a linear layer that is used in training only.

    The layer predicts at the end of each sentence whether it follows the right one. A text's grade for its order is one
    number in 300 tokens; this loss says where the order is broken, in a layer that the later blocks can still use.
    """

    def __init__(self, model: LlamaForCausalLM):
        super().__init__()
        self.model = model
        width = model.config.hidden_size
        self.order = torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, 1))

    def losses(self, examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean weighted cross-entropy of the answers, and the mean cross-entropy of the sentences' order.

        The large output layer is applied at the answers' positions only. The second loss is 0 without marked sentences.
        """
        longest = max(len(e.ids) for e in examples)
        ids = torch.tensor([e.ids + [0] * (longest - len(e.ids)) for e in examples])  # causal: padding is inert
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
    """The rows and columns of these positions in the batch."""
    rows = [i for i, row in enumerate(positions) for _ in row]
    return torch.tensor(rows, dtype=torch.long), torch.tensor([p for row in positions for p in row], dtype=torch.long)


def batches(examples: list[Example], rng: random.Random) -> list[list[Example]]:
    """All examples once, in steps of THREADS * BATCH of about the same length, in random order."""
    size = THREADS * BATCH
    pools = [examples[i : i + 40 * size] for i in range(0, len(examples), 40 * size)]
    found = []
    for pool in pools:
        pool = sorted(pool, key=lambda e: len(e.ids))
        found += [pool[i : i + size] for i in range(0, len(pool), size)]
    found = [b for b in found if len(b) == size]
    rng.shuffle(found)
    return found


def train(
    corpus: pathlib.Path,
    base: pathlib.Path,
    out: pathlib.Path,
    *,
    minutes: float,
    start: pathlib.Path | None,
    seed: int = 0,
) -> None:
    """Train for one epoch or for `minutes`, whichever is shorter; the rate falls to zero at the end (cosine)."""
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
                print(
                    f"step {step} loss {mean[0]:.3f} order {mean[1]:.3f} lr {rate:.1e} {seen / spent / 60:.0f} tokens/s, "
                    f"{spent:.1f} min, {left:.1f} left",
                    flush=True,
                )
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
    parser.add_argument("--start", type=pathlib.Path, help="adapters of an earlier run to continue from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train(options.corpus, options.base, options.out, minutes=options.minutes, start=options.start, seed=options.seed)


if __name__ == "__main__":
    main()
