"""mrvae diff."""

from typing import Annotated

import typer

from mrvae_zoo.cli.common import Json, print_json, print_table, say

Source = Annotated[str, typer.Argument(help="A name of the registry, local-dir:PATH or hf-hub:ORG/NAME\\[@REVISION].")]


def diff(a: Source, b: Source, json: Json = False) -> None:
    """Compare the published curves of two models at every β that both reach; the change is that of B against A."""
    from mrvae_zoo.common.layout import CURVE
    from mrvae_zoo.hub.load import locate_checkpoint
    from mrvae_zoo.models.curve import RDCurve, compare_curves

    curves = []
    for name in (a, b):
        folder = locate_checkpoint(name)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder")
        path = folder / CURVE
        if not path.is_file():
            raise ValueError(f"{name} has no published curve to compare")
        curves.append(RDCurve.read(path))
    differences = compare_curves(*curves)
    same_data = curves[0].data == curves[1].data
    if json:
        points = [
            {
                "beta": one.a.beta,
                **{
                    side: {"rate": point.rate, "distortion": point.distortion, "loss": point.loss}
                    for side, point in (("a", one.a), ("b", one.b))
                },
                "loss_change": one.loss_change,
                "interpolated": list(one.interpolated),
            }
            for one in differences
        ]
        data = {
            side: {"name": name, "data": curve.data} for side, name, curve in zip("ab", (a, b), curves, strict=True)
        }
        print_json({**data, "same_data": same_data, "points": points})
    else:
        rows = []
        for one in differences:
            # A star for what was not measured at this β.
            stars = ["*" if side in one.interpolated else "" for side in "ab"]
            figures = [
                f"{getattr(point, figure):.2f}{star}"
                for figure in ("rate", "distortion", "loss")
                for point, star in zip((one.a, one.b), stars, strict=True)
            ]
            change = "" if one.loss_change is None else f"{one.loss_change:+.2%}"
            rows.append((f"{one.a.beta:g}", *figures, change))
        print_table(("beta", "rate A", "B", "distortion A", "B", "loss A", "B", "change"), rows)
        if any(one.interpolated for one in differences):
            say("* interpolated: not measured at this β")
    if not same_data:
        say(f"measured on different data: A on {_words(curves[0].data)}; B on {_words(curves[1].data)}")


def _words(data: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in data.items()) or "what its curve does not say"
