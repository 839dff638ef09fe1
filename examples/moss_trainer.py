"""MoSS adapters with transformers' own Trainer, on a folder that the pipeline built.

    python examples/moss_trainer.py out/demo out/moss_trainer [--resume]

`moss.data` reads the instances, with every image as ids, so that no processor and no `pixel_values` are needed;
everything else is transformers and PEFT. The Trainer knows nothing of images: one loss over all tokens, no packing.
`python -m moss.train` has both losses apart, packed rows and exact resume.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from peft import get_peft_model
from transformers import Trainer, TrainingArguments

from moss import MossConfig, backbones, data
from moss.batch import Sample


class Collator:
    """Makes the inputs of a causal language model from samples, padded on the right; the label -100 is not learnt."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, samples: Sequence[Sample]) -> dict[str, torch.Tensor]:
        rows = [torch.from_numpy(sample.ids) for sample in samples]
        labels = [
            torch.where(torch.from_numpy(sample.trained), ids, -100) for sample, ids in zip(samples, rows, strict=True)
        ]

        def padded(parts: list[torch.Tensor], value: int) -> torch.Tensor:
            return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=value)

        return {
            "input_ids": padded(rows, self.pad),
            "labels": padded(labels, -100),
            "attention_mask": padded([torch.ones_like(row) for row in rows], 0),
        }


def train(shards: str, output: str, *, path: str = "tiny", resume: bool = False, **arguments: Any) -> Trainer:
    """Fine-tune a Chameleon; `path` is a checkpoint's folder, such as moss/small/generalist."""
    torch.manual_seed(0)  # of the new adapters
    generalist = backbones.load("chameleon", path)
    dataset = data.open_samples(shards, generalist, max_length=1024)
    model = get_peft_model(generalist.plain_model, MossConfig.for_backbone(generalist, r=16, r_image=8))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            **{
                "output_dir": output,
                "max_steps": 100,
                "per_device_train_batch_size": 2,
                "learning_rate": 1e-3,
                "remove_unused_columns": False,
                "report_to": [],
                **arguments,
            }
        ),
        train_dataset=dataset,
        data_collator=Collator(generalist.tokenizer.pad),
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2], path="moss/small/generalist", resume="--resume" in sys.argv)
