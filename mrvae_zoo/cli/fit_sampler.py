"""The command `mrvae fit-sampler`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrvae_zoo.cli.common import (
    DataRoot,
    Device,
    DeviceOption,
    Force,
    Json,
    Name,
    Seed,
    measuring,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from mrvae_zoo.data.recipe import DataRecipe
    from mrvae_zoo.models.sampler import MixtureSampler
    from mrvae_zoo.models.vae import BaseVAE


def fit_sampler(
    name: Name,
    data_root: DataRoot,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="SET", help="The data set whose training split to fit to. Default: the one of the recipe."
        ),
    ] = None,
    betas: Annotated[
        int | None,
        typer.Option(
            "--betas",
            metavar="N",
            help="Fit at so many β, evenly spaced in log β. Default: at those of the curve.",
            min=1,
        ),
    ] = None,
    components: Annotated[
        int, typer.Option("--components", metavar="N", help="The most components that a mixture may have.", min=1)
    ] = 32,
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", help="The most training images to fit to.", min=20)
    ] = 20_000,
    seed: Seed = 0,
    device: Device = DeviceOption.auto,
    force: Force = False,
    json: Json = False,
) -> None:
    """Fit a Gaussian mixture to the latents of the training images, so that samples look right at a low β too.

    The mixtures are stored beside the weights, in sampler.safetensors, and `mrvae sample` then draws from them. It
    prints the components of each, and by how many nats per image it is likelier than the prior on draws held out.
    """
    from mrvae_zoo.checkpoints.folder import load_checkpoint, save_sampler
    from mrvae_zoo.common.devices import find_device
    from mrvae_zoo.common.files import check_output
    from mrvae_zoo.common.layout import SAMPLER
    from mrvae_zoo.data.sets import load_data
    from mrvae_zoo.evaluation.fit_sampler import check_no_places, check_scikit_learn
    from mrvae_zoo.evaluation.fit_sampler import fit_sampler as fit
    from mrvae_zoo.hub.load import own_folder

    check_scikit_learn()
    folder = own_folder(name)
    check_output(folder / SAMPLER, force=force)
    model = load_checkpoint(folder, device=find_device(device.value))
    model.name = name
    check_no_places(model)
    fitted_at = None if betas is None else _spaced(model, betas)
    images = load_data(_trained_on(model, folder, data), "train", data_root, model.input_shape)
    with measuring("fitting mixtures") as progress:
        sampler = fit(model, images, fitted_at, examples=examples, components=components, seed=seed, progress=progress)
    save_sampler(folder, sampler)
    say(f"wrote {folder / SAMPLER}")
    _print(sampler, folder / SAMPLER, json=json)


def _trained_on(model: "BaseVAE", folder: Path, data: str | None) -> "DataRecipe | str":
    """Return what the model was trained on: a section [data], or the name of a data set that is taken as it is."""
    from mrvae_zoo.common.layout import RECIPE
    from mrvae_zoo.training.recipe import read_recipe

    if data is not None:
        return data
    if model.recipe is None:
        raise ValueError(f"{folder} has no {RECIPE} that says what the model was trained on; name a data set (--data)")
    return read_recipe(folder / RECIPE).data


def _spaced(model: "BaseVAE", count: int) -> list[float]:
    """Return so many β over the range of the model: the one in the middle if it is one, or that of a folded model."""
    from mrvae_zoo.gating.beta import log_spaced
    from mrvae_zoo.models.vae import FixedRateVAE

    if isinstance(model, FixedRateVAE):
        if count > 1:
            raise ValueError(f"--betas {count}: this model was folded at β={model.beta:g} and has no other")
        return [model.beta]
    return log_spaced(model.beta_range, 3)[1:2] if count == 1 else log_spaced(model.beta_range, count)


def _print(sampler: "MixtureSampler", path: Path, *, json: bool) -> None:
    rows = [(each.beta, len(each.weights), each.gain) for each in sampler.mixtures]
    if json:
        points = [{"beta": beta, "components": count, "gain": gain} for beta, count, gain in rows]
        print_json({"output": str(path), "bytes": path.stat().st_size, "points": points})
    else:
        print_table(
            ("beta", "components", "gain (nats)"),
            [(f"{beta:.4g}", f"{count}", f"{gain:.2f}") for beta, count, gain in rows],
        )
