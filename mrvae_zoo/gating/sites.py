"""Which layers of a foreign module are gated, where their channels lie, and how their gates fold.

The rule, unless `include` names the layers:

- Linear, convolutions and affine norms of the chosen types are gated, whatever module they are in.
- A Linear or convolution that feeds a norm is left to the norm, which in training undoes a scale before it. It is known
  to feed a norm if one of the same width follows it in a Sequential. For a convolution it is enough that one is
  registered right after it (as in ResNet's conv1, bn1). Identity and Dropout between them do not count.
- `out_proj` of `nn.MultiheadAttention` is left plain: attention reads its weight and never calls it.

Where weights have parts of low rank that move with β, the layers that feed a norm have them as well: a norm does not
undo what turns its input. Grouped convolutions have none.
"""

import fnmatch
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mrvae_zoo.gating.gates import Gates, at_least_float32

Patterns = str | Sequence[str]

LINEAR: dict[type[nn.Module], int] = {
    nn.Linear: -1,
    nn.Conv1d: -2,
    nn.Conv2d: -3,
    nn.Conv3d: -4,
    nn.ConvTranspose1d: -2,
    nn.ConvTranspose2d: -3,
    nn.ConvTranspose3d: -4,
}
NORMS: dict[type[nn.Module], int] = {
    nn.BatchNorm1d: 1,
    nn.BatchNorm2d: 1,
    nn.BatchNorm3d: 1,
    nn.SyncBatchNorm: 1,
    nn.GroupNorm: 1,
    nn.LayerNorm: -1,
    nn.RMSNorm: -1,
    nn.InstanceNorm1d: -2,
    nn.InstanceNorm2d: -3,
    nn.InstanceNorm3d: -4,
}
CHANNEL_DIM = LINEAR | NORMS  # type -> the axis of its output that holds the channels
GATEABLE = tuple(CHANNEL_DIM)

# Subclasses with a forward of their own that is known to be the plain layer's, but for the axis of the channels.
KNOWN_FORWARDS = {
    "diffusers.models.autoencoders.autoencoder_kl_cogvideox.CogVideoXSafeConv3d": -4,
    "diffusers.models.autoencoders.autoencoder_kl_wan.WanCausalConv3d": -4,
    "timm.layers.linear.Linear": -1,
    "timm.layers.conv2d_same.Conv2dSame": -3,
    "timm.layers.norm.GroupNorm": 1,
    "timm.layers.norm.GroupNorm1": 1,
    "timm.layers.norm.LayerNorm": -1,
    "timm.layers.norm.LayerNormFp32": -1,
    "timm.layers.norm.LayerNorm2d": 1,
    "timm.layers.norm.LayerNorm2dFp32": 1,
    "timm.layers.norm.LayerNormExp2d": 1,
    "torchvision.models.convnext.LayerNorm2d": 1,
}
# Norms that apply an activation too: their pre-activation is the input of their child `drop`.
KNOWN_WITH_ACTIVATION = {
    "timm.layers.norm_act.BatchNormAct2d": 1,
    "timm.layers.norm_act.GroupNormAct": 1,
    "timm.layers.norm_act.GroupNorm1Act": 1,
    "timm.layers.norm_act.LayerNormAct": -1,
    "timm.layers.norm_act.LayerNormAct2d": 1,
}
PASSED_OVER = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@dataclass(frozen=True, slots=True)
class Site:
    """One layer that β reaches.

    Attributes:
        name: The name of the layer.
        layer: The layer.
        channel_dim: The axis of its output that holds the channels.
        with_activation: Whether the layer also applies an activation.
        gated: Whether the layer has a gate.
        rank: The rank of the part of its weight that moves with β; 0 for none.
    """

    name: str
    layer: nn.Module
    channel_dim: int
    with_activation: bool = False
    gated: bool = True
    rank: int = 0

    @property
    def channels(self) -> int:
        """The number of channels C, which is the number of its gates."""
        return width(self.layer)

    @property
    def shift(self) -> bool:
        """Whether the layer has a bias that a shift can fold into."""
        return isinstance(self.layer.bias, Tensor) if hasattr(self.layer, "bias") else False


def sites(
    module: nn.Module, *, include: Patterns | None, exclude: Patterns, types: tuple[type[nn.Module], ...], rank: int = 0
) -> list[Site]:
    """Return the layers of `module` to gate, in the order of registration; see the module's docstring for the rule.

    With a `rank`, layers with a weight matrix also have a part of that rank that moves with β.

    Raises:
        ValueError: No layer is chosen, a pattern matches no layer, or a chosen layer computes something else than its
            type says; the message names it.
    """
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, types)}
    for pattern in (*as_patterns(include), *as_patterns(exclude)):
        if not any(fnmatch.fnmatchcase(name, pattern) for name in layers):
            raise ValueError(f"pattern {pattern!r} matches no layer; there are {', '.join(layers) or 'none'}")
    if include is None:
        chosen = {name: layer for name, layer in layers.items() if is_affine(layer)}
    else:
        chosen = {name: layer for name, layer in layers.items() if matches(name, include)}
    chosen = {name: layer for name, layer in chosen.items() if not matches(name, exclude)}
    ungated: set[int] = set()
    if include is None:
        ungated = left_to_a_norm(module, {id(layer) for layer in chosen.values()})
        unreached = attention_outputs(module) | (ungated if rank == 0 else set())
        chosen = {name: layer for name, layer in chosen.items() if id(layer) not in unreached}
    if not chosen:
        raise ValueError(f"there is no layer to gate in this {type(module).__name__}")
    found = [
        replace(site(name, layer), gated=id(layer) not in ungated, rank=rank if has_matrix(layer) else 0)
        for name, layer in chosen.items()
    ]
    return [one for one in found if one.gated or one.rank]


def site(name: str, layer: nn.Module) -> Site:
    """Return the site of a chosen layer.

    Raises:
        ValueError: A gate after the layer could not be folded into it.
    """
    where = f"layer {name!r} ({type(layer).__name__})"
    remedy = f"leave it plain with exclude={name!r}"
    if any(is_lazy(parameter) for parameter in layer.parameters(recurse=False)):
        raise ValueError(f"{where} has no weights yet; call the module once before it is gated")
    if hasattr(layer, "gate"):
        raise ValueError(f"{where} has a 'gate' of its own, where its gate would go; {remedy}")
    if not is_affine(layer):
        raise ValueError(f"{where} has no weight that a gate can fold into; {remedy}")
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm) and len(layer.normalized_shape) > 1:
        raise ValueError(f"{where} normalises {len(layer.normalized_shape)} axes, so it has no channels; {remedy}")
    if layer._forward_hooks or layer._forward_pre_hooks or hasattr(layer, "parametrizations"):
        raise ValueError(f"{where} has hooks or a parametrisation, which a gate could not be folded through; {remedy}")
    base = next(base for base in type(layer).__mro__ if base in CHANNEL_DIM)
    methods = ("forward", "_conv_forward", "__call__")
    if "forward" not in vars(layer) and all(home(type(layer), one) is home(base, one) for one in methods):
        return Site(name, layer, CHANNEL_DIM[base])
    owner = home(type(layer), "forward")
    known = "" if owner is None or "forward" in vars(layer) else f"{owner.__module__}.{owner.__qualname__}"
    if known in KNOWN_FORWARDS:
        return Site(name, layer, KNOWN_FORWARDS[known])
    if known in KNOWN_WITH_ACTIVATION:
        return Site(name, layer, KNOWN_WITH_ACTIVATION[known], with_activation=True)
    raise ValueError(f"{where} has a forward of its own, which may not compute what a {base.__name__} does; {remedy}")


def home(cls: type, method: str) -> type | None:
    """Return the class that defines a method of `cls`."""
    return next((base for base in cls.__mro__ if method in vars(base)), None)


def is_affine(layer: nn.Module) -> bool:
    """Whether the layer has a weight; a norm may have none."""
    return getattr(layer, "weight", None) is not None


def has_matrix(layer: nn.Module) -> bool:
    """Whether a part of low rank can be added to the layer's weight: a Linear, or a convolution without groups."""
    return isinstance(layer, tuple(LINEAR)) and getattr(layer, "groups", 1) == 1


def width(layer: nn.Module) -> int:
    """Return the number of channels of a layer's output."""
    for name in ("out_features", "out_channels"):
        if hasattr(layer, name):
            return int(getattr(layer, name))
    assert isinstance(layer.weight, Tensor)
    return layer.weight.shape[0]


def left_to_a_norm(module: nn.Module, chosen: set[int]) -> set[int]:
    """Return the ids of Linear layers and convolutions known to feed a norm that is among the chosen ids."""
    left = set()
    for parent in module.modules():
        following = [child for child in in_order(parent) if not isinstance(child, PASSED_OVER)]
        for layer, norm in itertools.pairwise(following):
            in_known_order = isinstance(parent, nn.Sequential) or not isinstance(layer, nn.Linear)
            feeds = isinstance(layer, tuple(LINEAR)) and isinstance(norm, tuple(NORMS)) and in_known_order
            if feeds and id(norm) in chosen and width(layer) == width(norm):
                left.add(id(layer))
    return left


def in_order(parent: nn.Module) -> Iterator[nn.Module]:
    """Yield the children of a module in the order of registration; a Sequential is replaced by its own children."""
    for child in parent.children():
        if isinstance(child, nn.Sequential):
            yield from in_order(child)
        else:
            yield child


def attention_outputs(module: nn.Module) -> set[int]:
    """Return the ids of the layers whose weight `nn.MultiheadAttention` reads without calling them."""
    return {id(child.out_proj) for child in module.modules() if isinstance(child, nn.MultiheadAttention)}


def matches(name: str, patterns: Patterns) -> bool:
    """Whether a name matches a pattern (fnmatch), or any of several."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in as_patterns(patterns))


def as_patterns(patterns: Patterns | None) -> tuple[str, ...]:
    """Return None, one pattern or several patterns as a tuple."""
    if patterns is None:
        return ()
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def write_gates(layer: nn.Module, gates: Gates) -> None:
    """Replace the weight and bias of `layer` by those that compute the same as the layer followed by gates (C,)."""
    scale, shift = gates
    weight, bias = layer.weight, getattr(layer, "bias", None)
    assert isinstance(weight, nn.Parameter)
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        # (in, out / groups, ...): the channels of a group lie on axis 1, its inputs on axis 0.
        grouped = at_least_float32(weight).unflatten(0, (layer.groups, -1))
        factor = scale.view(layer.groups, 1, -1, *[1] * (weight.ndim - 2))
        gated_weight = (grouped * factor).flatten(0, 1)
    else:
        gated_weight = at_least_float32(weight) * scale.view(-1, *[1] * (weight.ndim - 1))
    layer.weight = nn.Parameter(gated_weight.to(weight.dtype), weight.requires_grad)
    if isinstance(bias, nn.Parameter):
        gated_bias = at_least_float32(bias) * scale
        gated_bias = gated_bias if shift is None else gated_bias + shift
        layer.bias = nn.Parameter(gated_bias.to(bias.dtype), bias.requires_grad)


def add_to_weight(layer: nn.Module, moved: Tensor) -> None:
    """Add a tensor to the weight of a layer."""
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    layer.weight = nn.Parameter((at_least_float32(weight) + moved).to(weight.dtype), weight.requires_grad)
