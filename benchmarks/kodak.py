"""Spatial models on the Kodak photographs, beside JPEG, WebP and AVIF as Pillow writes them.

    python benchmarks/kodak.py --data-root DIR [--model NAME_OR_SOURCE …] [--checkout FOLDER]

Each image goes whole through each model at twelve β. Its PSNR is that of the reconstruction from one draw of the
latents, rounded to 8 bits. Its rate is the KL divergence in bits per pixel, which is what a coder with shared
randomness would need; no file of that size is written here. The rate of a codec is the size of its file. Rates and
PSNRs are means over the 24 images; between two points, PSNR is linear in the logarithm of the rate. "seams" is how far
neighbouring pixels differ across the borders of 8×8 patches, over how far they differ elsewhere: 1 where none are seen.

Writes benchmarks/results/kodak.json, docs/results/kodak.png (PSNR over bits per pixel), for each model
docs/results/kodak_MODEL.png (a piece of one photograph at four β, beside JPEG files of the same size) and
benchmarks/results/beside_MODEL.md (for its card), and the table of docs/results/photographs.md.
"""

import argparse
import io
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import insert
from PIL import Image

import mrvae_zoo
from mrvae_zoo.common.files import atomic_path, write_atomically
from mrvae_zoo.common.grids import grid
from mrvae_zoo.common.markdown import table
from mrvae_zoo.gating.beta import log_spaced

CHECKOUT = Path(__file__).parents[1]
RESULTS, PAGE, PLOT = "benchmarks/results/kodak.json", "docs/results/photographs.md", "docs/results/kodak.png"
PICTURES = "docs/results/kodak_{name}.png"
BESIDE = "benchmarks/results/beside_{name}.md"
RATES = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # bits per pixel, of the table
POINTS = 12  # β of a model
PATCH = 8  # pixels of a side, of JPEG's blocks and of the model's places
CODECS: dict[str, tuple[dict[str, Any], Sequence[int]]] = {  # what Pillow takes, and the qualities
    "JPEG": ({"optimize": True, "progressive": True}, (2, 5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90)),
    "WEBP": ({"method": 6}, (0, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90)),
    "AVIF": ({"speed": 4}, (5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80)),
}
PHOTO, CROP = "kodim23.png", (250, 40, 506, 232)  # of the picture: left, top, right, bottom
SHOWN = (0.1, 0.2, 0.4, 0.8)  # bits per pixel of its four β, as near as the curve of that photograph allows
LOOKS = {"JPEG": ("#6e6e76", "--"), "WEBP": ("#6e6e76", ":"), "AVIF": ("#6e6e76", "-.")}
COLOURS = ("#2f6fb0", "#c8552b", "#3f8f5b")  # of models


def main() -> None:
    """Measure, and write the results and the plots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--model", action="append", dest="models", metavar="NAME", help="a model; all spatial RGB ones")
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help="where to write; the checkout of this script")
    given = parser.parse_args()
    paths = sorted((given.data_root / "Kodak").glob("*.png"))
    if not paths:
        sys.exit(f"{given.data_root / 'Kodak'}: no images")
    photos = [(path.name, Image.open(path).convert("RGB")) for path in paths]
    names = given.models or mrvae_zoo.list_models("mrvae_*spatial.*", pretrained=True)
    result: dict[str, Any] = {"images": len(photos), "torch": torch.__version__, "codecs": {}, "models": {}}
    result["seams_of_originals"] = float(np.mean([seams(as_tensor(photo)) for _, photo in photos]))
    for codec in CODECS:
        points = result["codecs"][codec] = measure_codec(codec, [photo for _, photo in photos])
        print(f"{codec}: {at_rates(points)}")
    for name in names:
        model = mrvae_zoo.load_pretrained(name)
        points = result["models"][name] = measure_model(model, [photo for _, photo in photos])
        print(f"{name}: {at_rates(points)}")
        picture(model, dict(photos)[PHOTO].crop(CROP), given.checkout / PICTURES.format(name=name.split("/")[-1]))
    page = insert((given.checkout / PAGE).read_text(encoding="utf-8"), "kodak", table_part(result))
    write_atomically(given.checkout / RESULTS, json.dumps(result, indent=1) + "\n")
    write_atomically(given.checkout / PAGE, page)
    for name in result["models"]:
        write_atomically(given.checkout / BESIDE.format(name=name.split("/")[-1]), beside(result, name))
    plot(result, given.checkout / PLOT)


def table_part(result: dict[str, Any]) -> str:
    """Return the table of the page: PSNR in dB at some rates."""
    rows = []
    for name, points in {**result["models"], **result["codecs"]}.items():
        found = at_rates(points).values()
        shown = f"`{name}`" if name in result["models"] else name
        rows.append([shown, *("" if decibels is None else f"{decibels:.2f}" for decibels in found)])
    return table(["PSNR in dB at bits per pixel", *map(str, RATES)], rows, "l" + "r" * len(RATES)) + "\n"


def beside(result: dict[str, Any], name: str) -> str:
    """Return what the card of a model says: its PSNR beside that of the codecs."""
    alone = {**result, "models": {name: result["models"][name]}}
    return (
        f"On the {result['images']} photographs of Kodak, which were not used for training, whole and at equal rate. "
        "The rate of the model is its KL divergence, and no file of that size is written here. That of a codec is the "
        "size of its files, as Pillow writes them.\n\n" + table_part(alone)
    )


def measure_codec(codec: str, photos: Sequence[Image.Image]) -> list[dict[str, float]]:
    """Return a point for each quality of a codec."""

    def measure(photo: Image.Image, quality: int) -> tuple[float, float, float]:
        data, decoded = code(photo, codec, quality)
        image = as_tensor(decoded)
        return 8 * len(data) / pixels(photo), psnr(image, as_tensor(photo)), seams(image)

    return [point("quality", quality, [measure(photo, quality) for photo in photos]) for quality in CODECS[codec][1]]


def code(photo: Image.Image, codec: str, quality: int) -> tuple[bytes, Image.Image]:
    """Return the file that a codec writes, and what is read from it."""
    file = io.BytesIO()
    photo.save(file, codec, quality=quality, **CODECS[codec][0])
    return file.getvalue(), Image.open(io.BytesIO(file.getvalue())).convert("RGB")


@torch.no_grad()
def measure_model(model: mrvae_zoo.MultiRateVAE, photos: Sequence[Image.Image]) -> list[dict[str, float]]:
    """Return a point for each β of a model."""

    def measure(plain: mrvae_zoo.FixedRateVAE, photo: Image.Image) -> tuple[float, float, float]:
        x = as_tensor(photo)[None]
        out = plain(x, generator=torch.Generator().manual_seed(0))
        image = quantised(out.reconstruction)
        return bits(out.rate.item(), photo), psnr(image, x), seams(image)

    networks = [(beta, model.at(beta)) for beta in log_spaced(model.beta_range, POINTS)]
    return [point("beta", beta, [measure(plain, photo) for photo in photos]) for beta, plain in networks]


def point(name: str, value: float, measured: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    """Return the means over the photographs, beside the setting they were measured at."""
    means = map(float, np.mean(measured, axis=0))
    return {name: value, **dict(zip(("bits_per_pixel", "psnr", "seams"), means, strict=True))}


def at_rates(points: Sequence[dict[str, float]]) -> dict[str, float | None]:
    """Return the PSNR at the rates of the table; None outside of what was measured."""
    ordered = sorted(points, key=lambda one: one["bits_per_pixel"])
    rates, psnrs = ([one[key] for one in ordered] for key in ("bits_per_pixel", "psnr"))
    return {
        str(rate): round(float(np.interp(math.log(rate), np.log(rates), psnrs)), 2)
        if rates[0] <= rate <= rates[-1]
        else None
        for rate in RATES
    }


@torch.no_grad()
def picture(model: mrvae_zoo.MultiRateVAE, photo: Image.Image, path: Path) -> None:
    """Write a piece of a photograph at four β, each above the JPEG file of the nearest size that is not smaller."""
    x = as_tensor(photo)[None]
    betas = log_spaced(model.beta_range, 4 * POINTS)
    drawn = [plain(x, generator=torch.Generator().manual_seed(0)) for plain in map(model.at, betas)]
    rates = [bits(out.rate.item(), photo) for out in drawn]
    files = [code(photo, "JPEG", quality) for quality in range(1, 96)]
    sizes = [8 * len(data) / pixels(photo) for data, _ in files]
    rows = []
    for shown in SHOWN:
        i = min(range(len(rates)), key=lambda i: abs(math.log(rates[i] / shown)))
        j = min((j for j in range(len(sizes)) if sizes[j] >= rates[i]), key=sizes.__getitem__, default=len(sizes) - 1)
        decoded = quantised(drawn[i].reconstruction)
        jpeg = as_tensor(files[j][1])[None]
        rows.append((torch.cat([decoded, jpeg]), (f"β = {betas[i]:.3g}", f"{rates[i]:.2f}, JPEG {sizes[j]:.2f}")))
    with atomic_path(path) as temporary:
        grid([row for row, _ in rows], [label for _, label in rows]).save(temporary, "PNG")


def plot(result: dict[str, Any], path: Path) -> None:
    """Write the plot of PSNR over bits per pixel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for codec, points in result["codecs"].items():
        colour, dash = LOOKS[codec]
        draw(axes.plot, points, color=colour, linestyle=dash, label=f"{codec} (size of the file)")
    for colour, (name, points) in zip(COLOURS, result["models"].items(), strict=False):
        draw(axes.plot, points, color=colour, marker="o", markersize=4, label=f"{name} (KL)")
    axes.set(xscale="log", xlim=(0.05, 2), ylim=(20, 40), xlabel="bits per pixel", ylabel="PSNR (dB)")
    ticks = (0.05, 0.1, 0.2, 0.5, 1, 2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def draw(onto: Callable[..., Any], points: Sequence[dict[str, float]], **look: Any) -> None:
    """Draw a line through points."""
    ordered = sorted(points, key=lambda one: one["bits_per_pixel"])
    onto([one["bits_per_pixel"] for one in ordered], [one["psnr"] for one in ordered], **look)


def as_tensor(image: Image.Image) -> torch.Tensor:
    """Return an image as (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def quantised(x: torch.Tensor) -> torch.Tensor:
    """Return images rounded to 8 bits."""
    return (255 * x).round() / 255


def psnr(image: torch.Tensor, original: torch.Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB."""
    return -10 * math.log10((image - original).square().mean().item())


def seams(image: torch.Tensor) -> float:
    """Return how far neighbours differ across borders of patches, over how far they differ elsewhere: (..., H, W)."""
    ratios = []
    for axis in (-1, -2):
        steps = image.diff(dim=axis).abs().movedim(axis, 0)
        across = torch.arange(len(steps)) % PATCH == PATCH - 1
        ratios.append((steps[across].mean() / steps[~across].mean()).item())
    return sum(ratios) / 2


def pixels(photo: Image.Image) -> int:
    """Return the number of pixels."""
    return photo.width * photo.height


def bits(nats: float, photo: Image.Image) -> float:
    """Return nats per image as bits per pixel."""
    return nats / math.log(2) / pixels(photo)


if __name__ == "__main__":
    main()
