"""The small generalist before its training.

Chameleon's architecture with the VQ tokenizer and vocabulary of this folder.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import ChameleonConfig

from moss.backbones.chameleon import BOS, EOS, PAD, ChameleonForInterleaved, ChameleonText, generalist, special_names
from moss.backbones.generalist import Generalist
from moss.small import train_vq

HERE = Path(__file__).parent
POSITIONS = 2048


def new_generalist(
    hidden: int = 256, layers: int = 4, seed: int = 0, vq: Path = HERE / "vq", tokenizer: Path = HERE / "tokenizer.json"
) -> Generalist:
    """Random weights except the VQ tokenizer's: 4.2M parameters, and the 0.4M of the VQ tokenizer, which are frozen.

    Heads are 64 wide, so `hidden` is a multiple of that; the MLP is 8/3 as wide as `hidden`, as Chameleon's. Unlike
    Chameleon's, the input and output embeddings are one matrix: at this size they would be a third of the model each.
    `moss.backbones.chameleon.save` writes a folder that its `load` reads.
    """
    text = ChameleonText(tokenizer.read_text(encoding="utf-8"))
    encoder, decoder = train_vq.load(vq)
    names = special_names(encoder.config.num_embeddings)
    heads = hidden // 64
    config = ChameleonConfig(
        vocab_size=len(text.ids),
        hidden_size=hidden,
        intermediate_size=round(hidden / 24) * 64,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        vq_config=encoder.config,
        vocabulary_map={name: text.id(name) for name in names},
        pad_token_id=text.id(PAD),
        bos_token_id=text.id(BOS),
        eos_token_id=text.id(EOS),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ChameleonForInterleaved(config)
    model.model.vqmodel.load_state_dict(encoder.state_dict())
    return generalist(model, text, decoder)
