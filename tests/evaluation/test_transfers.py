"""Measuring waits for a device once: on torch's device "meta" in the place of a GPU, whose copies are counted."""

import pytest
import torch
from helpers import make_data, make_images, make_model
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from mrvae_zoo import importance_weighted_bound, rate_distortion
from mrvae_zoo.common import precision
from mrvae_zoo.evaluation import examples, measuring
from mrvae_zoo.evaluation.disentanglement import latent_information
from mrvae_zoo.evaluation.draws import draws_needed
from mrvae_zoo.evaluation.rate_distortion import example_losses

aten = torch.ops.aten


class Meta(TorchDispatchMode):
    """Counts what is read from the device "meta", which then is all ones, and what is copied to it with a wait."""

    def __init__(self) -> None:
        super().__init__()
        self.read = self.waited_for_upload = 0

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        there = any(tensor.is_meta for tensor in tensors)
        if function is aten._to_copy.default and "device" in kwargs:
            if there and kwargs["device"].type == "cpu":
                self.read += 1
                return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype, device="cpu")
            self.waited_for_upload += not (there or kwargs.get("non_blocking"))
        if there and function in (aten._local_scalar_dense.default, aten.equal.default):
            self.read += 1
            return 1
        result = function(*args, **kwargs)
        if precision.WITHOUT_FLOAT64 == ("meta",):
            outputs = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]
            assert not any(output.is_meta and output.dtype == torch.float64 for output in outputs), function
        return result


@pytest.fixture
def on_meta(monkeypatch):
    """A model on the device, to which nothing is uploaded with a wait, as to a GPU."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)  # which knows no device "meta"
    for module in (examples, measuring):
        monkeypatch.setattr(module, "upload", lambda tensor, device: tensor.to(device, non_blocking=True))
    return make_model("mrvae_mlp", "affine").to("meta")


BETAS = [0.1, 1.0]
MEASUREMENTS = {  # with the tensors that each reads in the end
    "curve": (lambda model, data: rate_distortion(model, data, BETAS, samples=[1, 3], batch_size=100), 1),
    "correlation": (lambda model, data: rate_distortion(model, data, BETAS, total_correlation=True), 2),
    "losses": (lambda model, data: example_losses(model, data, 1.0, samples=2), 2),
    "draws": (lambda model, data: draws_needed(model, data, BETAS), 1),
    "bound": (lambda model, data: importance_weighted_bound(model, data, 1.0, samples=3), 1),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
@pytest.mark.parametrize("make", [make_images, make_data])
def test_the_result_is_read_once_however_many_chunks_there_are(on_meta, make, name):
    measure, expected = MEASUREMENTS[name]
    uploads = []
    for n in (100, 300):
        data = make(make_model("mrvae_mlp", "affine"), n)
        with Meta() as counted:
            measure(on_meta, data)
        assert counted.read == expected
        uploads.append(counted.waited_for_upload)
    assert uploads[0] == uploads[1]


def test_the_information_of_latents_is_read_once():
    mean, log_var = torch.zeros(2, 12, 5, device="meta")
    for samples in (10, 300):
        with Meta() as counted:
            latent_information(mean, log_var, {"colour": 3, "size": 4}, samples=samples)
        assert (counted.read, counted.waited_for_upload) == (1, 3)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_sums_are_kept_on_the_cpu_if_the_device_has_no_float64(on_meta, monkeypatch, name):
    monkeypatch.setattr(precision, "WITHOUT_FLOAT64", ("meta",))
    with Meta() as counted:
        MEASUREMENTS[name][0](on_meta, make_images(make_model("mrvae_mlp", "affine"), 100))
    assert counted.read > 2
