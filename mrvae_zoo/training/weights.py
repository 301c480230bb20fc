"""The parameters of the models that are trained side by side, as one tensor.

The optimiser, the moving average, the norm of the gradients and the states then take one operation each, whatever the
number of layers, and processes exchange one tensor.

Letters: M models of one architecture, P parameters of each, with padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ALIGNED = 16  # numbers: each parameter begins at a multiple of 64 bytes, which kernels ask for


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a parameter in a row of P numbers.

    Attributes:
        name: The name of the parameter.
        start: The index of its first number.
        shape: The shape of the parameter.
        channels_last: Whether its numbers are in the order (O, H, W, I) instead of (O, I, H, W).
    """

    name: str
    start: int
    shape: torch.Size
    channels_last: bool

    @property
    def size(self) -> int:
        """The count of its numbers."""
        return self.shape.numel()

    @property
    def padding(self) -> int:
        """The count of unused numbers after it."""
        return -self.size % ALIGNED

    def of(self, rows: Tensor) -> Tensor:
        """Return the parameter in rows (..., P), as a view (..., *shape)."""
        part = rows[..., self.start : self.start + self.size]
        if not self.channels_last:
            return part.unflatten(-1, self.shape) if self.shape else part.squeeze(-1)
        outputs, inputs, height, width = self.shape
        return part.unflatten(-1, (outputs, height, width, inputs)).movedim(-1, -3)

    def flat(self, stacked: Tensor) -> Tensor:
        """Return parameters (M, *shape) as rows (M, size), in the order of this place."""
        ordered = stacked.movedim(-3, -1) if self.channels_last else stacked
        return ordered.reshape(len(stacked), self.size)


class Weights:
    """The trainable parameters of M models as one tensor (M, P). The models' own parameters become views of it.

    Args:
        models: The models, all of one architecture.
        channels_last: Whether the weights of convolutions are stored with the channels last.

    Attributes:
        models: The models.
        places: The place of each parameter in a row.
        flat: The parameters, (M, P).
        gradient: The gradients of the last step, (M, P).
        rows: The rows of `flat` as parameters (P,) for an optimiser, with the rows of `gradient` as their gradients.
        leaves: The tensors to differentiate a loss by, by name: the parameters of a single model, or stacked ones
            (M, ...).
    """

    def __init__(self, models: Sequence[nn.Module], *, channels_last: bool = False) -> None:
        self.models = list(models)
        self.places: list[Place] = []
        end = 0
        parameters = {name: one for name, one in models[0].named_parameters() if one.requires_grad}
        for name, parameter in parameters.items():
            place = Place(name, end, parameter.shape, channels_last and parameter.ndim == 4)
            self.places.append(place)
            end += place.size + place.padding
        like = next(iter(parameters.values()))
        self.flat = torch.zeros(len(models), end, dtype=like.dtype, device=like.device)
        self.gradient = torch.zeros_like(self.flat)
        for model, row in zip(models, self.flat, strict=True):
            with torch.no_grad():
                for place in self.places:
                    place.of(row).copy_(model.get_parameter(place.name))
            self.attach(model, row)
        self.leaves: dict[str, nn.Parameter] = parameters
        if len(models) > 1:
            self.leaves = {place.name: nn.Parameter(place.of(self.flat)) for place in self.places}
        self.rows = [nn.Parameter(row) for row in self.flat]
        for parameter, gradient in zip(self.rows, self.gradient, strict=True):
            parameter.grad = gradient
        self._zeros = torch.zeros(len(models), ALIGNED, dtype=like.dtype, device=like.device)

    def place(self, name: str) -> Place:
        """Return the place of the parameter of that name."""
        return next(place for place in self.places if place.name == name)

    def attach(self, model: nn.Module, row: Tensor) -> None:
        """Make the parameters of a model views of a row (P,)."""
        for place in self.places:
            model.get_parameter(place.name).data = place.of(row)

    def release(self, model: nn.Module) -> None:
        """Give a model parameters of its own again."""
        for place in self.places:
            parameter = model.get_parameter(place.name)
            parameter.data = parameter.detach().clone(memory_format=torch.contiguous_format)

    def differentiate(self, loss: Tensor, *, add: bool = False) -> None:
        """Write the gradients of a loss () to `gradient`, or add them to it."""
        gradients = torch.autograd.grad(loss, [*self.leaves.values()], materialize_grads=True)
        parts: list[Tensor] = []
        for place, gradient in zip(self.places, gradients, strict=True):
            stacked = gradient if len(self.models) > 1 else gradient.unsqueeze(0)
            parts.append(place.flat(stacked))
            if place.padding:
                parts.append(self._zeros[:, : place.padding])
        if add:
            self.gradient += torch.cat(parts, dim=1)
        else:
            torch.cat(parts, dim=1, out=self.gradient)

    def clip(self, largest: float) -> None:
        """Scale the gradients of each model down to the norm `largest` where they exceed it."""
        norm = torch.linalg.vector_norm(self.gradient, dim=1, keepdim=True)
        self.gradient *= (largest / (norm + 1e-6)).clamp(max=1)
