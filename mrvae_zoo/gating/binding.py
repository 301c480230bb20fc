"""How β reaches layers inside foreign code: it is bound to the thread for the duration of one call, or of one block.

Elsewhere β is an argument. This is the one exception, because a foreign `forward` does not pass β on.

    call ──with──► Binding of this thread ──► foreign forward ──► hook of each gated layer ──► its gates at this β

A binding ends with its call, even if the call raises, and calls may nest. A hook that finds no binding of its own
module's call raises an error. A layer that runs at another time (checkpointing in the backward pass, a direct call of
the layer) is therefore refused, and never gated by another call's β.

Letters: B batch, C channels of a layer's output, K features of log β.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.gates import Gate
from mrvae_zoo.gating.layers import gated_activations
from mrvae_zoo.gating.low_rank import LowRank

Shapes = dict[str, set[tuple[int, ...]]]  # layer -> shapes of its outputs whose leading axis is known to be the batch


class _Current(threading.local):
    binding: "Binding | None" = None


_current = _Current()


class Owner:
    """The identity of one gated module: a hook uses only the bindings of its own owner. A copy is another owner."""


@dataclass(slots=True)
class Binding:
    """One call: the features of its β, and the layers that it has reached. It lasts as long as `with binding:`.

    Attributes:
        owner: The identity of the module that is called.
        features: The features of β, (K,) or (B, K).
        known: The output shapes whose leading axis is known to be the batch, for features (B, K). None only compares
            the sizes; {} trusts no shape.
        tagged: The examples that are NaN, (B,) bool, while a call looks for the batch axis. No gate is applied then.
        outer: The binding that this one is nested in.
        backward: The number of the backward pass that the call is part of; −1 outside of one.
        reached: The names of the layers that ran.
        found: The output shapes of each layer whose rows were the tagged examples.
        mixed: The output shapes of each layer whose rows were not the tagged examples.
    """

    owner: Owner
    features: Tensor
    known: Shapes | None = None
    tagged: Tensor | None = None
    outer: "Binding | None" = None
    backward: int = -1
    reached: set[str] = field(default_factory=set)
    found: Shapes = field(default_factory=dict)
    mixed: Shapes = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.outer, self.backward = _current.binding, backward_pass()
        _current.binding = self
        return self

    def __exit__(self, *_: object) -> None:
        _current.binding = self.outer


def is_current(binding: Binding) -> bool:
    """Whether this thread is inside `with binding:`."""
    inner = _current.binding
    while inner is not None and inner is not binding:
        inner = inner.outer
    return inner is not None


def backward_pass() -> int:
    """Return the number of the backward pass that this thread is in; −1 outside of one, and while compiling."""
    return -1 if torch.compiler.is_compiling() else torch._C._current_graph_task_id()


@dataclass(frozen=True, eq=False)
class Hook:
    """A hook that gates the pre-activation of one layer by the β of the running call.

    Attributes:
        owner: The identity of the gated module that the layer is part of.
        name: The name of the layer.
        gate: The gate of the layer, which is its child; None for a layer that has only a part of low rank.
        channel_dim: The axis of the pre-activation that holds the channels.
        low_rank: The part of the layer's weight that moves with β, which is its child too, or None.
    """

    owner: Owner
    name: str
    gate: Gate | None
    channel_dim: int
    low_rank: LowRank | None = None

    def __call__(self, _layer: nn.Module, inputs: tuple[Any, ...], kwargs: Mapping[str, Any], y: Tensor) -> Tensor:
        """Act as a forward hook with keyword arguments: y (B, ..., C, ...) is the layer's output."""
        binding = self.binding()
        binding.reached.add(self.name)
        if binding.tagged is not None:
            record_rows(binding, self, y)
            return y
        if binding.features.ndim > 1:
            check_batch_axis(binding, self, y)
        if self.low_rank is not None:
            y = y + self.low_rank(binding.features, *inputs, **kwargs)
        return (
            y if self.gate is None else gated_activations(y, self.gate(binding.features), channel_dim=self.channel_dim)
        )

    def binding(self) -> Binding:
        """Return the innermost running call of this layer's module.

        Raises:
            RuntimeError: There is no such call, or the layer runs again in a backward pass after it.
        """
        binding = _current.binding
        while binding is not None and binding.owner is not self.owner:
            binding = binding.outer
        if binding is None or binding.backward != backward_pass():
            raise RuntimeError(
                f"layer {self.name!r} runs without the β of a call: call the gated module, not its layers, or stay "
                "inside `with gated.bound(beta)`. Where activation checkpointing inside the module ran the layer "
                "again, checkpoint the whole call instead: "
                "torch.utils.checkpoint.checkpoint(gated, x, beta, use_reentrant=False)"
            )
        return binding


class InputHook(Hook):
    """A hook for a pre-activation that is the input of a layer (the child `drop` of a norm with activation)."""

    def __call__(self, layer: nn.Module, inputs: Any) -> Tensor:  # type: ignore[override]
        """Act as a forward pre-hook."""
        return super().__call__(layer, inputs, {}, *inputs)


def record_rows(binding: Binding, hook: Hook, y: Tensor) -> None:
    """Record whether the rows of y that hold a NaN are exactly the tagged examples."""
    assert binding.tagged is not None
    rows_are_examples = (
        y.ndim > 1
        and hook.channel_dim % y.ndim != 0
        and y.shape[0] == len(binding.tagged)
        and torch.equal(y.detach().flatten(1).isnan().any(1), binding.tagged)
    )
    verdict = binding.found if rows_are_examples else binding.mixed
    verdict.setdefault(hook.name, set()).add(tuple(y.shape))


def check_batch_axis(binding: Binding, hook: Hook, y: Tensor) -> None:
    """Raise an error unless one β per example can be laid along the leading axis of y.

    Raises:
        ValueError: The axis is not known to be the batch; the message names the layer.
    """
    if binding.known is None:
        fits = y.ndim > 1 and hook.channel_dim % y.ndim != 0 and y.shape[0] == binding.features.shape[0]
    else:
        fits = tuple(y.shape) in binding.known.get(hook.name, ())
    if not fits:
        raise no_batch_axis({hook.name: {tuple(y.shape)}}, size=binding.features.shape[0])


def no_batch_axis(layers: Shapes, *, size: int) -> ValueError:
    """Return the error for layers that cannot take one β per example."""
    first, *others = layers
    shape = min(layers[first])
    too = f" (and so have {', '.join(map(repr, others))})" if others else ""
    return ValueError(
        f"layer {first!r} has an output of shape {shape} whose leading axis is not known to be the batch of {size}"
        f"{too}, so it cannot take one β per example; pass one β for all, or gate without: "
        f"exclude={[first, *others] if others else first!r}"
    )
