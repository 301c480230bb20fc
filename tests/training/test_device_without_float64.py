"""Training and measuring on a device that has no float64, as Apple's GPU: the CPU, made to refuse it."""

import pytest
import torch
from helpers import RECIPE, make_data, make_model
from torch.overrides import TorchFunctionMode

from mrvae_zoo import importance_weighted_bound, rate_distortion
from mrvae_zoo.common import precision
from mrvae_zoo.training.recipe import recipe_from_table
from mrvae_zoo.training.train import train


class NoFloat64(TorchFunctionMode):
    """What is not on the CPU on purpose, with device="cpu" or right after `.cpu()`, may not become float64."""

    def __torch_function__(self, function, _types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        wide = any(one is torch.float64 for one in (*args, *kwargs.values())) or name == "double"
        tensor = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if wide and tensor is not None and name in ("double", "to") and not self.is_brought(tensor):
            raise TypeError("Cannot convert a tensor to float64 dtype as the framework doesn't support it")
        if wide and tensor is None and str(kwargs.get("device")) != "cpu":
            raise TypeError(f"{name} makes float64 on the device")
        result = function(*args, **kwargs)
        if name == "cpu":
            result = result.clone() if result is tensor else result
            result.brought = True
        return result

    @staticmethod
    def is_brought(tensor):
        return getattr(tensor, "brought", False) or tensor.dtype == torch.float64


@pytest.fixture
def without_float64(monkeypatch):
    monkeypatch.setattr(precision, "WITHOUT_FLOAT64", ("cpu",))
    with NoFloat64():
        yield


def test_the_device_refuses(without_float64):
    with pytest.raises(TypeError, match="float64"):
        torch.zeros(3).double()
    with pytest.raises(TypeError, match="float64"):
        torch.zeros(3, dtype=torch.float64)
    assert torch.zeros(3).cpu().double().sum() == 0


@pytest.mark.parametrize("architecture", ["mrvae_mlp", "mrvae_resnet_spatial"])
def test_measuring(without_float64, architecture):
    model = make_model(architecture, "affine")
    data = make_data(model, 20)
    curve = rate_distortion(model, data, [0.1, 1.0], samples=3, total_correlation=not model.config.spatial)
    assert curve.points[0].rate > 0
    importance_weighted_bound(model, data, 1.0, samples=2)
    model.at(torch.tensor(0.5))


def test_training(own_root, tmp_path, without_float64):
    recipe = recipe_from_table(RECIPE | {"training": RECIPE["training"] | {"validate_every": 5}}, where="test")
    model = train(recipe, own_root, tmp_path / "run")
    assert model.curve.points[0].rate > 0
