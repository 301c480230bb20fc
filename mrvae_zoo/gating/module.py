"""gate(module): any nn.Module, called with a β that gates its layers, and the plain module again at one β.

    x (B, ...), β ──features──► Binding of the call ──► the module's own forward, its layers gated ──► its own output

Letters: B batch, K features of log β.
"""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.base import Gating, Place
from mrvae_zoo.gating.beta import check_beta
from mrvae_zoo.gating.binding import Binding, Hook, InputHook, Owner, Shapes, no_batch_axis
from mrvae_zoo.gating.kinds import AffineGating
from mrvae_zoo.gating.layers import Foldable
from mrvae_zoo.gating.sites import GATEABLE, Patterns, Site, sites, write_gates


def gate(
    module: nn.Module,
    beta_range: tuple[float, float] = (0.01, 10.0),
    *,
    include: Patterns | None = None,
    exclude: Patterns = (),
    types: tuple[type[nn.Module], ...] = GATEABLE,
    degree: int = 3,
) -> "GatedModule":
    """Copy `module` with layers that β scales and shifts: `gated(x, beta)`. At first it computes what `module` does.

    Args:
        module: The module to gate. It may be any module whose first argument is x, and it is not changed.
        beta_range: The range (β_min, β_max), both ends inclusive.
        include: The names of the layers to gate (fnmatch patterns such as "layer4.*"). None takes the Linear,
            convolution and affine norm layers, except those that feed a norm and those that attention never calls
            (`mrvae_zoo.gating.sites` has the rule).
        exclude: The names of layers to leave plain.
        types: The types of layers that are gated.
        degree: The degree of the polynomials of log β that give scale and shift.

    Raises:
        ValueError: No layer is left to gate, a pattern matches none, or a layer cannot be gated; the message names it.
    """
    low, high = beta_range
    if not 0 < low < high < math.inf:
        raise ValueError(f"beta_range={beta_range} should be two numbers with 0 < low < high")
    if degree < 1:
        raise ValueError(f"degree={degree} should be at least 1")
    gating = AffineGating(beta_range=(float(low), float(high)), degree=degree)
    return gate_with(gating, module, include=include, exclude=exclude, types=types)


def gate_with(
    gating: Gating,
    module: nn.Module,
    *,
    include: Patterns | None = None,
    exclude: Patterns = (),
    types: tuple[type[nn.Module], ...] = GATEABLE,
) -> "GatedModule":
    """Gate a module like `gate`, but with any gating except "none"; its layers count as those of an encoder."""
    if any(isinstance(part, Foldable) for part in module.modules()):
        raise ValueError(f"this {type(module).__name__} holds gated layers already")
    module = copy.deepcopy(module)
    return GatedModule(gating, module, sites(module, include=include, exclude=exclude, types=types))


class GatedModule(Foldable):
    """A module of any class with gated layers; see `gate`.

    Its parameters have the same names as in the original module; those of the gates contain "gate". Calls may run in
    threads and nest, each with its own β. β is bound to the thread for the duration of a call, so activation
    checkpointing must go around the call: `checkpoint(gated, x, beta, use_reentrant=False)`. Inside the module it is an
    error.

    The first call with one β per example, for each shape of its arguments, verifies that the leading axis of every
    gated layer is the batch and nothing else. For this the module runs 2·⌈log₂ B⌉ more times (in eval mode, without
    gradients, on a copy that shares its parameters) with some of the examples replaced by NaN. Each layer must be NaN
    in exactly these rows. The verdict holds for that shape and does not depend on β. A compiled or exported call
    compares only sizes, and requires one such call in eager mode before it.

    Attributes:
        gating: The gating that computes the features of β and the gates.
        layer_names: The names of the gated layers.
        verified: Whether the leading axis of every gated layer was found to be the batch, for some shape.
    """

    _plain: nn.Module

    def __init__(self, gating: Gating, module: nn.Module, layers: list[Site]) -> None:
        super().__init__()
        self.gating = gating
        self.layer_names = tuple(layer.name for layer in layers)
        self._owner = Owner()
        self._verdicts: dict[str, tuple[Shapes, Shapes]] = {}
        self.verified = False
        for layer in layers:
            self._add_gate(layer)
        # Nested tensors are for the fused path of `nn.TransformerEncoder`, which hooks on its layers turn off.
        self._nesting = [name for name, part in module.named_modules() if getattr(part, "use_nested_tensor", False)]
        set_nesting(module, self._nesting, enabled=False)
        # One set of parameters under two modules: the plain one computes, this one is what training and saving see,
        # so that no name gets a prefix. The tables themselves are shared, which copies and pickles keep.
        self.__dict__["_plain"] = module
        for table in ("_parameters", "_buffers", "_non_persistent_buffers_set", "_modules"):
            self.__dict__[table] = module.__dict__[table]
        self.training = module.training

    def _add_gate(self, layer: Site) -> None:
        gate = self.gating.gate(Place(layer.channels, "encoder", shift=layer.shift))
        if gate is None:
            raise ValueError(f"gating {self.gating.name!r} has no gates")
        parameter = next(layer.layer.parameters(recurse=False))
        layer.layer.gate = gate.to(parameter.device, parameter.dtype)
        if layer.with_activation:
            hook = InputHook(self._owner, layer.name, gate, layer.channel_dim)
            layer.layer.drop.register_forward_pre_hook(hook)  # type: ignore[union-attr]
        else:
            layer.layer.register_forward_hook(Hook(self._owner, layer.name, gate, layer.channel_dim))

    @property
    def beta_range(self) -> tuple[float, float]:
        """The range (β_min, β_max), both ends inclusive."""
        return self.gating.beta_range

    def forward(self, x: Tensor, beta: float | Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return the module's output for x (B, ...) at beta: a number, a tensor () or one β per example, (B,).

        Args:
            x: The module's first argument.
            beta: The β of the call, within `beta_range`.
            args: The module's other positional arguments.
            kwargs: The module's keyword arguments.

        Raises:
            ValueError: x is not a tensor, β is out of range or has a wrong shape, or a layer cannot take one β per
                example.
            RuntimeError: A gated layer was not reached, or runs again in a backward pass after the call.
        """
        if not isinstance(x, Tensor):
            raise ValueError(f"x is a {type(x).__name__}; the first argument of a gated module is a tensor")
        size = x.shape[0] if x.ndim else None
        features = self.gating.features(check_beta(beta, self.beta_range, size, like=next(self.parameters())))
        return self.with_features(features, x, *args, **kwargs)

    def with_features(self, features: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Call the module with the features (K,) or (B, K) that `gating` makes of β."""
        compiling = torch.compiler.is_compiling()
        known = None
        if features.ndim > 1 and not compiling:
            if x.shape[0] == 1:
                features = features[0]  # one example is one β for all, however the module lays out its batch
            else:
                known, mixed = self._verdict(x, args, kwargs)
                if mixed:
                    raise no_batch_axis(mixed, size=x.shape[0])
        if features.ndim > 1 and compiling and not self.verified:
            raise RuntimeError("one β per example: call this gated module once in eager mode before it is compiled")
        with Binding(self._owner, features, known) as binding:
            output = self._plain(x, *args, **kwargs)
        missing = [name for name in self.layer_names if name not in binding.reached]
        if missing:
            raise RuntimeError(
                f"gated layers that forward did not reach, so that β would not act on them: "
                f"{', '.join(map(repr, missing))}; gate without: exclude={missing}"
            )
        return output

    def _verdict(self, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Shapes, Shapes]:
        """Return the shapes whose leading axis is the batch, and the others, for arguments of these shapes: cached."""
        key = describe((x, args, kwargs))
        if key not in self._verdicts:
            self._verdicts[key] = self._find_batch_axis(x, args, kwargs)
            self.verified = self.verified or not self._verdicts[key][1]
        return self._verdicts[key]

    def _find_batch_axis(self, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Shapes, Shapes]:
        """Find the shapes of each layer's outputs whose row i depends on example i only; and the other shapes.

        Every pair of examples differs in some bit of their numbers, and each bit is tried together with its complement.
        A row that is NaN exactly with its own example in every trial therefore depends on no other one.
        """
        if not x.is_floating_point():
            raise ValueError(
                f"x is {x.dtype}: one β per example takes floats, to verify that layers keep the batch axis"
            )
        kept = {id(part): part for part in (*self.parameters(), self._owner)}
        plain = copy.deepcopy(self._plain, memo=kept).eval()
        binding = Binding(self._owner, x.new_zeros(0))
        number = torch.arange(x.shape[0], device=x.device)
        for bit in range((x.shape[0] - 1).bit_length()):
            for tagged in ((number >> bit) % 2 == 0, (number >> bit) % 2 == 1):
                binding.tagged = tagged
                marked = torch.where(tagged.view(-1, *[1] * (x.ndim - 1)), math.nan, x.detach())
                with torch.no_grad(), binding:
                    plain(marked, *args, **kwargs)
        return binding.found, binding.mixed

    def at(self, beta: float) -> nn.Module:
        """Return the plain module at one β: the original class, with the gates folded into a copy of its weights.

        It computes what the gated module does at β, provided that nothing but a gated layer itself reads its weight.

        Raises:
            ValueError: β is outside `beta_range`, or is a tensor with more than one value.
        """
        return self.folded(self.gating.features(check_beta(beta, self.beta_range, None, like=next(self.parameters()))))

    def folded(self, features: Tensor) -> nn.Module:
        """Return the plain module for features (K,), like `at`."""
        plain: nn.Module = copy.deepcopy(self._plain)
        for name in self.layer_names:
            layer = plain.get_submodule(name)
            with torch.no_grad():
                write_gates(layer, layer.gate(features))  # type: ignore[operator]
            del layer.gate
        set_nesting(plain, self._nesting, enabled=True)
        for part in plain.modules():
            for hooks in (part._forward_hooks, part._forward_pre_hooks):
                for key in [key for key, hook in hooks.items() if isinstance(hook, Hook)]:
                    del hooks[key]
        return plain

    def train(self, mode: bool = True) -> "GatedModule":
        """Set the mode, as `nn.Module.train` does."""
        super().train(mode)
        self._plain.train(mode)
        return self


def set_nesting(module: nn.Module, names: list[str], *, enabled: bool) -> None:
    """Set whether the named `nn.TransformerEncoder`s may turn padded sequences into nested tensors."""
    for name in names:
        module.get_submodule(name).use_nested_tensor = enabled  # type: ignore[assignment]


def describe(value: Any) -> str:
    """Return a key for everything that a forward may depend on besides the numbers in tensors."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {value.dtype} {value.device}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {describe(item)}' for key, item in value.items())}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(describe, value))}]"
    return repr(value) if isinstance(value, bool | int | float | str | None) else type(value).__qualname__
