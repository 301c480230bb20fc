"""The principal components of images, or of pieces of them.

Letters: N rows, D values of a row, K components.
"""

from typing import NamedTuple

import torch
from torch import Tensor

MOST_EXACT = 4096  # values of a row, whose covariance is decomposed; of more, the leading components are found alone
ROUNDS, SPARE = 6, 32  # of the search for the leading components


class PrincipalComponents(NamedTuple):
    """The principal components of rows (N, D).

    Attributes:
        mean: The mean, (D,).
        variances: The variances along the components, (K,), falling.
        directions: The components, (D, K), orthonormal.
    """

    mean: Tensor
    variances: Tensor
    directions: Tensor


@torch.no_grad()
def principal_components(rows: Tensor, count: int) -> PrincipalComponents:
    """Compute the `count` leading principal components of rows (N, D), float32, the same ones every time.

    Raises:
        ValueError: There are fewer than `count` rows, or values in a row.
    """
    if count > min(rows.shape):
        raise ValueError(
            f"{count} principal components need as many images or patches, not {len(rows)} of {rows.shape[1]} values"
        )
    mean = rows.mean(0)
    centred = rows - mean
    if rows.shape[1] <= MOST_EXACT:
        covariance = (centred.T @ centred).double() / len(rows)
        variances, directions = torch.linalg.eigh(covariance)
        variances, directions = variances.flip(0)[:count].float(), directions.flip(1)[:, :count].float()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            wanted = min(count + SPARE, *rows.shape)
            _, values, directions = torch.svd_lowrank(centred, q=wanted, niter=ROUNDS)
        variances, directions = values[:count].square() / len(rows), directions[:, :count]
    return PrincipalComponents(mean, variances.clamp(min=0), directions.contiguous())
