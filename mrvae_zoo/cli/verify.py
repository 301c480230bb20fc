"""The command `mrvae verify`."""

from mrvae_zoo.cli.common import (
    DataRoot,
    Device,
    DeviceOption,
    Json,
    Name,
    measuring,
    print_json,
    print_table,
    say,
)


def verify(name: Name, data_root: DataRoot, device: Device = DeviceOption.auto, json: Json = False) -> None:
    """Check that a model is the published one: its checksum, and its curve, which is measured again.

    The checksum of the weights is compared with config.json and, where it is pinned, registry/pins.toml. The exit
    status is 1 if it differs, or if a point of the curve is off by more than 1%.
    """
    from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
    from mrvae_zoo.checkpoints.pins import read_pins
    from mrvae_zoo.common.devices import find_device
    from mrvae_zoo.common.layout import CONFIG, PINS, REGISTRY
    from mrvae_zoo.evaluation.published import TOLERANCE, deviation, measure_again
    from mrvae_zoo.hub.load import exact, locate_checkpoint

    source = exact(name)
    folder = locate_checkpoint(source)
    # An error where the checksum is not that of config.json.
    model = load_checkpoint(folder, device=find_device(device.value))
    if model.curve is None:
        raise ValueError(f"{name} has no published curve to verify; measure one with: mrvae curve --save")
    sha256, sources = read_config(folder).weights.sha256, CONFIG
    pins = read_pins()
    pin = pins.get(name) or next((pin for pin in pins.values() if pin.source == source), None)
    if pin is not None:
        if pin.sha256 != sha256:
            raise ValueError(
                f"{name} does not have its published weights: the checksum is {sha256}, and {pin.sha256} in "
                f"{REGISTRY}/{PINS}"
            )
        sources += f" and in {REGISTRY}/{PINS}"
    with measuring() as progress:
        measured = measure_again(model, data_root, progress=progress)
    rows, offs = [], []
    for old, new in zip(model.curve.points, measured.points, strict=True):
        offs.append(deviation(old, new))
        rates, distortions = (
            (f"{old.rate:.2f}", f"{new.rate:.2f}"),
            (f"{old.distortion:.2f}", f"{new.distortion:.2f}"),
        )
        rows.append((f"{old.beta:g}", *rates, *distortions, f"{offs[-1]:.3%}"))
    worst = max(range(len(offs)), key=offs.__getitem__)
    if json:
        points = [{**one, "off_by": off} for one, off in zip(measured.to_plain()["points"], offs, strict=True)]
        verified = offs[worst] <= TOLERANCE
        print_json({"source": source, "sha256": sha256, "verified": verified, "off_by": offs[worst], "points": points})
    else:
        print_table(("beta", "rate published", "measured", "distortion published", "measured", "off by"), rows)
    if offs[worst] > TOLERANCE:
        raise ValueError(
            f"{name} does not have its published curve: off by {offs[worst]:.2%} at β={measured.points[worst].beta:g}"
        )
    say(f"{source}: checksum {sha256}, as in {sources}")
    say(f"verified: off by {offs[worst]:.3%} at most")
