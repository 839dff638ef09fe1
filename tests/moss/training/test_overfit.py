"""From shards to a trained adapter to the same pictures and words again."""

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from moss import data, train
from moss.backbones import chameleon
from moss.generation import decoding
from moss.generation.sampling import Sampling
from moss.settings import Adapter, Backbone, Data, Settings, Training
from moss.training import runs
from tests.schemas import example


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Eight instances as the pipeline writes them, and a tiny random backbone.

    The output layer stays frozen, and what comes into it has a fixed norm; a random one of the usual size can give no
    token more than a few per cent, however the adapters are trained. Ten times larger it can be as sure as one that
    was trained.
    """
    folder = tmp_path_factory.mktemp("overfit")
    example.write(folder / "shards", count=8)
    backbone = chameleon.tiny()
    with torch.no_grad():
        backbone.plain_model.lm_head.weight.mul_(10)
    chameleon.save(backbone, folder / "backbone")
    return folder


def test_eight_instances_are_learnt_by_heart_and_generated_again(folders):
    settings = Settings(
        str(folders / "shards"),
        str(folders / "run"),
        Backbone("chameleon", str(folders / "backbone")),
        Data(length=720),
        Training(steps=80, rows=3, learning_rate=5e-3, warmup=10),
        Adapter(r=32, r_image=32),
    )
    AcceleratorState._reset_state(reset_partial_state=True)
    assert train.train(settings).step == 80
    AcceleratorState._reset_state(reset_partial_state=True)

    generalist = runs.load_run(folders / "run")
    dataset = data.open_samples(folders / "shards", generalist, max_length=720, progress=False)
    assert len(dataset) == 8
    with torch.no_grad():
        batch = data.collate([[dataset[n]] for n in range(8)], 360, generalist.layout, generalist.tokenizer.pad)
        scores = generalist(batch)
    text, image = batch.text_of >= 0, batch.image_of >= 0
    assert scores.text_loss[text].mean() < 0.05 and scores.image_loss[image].mean() < 0.05
    assert scores.text_hit[text].all() and scores.image_hit[image].all()
    for number in range(8):
        sample = dataset[number]
        start = int(np.argmax(sample.trained))
        answer = decoding.answer(
            generalist, sample.ids[:start].tolist(), None, Sampling(greedy=True, max_tokens=len(sample.ids))
        )
        assert answer.finished and list(answer.ids) == sample.ids[start:].tolist(), sample.key
