"""The command `mrvae verify`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrvae_zoo.cli.common import (
    DataRoot,
    Device,
    DeviceOption,
    Json,
    OptionalName,
    measuring,
    print_json,
    print_table,
    say,
)
from mrvae_zoo.cli.listing import choose, read_listed

if TYPE_CHECKING:
    from mrvae_zoo.models.curve import RDCurve


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A model whose weights have the recorded checksum, and its curve, measured again.

    Attributes:
        source: The exact source of the model.
        sha256: The checksum of its weights.
        recorded: The files that record this checksum, for a message.
        published: The published curve.
        measured: The curve as measured now.
        offs: How far each point is off, as a fraction.
    """

    source: str
    sha256: str
    recorded: str
    published: "RDCurve"
    measured: "RDCurve"
    offs: tuple[float, ...]

    @property
    def worst(self) -> int:
        """The number of the point that is farthest off."""
        return max(range(len(self.offs)), key=self.offs.__getitem__)

    @property
    def fault(self) -> str | None:
        """What is wrong with the curve; None if nothing is."""
        from mrvae_zoo.evaluation.published import TOLERANCE

        off, beta = self.offs[self.worst], self.measured.points[self.worst].beta
        return None if off <= TOLERANCE else f"does not have its published curve: off by {off:.2%} at β={beta:g}"

    def to_plain(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        points = zip(self.measured.to_plain()["points"], self.offs, strict=True)
        return {
            "source": self.source,
            "sha256": self.sha256,
            "verified": self.fault is None,
            "off_by": self.offs[self.worst],
            "points": [{**one, "off_by": off} for one, off in points],
        }


def verify(
    name: OptionalName = None,
    *,
    data_root: DataRoot,
    every: Annotated[
        bool,
        typer.Option("--all", help="Check every model of the registry that has weights here and a known data set."),
    ] = False,
    device: Device = DeviceOption.auto,
    json: Json = False,
) -> None:
    """Check that a model is the published one: its checksum, and its curve, which is measured again.

    The checksum of the weights is compared with config.json and, where it is pinned, registry/pins.toml. The exit
    status is 1 if it differs, or if a point of the curve is off by more than 1%. With --all there is one line per
    model, and the exit status is 1 if one of them fails.
    """
    if every == (name is not None):
        raise typer.BadParameter("give NAME or --all, and not both." if every else "give NAME, or --all.")
    if name is None:
        verify_all(data_root, device.value, json=json)
        return
    with measuring() as progress:
        check = check_model(name, data_root, device.value, progress)
    if json:
        print_json(check.to_plain())
    else:
        _print_points(check)
    if check.fault is not None:
        raise ValueError(f"{name} {check.fault}")
    say(f"{check.source}: checksum {check.sha256}, as in {check.recorded}")
    say(f"verified: off by {check.offs[check.worst]:.3%} at most")


def verify_all(data_root: Path, device: str, *, json: bool) -> None:
    """Check every model of the registry that has weights here and a known data set, one line each.

    Raises:
        ValueError: A model failed, or there is none to check; the message counts them.
    """
    from mrvae_zoo.data.sets import data_facts
    from mrvae_zoo.errors import counted, one_line

    results, failed = [], []
    for name in (model.name for model in choose(read_listed(), pretrained=True)):
        data = _data_of(name)
        if data is None or not data_facts(data).known:
            say(f"{name}: left out, its data set is not known")
            continue
        try:
            with measuring() as progress:
                check = check_model(name, data_root, device, progress)
        except (OSError, ValueError, RuntimeError) as error:
            fault: str | None = one_line(str(error))
            plain: dict[str, Any] = {"verified": False}
        else:
            fault, plain = check.fault, check.to_plain()
        if fault is not None:
            failed.append(name)
        results.append({"name": name, **plain, "fault": fault})
        if not json:
            typer.echo(
                f"{name}  failed: {fault}" if fault else f"{name}  verified, off by {plain['off_by']:.3%} at most"
            )
    if json:
        print_json(results)
    if failed:
        raise ValueError(f"{len(failed)} of {counted(len(results), 'model')} failed: {', '.join(failed)}")
    if not results:
        raise ValueError("no model of the registry has weights here and a known data set; see: mrvae list")
    say(f"verified {counted(len(results), 'model')}")


def check_model(name: str, data_root: Path, device: str, progress: Callable[[float], None]) -> Check:
    """Compare the checksum of a model with the recorded ones, and measure its curve again.

    Raises:
        ValueError: The model has no curve, or a checksum differs.
        FileNotFoundError: The data set is missing.
    """
    from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
    from mrvae_zoo.checkpoints.pins import read_pins
    from mrvae_zoo.common.devices import find_device
    from mrvae_zoo.common.layout import CONFIG, PINS, REGISTRY
    from mrvae_zoo.evaluation.published import deviation, measure_again
    from mrvae_zoo.hub.load import exact, locate_checkpoint

    source = exact(name)
    folder = locate_checkpoint(source)
    # An error where the checksum is not that of config.json.
    model = load_checkpoint(folder, device=find_device(device))
    if model.curve is None:
        raise ValueError(f"{name} has no published curve to verify; measure one with: mrvae curve --save")
    sha256, recorded = read_config(folder).weights.sha256, CONFIG
    pins = read_pins()
    pin = pins.get(name) or next((pin for pin in pins.values() if pin.source == source), None)
    if pin is not None:
        if pin.sha256 != sha256:
            raise ValueError(
                f"{name} does not have its published weights: the checksum is {sha256}, and {pin.sha256} in "
                f"{REGISTRY}/{PINS}"
            )
        recorded += f" and in {REGISTRY}/{PINS}"
    measured = measure_again(model, data_root, progress=progress)
    return Check(
        source=source,
        sha256=sha256,
        recorded=recorded,
        published=model.curve,
        measured=measured,
        offs=tuple(deviation(old, new) for old, new in zip(model.curve.points, measured.points, strict=True)),
    )


def _data_of(name: str) -> str | None:
    """Return the name of the data set that the curve of a model was measured on."""
    from mrvae_zoo.checkpoints.registry import data_name, model_folder
    from mrvae_zoo.common.layout import CURVE
    from mrvae_zoo.models.curve import RDCurve

    folder = model_folder(name)
    try:
        curve = RDCurve.read(folder / CURVE)
    except (OSError, ValueError):
        return data_name(folder, None)  # checked all the same, which says what is wrong with the curve
    return str(curve.data["name"]) if "name" in curve.data else None


def _print_points(check: Check) -> None:
    """Print a row per β: as published, and as measured."""
    rows = [
        (
            f"{old.beta:g}",
            *(f"{old.rate:.2f}", f"{new.rate:.2f}", f"{old.distortion:.2f}", f"{new.distortion:.2f}"),
            f"{off:.3%}",
        )
        for old, new, off in zip(check.published.points, check.measured.points, check.offs, strict=True)
    ]
    print_table(("beta", "rate published", "measured", "distortion published", "measured", "off by"), rows)
