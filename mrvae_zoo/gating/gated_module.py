"""GatedModule: a foreign module whose layers β gates, and its plain module again at one β; `gate` makes one.

    x (B, ...), β ──features──► Binding of the call ──► the module's own method, its layers gated ──► its own output

Letters: B batch, K features of log β.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.base import Gating, Place
from mrvae_zoo.gating.batch_axis import find_batch_axis
from mrvae_zoo.gating.beta import Beta, check_beta, count_of
from mrvae_zoo.gating.binding import Binding, Hook, InputHook, Owner, Shapes, is_current, no_batch_axis
from mrvae_zoo.gating.calls import FORWARD, Call, Reads, through
from mrvae_zoo.gating.gates import Gate
from mrvae_zoo.gating.layers import Foldable
from mrvae_zoo.gating.low_rank import LowRank
from mrvae_zoo.gating.sites import Site, add_to_weight, write_gates


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
        layer_names: The names of the layers that β reaches.
        methods: The names of the methods that can be called with a β, besides the call itself.
        verified: Whether the leading axis of every gated layer was found to be the batch, for some shape.
    """

    _plain: nn.Module

    def __init__(
        self, gating: Gating, module: nn.Module, layers: Sequence[Site], *, methods: Sequence[str] = ()
    ) -> None:
        super().__init__()
        check_methods(module, methods)
        self.gating = gating
        self.layer_names = tuple(layer.name for layer in layers)
        self.methods = tuple(methods)
        self._owner = Owner()
        self._verdicts: dict[str, tuple[Shapes, Shapes]] = {}
        self._read_well: set[str] = set()
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

    def _add_gate(self, site: Site) -> None:
        layer, parameter = site.layer, next(site.layer.parameters(recurse=False))
        gate, low_rank = None, None
        if site.rank:
            parts = self.gating.degree
            low_rank = LowRank(layer, site.rank, parts=parts, channel_dim=site.channel_dim)
            layer.low_rank_gate = low_rank
        if site.gated:
            gate = self.gating.gate(Place(site.channels, "encoder", shift=site.shift))
            if gate is None:
                raise ValueError(f"gating {self.gating.name!r} has no gates")
            layer.gate = gate.to(parameter.device, parameter.dtype)
        if site.with_activation:
            drop = layer.drop
            assert isinstance(drop, nn.Module)
            drop.register_forward_pre_hook(InputHook(self._owner, site.name, gate, site.channel_dim))
        else:
            hook = Hook(self._owner, site.name, gate, site.channel_dim, low_rank)
            layer.register_forward_hook(hook, with_kwargs=True)

    @property
    def beta_range(self) -> tuple[float, float]:
        """The range (β_min, β_max), both ends inclusive."""
        return self.gating.beta_range

    def forward(self, x: Tensor, beta: Beta, *args: Any, **kwargs: Any) -> Any:
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
        return self._method(FORWARD, x, beta, *args, **kwargs)

    def with_features(self, features: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Call the module with the features (K,) or (B, K) that `gating` makes of β."""
        return self._run(Call(FORWARD, (x, *args), kwargs), features)

    @contextmanager
    def bound(self, beta: Beta) -> Iterator[Any]:
        """Give the module itself, with every method gated at β for as long as the block lasts, in this thread.

        Example:
            with gated.bound(0.1) as vae:
                latents = vae.encode(x).latent_dist.sample()

        Args:
            beta: A number, or one β per example, (B,): the methods that are called in the block then take B examples.

        Raises:
            ValueError: β is out of range or has a wrong shape, or a layer cannot take one β per example.
            RuntimeError: A method computes with the weight of a gated layer without calling it.
        """
        checked = check_beta(beta, self.beta_range, count_of(beta), like=next(self.parameters()))
        features = self.gating.features(checked)
        if features.ndim > 1 and len(features) == 1:
            features = features[0]
        with Binding(self._owner, features, known={}) as block:
            yield through(self._plain, partial(self._in_block, block))

    def _in_block(self, block: Binding, call: Call) -> Any:
        """Run a method of the module inside its block; after the block or in another thread, no β is bound to it."""
        x = call.x
        if not is_current(block) or (block.features.ndim > 1 and (x is None or len(x) != len(block.features))):
            return call.on(self._plain)  # hooks refuse what they should not gate
        return self._run(call, block.features)

    def _method(self, name: str, x: Tensor, beta: Beta, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the module at β; see `forward`."""
        if not isinstance(x, Tensor):
            raise ValueError(f"x is a {type(x).__name__}; the first argument of a gated module is a tensor")
        size = x.shape[0] if x.ndim else None
        features = self.gating.features(check_beta(beta, self.beta_range, size, like=next(self.parameters())))
        return self._run(Call(name, (x, *args), kwargs), features, acts=True)

    def _run(self, call: Call, features: Tensor, *, acts: bool = False) -> Any:
        """Make a call at features (K,) or (B, K); `acts` says that β has to reach some layer."""
        compiling = torch.compiler.is_compiling()
        known = None
        if features.ndim > 1 and not compiling:
            x = call.x
            assert x is not None
            if len(x) == 1:
                features = features[0]  # one example is one β for all, however the module lays out its batch
            else:
                known, mixed = self._verdict(call)
                if mixed:
                    raise no_batch_axis(mixed, size=len(x))
        if features.ndim > 1 and compiling and not self.verified:
            raise RuntimeError("one β per example: call this gated module once in eager mode before it is compiled")
        with Binding(self._owner, features, known) as binding:
            if call.method == FORWARD:
                output = self._plain(*call.args, **call.kwargs)
                missing = [name for name in self.layer_names if name not in binding.reached]
            elif compiling:
                output, missing = call.on(self._plain), []
            else:
                output, missing = self._read(call, binding)
        if missing:
            raise RuntimeError(
                f"gated layers that {call.method.strip('_')} did not reach, so that β would not act on them: "
                f"{', '.join(map(repr, missing))}; gate without: exclude={missing}"
            )
        if acts and not binding.reached and not compiling:
            raise RuntimeError(f"{call.method} reaches no gated layer, so that β does not act on it; call it without β")
        return output

    def _read(self, call: Call, binding: Binding) -> tuple[Any, list[str]]:
        """Make a call of a method, and return the layers that it computes with but does not call; looked for once."""
        key = call.key(self._plain)
        if key in self._read_well:
            return call.on(self._plain), []
        layers = ((name, self._plain.get_submodule(name)) for name in self.layer_names)
        with Reads(layers) as reads:
            output = call.on(self._plain)
        missing = [name for name in self.layer_names if name in reads.names - binding.reached]
        if not missing:
            self._read_well.add(key)
        return output, missing

    def _verdict(self, call: Call) -> tuple[Shapes, Shapes]:
        """Return the shapes whose leading axis is the batch, and the others, for arguments of these shapes: cached."""
        key = call.key(self._plain)
        if key not in self._verdicts:
            kept = (*self.parameters(), self._owner)
            self._verdicts[key] = find_batch_axis(call, self._plain, Binding(self._owner, torch.zeros(0)), kept)
            self.verified = self.verified or not self._verdicts[key][1]
        return self._verdicts[key]

    def __getattr__(self, name: str) -> Any:
        """Return a method named in `methods`, as a function of x and β, or what `nn.Module` holds under the name.

        Raises:
            AttributeError: There is neither; the message says how to reach what the module has under this name.
        """
        if name in self.__dict__.get("methods", ()):
            return partial(self._method, name)
        try:
            return super().__getattr__(name)
        except AttributeError:
            plain = self.__dict__.get("_plain")
            if plain is None or name.startswith("__") or not hasattr(plain, name):
                raise
            raise AttributeError(unknown_attribute(plain, name)) from None

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
                if isinstance(moving := getattr(layer, "low_rank_gate", None), LowRank):
                    add_to_weight(layer, moving.moved(features))
                    del layer.low_rank_gate
                if isinstance(gate := getattr(layer, "gate", None), Gate):
                    write_gates(layer, gate(features))
                    del layer.gate
        set_nesting(plain, self._nesting, enabled=True)
        for part in plain.modules():
            remove_hooks(part)
        return plain

    def train(self, mode: bool = True) -> "GatedModule":
        """Set the mode, as `nn.Module.train` does."""
        super().train(mode)
        self._plain.train(mode)
        return self


def unknown_attribute(plain: nn.Module, name: str) -> str:
    """Return the message about an attribute that the module inside has, and the gated one has not."""
    kind = type(plain).__name__
    if not callable(getattr(plain, name)):
        return f"{name!r} belongs to the {kind} inside; read it from gated.at(beta), or in `with gated.bound(beta)`"
    return (
        f"{name!r} is a method of the {kind} inside, and needs a β: call it as module.{name}(...) in `with "
        f"gated.bound(beta) as module:`, gate with methods=({name!r},) for gated.{name}(x, beta), or take the plain "
        "module, gated.at(beta)"
    )


def set_nesting(module: nn.Module, names: list[str], *, enabled: bool) -> None:
    """Set whether the named `nn.TransformerEncoder`s may turn padded sequences into nested tensors."""
    for name in names:
        module.get_submodule(name).use_nested_tensor = enabled  # type: ignore[assignment]


def remove_hooks(part: nn.Module) -> None:
    """Remove the hooks that gate a layer, and keep those of others."""
    for hooks, options in (
        (part._forward_hooks, part._forward_hooks_with_kwargs),
        (part._forward_pre_hooks, part._forward_pre_hooks_with_kwargs),
    ):
        for key in [key for key, hook in hooks.items() if isinstance(hook, Hook)]:
            del hooks[key]
            options.pop(key, None)


def check_methods(module: nn.Module, methods: Sequence[str]) -> None:
    """Raise a ValueError unless a gated module can lend each of these methods of the module."""
    for name in methods:
        if not callable(getattr(type(module), name, None)):
            raise ValueError(f"methods: {type(module).__name__} has no method {name!r}")
        if hasattr(GatedModule, name):
            raise ValueError(f"methods: a gated module has a {name!r} of its own; call it in `with gated.bound(beta)`")
