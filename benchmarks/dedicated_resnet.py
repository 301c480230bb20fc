"""How strong a dedicated β-VAE gets: a ResNet at β = 1 on MNIST, binarised anew at every step.

    python benchmarks/dedicated_resnet.py --data-root DIR --run RUN

Trains benchmarks/dedicated_resnet.toml into RUN, or goes on with what is there, takes −ELBO on the test split
(binarised once; 32 draws of z an image), and writes benchmarks/results/dedicated_resnet.json with the training curve.
An hour and a half on one core.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.comparison.runs import Run, Runs
from mrvae_zoo.data.sets import load_data
from mrvae_zoo.evaluation.rate_distortion import rate_distortion
from mrvae_zoo.training.loop import count_steps
from mrvae_zoo.training.recipe import read_recipe
from mrvae_zoo.training.train import train

HERE = Path(__file__).parent
RECIPE, RESULT = HERE / "dedicated_resnet.toml", HERE / "results" / "dedicated_resnet.json"
BETA, DRAWS = 1.0, 32


def main() -> None:
    """Train, measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    options = parser.parse_args()

    recipe = read_recipe(RECIPE)
    model = train(recipe, options.data_root, options.run, resume=True)
    test, training = (
        load_data(recipe.data, split, options.data_root, recipe.model.input_shape) for split in ("test", "train")
    )
    curve = rate_distortion(model, test, (BETA,), samples=DRAWS)
    runs = Runs(
        folder=options.run.parent,
        data_root=options.data_root,
        data=recipe.data,
        shape=recipe.model.input_shape,
        total=1,
    )
    run = Run(name=options.run.name, recipe=recipe, betas=(BETA,))
    an_epoch = count_steps(dataclasses.replace(recipe.training, epochs=1), len(training))
    result = {
        "beta": BETA,
        "negative_elbo": curve.at(BETA).loss,
        "rate": curve.at(BETA).rate,
        "distortion": curve.at(BETA).distortion,
        "draws": DRAWS,
        "data": test.describe(),
        "trained": dataclasses.asdict(runs.trained(run)),
        "training_curve": runs.training_losses(run, steps_an_epoch=an_epoch),
    }
    write_atomically(RESULT, json.dumps(result, indent=1) + "\n")
    print(f"-ELBO {result['negative_elbo']:.2f} nats on the test split")


if __name__ == "__main__":
    main()
