"""The pictures in the folder of a finished training: its curve, and reconstructions of some images."""

import logging
from pathlib import Path

import torch

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.grids import CHANNELS, save_image
from mrvae_zoo.common.layout import RECONSTRUCTIONS, RUN_PLOT
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.evaluation.plots import draw_curve
from mrvae_zoo.inference.reconstruction import reconstruct, shown_part
from mrvae_zoo.models.vae import BaseVAE

SHOWN = 10  # images, evenly spaced over the split, which may be sorted by class

logger = logging.getLogger(__name__)


def draw_pictures(run: Path, model: BaseVAE, data: ImageData) -> None:
    """Write curve.png, if matplotlib is installed, and reconstructions.png, if images can be drawn.

    Args:
        run: The folder of the training.
        model: The model, with its curve.
        data: The data that the curve was measured on.
    """
    try:
        write_atomically(run / RUN_PLOT, draw_curve(model.require_curve(), title=run.resolve().name))
    except MissingExtraError as error:
        logger.warning("%s is not drawn: %s", RUN_PLOT, error)
    if data.shape[0] not in CHANNELS:
        return
    count = min(SHOWN, len(data))
    (images,) = data.to(model.device).read([torch.arange(count, device="cpu") * len(data) // count])
    x = model.config.to_data_range(shown_part(model, data.prepare(images))).to(model.dtype)
    save_image(reconstruct(model, x).picture, run / RECONSTRUCTIONS)
