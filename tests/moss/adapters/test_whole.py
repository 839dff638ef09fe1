"""Whole modules beside the adapters are trained in float32, over a bfloat16 model too."""

import peft
import torch

from tests.moss.adapters.little import awaken, config, decoder, sequence

WHOLE = ["lm_head", "embed_tokens"]


def made(**settings):
    return peft.get_peft_model(decoder().bfloat16(), config(modules_to_save=WHOLE, **settings))


def wholes(model) -> dict[str, torch.Tensor]:
    return {n: p for n, p in model.named_parameters() if ".modules_to_save." in n}


def test_they_are_float32_and_the_rest_of_the_model_sees_no_other_type():
    model, seen = made().eval(), set()
    for layer in model.get_base_model().model.layers:
        layer.register_forward_pre_hook(lambda module, args, kwargs: seen.add(args[0].dtype), with_kwargs=True)
    with torch.no_grad():
        found = model(sequence()).logits
        expected = decoder().bfloat16()(sequence()).logits
    assert len(wholes(model)) == 2 and {p.dtype for p in wholes(model).values()} == {torch.float32}
    assert seen == {torch.bfloat16} and found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=2e-2)


def test_a_step_that_bfloat16_would_round_away_is_taken():
    model = awaken(made()).train()
    before = {name: p.detach().clone() for name, p in wholes(model).items()}
    optimizer = torch.optim.AdamW(wholes(model).values(), lr=1e-6, weight_decay=0.0)
    for _ in range(3):
        model(sequence()).logits.float().square().mean().backward()
        optimizer.step()
    for name, p in wholes(model).items():
        moved = p.grad != 0
        assert moved.any() and ((p != before[name]) == moved)[before[name].abs() < 1].float().mean() > 0.99
        unlike = (p.bfloat16() != before[name].bfloat16())[before[name].abs() > 1e-3]
        assert unlike.float().mean() < 0.01  # in bfloat16 nothing would have happened


def test_they_are_saved_and_loaded_bit_for_bit(tmp_path):
    model = awaken(made())
    with torch.no_grad():
        for p in wholes(model).values():
            p.add_(1e-6)
    model.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(decoder().bfloat16(), tmp_path)
    assert all(torch.equal(p, wholes(again)[name]) for name, p in wholes(model).items())
    with torch.no_grad():
        assert torch.equal(again.eval()(sequence()).logits, model.eval()(sequence()).logits)


@torch.no_grad()
def test_they_can_be_switched_off_and_unloaded():
    model, ids = awaken(made()).eval(), sequence()
    for p in wholes(model).values():
        p.mul_(1.5)
    with model.disable_adapter():
        assert torch.equal(model(ids).logits, decoder().bfloat16()(ids).logits)
    plain = model.unload()
    assert plain(ids).logits.dtype == torch.bfloat16 and "ModulesToSave" not in str(plain)


def test_over_a_float32_model_nothing_is_cast():
    model = peft.get_peft_model(decoder(), config(modules_to_save=WHOLE))
    assert {p.dtype for p in wholes(model).values()} == {torch.float32}
    assert not any(
        part._forward_pre_hooks or part._forward_hooks for name, part in model.named_modules() if "to_save" in name
    )
