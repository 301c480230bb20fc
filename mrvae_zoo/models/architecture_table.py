"""The table of architectures, by name.

An architecture may name its function as "module:function", which is imported when a model is first built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mrvae_zoo.common.entry_points import contributions, import_target
from mrvae_zoo.common.table import Table

F = TypeVar("F", bound=Callable[..., Any])

ALL_GATINGS = ("shrinkage", "affine", "paper", "paper_open", "paper_2022", "concat", "none")
USUAL_GATINGS = ("shrinkage", "affine", "paper", "paper_open", "none")  # of those that do not mark their first layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A family of networks.

    Attributes:
        name: The name of the architecture, as in `create_model(name)`.
        build: The function that builds (encoder, decoder) from input_shape, latent_dim and gating, and from the
            architecture's own arguments by keyword; or "module:function", imported when first used.
        gatings: The gatings of the zoo that it supports, its default first. It also takes those of plug-ins.
        spatial: Whether it takes images of any size, so that input_shape is (C, None, None).
        start: The function that sets (encoder, decoder) to the optimum of a linear VAE of some images, for
            `training.start = "pca"`; or "module:function". None if there is none.
    """

    name: str
    build: Callable[..., Any] | str
    gatings: tuple[str, ...] = USUAL_GATINGS
    spatial: bool = False
    start: Callable[..., None] | str | None = None

    def builder(self) -> Callable[..., Any]:
        """Return the function that builds the architecture.

        Raises:
            ValueError: The function cannot be imported.
        """
        return _imported(self.build)

    def starter(self) -> Callable[..., None] | None:
        """Return the function that starts a network from images, or None; errors are those of `builder`."""
        return None if self.start is None else _imported(self.start)

    def supported_gatings(self) -> tuple[str, ...]:
        """Return the names of the supported gatings, the default first, followed by those of plug-ins."""
        brought = {one.name for one in contributions("gating")} - {*self.gatings}
        return (*self.gatings, *sorted(brought))


def _imported(function: Callable[..., Any] | str) -> Callable[..., Any]:
    imported: Callable[..., Any] = import_target(function) if isinstance(function, str) else function
    return imported


architectures: Table[Architecture] = Table(
    "architecture",
    (
        Architecture(
            name="mrvae_linear",
            build="mrvae_zoo.models.architectures.linear:build",
            gatings=("linear", "affine", "paper", "paper_open", "none"),
        ),
        Architecture(name="mrvae_mlp", build="mrvae_zoo.models.architectures.mlp:build", gatings=ALL_GATINGS),
        Architecture(name="mrvae_conv", build="mrvae_zoo.models.architectures.conv:build", gatings=ALL_GATINGS),
        Architecture(
            name="mrvae_resnet",
            build="mrvae_zoo.models.architectures.resnet:build",
            gatings=ALL_GATINGS,
            start="mrvae_zoo.models.architectures.linear_path:start",
        ),
        Architecture(
            name="mrvae_resnet_spatial",
            build="mrvae_zoo.models.architectures.resnet_spatial:build",
            gatings=ALL_GATINGS,
            spatial=True,
            start="mrvae_zoo.models.architectures.resnet_spatial:start",
        ),
        Architecture(
            name="mrvae_autoencoder_kl",
            build="mrvae_zoo.models.architectures.autoencoder_kl:build",
            spatial=True,
        ),
        Architecture(
            name="mrvae_timm",
            build="mrvae_zoo.models.architectures.timm_encoder:build",
            gatings=("affine", "paper", "paper_open", "none"),
        ),
    ),
    plugins=Architecture,
)


def register_architecture(name: str, *, gatings: tuple[str, ...] = USUAL_GATINGS) -> Callable[[F], F]:
    """Return a decorator that registers a function building (encoder, decoder) as the architecture `name`.

    The function is called as `build(input_shape, latent_dim, gating, **arguments)`. Its keyword-only parameters, with
    their annotations and defaults, are the architecture's own arguments. The encoder is called as
    `encoder(x, features) -> (mean, log_var)`. The decoder is called as `decoder(z, features)` and returns what the
    likelihood takes: logits or the mean, (B, C, H, W).

    Args:
        name: The name of the architecture, without a dot (names of models are `architecture.tag`).
        gatings: The gatings that the architecture supports, its default first.

    Raises:
        ValueError: The name is already taken, perhaps by a plug-in, is empty or contains a dot.
    """
    if "." in name or not name:
        raise ValueError(f"architecture name {name!r} should not be empty nor hold a dot")

    def register(build: F) -> F:
        package = build.__module__.partition(".")[0]
        architectures.add(Architecture(name=name, build=build, gatings=gatings), package=package)
        return build

    return register


def list_architectures() -> list[str]:
    """List the names of all architectures, including those of plug-ins, sorted."""
    return list(architectures)
