"""The command `mrvae curve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import (
    Binarize,
    Device,
    DeviceOption,
    Force,
    Json,
    MeasuredOn,
    Name,
    measuring,
    print_curve,
    print_json,
    print_table,
    say,
)
from mrvae_zoo.errors import MissingExtraError

if TYPE_CHECKING:
    from mrvae_zoo.models.curve import Difference, RDCurve


TITLES = {"bd_rate": "BD-rate", "bd_distortion": "BD-distortion", "bd_psnr": "BD-PSNR"}


def curve(
    name: Name,
    against: Annotated[
        str | None,
        typer.Option(
            "--against", metavar="NAME", help="Compare with the published curve of another model, at every β in common."
        ),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option("--data-root", metavar="DIR", help="Measure the curve again on the data sets in this folder."),
    ] = None,
    data: MeasuredOn = None,
    binarize: Binarize = None,
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws",
            metavar="N",
            help="Draws of z per image. Default: enough to know L to 0.03%.",
            min=1,
        ),
    ] = None,
    mig: Annotated[
        bool, typer.Option("--mig", help="Also measure the mutual information gap, on the sprites data set.")
    ] = False,
    save: Annotated[bool, typer.Option("--save", help="Keep the measured curve beside the weights.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Also draw the curve; the suffix is the format: .png, .pdf, .svg."
        ),
    ] = None,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Print the rate-distortion curve of a model: the published one, or with --data-root one that is measured now.

    With --against another model it prints both curves, the change in L from the other model to this one, and how much
    rate this one saves at equal distortion (BD-rate).
    """
    from mrvae_zoo.checkpoints.folder import save_curve
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.layout import CURVE
    from mrvae_zoo.evaluation.curve import measure_curve
    from mrvae_zoo.evaluation.disentanglement import check_takes_sprites, with_gaps
    from mrvae_zoo.evaluation.plots import plot_curve, plot_format
    from mrvae_zoo.evaluation.published import measured_split
    from mrvae_zoo.hub.load import describe_model, load_pretrained, own_folder
    from mrvae_zoo.models.curve import compare_curves

    for option, given in (("--data", data), ("--draws", draws), ("--save", save or None)):
        if given is not None and data_root is None:
            raise typer.BadParameter(f"{option} needs --data-root.")
    if binarize is not None and data is None:
        raise typer.BadParameter("--binarize needs --data.")
    if output is not None:
        check_output(output, force=force)
        plot_format(output)
    folder = own_folder(name) if save else None
    other = None if against is None else _published(against)
    published = describe_model(name).curve
    curve = published
    if data_root is not None or mig:
        model = load_pretrained(name, device=device.value)
    if mig:
        check_takes_sprites(model)
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
        raise ValueError(f"{name} has no published curve; measure one with --data-root DIR --data SET")
    if mig:
        with measuring() as progress:
            curve = with_gaps(model, curve, progress=progress)
    if folder is not None:
        save_curve(folder, curve)
        say(f"wrote {folder / CURVE}")
    if output is not None:
        plot_curve(curve, output, title=name, other=other, other_title=against or "")
        say(f"wrote {output}")
    if other is not None and against is not None:
        differences = compare_curves(other, curve)
        _print_differences(differences, {name: curve, against: other}, json=json)
    elif json:
        print_json(curve.to_plain())
    else:
        say(_heading(curve))
        print_curve(curve)


def _heading(curve: "RDCurve") -> str:
    """Return the heading of the table that follows."""
    on = " ".join(str(curve.data[key]) for key in ("name", "split") if key in curve.data)
    images = f"{curve.data['examples']:,} images" if "examples" in curve.data else "its images"
    return f"mean of {f'the {images} of {on}' if on else images}, in nats per image:"


def _published(name: str) -> "RDCurve":
    from mrvae_zoo.hub.load import describe_model

    curve = describe_model(name).curve
    if curve is None:
        raise ValueError(f"{name} has no published curve to compare with")
    return curve


def _print_differences(differences: "list[Difference]", curves: "dict[str, RDCurve]", *, json: bool) -> None:
    """Print the curves of two models side by side; the first one is that of the model in question."""
    (name, own), (against, other) = curves.items()
    mean = _mean_differences(other, own)
    if json:
        print_json(
            {
                "name": name,
                "against": against,
                "data": own.data,
                "against_data": other.data,
                "same_data": own.data == other.data,
                "points": [_plain(one) for one in differences],
                **mean,
            }
        )
    else:
        rows = []
        for one in differences:
            # A star for what was not measured at this β; b is the model that is looked at.
            pairs = ((one.b, "*" if "b" in one.interpolated else ""), (one.a, "*" if "a" in one.interpolated else ""))
            figures = [
                f"{getattr(point, figure):.2f}{star}"
                for figure in ("rate", "distortion", "loss")
                for point, star in pairs
            ]
            change = "" if one.loss_change is None else f"{one.loss_change:+.2%}"
            rows.append((f"{one.a.beta:g}", *figures, change))
        print_table(("beta", "rate", "other", "distortion", "other", "loss", "other", "change"), rows)
        if any(one.interpolated for one in differences):
            say("* interpolated: not measured at this β")
        _print_mean(mean, against)
    if own.data != other.data:
        say(f"measured on different data: {name} on {_words(own.data)}; {against} on {_words(other.data)}")


def _mean_differences(other: "RDCurve", own: "RDCurve") -> dict[str, float | None]:
    """Return the Bjøntegaard differences by name, None where there is none; a line says why."""
    from mrvae_zoo.evaluation.bd_rate import bd_distortion, bd_psnr, bd_rate, quality_of

    by_psnr = quality_of(other, own) == "psnr"
    found: dict[str, float | None] = {}
    for name, difference in (
        ("bd_rate", bd_rate),
        ("bd_psnr", bd_psnr) if by_psnr else ("bd_distortion", bd_distortion),
    ):
        try:
            found[name] = difference(other, own)
        except ValueError as error:
            say(f"no {TITLES[name]}: {error}")
            found[name] = None
        except MissingExtraError as error:
            say(f"no {TITLES['bd_rate']}: {error}")
            return dict.fromkeys([*found, name])
    return found


def _print_mean(mean: dict[str, float | None], against: str) -> None:
    """Print the Bjøntegaard differences below the table of two curves."""
    by_psnr = "bd_psnr" in mean
    rate, quality = mean["bd_rate"], mean["bd_psnr" if by_psnr else "bd_distortion"]
    if rate is not None:
        over = "PSNR" if by_psnr else "distortion"
        typer.echo(f"BD-rate {rate:+.2%}: the mean change in rate from {against} at equal {over}")
    if quality is not None:
        what, unit = ("PSNR", "dB") if by_psnr else ("distortion", "nats")
        typer.echo(f"BD-{what} {quality:+.2f} {unit}: the mean change in {what} from {against} at equal rate")


def _plain(one: "Difference") -> dict[str, object]:
    def figures(side: str) -> dict[str, object]:
        point = one.a if side == "a" else one.b
        return {
            "rate": point.rate,
            "distortion": point.distortion,
            "loss": point.loss,
            "interpolated": side in one.interpolated,
        }

    return {"beta": one.a.beta, "model": figures("b"), "against": figures("a"), "loss_change": one.loss_change}


def _words(data: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in data.items()) or "data that its curve does not name"
