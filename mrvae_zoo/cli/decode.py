"""mrvae decode."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import BATCH, Force, Output, say


def decode(
    latents: Annotated[Path, typer.Argument(metavar="LATENTS", help="A file that `mrvae encode` wrote.")],
    output: Output,
    force: Force = False,
) -> None:
    """Decode latents into a folder of PNG images."""
    import torch

    from mrvae_zoo.checkpoints.folder import read_config
    from mrvae_zoo.common.files import atomic_folder, check_output
    from mrvae_zoo.common.grids import to_pil
    from mrvae_zoo.hub.load import load_pretrained, locate_checkpoint
    from mrvae_zoo.inference.latents import load_latents, unique_stems
    from mrvae_zoo.inference.tiling import decode_tiled

    check_output(output, force=force)
    mean, info = load_latents(latents)
    if read_config(locate_checkpoint(info.source)).weights.sha256 != info.revision:
        raise ValueError(f"{latents} was encoded by other weights of {info.source} than those here; encode again")
    plain = load_pretrained(info.source).at(info.beta)
    stems = iter(unique_stems(info.files))
    with atomic_folder(output) as folder, torch.no_grad():
        for z in mean.split(BATCH):
            images = decode_tiled(plain, z, info.input_shape[1:]) if plain.config.spatial else plain.decode(z)
            for image in plain.config.to_unit_range(images):
                to_pil(image).save(folder / f"{next(stems)}.png", format="PNG")
    say(f"wrote {len(mean)} images to {output}")
