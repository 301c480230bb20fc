"""All gates of a network from one matrix product, for training with one β per example.

    features (B, K + 1) ──one product──► values of all gates (B, G) ──split──► scale and shift of each layer, (B, C)

Computed layer by layer they would be as many small products, and as many again for the gradients of the coefficients.

Letters: B batch, C channels of a layer's output, G all scales and shifts of a network, K features of log β.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mrvae_zoo.gating.gates import AffineGate, Gate, at_least_float32
from mrvae_zoo.gating.layers import TakesFeatures
from mrvae_zoo.gating.packed import Packed


def find_gates(*networks: nn.Module) -> tuple[AffineGate, ...]:
    """Return the gates to compute together, after telling each its number; none if a layer could not live with it.

    Gates and layers of plug-ins, which may read the features in ways of their own, get the features alone.
    """
    parts = [part for network in networks for part in network.modules()]
    readers = [*networks, *(part for part in parts if isinstance(part, Gate | TakesFeatures))]
    gates = tuple(part for part in parts if type(part) is AffineGate)
    if not all(type(part).__module__.startswith("mrvae_zoo.") for part in readers):
        return ()
    if len({gate.coefficients.shape[1] for gate in gates}) != 1:
        return ()
    for number, gate in enumerate(gates):
        gate.number = number
    return gates


def is_worth_packing(features: Tensor) -> bool:
    """Whether packing pays: where kernels are launched one by one. On a CPU the longer rows cost more than it gains."""
    return features.device.type != "cpu"


def pack(features: Tensor, gates: Sequence[AffineGate]) -> Packed:
    """Compute the values of all gates at the features of one β per example, (B, K + 1), at least in float32."""
    rows = [part for gate in gates for part in at_least_float32(gate.coefficients).unbind()]
    coefficients = torch.cat(rows, dim=1)
    with torch.autocast(features.device.type, enabled=False):
        product = features[:, : len(coefficients)].to(coefficients.dtype) @ coefficients
    parts = iter(product.split([row.shape[1] for row in rows], dim=1))
    return Packed(features, [[next(parts) for _ in gate.coefficients] for gate in gates])
