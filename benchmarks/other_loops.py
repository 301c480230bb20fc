"""Training loops of others around a network of the zoo, to compare its own with: a plain one, and pythae's trainer."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor
from torchvision.transforms import ToTensor

import mrvae_zoo
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.models.factory import build_model
from mrvae_zoo.training.recipe import Recipe

BETA = 1.0
PYTHAE_BATCHES = 40  # in one call


def loop(one: Recipe, data: ImageData, batch: int, device: torch.device) -> Callable[[], None]:
    """A loop as one writes it by hand, with as many workers as are the fastest here (none for such images)."""
    torch.manual_seed(0)
    model = build_model(one.model).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    loader = torch.utils.data.DataLoader(
        torchvision_set(data.images),  # type: ignore[arg-type]
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        pin_memory=device.type == "cuda",
    )

    def epochs() -> Iterator[Tensor]:
        while True:
            for x, _ in loader:
                yield x.to(device, non_blocking=True)

    batches = epochs()

    def gated_loss(x: Tensor) -> Tensor:
        beta = mrvae_zoo.sample_beta(len(x), model.beta_range, device=device)
        out = model(x, beta)
        return (out.distortion + beta * out.rate).mean()

    def plain_loss(x: Tensor) -> Tensor:
        mean, log_var = model.encoder(x, None)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        distortion = F.binary_cross_entropy_with_logits(model.decoder(z, None), x, reduction="sum") / len(x)
        rate = 0.5 * (mean.square() + log_var.exp() - log_var - 1).sum() / len(x)
        return distortion + BETA * rate

    loss_of = plain_loss if one.model.gating == "none" else gated_loss

    def take() -> None:
        optimizer.zero_grad()
        loss_of(next(batches)).backward()
        optimizer.step()

    return take


def torchvision_set(drawn: Tensor) -> torchvision.datasets.VisionDataset:
    """Torchvision's MNIST over given images (N, 1, H, W)."""
    made: Any = torchvision.datasets.MNIST.__new__(torchvision.datasets.MNIST)
    made.data, made.targets = drawn[:, 0], torch.zeros(len(drawn), dtype=torch.long)
    made.transform, made.target_transform = ToTensor(), None
    return made


def pythae(one: Recipe, data: ImageData, batch: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """An epoch of pythae's trainer over some batches, around the same network; nothing without pythae."""
    try:
        from pythae.data.datasets import BaseDataset
        from pythae.models import VAE, VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
    except ImportError:
        return {}
    torch.manual_seed(0)
    network = build_model(one.model)

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network.encoder

        def forward(self, x: Tensor) -> Any:
            mean, log_var = self.network(x, None)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network.decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.network(z, None).sigmoid())

    folder = tempfile.TemporaryDirectory()
    some = data.images[: PYTHAE_BATCHES * batch].float() / 255  # type: ignore[index]
    config = VAEConfig(input_dim=tuple(data.images.shape[1:]), latent_dim=network.latent_dim, reconstruction_loss="bce")
    trainer = BaseTrainer(
        model=VAE(config, Encoder(), Decoder()),
        train_dataset=BaseDataset(some, torch.zeros(len(some))),
        training_config=BaseTrainerConfig(
            output_dir=folder.name,
            per_device_train_batch_size=batch,
            learning_rate=1e-5,
            no_cuda=device.type == "cpu",
        ),
    )
    with contextlib.redirect_stdout(None):
        trainer.prepare_training()
    trainer.folder = folder  # which stays as long as the trainer
    return {"pythae, plain": partial(trainer.train_step, epoch=1)}
