"""The figures of docs/models.md about the coherence model: how well images find their text."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import normalize

from models.dual_encoder.data import Features, Item


def auc(positive: torch.Tensor, negative: torch.Tensor) -> float:
    """The probability that a positive scores higher than a negative, equal scores counting half."""
    negative = negative.sort().values
    below = torch.searchsorted(negative, positive, right=False) + torch.searchsorted(negative, positive, right=True)
    return float(below.double().mean() / 2 / len(negative))


def measures(items: list[Item], pictures: torch.Tensor, texts: torch.Tensor) -> dict[str, float]:
    """Figures over these items, from embeddings of all images and texts (any norm; only directions count).

    An image's score with a context is the best cosine with its sentences. auc: its own context
    against every context of another document. auc_source: only those of the same source. auc_document: the share of
    wins over the document's other contexts. recall_1 and recall_10: the image's first description among those of all
    items that have one.
    """
    items = [item for item in items if item.beside]
    looks = normalize(pictures[[item.picture for item in items]], dim=-1)
    scores = places(looks, texts, items)
    own = scores.diag()
    document = torch.tensor([item.document for item in items])
    source = np.array([item.source for item in items])
    elsewhere = document[:, None] != document[None]
    same_source = torch.tensor(source[:, None] == source[None])
    same_document = ~elsewhere & ~torch.eye(len(items), dtype=torch.bool)
    wins = (own[:, None] > scores).float() + (own[:, None] == scores).float() / 2
    described = [i for i, item in enumerate(items) if item.described]
    found = looks[described] @ normalize(texts[[items[i].described[0] for i in described]], dim=-1).T
    rank = (found > found.diag()[:, None]).sum(dim=1)
    return {
        "auc": auc(own, scores[elsewhere]),
        "auc_source": auc(own, scores[elsewhere & same_source]),
        "auc_document": float(wins[same_document].mean()),
        "recall_1": float((rank < 1).float().mean()),
        "recall_10": float((rank < 10).float().mean()),
        "pictures": len(items),
        "described": len(described),
    }


def places(looks: torch.Tensor, texts: torch.Tensor, items: list[Item]) -> torch.Tensor:
    """[images, items]: the best cosine of each image with the sentences next to each item."""
    return torch.stack([(looks @ normalize(texts[list(item.beside)], dim=-1).T).amax(dim=1) for item in items], dim=1)


def described_as_pictures(features: Features, items: list[Item]) -> float:
    """The AUC with the image's description in place of the image: the limit of this text tower."""
    items = [item for item in items if item.described and item.beside]
    looks = normalize(features.texts[[item.described[0] for item in items]], dim=-1)
    scores = places(looks, features.texts, items)
    document = torch.tensor([item.document for item in items])
    return auc(scores.diag(), scores[document[:, None] != document[None]])
