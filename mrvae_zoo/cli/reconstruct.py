"""The command `mrvae reconstruct`."""

from typing import Annotated

import typer

from mrvae_zoo.cli.common import (
    Device,
    DeviceOption,
    Force,
    ImageOutput,
    Images,
    Json,
    Name,
    Seed,
    print_curve,
    print_json,
    say,
)


def reconstruct(
    name: Name,
    images: Images,
    output: ImageOutput,
    beta: Annotated[
        list[float] | None,
        typer.Option("--beta", metavar="B", help="A β to reconstruct at. May be repeated. Default: seven β."),
    ] = None,
    n: Annotated[int, typer.Option("-n", metavar="N", help="Take at most this many of the images.", min=1)] = 48,
    seed: Seed = 0,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw images and their reconstructions at several β, a row for each β, and print rate and distortion in nats.

    The picture shows the decoded mean of the posterior (of a spatial model a draw); the distortion is that of a draw
    from it. Files in a folder that cannot be read are left out, and named.
    """
    from mrvae_zoo.common.decoding import open_readable
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.grids import image_format, save_image
    from mrvae_zoo.errors import name_some
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.inference.encoding import find_files
    from mrvae_zoo.inference.reconstruction import reconstruct as draw
    from mrvae_zoo.models.curve import RDCurve

    check_output(output, force=force)
    image_format(output)
    files, may_skip = find_files(images)
    model = load_pretrained(name, device=device.value)
    if len(files) > n:
        say(f"taking {n} of {len(files)} images; -n takes more")
    files = files[:n]
    found = open_readable(files, may_skip[:n])
    unread = [file for file, image in zip(files, found, strict=True) if image is None]
    if len(unread) == len(found):
        raise ValueError(f"none of {len(found)} images can be read; the first is {files[0]}")
    if unread:
        say(f"{len(unread)} of {len(found)} images cannot be read: {name_some(unread)}")
    x = model.preprocess([image for image in found if image is not None])
    drawn = draw(model, x, None if beta is None else sorted({*beta}), seed=seed)
    save_image(drawn.picture, output)
    used = [str(file) for file, image in zip(files, found, strict=True) if image is not None]
    curve = RDCurve(points=drawn.points, data={"images": used}, seed=seed)
    if json:
        print_json(curve.to_plain())
    else:
        say(f"{'this image' if len(used) == 1 else f'mean of these {len(used)} images'}, in nats per image:")
        print_curve(curve)
    say(f"wrote {output}")
