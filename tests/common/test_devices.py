import pytest
import torch

import mrvae_zoo
from mrvae_zoo.common.devices import find_device


def test_auto_is_what_torch_has():
    found = find_device("auto").type
    assert (found != "cpu") == torch.accelerator.is_available()
    assert find_device("cpu") == find_device(torch.device("cpu")) == torch.device("cpu")
    assert find_device("meta").type == "meta"


@pytest.mark.parametrize("name", ["gpu", "", 1.5, None])
def test_what_is_no_device(name):
    with pytest.raises(ValueError, match="is not a device that torch knows; pass 'auto', 'cpu', 'cuda' or 'mps'"):
        find_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "xpu", "hpu"])
def test_a_device_that_is_not_here_is_one_clear_error(name):
    if torch.accelerator.is_available():
        pytest.skip("there is a GPU")
    for load in (lambda: find_device(name), lambda: mrvae_zoo.load_pretrained("mrvae_mlp.mnist", device=name)):
        with pytest.raises(ValueError, match="torch finds no such device here; pass 'cpu', or 'auto'"):
            load()
