"""Emu2 in its published layout, converted and loaded, against its arithmetic written out on the published tensors."""

from __future__ import annotations

import json
import sys

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import avg_pool2d, conv2d, gelu, layer_norm, silu, softmax

from moss import backbones
from moss.backbones import convert_emu2, emu2
from schemas.errors import UserError
from tests.moss import hands, published_emu2

EPS = 1e-6


@pytest.fixture(scope="module")
def gen(tmp_path_factory):
    """The published folder, its tensors, and the folder that it was converted to."""
    folder = tmp_path_factory.mktemp("emu2")
    tensors = published_emu2.write(folder / "published")
    assert convert_emu2.convert(folder / "published", folder / "converted")
    return folder / "published", tensors, folder / "converted"


@pytest.fixture(scope="module")
def loaded(gen):
    return backbones.load("emu2", gen[2]).eval()


def visual_reference(tensors, pixels):
    """(N, 3, H, H) -> (N, 64, c): post-norm blocks, no norm behind the last, no class token, 8 x 8 means."""
    own = {name.removeprefix("model.visual."): t for name, t in tensors.items() if name.startswith("model.visual.")}
    patches = conv2d(pixels, own["patch_embed.proj.weight"], own["patch_embed.proj.bias"], stride=2)
    x = patches.flatten(2).transpose(1, 2)
    x = torch.cat([own["cls_token"].expand(len(x), -1, -1), x], 1) + own["pos_embed"]
    count, length, width = x.shape
    for n in range(2):
        part = {name.removeprefix(f"blocks.{n}."): t for name, t in own.items() if name.startswith(f"blocks.{n}.")}
        q, k, v = (x @ part["attn.qkv.weight"].T + part["attn.qkv.bias"]).split(width, -1)
        q, k, v = (one.reshape(count, length, -1, 12).transpose(1, 2) for one in (q, k, v))
        mixed = softmax(q @ k.transpose(-1, -2) / 12**0.5, -1) @ v
        mixed = mixed.transpose(1, 2).reshape(count, length, width)
        mixed = mixed @ part["attn.proj.weight"].T + part["attn.proj.bias"]
        x = x + layer_norm(mixed, (width,), part["norm1.weight"], part["norm1.bias"], EPS)
        inner = gelu(x @ part["mlp.fc1.weight"].T + part["mlp.fc1.bias"])
        inner = inner @ part["mlp.fc2.weight"].T + part["mlp.fc2.bias"]
        x = x + layer_norm(inner, (width,), part["norm2.weight"], part["norm2.bias"], EPS)
    square = x[:, 1:].transpose(1, 2).reshape(count, width, 16, 16)
    return avg_pool2d(square, 2).flatten(2).transpose(1, 2)


def language_reference(tensors, x):
    """Embedded tokens (L, d) -> last hidden states (L, d) of a LLaMA with 4 heads."""
    own = {name.removeprefix("model.decoder.lm.model."): t for name, t in tensors.items()}
    length, width = x.shape
    size = width // 4
    angles = torch.outer(torch.arange(length), 10000.0 ** (-torch.arange(0, size, 2) / size)).repeat(1, 2)

    def normal(x, name):
        return x * (x.square().mean(-1, keepdim=True) + EPS).rsqrt() * own[f"{name}.weight"]

    def heads(x, name):
        return (x @ own[f"{name}.weight"].T).reshape(length, 4, size).transpose(0, 1)

    def turned(x):
        first, second = x.chunk(2, -1)
        return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

    for n in range(2):
        layer, at = f"layers.{n}", f"layers.{n}.self_attn"
        y = normal(x, f"{layer}.input_layernorm")
        q, k, v = turned(heads(y, f"{at}.q_proj")), turned(heads(y, f"{at}.k_proj")), heads(y, f"{at}.v_proj")
        scores = (q @ k.transpose(-1, -2) / size**0.5).masked_fill(torch.ones(length, length).triu(1) > 0, -torch.inf)
        x = x + (softmax(scores, -1) @ v).transpose(0, 1).reshape(length, width) @ own[f"{at}.o_proj.weight"].T
        y = normal(x, f"{layer}.post_attention_layernorm")
        inner = silu(y @ own[f"{layer}.mlp.gate_proj.weight"].T) * (y @ own[f"{layer}.mlp.up_proj.weight"].T)
        x = x + inner @ own[f"{layer}.mlp.down_proj.weight"].T
    return normal(x, "norm")


@torch.no_grad()
def test_an_image_becomes_the_64_vectors_that_the_published_tower_gives(gen, loaded):
    images = [hands.picture(1), hands.picture(2, 90, 30)]
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    pixels = [np.asarray(image.resize((32, 32), PIL.Image.Resampling.BICUBIC)) / 255 for image in images]
    pixels = torch.from_numpy((np.stack(pixels) - mean) / deviation).float().permute(0, 3, 1, 2)
    expected = visual_reference(gen[1], pixels)
    assert gen[1]["model.visual.blocks.0.attn.qkv.bias"][48:96].abs().max() > 0.1  # of keys: it must not matter
    torch.testing.assert_close(loaded.pixels.vectors(pixels).flatten(1, 2), expected, atol=1e-4, rtol=1e-4)
    encoded = loaded.pixels.encode(images)
    assert encoded.shape == (2, 8, 8, 48) and encoded.dtype == np.float16
    np.testing.assert_allclose(encoded.reshape(2, 64, 48), expected, atol=5e-3, rtol=2e-3)


@torch.no_grad()
def test_vectors_go_in_and_come_out_as_with_the_published_weights(gen, loaded):
    _, tensors, _ = gen
    one = hands.samples(loaded)[1]  # an image, a text, an image
    embedding, up = tensors["model.decoder.lm.model.embed_tokens.weight"], tensors["project_up.weight"]
    x = embedding[torch.from_numpy(one.ids)].clone()
    slot = 259 + published_emu2.SPECIAL.index("<image>")
    slots = torch.from_numpy(one.ids == slot)
    assert slots.sum() == 128 and list(one.ids[[1, 66]]) == [slot - 2, slot - 1]  # [IMG], [/IMG]
    x[slots] = torch.from_numpy(one.vectors) @ up.T
    expected = language_reference(tensors, x)
    hidden = loaded.hidden(torch.from_numpy(one.ids)[None], vectors=torch.from_numpy(one.vectors))[0]
    torch.testing.assert_close(hidden, expected, atol=1e-4, rtol=1e-4)
    place = int(torch.nonzero(slots)[0]) - 1  # [IMG] predicts the first vector
    torch.testing.assert_close(
        loaded.image_vectors(hidden[place : place + 64]),
        expected[place : place + 64] @ tensors["project_down.weight"].T,
        atol=1e-4,
        rtol=1e-4,
    )
    torch.testing.assert_close(
        loaded.text_logits(hidden), expected @ tensors["model.decoder.lm.lm_head.weight"].T, atol=1e-3, rtol=1e-4
    )


@torch.no_grad()
def test_a_picture_is_drawn_as_the_authors_draw_it(gen, loaded):
    """Euler's method over 50 times from 981 down, guidance 3 away from the null image."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(gen[0] / "unet", variant="bf16").eval()
    vae = AutoencoderKL.from_pretrained(gen[0] / "vae", variant="bf16").eval()
    vectors = torch.randn(1, 64, 48, generator=torch.Generator().manual_seed(1))
    null = visual_reference(gen[1], torch.zeros(1, 3, 32, 32))
    kept = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)
    sigma = torch.cat([((1 - kept) / kept).sqrt()[torch.arange(981, 0, -20)], torch.zeros(1)])
    sizes = torch.tensor([[8.0, 8, 0, 0, 8, 8]])
    x = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * (sigma[0] ** 2 + 1).sqrt()
    for n, time in enumerate(range(981, 0, -20)):
        noise = [
            unet(
                x / (sigma[n] ** 2 + 1).sqrt(),
                time,
                encoder_hidden_states=given,
                added_cond_kwargs={"time_ids": sizes, "text_embeds": given.mean(1)},
            ).sample
            for given in (vectors, null)
        ]
        x = x + (noise[1] + 3 * (noise[0] - noise[1])) * (sigma[n + 1] - sigma[n])
    expected = (vae.decode(x / 0.13025).sample[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1) * 255
    drawn = loaded.pixels.decode(vectors[0].reshape(8, 8, 48).numpy())
    assert drawn.size == (8, 8) and drawn.mode == "RGB"
    np.testing.assert_allclose(np.asarray(drawn, dtype=float), expected, atol=1.01)
    assert loaded.pixels.decode(vectors[0].reshape(8, 8, 48).numpy()).tobytes() == drawn.tobytes()


def test_cached_steps_equal_the_whole_and_packed_samples_are_apart(loaded):
    hands.assert_cached_and_packed(loaded)


def test_adapters_learn_both_losses_and_nothing_else_is_trained():
    generalist = hands.adapt(emu2.tiny())
    seen = hands.train(generalist, hands.batch(generalist, hands.samples(generalist)))
    assert seen[-1][0] < 0.5 * seen[0][0] and seen[-1][1] < 0.9 * seen[0][1]
    assert all(".moss_" in name for name, p in generalist.named_parameters() if p.requires_grad)


def test_text_that_spells_an_image_token_stays_text(loaded):
    ids = loaded.tokenizer.encode("a [IMG] b <image>")
    assert max(ids) < 256 and loaded.tokenizer.decode(ids) == "a [IMG] b <image>"


def test_everything_is_held_in_the_asked_type(gen):
    half = backbones.load("emu2", gen[2], torch.bfloat16)
    assert {p.dtype for p in (*half.parameters(), *half.pixels.visual.parameters())} == {torch.bfloat16}
    scores = half(hands.batch(half, hands.samples(half)))
    assert all(values.dtype == torch.float32 and values.isfinite().all() for values in scores)


def test_emu2_itself_is_drawn_with_the_decoder_of_emu2_gen(gen, tmp_path, monkeypatch, capsys):
    published_emu2.write(tmp_path / "emu2", gen=False)

    def run(output, *more) -> int:
        arguments = ["--checkpoint", tmp_path / "emu2", "--output", tmp_path / output, *more]
        monkeypatch.setattr(sys, "argv", ["convert_emu2", *map(str, arguments)])
        return convert_emu2.main()

    assert run("alone") == 0 and "without a decoder (see --decoder)" in capsys.readouterr().out
    assert run("both", "--decoder", gen[0]) == 0
    files = {path.relative_to(gen[2]) for path in gen[2].rglob("*")}
    assert {path.relative_to(tmp_path / "both") for path in (tmp_path / "both").rglob("*")} == files
    for file in files:
        if (gen[2] / file).is_file():  # the same weights came from other files
            assert (tmp_path / "both" / file).read_bytes() == (gen[2] / file).read_bytes()
    vectors = np.zeros((8, 8, 48), np.float32)
    with pytest.raises(UserError, match="converted without a decoder"):
        emu2.load(tmp_path / "alone").pixels.decode(vectors)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match=r"pip install 'leafinstruct\[emu2\]'"):
        emu2.load(tmp_path / "both").pixels.decode(vectors)
    assert run("both") == 2 and "exists; name another folder" in capsys.readouterr().err


def put(folder, name, tensor):
    """Into the file that has this name, or else the first."""
    files = sorted(folder.glob("*.safetensors"))
    file = next((file for file in files if name in load_file(file)), files[0])
    save_file({**load_file(file), name: tensor}, file)


def damaged_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config |= {key: value for key, value in changes.items() if key != "vision"}
    config["vision_config"] |= changes.get("vision", {})
    (folder / "config.json").write_text(json.dumps(config))


FIRST = "model-00001-of-00002.safetensors"
REFUSED = {
    "a file is not there": (lambda f: (f / FIRST).unlink(), r"has no model\..*, which config.json asks for"),
    "a file is cut": (lambda f: (f / FIRST).write_bytes((f / FIRST).read_bytes()[:-9]), "cannot be read"),
    "a file is there twice": (
        lambda f: (f / "model.bf16-1.safetensors").write_bytes((f / FIRST).read_bytes()),
        "keep one variant",
    ),
    "another shape": (
        lambda f: put(f, "project_down.weight", torch.zeros(48, 63)),
        r"project_down.weight in .* is \(48, 63\); config.json makes it \(48, 64\)",
    ),
    "a layer too many": (lambda f: damaged_config(f, num_hidden_layers=1), "leaves no place for"),
    "a weight of another model": (
        lambda f: put(f, "visual.cls_token", torch.zeros(1)),
        "visual.cls_token, which is no weight of an Emu2",
    ),
    "other queries": (lambda f: damaged_config(f, vision={"n_query": 256}), "with n_query 256"),
    "another norm": (lambda f: damaged_config(f, vision={"postnorm": False}), "postnorm is False"),
    "no sizes": (lambda f: (f / "config.json").write_text('{"vision_config": {}}'), "is not Emu2's"),
    "no vision": (lambda f: (f / "config.json").write_text("{}"), "not the config.json of an Emu2"),
    "other positions": (lambda f: damaged_config(f, rope_scaling={"type": "linear"}), "rope_scaling"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json"),
    "no weights": (lambda f: [file.unlink() for file in f.glob("*.safetensors")], "has no safetensors"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_emu2s_is_refused_and_nothing_is_written(case, tmp_path):
    damage, message = REFUSED[case]
    published_emu2.write(tmp_path / "emu2", gen=False)
    damage(tmp_path / "emu2")
    with pytest.raises(UserError, match=message):
        convert_emu2.convert(tmp_path / "emu2", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["emu2"]


def test_a_decoder_must_be_whole_and_a_folder_converted(gen, tmp_path):
    published_emu2.write(tmp_path / "emu2", gen=False)
    with pytest.raises(UserError, match="has no folder unet"):
        convert_emu2.convert(tmp_path / "emu2", tmp_path / "out", decoder=tmp_path)
    with pytest.raises(UserError, match="has no vision.json: convert"):
        emu2.load(tmp_path / "emu2")
