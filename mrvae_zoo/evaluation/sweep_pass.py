"""One pass over the images for all β of a sweep: each chunk goes through the folded network of each β.

Letters: N examples, B examples of a chunk, Z latents.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mrvae_zoo.common.noise import seeded_generator
from mrvae_zoo.data.encoded_images import StreamedImages
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.evaluation.examples import Examples, chunks, count
from mrvae_zoo.evaluation.measuring import CHUNK, PIXELS, decode_and_compare, draw_noise
from mrvae_zoo.evaluation.metrics.base import Metric, Part
from mrvae_zoo.evaluation.transfers import widen
from mrvae_zoo.models.vae import FixedRateVAE


def take_examples(data: Examples, index: Tensor) -> Examples:
    """Return the examples of these indices (n,), in their order.

    Raises:
        ValueError: The data can only be read from the beginning, and these are not its first examples.
    """
    if isinstance(data, Tensor):
        return data[index]
    if isinstance(data, ImageData):
        images = data.images
        if isinstance(images, Tensor):
            return replace(data, images=images[index.to(images.device)])
        kept = [images.kept[place] for place in index.tolist()]
        return replace(data, images=StreamedImages(images.encoded, kept, images.shape, images.device, images.decoded))
    if not torch.equal(index, torch.arange(len(index))):
        raise ValueError(
            f"some examples of a {type(data).__name__} cannot be taken out; pass a tensor (N, C, H, W) or load_data()"
        )
    return data


@torch.no_grad()
def encode_all(
    networks: Sequence[FixedRateVAE],
    data: Examples,
    metrics: Sequence[Metric],
    *,
    limit: int,
    seed: int,
    progress: Callable[[float], None] = lambda _: None,
) -> list[Part]:
    """Encode the examples with each network, and decode them if a metric needs it: what is kept at each β.

    The memory does not grow with the size of images: the latents of N examples at each β are kept, and a few numbers
    for each.

    Args:
        networks: The model at each β.
        data: The examples.
        metrics: The metrics that will be computed, of which some compare images with their reconstructions.
        limit: The number of examples to stop at.
        seed: The seed of the draws of z that are decoded, the same ones at every β.
        progress: A function that is called with the share done, in [0, 1].

    Raises:
        ValueError: The data are empty or of another shape; or images are to be compared, and the model has no range of
            values for them.
    """
    comparing = [metric for metric in metrics if metric.compare is not None]
    if comparing and networks[0].config.data_range is None:
        raise ValueError(f"{comparing[0].name} needs a model with a data_range; this one has none")
    decoding = bool(comparing) or any(metric.losses for metric in metrics)
    kept: list[dict[str, list[Tensor]]] = [defaultdict(list) for _ in networks]
    total, done = min(limit, count(data) or limit), 0
    for number, x in enumerate(chunks(data, _chunk(networks[0]), model=networks[0])):
        x = x[: limit - done]
        noise = draw_noise(networks[0], x, 1, seeded_generator(seed, number))[0] if decoding else None
        for network, held in zip(networks, kept, strict=True):
            for key, values in _measured(network, x, noise, comparing).items():
                held[key].append(values)
        done += len(x)
        progress(min(1.0, done / total))
        if done >= limit:
            break
    if done == 0:
        raise ValueError("data holds no examples")
    return [_part(network, held) for network, held in zip(networks, kept, strict=True)]


def _measured(network: FixedRateVAE, x: Tensor, noise: Tensor | None, comparing: Sequence[Metric]) -> dict[str, Tensor]:
    """Return the fields of a `Part` for one chunk, and the figures of each metric that compares images."""
    posterior = network.encode(x)
    measured = {"mean": _pooled(posterior.mean), "log_var": _pooled(posterior.log_var), "rate": widen(posterior.kl())}
    if noise is not None:
        reconstruction, distortion = decode_and_compare(network, x, posterior.displaced(noise))
        measured["distortion"] = widen(distortion)
        images, drawn = (network.config.to_unit_range(each.float()) for each in (x, reconstruction))
        for metric in comparing:
            assert metric.compare is not None
            measured[f"compared.{metric.name}"] = widen(metric.compare(images, drawn))
    return {key: values.cpu() for key, values in measured.items()}


def _pooled(latents: Tensor) -> Tensor:
    """Return latents (B, Z), or (B, Z, h, w) averaged over places, as (B, Z) float32."""
    return latents.float().flatten(2).mean(2) if latents.ndim > 2 else latents.float()


def _part(network: FixedRateVAE, held: dict[str, list[Tensor]]) -> Part:
    joined = {key: torch.cat(parts) for key, parts in held.items()}
    prefix = "compared."
    return Part(
        beta=network.beta,
        mean=joined["mean"],
        log_var=joined["log_var"],
        rate=joined["rate"],
        network=network,
        distortion=joined.get("distortion"),
        compared={key.removeprefix(prefix): values for key, values in joined.items() if key.startswith(prefix)},
    )


def _chunk(network: FixedRateVAE) -> int:
    """Return how many examples to encode at once: fewer of large images."""
    _, height, width = network.input_shape
    return CHUNK if height is None or width is None else min(CHUNK, max(1, PIXELS // (height * width)))
