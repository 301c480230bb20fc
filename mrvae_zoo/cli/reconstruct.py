"""mrvae reconstruct."""

from typing import Annotated

import typer

from mrvae_zoo.cli.common import BATCH, Force, ImageOutput, Images, Json, Name, Seed, print_curve, print_json, say

DEFAULT_COUNT = 7


def reconstruct(
    name: Name,
    images: Images,
    output: ImageOutput,
    beta: Annotated[
        list[float] | None,
        typer.Option("--beta", help="One row of the grid; give several. Default: seven."),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
    force: Force = False,
) -> None:
    """Draw images and their reconstructions at several β, a row each, and print rate and distortion in nats.

    The grid shows the reconstruction from the mean of the posterior; the distortion is that of a draw from it.
    """
    import torch

    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.grids import grid, image_format, save_image
    from mrvae_zoo.gating.beta import log_spaced
    from mrvae_zoo.hub.load import load_pretrained
    from mrvae_zoo.models.curve import RDCurve, RDPoint
    from mrvae_zoo.models.vae import FixedRateVAE

    check_output(output, force=force)
    image_format(output)
    model = load_pretrained(name)
    if beta is None:
        beta = [model.beta] if isinstance(model, FixedRateVAE) else log_spaced(model.beta_range, DEFAULT_COUNT)
    x = model.preprocess(images)
    rows, labels, points = [model.config.to_unit_range(x)], [("input", "")], []
    with torch.no_grad():
        for one in sorted(set(beta)):
            plain = model.at(one)
            generator = torch.Generator().manual_seed(seed)
            drawn = [plain(some, generator=generator) for some in x.split(BATCH)]
            rate, distortion = (torch.cat([getattr(out, name) for out in drawn]) for name in ("rate", "distortion"))
            point = RDPoint(beta=one, rate=rate.mean().item(), distortion=distortion.mean().item())
            means = [plain(some, sample=False).reconstruction for some in x.split(BATCH)]
            rows.append(model.config.to_unit_range(torch.cat(means)))
            labels.append((f"beta {one:g}", f"{point.rate:.1f} nats"))  # Pillow's own font has no β
            points.append(point)
    save_image(grid(rows, labels), output)
    curve = RDCurve(points=tuple(points), data={"images": [str(image) for image in images]}, seed=seed)
    if json:
        print_json(curve.to_plain())
    else:
        print_curve(curve)
    say(f"wrote {output}")
