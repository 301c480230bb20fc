"""How well images of the same class are found by their latents: mean average precision.

Letters: N queries, G images of the gallery, Z latents.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mrvae_zoo.evaluation.metrics.base import Metric, Part, Score, labels_of

QUERIES = 256  # that are ranked at once


def retrieval(fit: Part) -> Score:
    """Rank the part set aside, the gallery, by the cosine similarity of its posterior means to that of each query."""
    gallery, classes = F.normalize(fit.mean, dim=1), labels_of(fit)

    def precision(part: Part) -> Tensor:
        """Return the average precision of each example as a query: (N,). A class without any other image gives 0."""
        queries = zip(F.normalize(part.mean, dim=1).split(QUERIES), labels_of(part).split(QUERIES), strict=True)
        return torch.cat([average_precision(query @ gallery.T, label[:, None] == classes) for query, label in queries])

    return precision


def average_precision(similarity: Tensor, relevant: Tensor) -> Tensor:
    """Return the mean, over the relevant images, of the precision down to their rank: (N,) float64.

    Args:
        similarity: The similarity of each image of the gallery to each query, (N, G).
        relevant: Whether the image is relevant to the query, (N, G) bool.
    """
    hits = relevant.gather(1, similarity.argsort(dim=1, descending=True, stable=True)).double()
    ranks = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    return (hits * hits.cumsum(1) / ranks).sum(1) / hits.sum(1).clamp(min=1)


RETRIEVAL = Metric(
    name="retrieval",
    title="retrieval by class (mAP)",
    prepare=retrieval,
    fits=True,
    needs=("labels",),
)
