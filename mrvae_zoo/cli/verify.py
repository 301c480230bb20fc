"""mrvae verify."""

from mrvae_zoo.cli.common import DataRoot, Name, measuring, print_table, say


def verify(name: Name, data_root: DataRoot) -> None:
    """Compare the checksum of the weights with config.json and registry/pins.toml, and the curve, measured again.

    Exit status 1 where the checksum differs, or a point is off by more than 1%.
    """
    from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
    from mrvae_zoo.checkpoints.pins import read_pins
    from mrvae_zoo.common.layout import CONFIG, PINS, REGISTRY
    from mrvae_zoo.evaluation.published import TOLERANCE, deviation, measure_again
    from mrvae_zoo.hub.load import exact, locate_checkpoint

    source = exact(name)
    folder = locate_checkpoint(source)
    model = load_checkpoint(folder)  # an error where the checksum is not that of config.json
    if model.curve is None:
        raise ValueError(f"{name} has no published curve to verify")
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
    print_table(("beta", "rate published", "measured", "distortion published", "measured", "off by"), rows)
    worst = max(range(len(offs)), key=offs.__getitem__)
    if offs[worst] > TOLERANCE:
        raise ValueError(
            f"{name} does not have its published curve: off by {offs[worst]:.2%} at β={measured.points[worst].beta:g}"
        )
    say(f"{source}: checksum {sha256}, as in {sources}")
    say(f"verified: off by {offs[worst]:.3%} at most")
