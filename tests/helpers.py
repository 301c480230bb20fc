"""What tests share: small models and images, the architectures and gatings there are, and made-up comparisons."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import mrvae_zoo
from mrvae_zoo import FixedRateVAE, MultiRateVAE
from mrvae_zoo.comparison.plan import Plan
from mrvae_zoo.comparison.record import (
    Arm,
    AtBudget,
    ComparisonRecord,
    Dedicated,
    Doubling,
    PerSeed,
    SeedGap,
    SeedLoss,
    TrainingCurve,
    Trial,
)
from mrvae_zoo.comparison.runs import Runs
from mrvae_zoo.comparison.spent import Cost, Spent, SpentByBeta
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.gating.base import Gating
from mrvae_zoo.models.architecture_table import architectures
from mrvae_zoo.models.gating_table import gatings
from mrvae_zoo.training.recipe import recipe_from_table

CHECKOUT = Path(__file__).parents[1]
DEFAULT_MODEL = "mrvae_mlp.mnist"
PLUGIN = "mrvae_lstm"  # of examples/plugin; test_plugins.py runs the tests of every architecture where it is installed
SHAPES = {
    "mrvae_linear": (1, 5, 4),
    "mrvae_mlp": (2, 5, 4),
    "mrvae_conv": (3, 13, 10),
    "mrvae_resnet": (1, 12, 9),
    "mrvae_resnet_spatial": (3, None, None),
    "mrvae_autoencoder_kl": (3, None, None),
    "mrvae_timm": (2, 32, 32),
    PLUGIN: (2, 5, 4),
}
ANY_SIZE = (19, 13)  # what stands for H and W where any will do
OPTIONS = {
    "mrvae_linear": {},
    "mrvae_mlp": {"widths": (24, 16)},
    "mrvae_conv": {"widths": (6, 8), "depth": 1, "norm": "batch"},
    "mrvae_resnet": {"widths": (8, 12), "depth": 2, "bottleneck": 4},
    "mrvae_resnet_spatial": {"width": 8, "depth": 1, "bottleneck": 4},
    "mrvae_autoencoder_kl": {"block_out_channels": (6, 8), "norm_num_groups": 2},
    "mrvae_timm": {"backbone": "test_convnext", "widths": (16,)},
    PLUGIN: {"state_size": 16},
}
KINDS = [(name, gating) for name in mrvae_zoo.list_architectures() for gating in architectures[name].gatings]
DEFAULT_KINDS = [kind for kind in KINDS if kind[1] == architectures[kind[0]].gatings[0]]
GATED_KINDS = [kind for kind in KINDS if kind[1] != "none"]

BARS_RECIPE = {
    "model": {"architecture": "mrvae_mlp", "input_shape": [1, 8, 8], "latent_dim": 4, "widths": [32]},
    "data": {"name": "binarized_mnist"},
    "training": {"epochs": 12, "batch_size": 32, "learning_rate": 5e-3, "seed": 1, "precision": "fp32"},
}

FINISHED = [  # what `mrvae train` leaves
    "config.json",
    "curve.png",
    "latents.json",
    "metrics.jsonl",
    "model.safetensors",
    "rd_curve.json",
    "recipe.toml",
    "reconstructions.png",
]

Run = Callable[..., subprocess.CompletedProcess[str]]


def long_but(kinds: list[tuple[str, str]], *short: str) -> list[object]:
    """Parameters for all kinds, marked long but for the default gating of the architectures `short` (none: of all)."""
    quick = [kind for kind in DEFAULT_KINDS if not short or kind[0] in short]
    return [pytest.param(kind, id="-".join(kind), marks=() if kind in quick else pytest.mark.long) for kind in kinds]


def make_gating(name: str, beta_range: tuple[float, float] = (0.01, 10.0), degree: int = 3) -> Gating:
    """A gating of the zoo."""
    return gatings[name](beta_range=beta_range, degree=degree)


def make_model(architecture: str, gating: str, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> MultiRateVAE:
    """A small model whose every parameter, those of the gates included, is away from its initial value."""
    torch.manual_seed(seed)
    model = mrvae_zoo.create_model(
        architecture, input_shape=SHAPES[architecture], latent_dim=6, gating=gating, **OPTIONS[architecture]
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.to(dtype).eval()


def opened(module: torch.nn.Module, **options) -> torch.nn.Module:
    """A module with gates that are all away from their initial values, in double precision."""
    torch.manual_seed(0)
    gated = mrvae_zoo.gate(module, **options).double().eval()
    with torch.no_grad():
        for name, parameter in gated.named_parameters():
            if "gate" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return gated


def make_images(model: MultiRateVAE | FixedRateVAE, n: int, *, seed: int = 1) -> torch.Tensor:
    """n random images as the model takes them."""
    generator = torch.Generator().manual_seed(seed)
    channels, *size = model.input_shape
    size = [any_size if side is None else side for side, any_size in zip(size, ANY_SIZE, strict=True)]
    return torch.rand(n, channels, *size, generator=generator).to(model.dtype)


def assert_folded_is_gated(make: Callable[..., MultiRateVAE], gating: str, x: torch.Tensor) -> None:
    """With gates away from the identity, folded equals gated at each β; the layers are those without gates."""
    torch.manual_seed(0)
    model, dedicated = make(gating=gating).double().eval(), make(gating="none")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        beta = torch.tensor([0.01, 0.7, 10.0], dtype=torch.float64)
        each = model(x, beta, sample=False)
        for i in range(3):
            plain = model.at(beta[i].item())
            assert [type(m) for m in plain.modules()][1:] == [type(m) for m in dedicated.modules()][1:]
            out = plain(x[i : i + 1], sample=False)
            assert off_by(out.reconstruction, each.reconstruction[i : i + 1]) < 1e-10
            assert off_by(out.rate, each.rate[i : i + 1]) < 1e-10


def off_by(value: torch.Tensor, reference: torch.Tensor) -> float:
    """max |difference| / max |reference|; 0 where both are 0 throughout, as behind gates that are all closed."""
    value, reference = value.detach(), reference.detach()
    difference = (value - reference).abs().max()
    return 0.0 if difference == 0 else float(difference / reference.abs().max())


def outputs(model, x, *beta) -> list[torch.Tensor]:
    """Everything a call gives, without the noise."""
    with torch.no_grad():
        out = model(x, *beta, sample=False)
        return [out.reconstruction, out.posterior.mean, out.posterior.log_var, out.rate, out.distortion]


def make_data(model, n: int = 30) -> ImageData:
    return ImageData(name="noise", split="test", images=(make_images(model, n) * 255).byte())


# Commands


def ok(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """A command that has to succeed."""
    assert done.returncode == 0, done.stderr
    return done


def failed(done: subprocess.CompletedProcess[str], message: str) -> None:
    """A command that has to fail, and to say why in its last line; lines before it may tell of the images."""
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert message in done.stderr.splitlines()[-1]


# Pages


def python_of(readme):
    return re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)


# Comparisons: a recipe that trains in a moment, its plan, and a record of made-up figures

RECIPE = {
    "model": {"architecture": "mrvae_mlp", "input_shape": [1, 8, 8], "latent_dim": 3, "widths": [12]},
    "data": {"name": "mine", "held_out": 80},
    "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "log_every": 1, "precision": "fp32"},
}


def make_plan(**changes) -> Plan:
    settings = {
        "recipe": recipe_from_table(RECIPE, where="test"),
        "beta_count": 3,
        "budgets": (1.0,),
        "regime": "short",
        "arms": (),
        "seed_count": 1,
        "learning_rates": (),
        "examples": 320,
        "shape": (1, 8, 8),
        "device": "cpu",
    }
    return Plan(**settings | changes)


def make_runs(plan, root, folder) -> Runs:
    folder.mkdir(exist_ok=True)
    model, data = plan.recipe.model, plan.recipe.data
    return Runs(folder=folder, data_root=root, data=data, shape=model.input_shape, total=plan.total)


def make_arm(losses, gaps, intervals, **figures) -> Arm:
    trial = Trial(learning_rate=0.01, diverged=False, validation=1.01)
    return Arm(
        L=losses,
        gap=gaps,
        gap_interval=intervals,
        gap_spread=(0.01, 0.02),
        learning_rate=0.01,
        learning_rates_tried=(trial,),
        best_at_grid_end=True,
        **figures,
    )


RECORD = ComparisonRecord(
    name="tiny",
    regime="converged",
    budget=1.0,
    betas=(0.1, 10.0),
    mrvae=make_arm(
        (48.0, 180.0), (-0.01, 0.02), ((-0.02, 0.0), (0.01, 0.03)), rate=(80.0, 5.0), distortion=(40.0, 130.0)
    ),
    dedicated=Dedicated(
        L=(49.0, 176.0),
        rate=(90.0, 4.6),
        distortion=(40.0, 130.0),
        learning_rate=(0.01, 0.01),
        learning_rates_tried=(Trial(learning_rate=0.01, diverged=False, validation=49.5, beta=0.1),),
        best_at_grid_end=True,
    ),
    arms={
        "paper": make_arm(
            (55.0, 190.0), (0.10, 0.08), ((0.09, 0.11), (0.07, 0.09)), rate=(100.0, 6.0), distortion=(45.0, 130.0)
        )
    },
    cost=Cost(
        mrvae=Spent(flops=90.0, seconds=2.0),
        dedicated=SpentByBeta(flops=200.0, seconds=4.0, flops_per_beta=(100.0, 100.0), seconds_per_beta=(2.0, 2.0)),
        arms={"paper": Spent(flops=100.0, seconds=2.0)},
    ),
    seeds=(0, 1),
    per_seed=(
        PerSeed(
            seed=0,
            dedicated=SeedLoss(L=(49.0, 176.0)),
            mrvae=SeedGap(L=(48.0, 180.0), gap=(-0.01, 0.02)),
            arms={"paper": SeedGap(L=(55.0, 190.0), gap=(0.10, 0.08))},
        ),
    ),
    training_curves=(TrainingCurve(beta=0.1, seed=0, epoch=(0, 1), L=(60.0, 50.0)),),
    recipe=RECIPE,
    data={"name": "mine", "split": "test", "examples": 100},
    draws=2,
    hardware="1 CPU thread",
    version="0.1.0",
    doubling=(Doubling(beta=0.1, improvement=0.001, epochs=4),),
    converged=True,
)


def make_budget(budget, losses, gaps, **figures) -> AtBudget:
    interval = tuple((gap - 0.01, gap + 0.01) for gap in gaps)
    costs = {"flops": 90.0 * budget, "seconds": 2.0 * budget}
    return AtBudget(budget=budget, L=losses, gap=gaps, gap_interval=interval, **costs, **figures)


BUDGETS = (
    make_budget(0.5, (50.0, 184.0), (0.02, 0.05), validation_gap=(0.01, 0.04), gap_spread=(0.01, 0.02)),
    make_budget(1.0, (48.0, 180.0), (-0.01, 0.02), validation_gap=(-0.02, 0.0), gap_spread=(0.01, 0.02)),
    make_budget(3.0, (47.0, 175.0), (-0.04, -0.01), validation_gap=(-0.03, -0.01), gap_spread=(0.01, 0.02)),
)
