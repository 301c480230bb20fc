"""The images of a card: its curve, what the model reconstructs and draws at several β, and two images to try it on.

Letters: N images, C, H, W image.
"""

from pathlib import Path

import torch
from torch import Tensor

from mrvae_zoo.cards.subject import Subject
from mrvae_zoo.checkpoints.registry import root
from mrvae_zoo.common.grids import grid, to_pil, to_png
from mrvae_zoo.common.images import to_tensor
from mrvae_zoo.common.layout import CURVE_PLOT, RECONSTRUCTIONS, SAMPLES
from mrvae_zoo.data.sets import BINARIZE_SEED
from mrvae_zoo.evaluation.plots import draw_curve
from mrvae_zoo.evaluation.published import measured_split
from mrvae_zoo.gating.beta import log_spaced
from mrvae_zoo.inference.reconstruction import ROWS, reconstruct, shown_part
from mrvae_zoo.models.vae import FixedRateVAE

COLUMNS = 10
EXAMPLES = ("example_1.png", "example_2.png")  # images that the code on the card reads
SEED = 0
DRAWABLE = (1, 3)  # channels


def page_images(subject: Subject, data_root: Path | None) -> dict[str, bytes]:
    """Draw the PNG files of a card, by name. For images that are neither grey nor RGB there is only the curve.

    Raises:
        ValueError: Images of the test split are needed and `data_root` is not given.
    """
    dedicated = () if subject.comparison is None else subject.comparison.dedicated
    drawn = {CURVE_PLOT: draw_curve(subject.curve, title=subject.title, dedicated=dedicated)}
    if subject.config.input_shape[0] not in DRAWABLE:
        return drawn
    x = sample_inputs(subject, data_root)
    reconstructions = reconstruct(subject.model, subject.config.to_data_range(x).to(subject.model.device))
    examples = {name: to_png(to_pil(image)[0]) for name, image in zip(EXAMPLES, x, strict=False)}
    return drawn | {RECONSTRUCTIONS: to_png(reconstructions.picture), SAMPLES: _samples(subject, x)} | examples


def sample_inputs(subject: Subject, data_root: Path | None) -> Tensor:
    """Ten images of the test split as the curve was measured on them: (N, C, H, W) in [0, 1].

    For models of MNIST they are the digits of examples/, one of each kind, which a checkout has at hand: so a card
    comes out the same with the data and without. Else they lie evenly over the split, which may be sorted by class.
    """
    data = subject.curve.data
    digits = sorted((root() / "examples" / "digits").glob("*.png"))
    if data["name"] == "mnist" and data.get("split") == "test" and subject.config.input_shape == (1, 28, 28) and digits:
        x = to_tensor(digits, subject.config.input_shape)
        if data.get("binarize") != "static":
            return x
        return torch.bernoulli(x, generator=torch.Generator().manual_seed(BINARIZE_SEED))
    if data_root is None:
        raise ValueError(
            f"the card of {subject.name} shows reconstructions of images of {data['name']}; "
            "pass --data-root, the folder that holds the data sets"
        )
    split = measured_split(subject.model, data_root)
    count = min(COLUMNS, len(split))
    (images,) = split.read([torch.arange(count, device="cpu") * len(split) // count])
    return shown_part(subject.model, split.prepare(images))


@torch.no_grad()
def _samples(subject: Subject, x: Tensor) -> bytes:
    """A row for each β, all from the same random numbers: draws of the mixture if the model has one, else the prior."""
    size = (x.shape[2], x.shape[3]) if subject.config.spatial else None
    betas = _betas(subject)
    rows = [
        subject.config.to_unit_range(
            subject.model.at(beta).sample(COLUMNS, size=size, generator=torch.Generator().manual_seed(SEED))
        )
        for beta in betas
    ]
    return to_png(grid(rows, [(f"β = {beta:.4g}", "") for beta in betas]))


def _betas(subject: Subject) -> list[float]:
    if isinstance(subject.model, FixedRateVAE):
        return [subject.model.beta]
    return log_spaced(subject.config.beta_range, ROWS)
