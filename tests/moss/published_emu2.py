"""A folder of BAAI/Emu2-Gen or BAAI/Emu2 in its published layout, with the published names and tiny random weights.

The names are written out, and nothing of `moss.backbones` makes them, so that a test compares two independent readings.
"""

from __future__ import annotations

import json
import pathlib

import torch
from safetensors.torch import save_file
from torch import Tensor

from moss.backbones.hub import byte_tokenizer

WIDTH, PATCHES, HIDDEN, BETWEEN, LAYERS = 48, 16 * 16, 64, 96, 2
SPECIAL = "[PAD] [IMG] [/IMG] <image> [gIMG] [/gIMG] [EOC] [VIDEO] <grounding> <phrase> </phrase>".split()
VISION = {
    "eva_model_name": "eva-clip-E-14-plus",
    "image_size": 32,
    "patch_size": 2,
    "width": WIDTH,
    "layers": LAYERS,
    "head_width": 12,
    "mlp_ratio": 8.571428571428571 / 4,
    "layer_norm_eps": 1e-6,
    "qkv_bias": True,
    "drop_path_rate": 0,
    "xattn": True,
    "postnorm": True,
    "n_query": 64,
    "v_query": 64,
}


def config(vocabulary: int) -> dict:
    return {
        "architectures": ["EmuForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_emu.EmuConfig",
            "AutoModelForCausalLM": "modeling_emu.EmuForCausalLM",
        },
        "d_model": WIDTH,
        "hidden_size": HIDDEN,
        "intermediate_size": BETWEEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-6,
        "model_version": "base",
        "pad_token_id": vocabulary - len(SPECIAL),
        "bos_token_id": 257,
        "eos_token_id": 258,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vision_config": VISION,
        "vocab_size": vocabulary,
    }


def weights(vocabulary: int) -> dict[str, Tensor]:
    """Every tensor by its published name."""
    mlp = int(WIDTH * VISION["mlp_ratio"])
    shapes = {
        "project_up.weight": (HIDDEN, WIDTH),
        "project_down.weight": (WIDTH, HIDDEN),
        "model.visual.cls_token": (1, 1, WIDTH),
        "model.visual.pos_embed": (1, PATCHES + 1, WIDTH),
        "model.visual.patch_embed.proj.weight": (WIDTH, 3, 2, 2),
        "model.visual.patch_embed.proj.bias": (WIDTH,),
        "model.decoder.lm.model.embed_tokens.weight": (vocabulary, HIDDEN),
        "model.decoder.lm.model.norm.weight": (HIDDEN,),
        "model.decoder.lm.lm_head.weight": (vocabulary, HIDDEN),
    }
    for n in range(LAYERS):
        visual, language = f"model.visual.blocks.{n}", f"model.decoder.lm.model.layers.{n}"
        shapes |= {
            f"{visual}.attn.qkv.weight": (3 * WIDTH, WIDTH),
            f"{visual}.attn.qkv.bias": (3 * WIDTH,),
            f"{visual}.attn.proj.weight": (WIDTH, WIDTH),
            f"{visual}.attn.proj.bias": (WIDTH,),
            f"{visual}.mlp.fc1.weight": (mlp, WIDTH),
            f"{visual}.mlp.fc1.bias": (mlp,),
            f"{visual}.mlp.fc2.weight": (WIDTH, mlp),
            f"{visual}.mlp.fc2.bias": (WIDTH,),
            f"{language}.self_attn.rotary_emb.inv_freq": (HIDDEN // 8,),
            f"{language}.mlp.gate_proj.weight": (BETWEEN, HIDDEN),
            f"{language}.mlp.up_proj.weight": (BETWEEN, HIDDEN),
            f"{language}.mlp.down_proj.weight": (HIDDEN, BETWEEN),
            **{f"{visual}.{norm}.{part}": (WIDTH,) for norm in ("norm1", "norm2") for part in ("weight", "bias")},
            **{f"{language}.self_attn.{part}_proj.weight": (HIDDEN, HIDDEN) for part in "qkvo"},
            **{f"{language}.{norm}.weight": (HIDDEN,) for norm in ("input_layernorm", "post_attention_layernorm")},
        }
    draws = torch.Generator().manual_seed(0)
    found = {name: torch.randn(shape, generator=draws) * 0.2 for name, shape in shapes.items()}
    return {name: tensor + ("norm" in name and name.endswith("weight")) for name, tensor in found.items()}


def write(folder: pathlib.Path, *, gen: bool = True) -> dict[str, Tensor]:
    """Emu2-Gen's folder, or Emu2's without `gen`: two shards and their index, tokenizer, decoder. Returns the weights."""
    encoder, words = (folder / "multimodal_encoder", folder / "tokenizer") if gen else (folder, folder)
    encoder.mkdir(parents=True)
    tokenizer = byte_tokenizer(SPECIAL)
    tokenizer.save_pretrained(words)
    (encoder / "config.json").write_text(json.dumps(config(len(tokenizer)), indent=2))
    (encoder / "modeling_emu.py").write_text("raise SystemExit('remote code was run')\n")
    tensors, variant, places = weights(len(tokenizer)), ".bf16" if gen else "", {}
    for number in (1, 2):
        file = f"model{variant}-{number:05d}-of-00002.safetensors"
        some = {name: tensors[name] for name in sorted(tensors)[number - 1 :: 2]}
        save_file(some, encoder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(some, file)
    (encoder / f"model.safetensors.index{variant}.json").write_text(json.dumps({"weight_map": places}))
    if gen:
        write_decoder(folder)
    return tensors


def write_decoder(folder: pathlib.Path) -> None:
    """unet/, vae/ and scheduler/ of Emu2-Gen's classes and settings: a picture of 8 pixels."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=[1, 1],
        attention_head_dim=[1, 2],
        norm_num_groups=4,
        cross_attention_dim=WIDTH,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=8,
        scaling_factor=0.13025,
    )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    )
    unet.save_pretrained(folder / "unet", variant="bf16")
    vae.save_pretrained(folder / "vae", variant="bf16")
    scheduler.save_pretrained(folder / "scheduler")
    for unused in ("safety_checker", "feature_extractor"):
        (folder / unused).mkdir()
