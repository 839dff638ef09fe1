"""Several adapters on one model, as in PEFT."""

import pytest
import torch

from tests.moss.adapters.little import KINDS, LOW, adapted, awaken, config, decoder, sequence


def two(first: str = "feature", second: str = "rank"):
    """A model with the adapters "default" and "other"; each one's weights are those of `adapted(kind)`."""
    model = adapted(first)
    model.add_adapter("other", config(**KINDS[second]))
    for name, value in _weights(adapted(second)).items():
        model.get_parameter(name.replace(".default", ".other")).data = value
    return model.eval()


def _weights(model):
    return {name: value.detach().clone() for name, value in model.named_parameters() if "moss_" in name}


@torch.no_grad()
@pytest.mark.parametrize("second", ["lora", "moe_lora", "feature k=3", "rank"])
def test_the_active_one_counts_with_settings_of_its_own(second):
    model, ids = two(second=second), sequence()
    for name, kind in (("default", "feature"), ("other", second), ("default", "feature")):
        model.set_adapter(name)
        torch.testing.assert_close(model(ids).logits, adapted(kind)(ids).logits, atol=1e-6, rtol=1e-6)


def test_only_the_active_one_is_trained_and_both_are_saved(tmp_path):
    model, ids = two(), sequence()
    model.set_adapter("other")
    assert {n.rpartition(".")[2] for n, p in model.named_parameters() if p.requires_grad} == {"other"}
    model(ids).logits.square().mean().backward()
    assert all((p.grad is not None) == (".other" in n) for n, p in model.named_parameters() if "moss_" in n)
    model.save_pretrained(tmp_path)
    again = two()
    again.delete_adapter("other")
    again.load_adapter(str(tmp_path / "other"), "other")
    again.set_adapter("other")
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)


@torch.no_grad()
def test_two_active_ones_add_up():
    """In one linear layer, where nothing stands between the sum and what can be seen of it."""
    ids = sequence()
    parts = []
    for active in (["default"], ["other"], ["default", "other"]):
        model = two()
        model.base_model.set_adapter(active)
        seen = {}
        layer = model.get_base_model().model.layers[0].self_attn.q_proj
        layer.register_forward_hook(lambda module, given, out: seen.update(added=out - module.base_layer(given[0])))
        model(ids)
        parts.append(seen["added"])
    torch.testing.assert_close(parts[0] + parts[1], parts[2], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_deleted_adapter_leaves_no_settings_behind():
    """A new one of the same name has another grid's neighbours, range of ids and kernel."""
    ids, settings = sequence()[:, :27], {"kernel_size": 3, "grid": (5, 4), "image_token_ids": (LOW, 60), "r_image": 3}
    ids = torch.where(ids < LOW, ids, LOW + (ids - LOW) % 20)  # an image in both ranges,
    ids[:, -1] = 61  # and an image's token in the first alone
    model = adapted("feature")
    model.delete_adapter("default")
    model.add_adapter("default", config(**settings))
    model.set_adapter("default")
    fresh = adapted("feature", **settings)
    awaken(model), awaken(fresh)
    assert torch.equal(model.eval()(ids).logits, fresh(ids).logits)
    assert not torch.equal(model(ids).logits, adapted("feature")(ids).logits)


def test_what_cannot_be_combined_is_refused_with_a_reason():
    model = two()
    with pytest.raises(NotImplementedError, match="outputs add up"):
        model.add_weighted_adapter(["default", "other"], [0.5, 0.5], "sum")
    with pytest.raises(NotImplementedError, match="another MoSS adapter for each row"):
        model(sequence(), adapter_names=["default", "other"])
    model.set_adapter("other")
    with pytest.raises(ValueError, match="cannot be merged"):
        model.merge_adapter()


@torch.no_grad()
def test_what_is_merged_does_not_run_as_another_adapter():
    model, ids = two("lora", "lora"), sequence()
    model.set_adapter("other")
    other = model(ids).logits
    model.merge_adapter(["default"])
    with pytest.raises(ValueError, match="merged is default, active is other: .* Call unmerge_adapter"):
        model(ids)
    model.unmerge_adapter()
    torch.testing.assert_close(model(ids).logits, other, atol=1e-5, rtol=1e-4)
    model.merge_adapter(["other", "default"])  # the sum of both, of which one is active
    with pytest.raises(ValueError, match="merged is other, default, active is other"):
        model(ids)


@torch.no_grad()
def test_unloading_removes_every_adapter():
    model, ids = two(), sequence()
    plain = model.unload()
    assert torch.equal(plain(ids).logits, decoder()(ids).logits) and "moss" not in str(plain)
