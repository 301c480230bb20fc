"""gate(module): any nn.Module, called with a β that gates its layers, and the plain module again at one β."""

import copy
import math
from collections.abc import Sequence
from typing import Literal

from torch import nn

from mrvae_zoo.gating.base import Gating
from mrvae_zoo.gating.gated_module import GatedModule
from mrvae_zoo.gating.kinds import AffineGating, ShrinkageGating
from mrvae_zoo.gating.layers import Foldable
from mrvae_zoo.gating.sites import GATEABLE, Patterns, sites

GatingName = Literal["affine", "shrinkage"]
GATINGS: dict[str, type[AffineGating]] = {"affine": AffineGating, "shrinkage": ShrinkageGating}


def gate(
    module: nn.Module,
    beta_range: tuple[float, float] = (0.01, 10.0),
    *,
    include: Patterns | None = None,
    exclude: Patterns = (),
    types: tuple[type[nn.Module], ...] = GATEABLE,
    gating: GatingName = "affine",
    degree: int = 3,
    rank: int = 0,
    methods: Sequence[str] = (),
) -> GatedModule:
    """Copy `module` with layers that β scales and shifts: `gated(x, beta)`. At first it computes what `module` does.

    Other methods than the call are gated too: all of them in `with gated.bound(beta) as module:`, and those named in
    `methods` as `gated.encode(x, beta)`.

    Args:
        module: The module to gate. It may be any module whose first argument is x, and it is not changed.
        beta_range: The range (β_min, β_max), both ends inclusive.
        include: The names of the layers to gate (fnmatch patterns such as "layer4.*"). None takes the Linear,
            convolution and affine norm layers, except those that feed a norm and those that attention never calls
            (`mrvae_zoo.gating.sites` has the rule).
        exclude: The names of layers to leave plain.
        types: The types of layers that are gated.
        gating: What scale and shift are made of: "affine", polynomials of log β, or "shrinkage", functions of β that
            are 0 at β_min, where the module's own weights act alone.
        degree: The degree of the polynomials, or the number of shrinkages.
        rank: The rank of a part of each layer's weight that moves with β as well; 0 for none. It reaches further than
            scale and shift, for 2 to 4 rows and columns of a weight more per rank and layer.
        methods: The names of methods of the module that `gated` shall have too, with β as their second argument.

    Raises:
        ValueError: No layer is left to gate, a pattern matches none, or a layer cannot be gated; the message names it.
            Or an argument is wrong, or the module has no such method.
    """
    low, high = beta_range
    if not 0 < low < high < math.inf:
        raise ValueError(f"beta_range={beta_range} should be two numbers with 0 < low < high")
    if degree < 1:
        raise ValueError(f"degree={degree} should be at least 1")
    if rank < 0:
        raise ValueError(f"rank={rank} should be at least 0")
    if gating not in GATINGS:
        raise ValueError(f"gating={gating!r} should be one of {', '.join(map(repr, GATINGS))}")
    made = GATINGS[gating](beta_range=(float(low), float(high)), degree=degree)
    return gate_with(made, module, include=include, exclude=exclude, types=types, rank=rank, methods=methods)


def gate_with(
    gating: Gating,
    module: nn.Module,
    *,
    include: Patterns | None = None,
    exclude: Patterns = (),
    types: tuple[type[nn.Module], ...] = GATEABLE,
    rank: int = 0,
    methods: Sequence[str] = (),
) -> GatedModule:
    """Gate a module like `gate`, but with any gating except "none"; its layers count as those of an encoder."""
    if any(isinstance(part, Foldable) for part in module.modules()):
        raise ValueError(f"this {type(module).__name__} holds gated layers already")
    module = copy.deepcopy(module)
    layers = sites(module, include=include, exclude=exclude, types=types, rank=rank)
    return GatedModule(gating, module, layers, methods=methods)
