"""Pictures given as pixels, as transformers takes them, are routed as their tokens are, or refused."""

import peft
import pytest
import torch

from moss import MossConfig
from moss.backbones import chameleon, emu3, janus
from tests.moss.adapters.little import awaken, config
from tests.moss.hands import adapt, picture


def generalist(backbone):
    made = adapt(backbone.tiny(), kernel_size=2)
    awaken(made.model)
    return made.eval()


def native(made, images: int):
    """(ids with placeholders, the same with image tokens, what transformers wants of the pictures)."""
    layout, pictures = made.layout, [picture(seed, 32, 32) for seed in range(images)]
    real, shown = [85, 86], [85, 86]
    if made.name == "chameleon":
        import numpy as np

        from moss.backbones.chameleon_pixels import as_input, square

        given = {"pixel_values": as_input(torch.from_numpy(np.stack([square(p, 32) for p in pictures])))}
        placeholder = made.core.vocabulary_mapping.image_token_id
    else:
        given = dict(made.pixels.processor(pictures, do_resize=False, return_tensors="pt"))
        placeholder = made.core.vocabulary_mapping.image_token_id
    body = slice(1 + len(layout.header), layout.block_length - 1 - len(layout.footer))
    for codes in made.pixels.encode(pictures):
        block = layout.block(codes).tolist()
        real += [*block, 87]
        block[body] = [placeholder] * len(block[body])
        shown += [*block, 87]
    return torch.tensor([shown]), torch.tensor([real]), given


@torch.no_grad()
@pytest.mark.parametrize("backbone", [chameleon, emu3])
def test_pictures_given_as_pixels_are_routed_as_their_tokens_are(backbone):
    made = generalist(backbone)
    shown, real, given = native(made, 2)
    expected = made.model(input_ids=real).logits
    torch.testing.assert_close(made.model(input_ids=shown, **given).logits, expected, atol=1e-5, rtol=1e-5)
    with made.model.disable_adapter():  # the adapters do something to these tokens
        assert (made.model(input_ids=real).logits - expected).abs().max() > 0.1


def together(one: dict, other: dict) -> dict:
    """What transformers wants of the pictures of two rows."""
    return {name: torch.cat([one[name], other[name]]) for name in one}


def padded(*rows: torch.Tensor) -> torch.Tensor:
    """Rows (1, L) of different lengths as one batch, padded with text on the right."""
    length = max(row.shape[1] for row in rows)
    return torch.cat([torch.nn.functional.pad(row, (0, length - row.shape[1]), value=2) for row in rows])


@torch.no_grad()
@pytest.mark.parametrize("backbone", [chameleon, emu3])
def test_rows_with_different_numbers_of_pictures_are_routed_as_their_tokens_are(backbone):
    made = generalist(backbone)
    (shown, real, given), (shown_2, real_2, given_2) = native(made, 1), native(made, 3)
    expected = made.model(input_ids=padded(real, real_2)).logits
    found = made.model(input_ids=padded(shown, shown_2), **together(given, given_2)).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def with_placeholders(made) -> MossConfig:
    """The settings of an adapter that was made for placeholders, with a kernel of its own."""
    placeholder = made.core.vocabulary_mapping.image_token_id
    return MossConfig.for_backbone(made, image_token_ids=(placeholder, placeholder + 1), kernel_size=3, r=4)


@torch.no_grad()
@pytest.mark.parametrize("order", ["real first", "placeholders first"])
def test_pictures_are_routed_for_the_active_adapter_alone(order):
    """The first adapter's ids are image tokens, the second's the placeholders; or the other way round."""
    expected = {}
    for name, settings in (("real", {}), ("placeholders", None)):
        made = chameleon.tiny()
        config = with_placeholders(made) if settings is None else MossConfig.for_backbone(made, kernel_size=2, r=4)
        made.model = peft.get_peft_model(made.model, config)
        awaken(made.model)
        shown, _, given = native(made.eval(), 2)
        expected[name] = made.model(input_ids=shown, **given).logits, config
    names = list(expected) if order == "real first" else list(expected)[::-1]
    made = chameleon.tiny()
    made.model = peft.get_peft_model(made.model, expected[names[0]][1], adapter_name=names[0])
    awaken(made.model)
    made.model.add_adapter(names[1], expected[names[1]][1])
    for name in names:
        made.model.set_adapter(name)
        awaken_only(made.model, name)
        torch.testing.assert_close(made.eval().model(input_ids=shown, **given).logits, expected[name][0])
    made.model.base_model.set_adapter(names)
    with pytest.raises(ValueError, match="the active adapters have different grids, row ends or image_token_ids"):
        made.model(input_ids=shown, **given)


def awaken_only(model, adapter: str) -> None:
    """As `awaken`, for one of several adapters: the numbers that it would have by itself."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "moss_" in name and name.endswith(f".{adapter}"):
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2


@torch.no_grad()
def test_adapters_that_are_off_do_not_stand_in_the_way_of_pixels():
    """Janus reads pixels through another encoder, which only its active adapters cannot follow."""
    made = generalist(janus)
    ids = torch.tensor([[5, *[made.plain_model.config.image_token_id] * 64, 7]])
    given = {"input_ids": ids, "pixel_values": torch.rand(1, 3, 32, 32)}
    with made.model.disable_adapter():
        found = made.model(**given).logits
    assert torch.equal(found, janus.tiny().eval().plain_model(**given).logits)


@torch.no_grad()
@pytest.mark.parametrize("backbone", [chameleon, emu3])
def test_generate_from_pixels_goes_on_as_from_tokens(backbone):
    made = generalist(backbone)
    shown, real, given = native(made, 1)
    wanted = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    found = made.model.generate(input_ids=shown, **given, **wanted)[0, shown.shape[1] :]
    assert torch.equal(found, made.model.generate(input_ids=real, **wanted)[0, real.shape[1] :])


@torch.no_grad()
def test_pixels_of_another_grid_are_refused():
    made = generalist(chameleon)
    with pytest.raises(ValueError, match="a picture of 4 x 16 image tokens; the adapter's grid is 8 x 8"):
        made.model(input_ids=native(made, 1)[0], pixel_values=torch.rand(1, 3, 16, 64))
    made = generalist(emu3)
    with pytest.raises(ValueError, match="a picture of 16 x 4 image tokens"):
        made.model(
            input_ids=native(made, 1)[0], pixel_values=torch.rand(1, 3, 64, 16), image_sizes=torch.tensor([[64, 16]])
        )


@torch.no_grad()
def test_janus_reads_pixels_through_another_encoder_which_is_refused():
    made = generalist(janus)
    placeholder = made.plain_model.config.image_token_id
    ids = torch.tensor([[5, *[placeholder] * 64, 7]])
    with pytest.raises(ValueError, match="an encoder whose features are not the image tokens"):
        made.model(input_ids=ids, pixel_values=torch.rand(1, 3, 32, 32))
    model = janus.tiny().plain_model  # an adapter that was made for placeholders takes them
    model = peft.get_peft_model(
        model, config(target_modules=janus.TARGET_MODULES, grid=(8, 8), image_token_ids=(placeholder, placeholder + 1))
    ).eval()
    awaken(model)
    found = model(input_ids=ids, pixel_values=torch.rand(1, 3, 32, 32))
    assert found.logits.isfinite().all()
