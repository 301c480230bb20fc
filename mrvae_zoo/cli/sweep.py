"""The command `mrvae sweep`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import (
    Binarize,
    DataRoot,
    Device,
    DeviceOption,
    Force,
    Json,
    MeasuredOn,
    Name,
    Seed,
    measuring,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from mrvae_zoo.data.sets import ImageData
    from mrvae_zoo.models.vae import BaseVAE


def sweep(
    name: Name,
    data_root: DataRoot,
    metric: Annotated[
        list[str],
        typer.Option(
            "--metric",
            metavar="M",
            help="What to measure at every β: linear_probe, knn, retrieval, anomaly, mig, dci, factor_vae, psnr, ssim, "
            "active_units, rate, a pattern such as 'anomaly*', or a metric of a plug-in. May be repeated.",
        ),
    ],
    data: MeasuredOn = None,
    binarize: Binarize = None,
    betas: Annotated[
        int, typer.Option("--betas", metavar="N", help="The number of β, log-spaced over the range.", min=2, max=1000)
    ] = 13,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="A CSV with the class of each image: its file name, or its row from 0 on, and the label.",
        ),
    ] = None,
    outliers: Annotated[
        str | None,
        typer.Option(
            "--outliers",
            metavar="FOLDER_OR_SET",
            help="What should stand out in anomaly: a folder of images, or the test split of a data set.",
        ),
    ] = None,
    held_out_class: Annotated[
        str | None,
        typer.Option(
            "--held-out-class",
            metavar="C",
            help="Take the images of this class as the outliers; for a model that was not trained on it.",
        ),
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", help="Use at most this many images, drawn at random.", min=40)
    ] = 10_000,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Also draw the sweep; the suffix is the format: .png, .pdf, .svg."
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Measure what you care about at every β of a model, and name the β to take. Nothing is trained.

    Each value comes with its 95% interval over images. The best β, and the recommended one, which has the lowest rate
    within one standard error of the best, are chosen on some images and reported on others.
    """
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.data.labels import load_labels
    from mrvae_zoo.evaluation.metric_table import find_metrics
    from mrvae_zoo.evaluation.plots import plot_format
    from mrvae_zoo.evaluation.published import measured_split
    from mrvae_zoo.evaluation.sweep import sweep as measure
    from mrvae_zoo.hub.load import load_pretrained

    if binarize is not None and data is None:
        raise typer.BadParameter("--binarize needs --data.")
    if outliers is not None and held_out_class is not None:
        raise typer.BadParameter("give --outliers or --held-out-class, not both.")
    metrics = find_metrics(metric)
    if output is not None:
        check_output(output, force=force)
        plot_format(output)
    model = load_pretrained(name, device=device.value)
    split = measured_split(model, data_root, data_name=data, binarize=None if binarize is None else binarize.value)
    labelled = held_out_class is not None or labels is not None or any("labels" in each.needs for each in metrics)
    with measuring("sweeping over β") as progress:
        found = measure(
            model,
            split,
            metrics,
            betas=betas,
            labels=load_labels(split, data_root, file=labels) if labelled else None,
            outliers=None if outliers is None else _outliers(outliers, model, split, data_root),
            held_out_class=held_out_class,
            examples=examples,
            seed=seed,
            progress=progress,
        )
    if output is not None:
        found.plot(output)
        say(f"wrote {output}")
    if json:
        print_json(found.to_plain())
        return
    on = f"{found.data['examples']:,} images of {split.name} {split.split}"
    say(f"{on}; each metric with its 95% interval over images:")
    columns = found.columns()
    print_table(list(columns), list(zip(*columns.values(), strict=True)))
    for line in found.choices():
        typer.echo(line)


def _outliers(source: str, model: "BaseVAE", data: "ImageData", data_root: Path) -> "ImageData":
    """Load a data set or a folder as outliers, binarised like the data that they are compared with."""
    from mrvae_zoo.data.hf_datasets import PREFIX
    from mrvae_zoo.data.recipe import DataRecipe
    from mrvae_zoo.data.sets import data_sets, load_data
    from mrvae_zoo.data.whole_folder import load_whole_folder

    in_root = Path(source).name == source and (data_root / source).is_dir()
    is_set = source in data_sets or source.startswith(PREFIX) or in_root
    if not is_set and Path(source).is_dir():
        return load_whole_folder(Path(source), model.input_shape, binarize=data.binarize)
    return load_data(DataRecipe(name=source, binarize=data.binarize), "test", data_root, model.input_shape)
