"""mrvae verify."""

from mrvae_zoo.cli.common import DataRoot, Name, measuring, print_table, say


def verify(name: Name, data_root: DataRoot) -> None:
    """Measure the published curve again and compare, point by point; exit status 1 if one is off by more than 1%."""
    from mrvae_zoo.evaluation import TOLERANCE, deviation, measure_again
    from mrvae_zoo.hub import load_pretrained

    model = load_pretrained(name)
    if model.curve is None:
        raise ValueError(f"{name} has no published curve to verify")
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
    say(f"verified: off by {offs[worst]:.3%} at most")
