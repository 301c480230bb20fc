"""The command `mrvae decode`."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import BATCH, Device, DeviceOption, Force, Json, print_json, say


def decode(
    latents: Annotated[Path, typer.Argument(metavar="LATENTS", help="A file of latents that `mrvae encode` wrote.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write the images into, as PNG files.")
    ],
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Decode a file of latents into a folder of PNG images, with the names and sub-folders of the encoded files."""
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
    mean, info = load_latents(latents)
    if read_config(locate_checkpoint(info.source)).weights.sha256 != info.revision:
        raise ValueError(f"{latents} was encoded by other weights of {info.source} than those here; encode again")
    plain = load_pretrained(info.source, device=device.value).at(info.beta)
    paths = image_paths(info.files)
    with atomic_folder(output) as folder, torch.inference_mode():
        for number, z in enumerate(mean.split(BATCH)):
            z = z.to(plain.device)
            images = decode_tiled(plain, z, info.input_shape[1:]) if plain.config.spatial else plain.decode(z)
            for path, image in zip(paths[number * BATCH :], to_pil(plain.config.to_unit_range(images)), strict=False):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                image.save(folder / path, format="PNG")
    say(f"wrote {counted(len(mean), 'image')} to {output}")
    if json:
        print_json({"output": str(output), "images": [str(path) for path in paths], "beta": info.beta})
