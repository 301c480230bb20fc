"""The command `mrvae decode`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import BATCH, Device, DeviceOption, Force, Json, batches, print_json, say

if TYPE_CHECKING:
    from torch import Tensor


def decode(
    latents: Annotated[Path, typer.Argument(metavar="LATENTS", help="A file of latents that `mrvae encode` wrote.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write the images into, as PNG files.")
    ],
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Decode a file of latents into a folder of PNG images, with the names and sub-folders of the encoded files.

    Each image is decoded at the β that it was encoded at. Latents that the file leaves out are 0, the prior's mean.
    """
    import torch

    from mrvae_zoo.checkpoints.folder import read_config
    from mrvae_zoo.common.files import atomic_folder, check_output
    from mrvae_zoo.common.grids import to_pil
    from mrvae_zoo.errors import counted
    from mrvae_zoo.hub.load import load_pretrained, locate_checkpoint
    from mrvae_zoo.inference.latents import image_paths, load_latents
    from mrvae_zoo.inference.tiling import decode_tiled

    check_output(output, force=force)
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} is a file; name a folder")
    stored = load_latents(latents)
    info = stored.info
    if read_config(locate_checkpoint(info.source)).weights.sha256 != info.revision:
        raise ValueError(f"{latents} was encoded by other weights of {info.source} than those here; encode again")
    model = load_pretrained(info.source, device=device.value)
    plain = model if info.beta is None else model.at(info.beta)
    whole = stored.whole(model.latent_dim)
    betas: Sequence[Tensor | None] = [None] * len(batches(len(whole)))
    if stored.betas is not None:
        betas = stored.betas.to(plain.device).split(BATCH)
    paths = image_paths(info.files)
    with atomic_folder(output) as folder, torch.inference_mode():
        for number, (z, beta) in enumerate(zip(whole.split(BATCH), betas, strict=True)):
            z, size = z.to(plain.device), info.input_shape[1:]
            images = decode_tiled(plain, z, size, beta) if plain.config.spatial else plain.decode(z, beta)
            for path, image in zip(paths[number * BATCH :], to_pil(plain.config.to_unit_range(images)), strict=False):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                image.save(folder / path, format="PNG")
    say(f"wrote {counted(len(whole), 'image')} to {output}")
    if json:
        told = {"output": str(output), "images": [str(path) for path in paths], "beta": info.beta}
        print_json(told if stored.betas is None else told | {"betas": stored.betas.tolist()})
