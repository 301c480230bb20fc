"""The samples on a card: from the mixture if the model has one, and the page says where they come from."""

from io import BytesIO

import numpy as np
import pytest
import torch
from helpers import DEFAULT_MODEL
from PIL import Image

from mrvae_zoo.cards.card import make_card
from mrvae_zoo.cards.images import COLUMNS, SEED
from mrvae_zoo.checkpoints.folder import save_pretrained
from mrvae_zoo.common.grids import GAP, MARGIN
from mrvae_zoo.models.sampler import LatentMixture, MixtureSampler

pytestmark = pytest.mark.slow

PRIOR = "These images are decoded from the prior."
MIXTURE = "decoded from draws of a Gaussian mixture, which `mrvae fit-sampler` fitted to the latents of the training"


def card_of(model, folder, sampler):
    model.sampler = sampler
    save_pretrained(model, folder)
    files = make_card(folder, name=DEFAULT_MODEL).files
    with Image.open(BytesIO(files["samples.png"])) as image:
        return files["README.md"].decode(), np.asarray(image.convert("L"), dtype=float)


def first_row(picture):
    """The images of the first row, the lowest β: (columns, 28, 28)."""
    side = 2 * 28  # of the grid, which enlarges images below 56 pixels
    left = picture.shape[1] - MARGIN - COLUMNS * (side + GAP) + GAP
    starts = [left + i * (side + GAP) for i in range(COLUMNS)]
    return np.stack([picture[MARGIN : MARGIN + side : 2, start : start + side : 2] for start in starts])


def test_they_come_from_the_mixture_if_there_is_one_and_the_page_says_so(default_model, tmp_path):
    model = type(default_model).from_pretrained(DEFAULT_MODEL)
    point = LatentMixture(
        beta=0.01,
        gain=1.0,
        weights=torch.ones(1),
        means=torch.full((1, 32), 0.5),
        cholesky=1e-4 * torch.eye(32)[None],  # hardly more than one point, so that every sample is the same
    )
    page, picture = card_of(model, tmp_path / "mixture", MixtureSampler(mixtures=(point,)))
    assert f"{MIXTURE} images at this β." in page
    assert PRIOR not in page
    assert "draws from the prior may look like none" not in page
    assert "decoded from the prior" not in page
    with torch.no_grad():
        expected = 255 * model.decode(point.means, 0.01)[0, 0].numpy()
    assert np.abs(first_row(picture) - expected).max() < 3

    page, picture = card_of(model, tmp_path / "prior", None)
    assert PRIOR in page
    assert "mixture" not in page
    assert "so draws from the prior may look like none of them" in page
    assert "# images decoded from the prior" in page
    with torch.no_grad():
        z = torch.randn(COLUMNS, 32, generator=torch.Generator().manual_seed(SEED))
        expected = 255 * model.decode(z, 0.01)[:, 0].numpy()
    assert np.abs(first_row(picture) - expected).max() < 3
