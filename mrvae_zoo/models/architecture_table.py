"""The architectures there are, by name.

An architecture may name its function as "module:function": it is imported when a model is first built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mrvae_zoo.common.entry_points import contributions, import_target
from mrvae_zoo.common.table import Table

F = TypeVar("F", bound=Callable[..., Any])

ALL_GATINGS = ("shrinkage", "affine", "paper", "concat", "none")
USUAL_GATINGS = ("shrinkage", "affine", "paper", "none")  # of an architecture that does not name its first layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A family of networks.

    Attributes:
        name: as in `create_model(name)`.
        build: builds (encoder, decoder) from input_shape, latent_dim and gating, and by keyword the
            architecture's own arguments; or "module:function", imported when first used.
        gatings: the gatings of the zoo that it supports, its default first; those of plug-ins it takes as well.
        spatial: whether it takes images of any size, and input_shape is (C, None, None).
    """

    name: str
    build: Callable[..., Any] | str
    gatings: tuple[str, ...] = USUAL_GATINGS
    spatial: bool = False

    def builder(self) -> Callable[..., Any]:
        """The function that builds it.

        Raises:
            ValueError: it cannot be imported.
        """
        if not isinstance(self.build, str):
            return self.build
        builder: Callable[..., Any] = import_target(self.build)
        return builder

    def supported_gatings(self) -> tuple[str, ...]:
        """The names of the gatings that it supports, its default first, and then those that plug-ins bring."""
        brought = {one.name for one in contributions("gating")} - {*self.gatings}
        return (*self.gatings, *sorted(brought))


architectures: Table[Architecture] = Table(
    "architecture",
    (
        Architecture(
            name="mrvae_linear",
            build="mrvae_zoo.models.architectures.linear:build",
            gatings=("linear", "affine", "paper", "none"),
        ),
        Architecture(name="mrvae_mlp", build="mrvae_zoo.models.architectures.mlp:build", gatings=ALL_GATINGS),
        Architecture(name="mrvae_conv", build="mrvae_zoo.models.architectures.conv:build", gatings=ALL_GATINGS),
        Architecture(name="mrvae_resnet", build="mrvae_zoo.models.architectures.resnet:build", gatings=ALL_GATINGS),
        Architecture(
            name="mrvae_resnet_spatial",
            build="mrvae_zoo.models.architectures.resnet_spatial:build",
            gatings=ALL_GATINGS,
            spatial=True,
        ),
        Architecture(
            name="mrvae_timm",
            build="mrvae_zoo.models.architectures.timm_encoder:build",
            gatings=("affine", "paper", "none"),
        ),
    ),
    plugins=Architecture,
)


def register_architecture(name: str, *, gatings: tuple[str, ...] = USUAL_GATINGS) -> Callable[[F], F]:
    """Decorator that registers a function building (encoder, decoder) as the architecture `name`.

    The function is called as `build(input_shape, latent_dim, gating, **arguments)`: its keyword-only parameters,
    with their annotations and defaults, are the architecture's own arguments. The encoder is called as
    `encoder(x, features) -> (mean, log_var)`, the decoder as `decoder(z, features)`, and gives what the
    likelihood takes: logits or the mean, (B, C, H, W).

    Raises:
        ValueError: the name is taken, also by a plug-in, or holds a dot (names of models are `architecture.tag`).
    """
    if "." in name or not name:
        raise ValueError(f"architecture name {name!r} should not be empty nor hold a dot")

    def register(build: F) -> F:
        package = build.__module__.partition(".")[0]
        architectures.add(Architecture(name=name, build=build, gatings=gatings), package=package)
        return build

    return register


def list_architectures() -> list[str]:
    """The names of all architectures, those of plug-ins included, sorted."""
    return list(architectures)
