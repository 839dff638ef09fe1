"""Makes the small vocabulary: `python -m moss.small.train_text --corpus ../shared/corpora/howto.tar`.

A byte-level BPE of 4,096 entries over the texts of the training sources and of examples/: Chameleon's special tokens
and the names of 512 image tokens first, then bytes and merges. Takes a few seconds; the same texts give the same file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from moss.backbones.chameleon import special_names
from moss.small import HELD_OUT
from moss.small.corpus import documents

OUT = Path(__file__).parent / "tokenizer.json"
EXAMPLES = Path(__file__).parents[2] / "examples" / "corpus" / "docs.jsonl"
SIZE, CODES = 4096, 512


def train(texts: Iterator[str], size: int = SIZE, codes: int = CODES) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=special_names(codes),
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    return tokenizer


def texts(corpus: Path) -> Iterator[str]:
    """All texts, alternative texts and captions, except those of held-out sources."""
    examples = []
    with EXAMPLES.open(encoding="utf-8") as lines:
        for line in lines:
            with contextlib.suppress(json.JSONDecodeError):  # two records are broken on purpose
                examples.append(json.loads(line))
    for document in documents(corpus) + examples:
        if document["source"] not in HELD_OUT:
            for segment in document.get("segments", ()):
                yield from (segment[key] + "\n\n" for key in ("text", "alt", "caption") if segment.get(key))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpora/howto.tar"))
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    tokenizer = train(texts(arguments.corpus))
    tokenizer.save(str(arguments.out), pretty=False)
    print(f"{arguments.out}: {tokenizer.get_vocab_size()} entries")


if __name__ == "__main__":
    main()
