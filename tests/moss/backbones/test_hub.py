"""What the backbones share: text that stays text, and logits that are the output layer's."""

from __future__ import annotations

import pickle

import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from moss.backbones import continuous
from moss.backbones.hub import HubText, byte_tokenizer, check_logits, tiny_decoder
from moss.layout import ImageLayout
from schemas.errors import UserError

TEXT = "a\n\n    b </s> <img>"


def tokenizer(*added: str):
    made = byte_tokenizer()
    made.add_tokens(list(added))
    return made


def test_added_tokens_that_are_not_special_are_how_the_model_reads_text():
    made = tokenizer("    ", "\n\n")
    text, plain = HubText(made), HubText(byte_tokenizer())
    spelt = plain.encode(" </s> <img>")
    assert text.encode(TEXT) == [*plain.encode("a"), 260, 259, *plain.encode("b"), *spelt] and max(spelt) < 256
    assert text.encode("a\n\n    b") == made.encode("a\n\n    b", add_special_tokens=False)
    assert text.decode(text.encode(TEXT)) == TEXT
    assert text.fingerprint != plain.fingerprint
    assert pickle.loads(pickle.dumps(text)).encode(TEXT) == text.encode(TEXT)


def test_the_name_of_an_images_token_stays_text_though_it_is_not_special():
    """Of any token of its block."""
    made = tokenizer("<img>", "    ")
    assert HubText(made).encode("<img>") == [259]
    bounds = {"low": 300, "high": 316, "begin": 400, "end": 401}
    for part in ({"low": 256, "high": 260}, {"begin": 259}, {"end": 259}, {"row_end": 259}, {"footer": (259,)}):
        text = HubText(made, ImageLayout(2, 2, **bounds | part))
        assert text.encode("<img>    ") == [*HubText(byte_tokenizer()).encode("<img>"), 260], part


def test_a_tokenizer_with_special_tokens_alone_keeps_its_fingerprint():
    """Runs go on, and lengths that were measured stay valid."""
    assert HubText(byte_tokenizer(["<img>"])).fingerprint == HubText(byte_tokenizer()).fingerprint == "821bfaf66e7e"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "kind, config, more",
    [
        (GraniteForCausalLM, GraniteConfig, {"logits_scaling": 8.0}),
        (CohereForCausalLM, CohereConfig, {"logit_scale": 0.0625}),
        (Gemma2ForCausalLM, Gemma2Config, {"final_logit_softcapping": 30.0, "head_dim": 24}),
    ],
)
def test_a_model_that_scales_or_caps_its_logits_is_refused(kind, config, more, dtype):
    text = byte_tokenizer()
    model = kind(config(**tiny_decoder(text) | more)).to(dtype)
    with pytest.raises(UserError, match=f"{kind.__name__} scales or caps its logits .* choose a model such as SmolLM2"):
        continuous.Continuous(model, text, continuous.PatchPixels())
    assert "forward" not in vars(model.model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_models_pass_and_are_left_as_they_were(dtype):
    model = LlamaForCausalLM(LlamaConfig(**tiny_decoder(byte_tokenizer()))).to(dtype)
    model.model.forward = own = model.model.forward  # as accelerate's hooks do
    check_logits(model)
    assert vars(model.model)["forward"] is own
    del model.model.forward
    text = tiny_decoder(byte_tokenizer()) | {"num_hidden_layers": 1}
    # these ask for the router's logits too, and ask the decoder in the core
    check_logits(MixtralForCausalLM(MixtralConfig(**text, num_local_experts=2)).to(dtype))
    check_logits(OPTForCausalLM(OPTConfig(**text, ffn_dim=32, word_embed_proj_dim=96)).to(dtype))
    check_logits(
        Gemma2ForCausalLM(Gemma2Config(**tiny_decoder(byte_tokenizer()), final_logit_softcapping=None, head_dim=24))
    )
