"""mrvae curve."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import Force, Json, Name, measuring, print_curve, print_json, say


class BinarizeOption(StrEnum):
    """What --binarize takes."""

    none = "none"
    static = "static"


def curve(
    name: Name,
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="Measure it again on the data sets in this folder.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="The data set to measure on. Default: that of the published curve."),
    ] = None,
    binarize: Annotated[
        BinarizeOption | None, typer.Option("--binarize", help="With --data: static draws each pixel once.")
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option("--draws", help="Draws of z per image. Default: until they change L by less than 0.03%.", min=1),
    ] = None,
    mig: Annotated[bool, typer.Option("--mig", help="Also measure the mutual information gap on the sprites.")] = False,
    save: Annotated[bool, typer.Option("--save", help="Keep the measured curve beside the weights.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also draw it, in the format of the suffix: .png, .pdf, .svg.")
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Print the rate-distortion curve of a model: the published one, or measured again with --data-root."""
    from mrvae_zoo.checkpoints.folder import save_curve
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.layout import CURVE
    from mrvae_zoo.evaluation.curve import measure_curve
    from mrvae_zoo.evaluation.disentanglement import with_gaps
    from mrvae_zoo.evaluation.plots import plot_curve, plot_format
    from mrvae_zoo.evaluation.published import measured_split
    from mrvae_zoo.hub.load import describe_model, load_pretrained, own_folder

    for option, given in (("--data", data), ("--draws", draws), ("--save", save or None)):
        if given is not None and data_root is None:
            raise typer.BadParameter(f"{option} needs --data-root.")
    if binarize is not None and data is None:
        raise typer.BadParameter("--binarize needs --data.")
    if output is not None:
        check_output(output, force=force)
        plot_format(output)
    folder = own_folder(name) if save else None
    published = describe_model(name).curve
    curve = published
    if data_root is not None or mig:
        model = load_pretrained(name)
    if data_root is not None:
        split = measured_split(model, data_root, data_name=data, binarize=None if binarize is None else binarize.value)
        with measuring() as progress:
            curve = measure_curve(
                model,
                split,
                None if published is None else published.betas,
                draws=draws,
                seed=0 if published is None else published.seed,
                total_correlation=published is not None and published.points[0].total_correlation is not None,
                progress=progress,
            )
    if curve is None:
        raise ValueError(f"{name} has no published curve; measure one with --data-root DIR --data NAME")
    if mig:
        with measuring() as progress:
            curve = with_gaps(model, curve, progress=progress)
    if folder is not None:
        save_curve(folder, curve)
        say(f"wrote {folder / CURVE}")
    if output is not None:
        plot_curve(curve, output, title=name)
        say(f"wrote {output}")
    if json:
        print_json(curve.to_plain())
    else:
        print_curve(curve)
