"""What it is worth to begin a training at β_min: a share of the examples that falls, one that stays, and none.

    python benchmarks/training_order.py --data-root DIR

Trains the same Multi-Rate VAE with each of these draws of β, and β-VAEs for four β, all with the same number of steps
on MNIST, binarised anew at every step. L and the number of latents in use are measured during each training on some
held-out images, and at the end on the test images, with a moving average of the weights. A β-VAE gets the better of two
learning rates on the held-out images. The loop is one of one's own; it needs only the public interface.

Every training is kept in benchmarks/results/training_order.json when it ends, and the same command continues with those
that are missing. At the end the plot and the tables of docs/explanation/training-order.md are made from that file;
--draw makes them again without training. --tiny tries everything in seconds, on drawn images; use it with -o.
"""

import argparse
import copy
import hashlib
import json
import statistics
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mrvae_zoo
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.markdown import table
from mrvae_zoo.data.recipe import DataRecipe

CHECKOUT = Path(__file__).parents[1]
RESULT = Path("benchmarks/results/training_order.json")
PLOT = Path("docs/explanation/training_order.png")
PAGE = Path("docs/explanation/training-order.md")
PAGE_WIDTH = 130  # characters of a line of text
BEGIN, END = "<!-- training-order: begin -->", "<!-- training-order: end -->"

SHARES = {  # of the examples at β_min, at the start and at the end of the training
    "falling": (0.95, 0.1),
    "constant": (0.25, 0.25),
    "log-uniform": (0.0, 0.0),
}
MAX_SHARES = {"falling": 0.1, "constant": 0.0, "log-uniform": 0.0}  # of the other examples at β_max
DEDICATED = "dedicated"
BETA_RANGE = (0.01, 10.0)
BETAS = (0.01, 0.1, 1.0, 10.0)  # that L is measured at
WEIGHTING = 0.1  # the loss of an example is multiplied by β to the power of minus this
RATE = 8e-3
DEDICATED_RATES = (2e-3, 4e-3, 8e-3)
ADAM_BETAS = (0.9, 0.99)
AVERAGE = 0.999  # decay of the moving average of the weights
IN_USE = 0.01  # nats; a latent whose KL is above this in the mean over images is in use
SHAPE = (1, 28, 28)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all trainings share, and what --tiny makes small."""

    widths: tuple[int, ...] = (256, 256)
    latents: int = 32
    batch_size: int = 128
    epochs: int = 8
    warmup_steps: int = 100
    held_out: int = 10000
    watched: int = 2500  # held-out images that are measured during a training
    looks: int = 30  # how often
    draws: int = 4  # of z, at the end
    seeds: tuple[int, ...] = (0, 1)


TINY = Settings(
    widths=(8,), latents=4, batch_size=16, epochs=2, warmup_steps=2, held_out=32, watched=16, looks=3, draws=1
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training: a Multi-Rate VAE with the draws of an arm, or a β-VAE at `beta`."""

    arm: str
    beta: float | None
    rate: float
    seed: int

    @property
    def betas(self) -> tuple[float, ...]:
        """The β that it is measured at."""
        return BETAS if self.beta is None else (self.beta,)

    def draw(self, count: int, progress: float, generator: torch.Generator) -> Tensor:
        """The β of a batch when a part of the training is done: (count,)."""
        if self.beta is not None:
            return torch.full((count,), self.beta)
        shares = {"min_share": SHARES[self.arm], "max_share": MAX_SHARES[self.arm]}
        return mrvae_zoo.sample_beta(count, BETA_RANGE, generator, progress=progress, **shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Training images (N, 1, 28, 28) uint8, and held-out and test images, binarised once, as a model takes them."""

    train: Tensor
    valid: Tensor
    test: Tensor


def main() -> None:
    """Train what is missing, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--tiny", action="store_true", help="a few steps of small networks, on drawn images")
    parser.add_argument("--draw", action="store_true", help="only the plot and the tables, from the results there are")
    parser.add_argument("-o", "--output", type=Path, default=CHECKOUT, help="a checkout, or a folder for the results")
    options = parser.parse_args()
    if options.tiny and options.output == CHECKOUT:
        parser.error("--tiny would overwrite the results; name another folder with -o")
    settings = TINY if options.tiny else Settings()
    if not options.draw:
        if options.data_root is None and not options.tiny:
            parser.error("--data-root is missing: the folder that holds the data sets")
        torch.set_num_threads(1)
        images = drawn_images(settings) if options.tiny else mnist(settings, options.data_root)
        run(options.output / RESULT, settings, images)
    write_figures(options.output)


def mnist(settings: Settings, root: Path) -> Images:
    """MNIST, with some training images held out."""
    recipe = DataRecipe(name="mnist", binarize="dynamic", held_out=settings.held_out)
    train = mrvae_zoo.load_data(recipe, "train", root, SHAPE).images
    valid, test = (mrvae_zoo.load_data(recipe, split, root, SHAPE).images for split in ("valid", "test"))
    assert isinstance(train, Tensor)
    return Images(train=train, valid=valid[:].float() / 255, test=test[:].float() / 255)


def drawn_images(settings: Settings) -> Images:
    """Squares at random places, bright on dark."""
    generator = torch.Generator().manual_seed(0)
    images = torch.full((3 * settings.held_out, *SHAPE), 20, dtype=torch.uint8)
    for image, (top, left) in zip(
        images, torch.randint(20, (len(images), 2), generator=generator).tolist(), strict=True
    ):
        image[:, top : top + 8, left : left + 8] = 230
    train, valid, test = images.split(settings.held_out)
    return Images(train=train, valid=(valid > 99).float(), test=(test > 99).float())


def run(path: Path, settings: Settings, images: Images) -> None:
    """Do the trainings that the file of results lacks; each is written when it ends."""
    result = {
        "settings": plain(settings, len(images.train)),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "runs": [],
    }
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["settings"] != result["settings"]:
            raise ValueError(f"{path} holds results of other settings; delete it to measure again")
        result = kept
    path.parent.mkdir(parents=True, exist_ok=True)
    for one in trainings(settings):
        if not any(matches(each, one) for each in result["runs"]):
            result["runs"].append(asdict(one) | fit(one, settings, images))
            write_atomically(path, to_json(result))
            print(line_of(result["runs"][-1]), flush=True)


def trainings(settings: Settings) -> list[Training]:
    """All trainings, in the order in which they are done."""
    return [
        Training(arm=arm, beta=beta, rate=rate, seed=seed)
        for seed in settings.seeds
        for arm, betas, rates in (
            *((name, (None,), (RATE,)) for name in SHARES),
            (DEDICATED, BETAS, DEDICATED_RATES),
        )
        for beta in betas
        for rate in rates
    ]


def plain(settings: Settings, examples: int) -> dict[str, Any]:
    """Everything that the results depend on, as JSON gives it back."""
    constants = {
        "shares": SHARES,
        "max_shares": MAX_SHARES,
        "beta_range": BETA_RANGE,
        "betas": BETAS,
        "weighting": WEIGHTING,
        "rate": RATE,
        "dedicated_rates": DEDICATED_RATES,
        "adam_betas": ADAM_BETAS,
        "average": AVERAGE,
        "in_use": IN_USE,
        "examples": examples,
        "steps": settings.epochs * (examples // settings.batch_size),
    }
    return json.loads(json.dumps(asdict(settings) | constants))


def matches(found: dict[str, Any], one: Training) -> bool:
    """Whether the results are those of the training."""
    return all(found[key] == value for key, value in asdict(one).items())


def to_json(result: dict[str, Any]) -> str:
    """The results, with each training on a line."""
    head = json.dumps(result | {"runs": []}, indent=1)
    return head.removesuffix("[]\n}") + "[\n" + ",\n".join(map(json.dumps, result["runs"])) + "\n]\n}\n"


def line_of(found: dict[str, Any]) -> str:
    """What is printed of a training that has ended."""
    name = found["arm"] if found["beta"] is None else f"{found['arm']} {found['beta']:g}"
    losses = " ".join(f"{loss:7.2f}" for loss in found["test"])
    return f"{name:<16} rate {found['rate']:g}, seed {found['seed']}: L {losses}  ({found['cpu_seconds']:.0f} s)"


def fit(one: Training, settings: Settings, images: Images) -> dict[str, Any]:
    """Train, and return L and the number of latents in use, during the training and at its end."""
    torch.manual_seed(one.seed)
    model = mrvae_zoo.create_model(
        "mrvae_mlp",
        input_shape=SHAPE,
        latent_dim=settings.latents,
        widths=settings.widths,
        beta_range=BETA_RANGE,
        gating="shrinkage" if one.beta is None else "none",
    ).train()
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=one.rate, betas=ADAM_BETAS, fused=True)
    beta_noise, latent_noise = (torch.Generator().manual_seed(1000 * one.seed + number) for number in (1, 2))
    steps = settings.epochs * (len(images.train) // settings.batch_size)
    looks = {round(steps * look / settings.looks) for look in range(1, settings.looks + 1)}
    found: dict[str, Any] = {"steps": [], "loss": [], "latents": []}
    seconds, start = 0.0, time.process_time()
    for step, x in enumerate(batches(images.train, settings, one.seed)):
        for group in optimizer.param_groups:
            group["lr"] = one.rate * min(1, (step + 1) / settings.warmup_steps) * (1 - step / steps)
        beta = one.draw(len(x), step / steps, beta_noise)
        out = model(x, beta, generator=latent_noise)
        loss = (beta**-WEIGHTING * (out.distortion + beta * out.rate)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow(average, model, decay=min(AVERAGE, (step + 1) / (step + 10)))
        if step + 1 in looks:
            seconds += time.process_time() - start
            losses, latents = measure(average, images.valid[: settings.watched], one.betas)
            found["steps"].append(step + 1)
            found["loss"].append(losses)
            found["latents"].append(latents)
            start = time.process_time()
    valid, _ = measure(average, images.valid, one.betas, settings.draws)
    test, latents = measure(average, images.test, one.betas, settings.draws)
    return found | {"valid": valid, "test": test, "test_latents": latents, "cpu_seconds": round(seconds, 1)}


def batches(images: Tensor, settings: Settings, seed: int) -> Iterator[Tensor]:
    """Whole batches of every epoch, in a new order and binarised anew: (batch_size, 1, 28, 28)."""
    generator = torch.Generator().manual_seed(1000 * seed)
    for _ in range(settings.epochs):
        for indices in torch.randperm(len(images), generator=generator).split(settings.batch_size):
            if len(indices) == settings.batch_size:
                yield torch.bernoulli(images[indices].float() / 255, generator=generator)


@torch.no_grad()
def follow(average: torch.nn.Module, model: torch.nn.Module, *, decay: float) -> None:
    """Move the average of the weights towards the newest ones."""
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


@torch.no_grad()
def measure(
    model: mrvae_zoo.MultiRateVAE, x: Tensor, betas: Sequence[float], draws: int = 1
) -> tuple[list[float], list[int]]:
    """L (nats per image) and the number of latents in use at each β. The noise is the same for every model."""
    curve = mrvae_zoo.rate_distortion(model, x, betas, samples=draws)
    latents = []
    for beta in betas:
        mean, log_var = model.encode(x, beta)
        kl = 0.5 * (mean.square() + torch.expm1(log_var) - log_var).mean(0)  # of each latent
        latents.append(int((kl > IN_USE).sum()))
    return [round(point.loss, 3) for point in curve.points], latents


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the plot and the tables show of one arm at one β, over seeds.

    Attributes:
        steps: The steps after which L was measured.
        loss: L of each seed at these steps, on the held-out images.
        latents: The number of latents in use at these steps, as a mean over seeds.
        test: The mean of L at the end, on the test images.
        test_latents: The number of latents in use at the end, as a mean over seeds.
        rate: The learning rate.
    """

    steps: list[int]
    loss: list[list[float]]
    latents: list[float]
    test: float
    test_latents: float
    rate: float


def summaries(result: dict[str, Any]) -> dict[str, list[Summary]]:
    """A summary for each of the β, by arm; a β-VAE has the rate with the lowest mean L on the held-out images."""
    arms: dict[str, list[Summary]] = {}
    betas = result["settings"]["betas"]
    for arm in (*result["settings"]["shares"], DEDICATED):
        arms[arm] = []
        for place, beta in enumerate(betas):
            runs = [each for each in result["runs"] if each["arm"] == arm and each["beta"] in (None, beta)]
            at = 0 if arm == DEDICATED else place
            by_rate = {rate: [each for each in runs if each["rate"] == rate] for rate in {r["rate"] for r in runs}}
            best = min(by_rate, key=lambda rate: statistics.fmean(each["valid"][at] for each in by_rate[rate]))
            chosen = by_rate[best]
            arms[arm].append(
                Summary(
                    steps=chosen[0]["steps"],
                    loss=[[losses[at] for losses in each["loss"]] for each in chosen],
                    latents=[
                        statistics.fmean(each["latents"][look][at] for each in chosen)
                        for look in range(len(chosen[0]["steps"]))
                    ],
                    test=statistics.fmean(each["test"][at] for each in chosen),
                    test_latents=statistics.fmean(each["test_latents"][at] for each in chosen),
                    rate=best,
                )
            )
    return arms


def write_figures(root: Path) -> None:
    """Make the plot and, where there is the page, its tables, from the results below `root`."""
    from training_order_plot import draw

    text = (root / RESULT).read_bytes()
    result = json.loads(text)
    settings = result["settings"]
    digest = hashlib.sha256(text).hexdigest()
    (root / PLOT).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(root / PLOT, draw(summaries(result), settings, names=arm_names(settings), digest=digest))
    if (root / PAGE).exists():
        write_atomically(root / PAGE, with_tables((root / PAGE).read_text(encoding="utf-8"), result))


def with_tables(page: str, result: dict[str, Any]) -> str:
    """The page, with the tables of the results between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables(result)}\n\n{END}{after}"


def tables(result: dict[str, Any]) -> str:
    """What was trained, L at the end, and the latents in use at the end, as Markdown."""
    settings, arms = result["settings"], summaries(result)
    names, own = arm_names(settings), arms[DEDICATED]
    header = ["", *(f"β = {beta:g}" for beta in settings["betas"])]
    align = "l" + "r" * len(own)
    losses = [[names[DEDICATED], *(f"{each.test:.2f}" for each in own)]]
    for arm in settings["shares"]:
        gaps = (ours.test / best.test - 1 for ours, best in zip(arms[arm], own, strict=True))
        cells = (f"{ours.test:.2f} ({gap:+.1%})" for ours, gap in zip(arms[arm], gaps, strict=True))
        losses.append([names[arm], *(cell.replace("-", "−") for cell in cells)])
    latents = [
        [names[arm], *(f"{each.test_latents:g}" for each in arms[arm])] for arm in (DEDICATED, *settings["shares"])
    ]
    *others, last = (f"{rate:g}" for rate in settings["dedicated_rates"])
    rates = f"{', '.join(others)} or {last}"
    chosen = ", ".join(f"{each.rate:g}" for each in own)
    network = "-".join(map(str, settings["widths"]))
    trained = (
        f"The network is `mrvae_mlp` ({network}) with {settings['latents']} latents. Each training has"
        f" {settings['epochs']} epochs, which are {settings['steps']:,} steps of {settings['batch_size']} images."
        f" The learning rate falls linearly to 0. It begins at {settings['rate']:g} for the Multi-Rate VAEs."
        f" Their loss is weighted by β^−{settings['weighting']:g}."
        f" A dedicated β-VAE has {rates}, whichever is best on held-out images: {chosen} for these β."
        f" All figures are means over {len(settings['seeds'])} seeds."
    )
    measured = (
        "L on the test images in nats per image, and in brackets how far it is above (+) or below (−) that of the"
        " dedicated β-VAE:"
    )
    seconds = ", ".join(f"{seconds_of(result, arm):.0f} ({names[arm]})" for arm in settings["shares"])
    cost = (
        f"Seconds of CPU time of a training on {result['threads']} thread, on a machine with other work: {seconds}."
        f" A dedicated β-VAE takes {seconds_of(result, DEDICATED):.0f}."
    )
    parts = (
        textwrap.fill(trained, PAGE_WIDTH),
        measured,
        table(header, losses, align),
        f"Latents in use at the end, of {settings['latents']}:",
        table(header, latents, align),
        textwrap.fill(cost, PAGE_WIDTH),
    )
    return "\n\n".join(parts)


def seconds_of(result: dict[str, Any], arm: str) -> float:
    """The mean CPU time of the trainings of an arm, without the measurements."""
    return statistics.fmean(each["cpu_seconds"] for each in result["runs"] if each["arm"] == arm)


def arm_names(settings: dict[str, Any]) -> dict[str, str]:
    """What the plot and the tables call each arm."""
    start, end = settings["shares"]["falling"]
    return {
        "falling": f"share at β_min falls from {start:.0%} to {end:.0%}",
        "constant": f"constant share of {settings['shares']['constant'][0]:.0%}",
        "log-uniform": "no share, log-uniform",
        DEDICATED: "dedicated β-VAEs",
    }


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(str(error))
