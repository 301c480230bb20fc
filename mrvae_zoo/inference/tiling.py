"""Images of any size through a spatial model in bounded memory, tile by tile.

A tile is computed together with a margin of its surroundings, as wide as the network's field of view. The margin is
then cut off, so the tiles hold what the whole image would have given, up to rounding, and there are no seams. A network
whose norms or attention see the whole image (`mrvae_autoencoder_kl`) is the exception: it sees a tile with its margin
in place of the image, and gives nearly the same.

Letters: B batch, C channels, H, W image, Z latents of a place, h, w the places.
"""

from collections.abc import Iterator

from torch import Tensor

from mrvae_zoo.gating.beta import Beta
from mrvae_zoo.models.base import crop, pad_to_stride
from mrvae_zoo.models.posterior import Posterior
from mrvae_zoo.models.vae import BaseVAE

Slices = tuple[slice, slice]


def encode_tiled(model: BaseVAE, x: Tensor, beta: Beta | None = None, *, tile: int = 256) -> Posterior:
    """Compute `model.encode(x, beta)` one tile at a time.

    Args:
        model: A spatial model. At a single β, `model.at(beta)` is the fastest.
        x: The images, (B, C, H, W).
        beta: One β for all images, or one β per image, (B,). A model at one β needs none.
        tile: The side of a tile in pixels, a multiple of the model's stride (8 as a rule).

    Returns:
        The mean and log-variance, each (B, Z, h, w).

    Raises:
        ValueError: The model is not spatial or does not take this β, or the side of a tile is not such a multiple.
    """
    _check_spatial(model)
    stride = model.stride
    padded = pad_to_stride(x, stride)
    height, width = (side // stride for side in padded.shape[-2:])
    whole: list[Tensor] = []
    for (rows, columns), around, (inner_rows, inner_columns) in tiles(model, (height, width), tile):
        part = model.encode(padded[..., scale(around[0], stride), scale(around[1], stride)], beta)
        if not whole:
            whole = [x.new_empty(len(x), model.latent_dim, height, width, dtype=one.dtype) for one in part]
        for target, one in zip(whole, part, strict=True):
            target[..., rows, columns] = one[..., inner_rows, inner_columns]
    return Posterior(*whole)


def decode_tiled(
    model: BaseVAE, z: Tensor, size: tuple[int, int], beta: Beta | None = None, *, tile: int = 256
) -> Tensor:
    """Compute `model.decode(z, beta)` one tile at a time, cropped to `size` (H, W): (B, C, H, W).

    Args:
        model: A spatial model. At a single β, `model.at(beta)` is the fastest.
        z: The latents, (B, Z, h, w).
        size: The size (H, W) of the image, which the model padded to a multiple of its stride.
        beta: One β for all images, or one β per image, (B,). A model at one β needs none.
        tile: The side of a tile in pixels, a multiple of the model's stride (8 as a rule).

    Raises:
        ValueError: The model is not spatial or does not take this β, the side of a tile is not such a multiple, or z
            does not fit this size.
    """
    _check_spatial(model)
    expected = model.latent_shape(size)
    if z.ndim != 4 or tuple(z.shape[1:]) != expected or min(size) < 1:
        latents = ", ".join(map(str, expected))
        raise ValueError(f"z has shape {tuple(z.shape)}; an image of size={size} (H, W) has latents (B, {latents})")
    height, width, stride = *z.shape[-2:], model.stride
    whole: Tensor | None = None
    for (rows, columns), around, (inner_rows, inner_columns) in tiles(model, (height, width), tile):
        part = model.decode(z[..., around[0], around[1]], beta)
        if whole is None:
            whole = part.new_empty(len(z), part.shape[1], height * stride, width * stride)
        inside = part[..., scale(inner_rows, stride), scale(inner_columns, stride)]
        whole[..., scale(rows, stride), scale(columns, stride)] = inside
    assert whole is not None
    return crop(whole, size)


def tiles(model: BaseVAE, places: tuple[int, int], tile: int) -> Iterator[tuple[Slices, Slices, Slices]]:
    """Yield for each tile, in places of the latents: where it goes, what to compute, and where it lies in that."""
    if tile < model.stride or tile % model.stride:
        raise ValueError(f"tile={tile} should be a multiple of {model.stride}")
    step, margin = tile // model.stride, reach(model)
    for top in range(0, places[0], step):
        for left in range(0, places[1], step):
            spans = [(at, min(at + step, end)) for at, end in zip((top, left), places, strict=True)]
            outer = [(max(0, a - margin), min(end, b + margin)) for (a, b), end in zip(spans, places, strict=True)]
            inner = [(a - low, b - low) for (a, b), (low, _) in zip(spans, outer, strict=True)]
            place, around, inside = ((slice(*pair[0]), slice(*pair[1])) for pair in (spans, outer, inner))
            yield place, around, inside


def _check_spatial(model: BaseVAE) -> None:
    if not model.config.spatial:
        raise ValueError("tiles are for a spatial model, whose latents have places")


def reach(model: BaseVAE) -> int:
    """Return how many places away an image still matters: one per 3×3 convolution of a side of the network.

    An encoder may say so itself, in an attribute `reach`.
    """
    said = getattr(model.encoder, "reach", None)
    return int(model.config.arguments["depth"]) + 2 if said is None else int(said)


def scale(places: slice, stride: int) -> slice:
    """Convert a slice of places to a slice of pixels."""
    return slice(places.start * stride, places.stop * stride)
