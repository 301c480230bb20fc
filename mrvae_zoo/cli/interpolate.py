"""The command `mrvae interpolate`."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Device, DeviceOption, Force, ImageOutput, Json, LookedAt, Name, print_json, say
from mrvae_zoo.cli.traverse import middle_beta


def interpolate(
    name: Name,
    first: Annotated[
        Path, typer.Argument(metavar="A", help="The first image, in any format that Pillow reads.", show_default=False)
    ],
    second: Annotated[Path, typer.Argument(metavar="B", help="The second image.", show_default=False)],
    output: ImageOutput,
    beta: LookedAt = None,
    steps: Annotated[
        int, typer.Option("--steps", metavar="N", help="How many images to decode, both ends included.", min=2, max=64)
    ] = 9,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw the way from one image to another: points on the straight line between their posterior means, decoded.

    The two images stand at the ends of the row. A spatial model goes from a draw to a draw with the same noise, and of
    large images the picture shows the middle.
    """
    import torch

    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.grids import grid, image_format, save_image
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.inference.reconstruction import shown_part
    from mrvae_zoo.models.traversal import with_headings

    check_output(output, force=force)
    image_format(output)
    model = load_pretrained(name, device=device.value)
    a, b = (shown_part(model, model.preprocess(image)) for image in (first, second))
    plain_beta = middle_beta(model.config.beta, model.beta_range) if beta is None else beta
    with torch.inference_mode():
        images = model.interpolate(a, b, plain_beta, steps=steps)
        row = model.config.to_unit_range(torch.cat([a, images.to(a), b]))
    headings = ["A", *(f"{number / (steps - 1):.2g}" for number in range(steps)), "B"]
    save_image(with_headings(grid([row]), headings, (row.shape[-2], row.shape[-1])), output)
    say(f"wrote {output}: {steps} images at β = {plain_beta:g}")
    if json:
        print_json({"output": str(output), "beta": plain_beta, "steps": steps})
