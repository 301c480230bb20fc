"""What is known of every trained model, in one file: registry/index.json. `make figures` runs this script.

    python benchmarks/registry_index.py

Everything is read from the folders of registry/, the comparisons in benchmarks/results/, and the speeds that
benchmarks/throughput.py measured. Only the FLOPs are counted here: those of one forward pass at one β, folded.
"""

import json
import math
from pathlib import Path
from typing import Any

from figures_readme import comparison_of
from torch.utils.flop_counter import FlopCounterMode

from mrvae_zoo.checkpoints.folder import load_checkpoint, read_config
from mrvae_zoo.checkpoints.index import Gap, Index, IndexEntry, IndexPoint, Speed, Training, loss_at_one, rates_of
from mrvae_zoo.checkpoints.registry import data_name, has_weights
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.layout import INDEX, RECIPE, REGISTRY, WEIGHTS
from mrvae_zoo.common.schema import from_mapping, to_plain
from mrvae_zoo.data.sets import data_facts
from mrvae_zoo.inference.throughput import draw_images, image_shape
from mrvae_zoo.models.curve import RDCurve
from mrvae_zoo.models.vae import BaseVAE
from mrvae_zoo.training.recipe import read_recipe

CHECKOUT = Path(__file__).parents[1]
SPEEDS = "benchmarks/results/throughput.json"
POINTS = 4  # of a curve
DIGITS = 6  # significant digits of a figure


def main() -> None:
    """Write the file."""
    path = CHECKOUT / REGISTRY / INDEX
    index = make_index(CHECKOUT)
    write_atomically(path, text_of(index))
    print(f"wrote {path.relative_to(CHECKOUT)}: {len(index.models)} models")


def make_index(checkout: Path) -> Index:
    """The index of the registry of a checkout."""
    speeds = read_speeds(checkout / SPEEDS)
    folders = sorted(path for path in (checkout / REGISTRY).iterdir() if has_weights(path))
    return Index(models={folder.name: make_entry(folder, speeds.get(folder.name, ())) for folder in folders})


def text_of(index: Index) -> str:
    """The text of the file. Figures that there are not are left out of points."""
    plain = to_plain(index)
    for entry in plain["models"].values():
        entry["points"] = [
            {key: value for key, value in point.items() if value is not None} for point in entry["points"]
        ]
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def read_speeds(path: Path) -> dict[str, tuple[Speed, ...]]:
    """The measured speeds by model; empty if none were measured."""
    if not path.is_file():
        return {}
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    speeds: dict[str, tuple[Speed, ...]] = {}
    for device, measured in data["devices"].items():
        for name, model in measured["models"].items():
            found = [
                {
                    "device": device,
                    "batch_size": one["batch_size"],
                    "folded": one["folded"]["whole"],
                    "gated": None if one["gated"] is None else one["gated"]["whole"],
                }
                for one in model["results"]
            ]
            speeds[name] = speeds.get(name, ()) + tuple(from_mapping(Speed, one, where=str(path)) for one in found)
    return speeds


def make_entry(folder: Path, speeds: tuple[Speed, ...]) -> IndexEntry:
    """The entry of the model in a folder.

    Raises:
        ValueError: The model has no curve, or its files are damaged.
    """
    model = load_checkpoint(folder)
    curve, config = model.require_curve(), model.config
    recipe = read_recipe(folder / RECIPE)
    data = data_name(folder, curve)
    image = image_shape(model, recipe.data.size)
    return IndexEntry(
        data=data,
        licence=None if data is None else data_facts(data).licence,
        architecture=config.architecture,
        gating=config.gating,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        flops=forward_flops(model, image),
        image=image,
        bytes=(folder / WEIGHTS).stat().st_size,
        sha256=read_config(folder).weights.sha256,
        beta_range=model.beta_range,
        rates=(_rounded(rates_of(curve)[0]), _rounded(rates_of(curve)[1])),
        loss_at_beta_1=_rounded_if_any(loss_at_one(curve)),
        points=points_of(curve),
        training=None if recipe.trained is None else _training(recipe.trained),
        gap=gap_of(folder),
        speeds=speeds,
    )


def forward_flops(model: BaseVAE, image: tuple[int, int, int]) -> int:
    """The FLOPs of one forward pass on one image with β folded into the weights."""
    low, high = model.beta_range
    plain = model.at(math.sqrt(low * high))
    x = draw_images(plain, 1, image)
    with FlopCounterMode(display=False) as counter:  # with gradients on: the counter's hooks ask for them
        plain(x, sample=False)
    return counter.get_total_flops()


def points_of(curve: RDCurve) -> tuple[IndexPoint, ...]:
    """Four measured points, nearest to β at equal distances in log β from one end to the other; all of fewer."""
    low, high = math.log(curve.betas[0]), math.log(curve.betas[-1])
    wanted = [low + (high - low) * step / (POINTS - 1) for step in range(POINTS)]
    nearest = {min(curve.betas, key=lambda beta: abs(math.log(beta) - at)) for at in wanted}
    return tuple(
        IndexPoint(
            beta=point.beta,
            loss=_rounded(point.loss),
            distortion=_rounded(point.distortion),
            rate=_rounded(point.rate),
            psnr=_rounded_if_any(point.psnr),
        )
        for point in curve.points
        if point.beta in nearest
    )


def gap_of(folder: Path) -> Gap | None:
    """The gap of a model's own recipe, where it was compared."""
    found = comparison_of(folder)
    if found is None:
        return None
    gaps = [loss / point.loss - 1 for loss, point in zip(found.losses, found.dedicated, strict=True)]
    return Gap(
        mean=_rounded(sum(gaps) / len(gaps)),
        worst=_rounded(max(gaps)),
        budget=found.budget,
        regime=found.regime,
        seeds=found.seeds,
    )


def _training(trained: Any) -> Training:
    kept = ("seconds", "hardware", "version", "commit", "date")
    return Training(**{key: getattr(trained, key) for key in kept})


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _rounded_if_any(value: float | None) -> float | None:
    return None if value is None else _rounded(value)


if __name__ == "__main__":
    main()
