"""free_nats: a β-VAE that pays for the rate only above a floor, so that no β empties the latents.

    L = D + β · max(R, FLOOR)

Letters: b examples.
Source: the free bits of Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", NeurIPS
2016, with all latents in one group, and the maximum taken for each example.
"""

from torch import Tensor

from mrvae_zoo.plugins import GlobalBatch, Objective, VAEOutput

FLOOR = 3.0  # nats


def loss(output: VAEOutput, beta: Tensor, batch: GlobalBatch) -> Tensor:
    """The loss of each example, (b,) nats."""
    del batch  # an example needs no other
    return output.distortion + beta * output.rate.clamp(min=FLOOR)


FREE_NATS = Objective(name="free_nats", loss=loss)
