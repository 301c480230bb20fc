"""Fitting the mixtures that new images are drawn from to the aggregated posterior of the training images.

Letters: N examples, B of a batch, M values of β, K components, Z latents.
"""

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mrvae_zoo.common.noise import Noise, seeded_generator
from mrvae_zoo.data.selection import choose
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.errors import MissingExtraError
from mrvae_zoo.evaluation.curve import curve_betas
from mrvae_zoo.evaluation.examples import Examples, chunks
from mrvae_zoo.evaluation.measuring import CHUNK
from mrvae_zoo.models.sampler import LatentMixture, MixtureSampler
from mrvae_zoo.models.vae import BaseVAE, unwrap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Draws = NDArray[np.float64]  # (N, Z)


EXAMPLES, COMPONENTS = 20_000, 32
FEWEST = 20  # examples to fit to
HELD_OUT = 10  # one draw in so many is not fitted to
TOLERANCE, ITERATIONS = 1e-2, 100  # nats per example that another iteration has to gain, and how many there may be
WORTHWHILE = 0.1  # nats per example that twice the components have to gain, and a mixture over the prior
REGULARISATION = 1e-6  # added to every variance, so that no component collapses
ENCODED = 0.2  # the share of the work that encoding is reported as


@torch.no_grad()
def fit_sampler(
    model: BaseVAE,
    data: Examples,
    betas: Sequence[float] | None = None,
    *,
    examples: int = EXAMPLES,
    components: int = COMPONENTS,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> MixtureSampler:
    """Fit a Gaussian mixture to draws of z ~ q(z|x) over training images, at each of several β.

    Components have full covariances. One draw in ten is held out, and the number K is chosen on these at each β:
    beginning with 1, it is doubled as long as that raises their log-likelihood by at least 0.1 nats per example. Where
    the mixture gains less than that over the prior, as at a high β, the prior is kept.

    Example:
        data = mrvae_zoo.load_data("mnist", "train", "data", model.input_shape)
        model.sampler = mrvae_zoo.fit_sampler(model, data)

    Args:
        model: A model in eval mode whose images all have one size.
        data: The images that the model was trained on. A training split is flipped, moved and binarised as in training.
        betas: The values of β to fit at, in rising order. None takes those of the model's curve, or else 13 log-spaced
            values.
        examples: The largest number of images to use, one draw of z each.
        components: The largest number of components of a mixture.
        seed: The seed of the draws and of the fit.
        progress: A function that is called with the share done, in [0, 1].

    Raises:
        ValueError: The latents of the model have places, the model does not take a β or the images, or there are fewer
            than 20 images.
        MissingExtraError: scikit-learn is not installed.
    """
    check_scikit_learn()
    model = unwrap(model)
    check_no_places(model)
    if components < 1:
        raise ValueError(f"components={components} should be at least 1")
    if betas is None:
        betas = curve_betas(model) if model.curve is None else model.curve.betas
    if not betas:
        raise ValueError("betas is empty; name at least one β")
    drawn = aggregated_posterior(model, data, betas, examples=examples, seed=seed)
    count = drawn.shape[1]
    if count < FEWEST:
        raise ValueError(f"a mixture is fitted to at least {FEWEST} images, but there are {count}")
    progress(ENCODED)
    # Held-out draws are spread over the data, which may be sorted by class.
    order = torch.randperm(count, generator=seeded_generator(seed, count), device="cpu")
    mixtures = []
    for number, (beta, z) in enumerate(zip(betas, drawn, strict=True), start=1):
        mixtures.append(_fit(beta, z[order].double(), components, seed))
        progress(ENCODED + (1 - ENCODED) * number / len(drawn))
    return MixtureSampler(mixtures=tuple(mixtures))


def check_scikit_learn() -> None:
    """Raise a MissingExtraError if scikit-learn is not installed, before any work is done."""
    if importlib.util.find_spec("sklearn") is None:
        raise MissingExtraError("scikit-learn", "sweep")


def check_no_places(model: BaseVAE) -> None:
    """Raise a ValueError if the latents of a model have places."""
    if model.config.spatial:
        raise ValueError(
            f"{model.name or 'this model'} has latents at many places of an image, which a mixture does not describe; "
            "fit one to a model whose images all have one size"
        )


@torch.no_grad()
def aggregated_posterior(
    model: BaseVAE, data: Examples, betas: Sequence[float], *, examples: int = EXAMPLES, seed: int = 0
) -> Tensor:
    """Draw from q(z), the mean of q(z|x) over images, at each β: one draw per image, with the same noise at every β.

    Args:
        model: A model in eval mode whose images all have one size.
        data: The images. A training split is flipped, moved and binarised as in training.
        betas: The values of β.
        examples: The largest number of images to use. Of a data set they are chosen at random; other data are taken
            from their beginning.
        seed: The seed of these draws.

    Returns:
        The draws, (M, N, Z) float32 on the CPU.

    Raises:
        ValueError: The model does not take a β or the images, or there are no images.
    """
    if examples < 1:
        raise ValueError(f"examples={examples} should be at least 1")
    networks = [model.at(beta) for beta in betas]
    parts: list[Tensor] = []
    left = examples
    for number, x in enumerate(_training_images(data, model, examples, seed)):
        # The same noise at every β: the generator begins anew for each network.
        z = [each.encode(x).sample(seeded_generator(seed, number)) for each in networks]
        parts.append(torch.stack(z)[:, :left].float().cpu())
        left -= parts[-1].shape[1]
        if left == 0:
            break
    if not parts:
        raise ValueError("data holds no examples")
    return torch.cat(parts, dim=1)


def _training_images(data: Examples, model: BaseVAE, examples: int, seed: int) -> Iterator[Tensor]:
    """Yield images (B, C, H, W) as the model saw them in training."""
    if not isinstance(data, ImageData):
        yield from chunks(data, CHUNK, model=model)
        return
    chosen = choose(len(data), min(examples, len(data)))
    key = torch.tensor(seed, device=model.device)
    for number, images in enumerate(data.read(chosen.split(CHUNK))):
        noise = Noise(key, torch.full_like(key, number), len(images)) if data.split == "train" else None
        yield model.config.to_data_range(data.prepare(images.to(model.device), noise))


def _fit(beta: float, z: Tensor, components: int, seed: int) -> LatentMixture:
    """Fit the mixture of one β to draws z (N, Z), of which the first are held out."""
    held_out = -(-len(z) // HELD_OUT)
    test, fitted_to = z[:held_out], z[held_out:].numpy()
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(test).sum(1).mean().item()
    best, gain, number = None, 0.0, 1
    while number <= min(components, len(fitted_to)):
        tried = _mixture(fitted_to, number, seed)
        gained = float(tried.score(test.numpy())) - prior
        # One Gaussian may gain little where more of them gain much.
        if number > 1 and gained < gain + WORTHWHILE:
            break
        best, gain, number = tried, gained, 2 * number
    if best is None or gain < WORTHWHILE:
        return _prior(beta, z.shape[1])
    return LatentMixture(
        beta=beta,
        gain=gain,
        weights=torch.from_numpy(best.weights_).float(),
        means=torch.from_numpy(best.means_).float(),
        cholesky=torch.linalg.cholesky(torch.from_numpy(best.covariances_)).float(),
    )


def _prior(beta: float, latents: int) -> LatentMixture:
    """Return the mixture that is the prior itself."""
    return LatentMixture(
        beta=beta, gain=0.0, weights=torch.ones(1), means=torch.zeros(1, latents), cholesky=torch.eye(latents)[None]
    )


def _mixture(z: "Draws", components: int, seed: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(
        components,
        covariance_type="full",
        tol=TOLERANCE,
        reg_covar=REGULARISATION,
        max_iter=ITERATIONS,
        init_params="k-means++",
        random_state=seed,
    )
    with warnings.catch_warnings():
        # A fit that could still gain a little is as good a sampler.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(z)
