"""mrvae curve."""

from pathlib import Path
from typing import Annotated

import typer

from mrvae_zoo.cli.common import DataName, Force, Json, Name, measuring, print_curve, print_json, say


def curve(
    name: Name,
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="Measure it again on the data sets in this folder.")
    ] = None,
    data: DataName = None,
    mig: Annotated[bool, typer.Option("--mig", help="Also measure the mutual information gap on the sprites.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also draw it, as a PNG.")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Print the rate-distortion curve of a model: the published one, or measured again with --data-root."""
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.evaluation.disentanglement import with_gaps
    from mrvae_zoo.evaluation.plots import check_matplotlib, plot_curve
    from mrvae_zoo.evaluation.published import measure_again
    from mrvae_zoo.hub.load import load_pretrained

    if data is not None and data_root is None:
        raise typer.BadParameter("--data needs --data-root.")
    if output is not None:
        check_output(output, force=force)
        check_matplotlib()
    model = load_pretrained(name)
    if model.curve is None:
        raise ValueError(f"{name} has no published curve")
    curve = model.curve
    if data_root is not None:
        with measuring() as progress:
            curve = measure_again(model, data_root, data_name=data, progress=progress)
    if mig:
        with measuring() as progress:
            curve = with_gaps(model, curve, progress=progress)
    if output is not None:
        plot_curve(curve, output, title=name)
        say(f"wrote {output}")
    if json:
        print_json(curve.to_plain())
    else:
        print_curve(curve)
