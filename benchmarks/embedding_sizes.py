"""What an embedding of a few latents is worth: the accuracy of a linear probe over the number of latents and β.

    python benchmarks/embedding_sizes.py --data-root DIR [--model NAME …]
    python benchmarks/embedding_sizes.py --draw

The embedding is what `mrvae encode --beta B --dims N` keeps: the posterior means of the N latents with the highest KL
divergence at that β. The probe is a logistic regression on standardised columns. It is trained on 10,000 training
images; its regularisation C is chosen on these by 3-fold cross-validation. Its accuracy is measured once, on 10,000
test images. Images are grey, as `mrvae encode` reads them. Beside it stands the same probe on as many principal
components of the same training images.

Writes benchmarks/results/embedding_sizes.json and the tables of docs/guides/embeddings.md; --draw makes the tables
again from the file.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from figures import insert
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mrvae_zoo
from mrvae_zoo.common.files import write_atomically
from mrvae_zoo.common.markdown import table
from mrvae_zoo.data.sets import data_sets

CHECKOUT = Path(__file__).parents[1]
RESULTS, PAGE = "benchmarks/results/embedding_sizes.json", "docs/guides/embeddings.md"
MODELS = {"mrvae_mlp.mnist": "mnist", "mrvae_resnet.fashion_mnist": "fashion_mnist"}
BETAS = (0.01, 0.1, 0.3162, 1.0, 3.162, 10.0)
DIMS = (2, 4, 8, 16, 32)
IMAGES, SEED = 10_000, 0
STRENGTHS, FOLDS = (0.01, 0.1, 1.0, 10.0, 100.0), 3
BATCH = 500


class Split(NamedTuple):
    """Images, (N, C, H, W) in the data range, and their classes, (N,)."""

    x: torch.Tensor
    labels: np.ndarray


def main() -> None:
    """Measure, or draw alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", action="append", dest="models", choices=MODELS, help="a model; all of them")
    parser.add_argument("--draw", action="store_true", help="make the tables again from the file")
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help="where to write; the checkout of this script")
    given = parser.parse_args()
    path = given.checkout / RESULTS
    if not given.draw:
        if given.data_root is None:
            parser.error("--data-root is missing: the folder that holds the data sets")
        result = json.loads(path.read_text(encoding="utf-8")) if given.models and path.exists() else {"models": {}}
        result |= {"images": IMAGES, "seed": SEED, "folds": FOLDS, "C": STRENGTHS, "torch": torch.__version__}
        for name in given.models or MODELS:
            result["models"][name] = measure_model(name, given.data_root, print)
        write_atomically(path, json.dumps(result, indent=1) + "\n")
    result = json.loads(path.read_text(encoding="utf-8"))
    page = given.checkout / PAGE
    write_atomically(page, insert(page.read_text(encoding="utf-8"), "embedding-sizes", tables(result)))


def measure_model(name: str, root: Path, tell: Callable[[str], None], count: int = IMAGES) -> dict[str, Any]:
    """Return the accuracy of every size at every β, and that of principal components."""
    model = mrvae_zoo.load_pretrained(name)
    train, test = (load(MODELS[name], split, root, model, count) for split in ("train", "test"))
    pixels = [split.x.flatten(1).numpy() for split in (train, test)]
    components = PCA(max(DIMS), random_state=SEED).fit(pixels[0])
    projected = [components.transform(part) for part in pixels]
    found: dict[str, Any] = {"data": MODELS[name], "points": [], "pca": []}
    for dims in DIMS:
        accuracy, strength = probe(*(part[:, :dims] for part in projected), train.labels, test.labels)
        found["pca"].append({"dims": dims, "accuracy": accuracy, "C": strength})
    tell(f"{name}: principal components {[one['accuracy'] for one in found['pca']]}")
    for beta in BETAS:
        statistics = model.latent_statistics(beta)
        means = [encode(model, split.x, beta) for split in (train, test)]
        for dims in DIMS:
            kept = list(statistics.order[:dims])
            accuracy, strength = probe(*(part[:, kept] for part in means), train.labels, test.labels)
            rate = sum(statistics.kl[i] for i in kept)
            point = {"beta": beta, "dims": dims, "rate": round(rate, 3), "accuracy": accuracy, "C": strength}
            found["points"].append(point)
        tell(f"{name}: β = {beta:g} {[one['accuracy'] for one in found['points'][-len(DIMS) :]]}")
    return found


def load(name: str, split: str, root: Path, model: mrvae_zoo.BaseVAE, count: int) -> Split:
    """Return `count` images of a split, drawn at random."""
    of = data_sets[name]
    assert of.labels is not None
    labels = np.array(of.labels(root, "train" if split == "train" else "test"))
    chosen = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))[:count]
    images = mrvae_zoo.load_data(name, "train" if split == "train" else "test", root, model.input_shape).images
    assert isinstance(images, torch.Tensor)
    return Split(model.config.to_data_range(images[chosen].float() / 255), labels[chosen.numpy()])


@torch.inference_mode()
def encode(model: mrvae_zoo.BaseVAE, x: torch.Tensor, beta: float) -> np.ndarray:
    """Return the posterior means, (N, Z)."""
    plain = model.at(beta)
    return torch.cat([plain.encode(some).mean for some in x.split(BATCH)]).numpy()


def probe(train: np.ndarray, test: np.ndarray, labels: np.ndarray, test_labels: np.ndarray) -> tuple[float, float]:
    """Return the accuracy of a linear probe on the test part, and its C, chosen on the training part."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    search = GridSearchCV(pipeline, {"logisticregression__C": STRENGTHS}, cv=FOLDS).fit(train, labels)
    return round(float(search.score(test, test_labels)), 4), float(search.best_params_["logisticregression__C"])


def tables(result: dict[str, Any]) -> str:
    """Return the tables of the page, one per model: accuracy in percent over dims (columns) and β (rows)."""
    parts = []
    for name, found in result["models"].items():
        dims = [one["dims"] for one in found["pca"]]
        betas = sorted({one["beta"] for one in found["points"]})
        rows = [[f"{beta:g}", *_row(found["points"], beta)] for beta in betas]
        rows.append(["principal components", "", *(f"{100 * one['accuracy']:.1f}" for one in found["pca"])])
        header = ["β", "rate", *(f"{count} latents" for count in dims)]
        parts.append(f"`{name}`, accuracy in %:\n\n{table(header, rows, 'l' + 'r' * (1 + len(dims)))}")
    return "\n" + "\n\n".join(parts) + "\n\n"


def _row(points: Sequence[dict[str, Any]], beta: float) -> list[str]:
    """Return the rate of all latents at a β, and the accuracy at each size."""
    here = [one for one in points if one["beta"] == beta]
    return [f"{here[-1]['rate']:.1f}", *(f"{100 * one['accuracy']:.1f}" for one in here)]


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(str(error))
