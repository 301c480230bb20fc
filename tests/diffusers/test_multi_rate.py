"""From an AutoencoderKL to a MultiRateVAE: the same function at first, and a model like any other."""

import json
import math
import subprocess
import sys

import diffusers
import pytest
import torch
from diffusers_small import make_autoencoder, opened
from helpers import off_by

import mrvae_zoo
from mrvae_zoo import encode_tiled, load_pretrained, save_pretrained
from mrvae_zoo.diffusers import multi_rate

KINDS = {
    "with attention and quant convolutions": {},
    "without": {"mid_block_add_attention": False, "use_quant_conv": False, "use_post_quant_conv": False},
    "16 latents": {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False},
    "one channel, four levels": {
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (4, 4, 8, 8),
        "act_fn": "gelu",
        "layers_per_block": 2,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_at_first_it_computes_at_every_beta_what_the_autoencoder_does(kind):
    autoencoder = make_autoencoder(**KINDS[kind]).double()
    channels = autoencoder.config.in_channels
    model = multi_rate(autoencoder)
    x = 2 * torch.rand(3, channels, 16, 24, dtype=torch.float64) - 1
    with torch.no_grad():
        expected = autoencoder.encode(x).latent_dist
        for beta in (0.01, torch.tensor([0.01, 0.3, 10.0])):
            out = model(x, beta, sample=False)
            assert off_by(out.posterior.mean, expected.mean) < 1e-12
            assert off_by(out.posterior.log_var, expected.logvar) < 1e-12
            decoded = autoencoder.decode(expected.mean).sample
            assert off_by(out.reconstruction, decoded.clamp(-1, 1)) < 1e-12
            assert off_by(out.distortion, (decoded - x).square().flatten(1).sum(1)) < 1e-12
            assert off_by(out.rate, expected.kl()) < 1e-12
    assert model.stride == 2 ** (len(autoencoder.config.block_out_channels) - 1)
    assert out.z.shape == (3, autoencoder.config.latent_channels, 16 // model.stride, 24 // model.stride)


def test_folded_gated_and_one_beta_per_example_are_equal(autoencoder, pictures):
    model, x = opened(multi_rate(autoencoder.double())), pictures[:3].double()
    beta = torch.tensor([0.01, 0.3, 10.0], dtype=torch.float64)
    with torch.no_grad():
        each = model(x, beta, sample=False)
        for i, one in enumerate(beta.tolist()):
            plain = model.at(one)(x[i : i + 1], sample=False)
            for got, expected in zip(plain.posterior, each.posterior, strict=True):
                assert off_by(got, expected[i : i + 1]) < 1e-12
            assert off_by(plain.distortion, each.distortion[i : i + 1]) < 1e-12
    assert off_by(each.rate[:1], model(x[:1], 10.0).rate) > 1e-2


def test_it_is_saved_and_loaded_without_diffusers(tmp_path, autoencoder, pictures):
    model = opened(multi_rate(autoencoder, beta_range=(0.02, 5.0), gating="affine", gating_degree=2))
    save_pretrained(model, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())["model"]
    assert config["arguments"]["block_out_channels"] == [8, 8, 16]
    assert config["arguments"]["sample_size"] == 64
    torch.save(pictures, tmp_path / "pictures.pt")
    code = f"""
import sys
sys.modules["diffusers"] = None  # an import of it fails
import torch, mrvae_zoo
model = mrvae_zoo.load_pretrained({str(tmp_path / "model")!r})
x = torch.load({str(tmp_path / "pictures.pt")!r}, weights_only=True)
torch.save(model(x, 0.3, sample=False).reconstruction.detach(), {str(tmp_path / "out.pt")!r})
import mrvae_zoo.diffusers
try:
    mrvae_zoo.diffusers.multi_rate("anything")
except mrvae_zoo.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "diffusers is not installed; install it with: pip install 'mrvae-zoo[diffusers]'\n"
    with torch.no_grad():
        assert torch.equal(torch.load(tmp_path / "out.pt"), model(pictures, 0.3, sample=False).reconstruction)
    loaded = load_pretrained(str(tmp_path / "model"))
    assert loaded.config == model.config
    assert loaded.beta_range == (0.02, 5.0)
    assert isinstance(loaded, mrvae_zoo.MultiRateVAE)


def test_images_lie_between_minus_one_and_one(autoencoder, pictures):
    model = multi_rate(autoencoder, sigma=0.1)
    assert model.config.data_range == (-1.0, 1.0)
    assert model.config.sigma == 0.1
    white = model.preprocess(torch.full((4, 4, 3), 255, dtype=torch.uint8).numpy())
    assert torch.equal(white, torch.ones(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"this model takes values in \[-1, 1\]"):
        model(3 * pictures, 0.3)


@pytest.mark.parametrize("size", [(24, 32), (23, 30), (3, 5)])
def test_any_size_is_padded_to_its_own_stride_and_cropped(autoencoder, size):
    model = multi_rate(autoencoder)
    x = 2 * torch.rand(2, 3, *size) - 1
    with torch.no_grad():
        out = model(x, 0.3)
        assert out.reconstruction.shape == x.shape
        assert out.z.shape == (2, 4, math.ceil(size[0] / 4), math.ceil(size[1] / 4))
        assert model.sample(2, 0.3, size=size).shape == (2, 3, *size)


def test_tiles_are_cut_at_its_own_stride_and_nearly_equal_the_whole():
    """Exactly if a tile with its margin is all of the image; nearly if norms see a part of it."""
    model = multi_rate(make_autoencoder(mid_block_add_attention=False))
    x = 2 * torch.rand(1, 3, 60, 60) - 1
    with torch.no_grad():
        whole = model.encode(x, 0.3)
        tiled = encode_tiled(model, x, 0.3, tile=44)
        assert off_by(tiled.mean, whole.mean) < 1e-5  # the margin reaches over 16 places
        long = torch.cat([x, x, x], dim=3)
        assert off_by(encode_tiled(model, long, 0.3, tile=44).mean, model.encode(long, 0.3).mean) < 0.3
        z = whole.mean
        assert mrvae_zoo.decode_tiled(model, z, (60, 60), 0.3, tile=44).shape == x.shape
    with pytest.raises(ValueError, match="tile=42 should be a multiple of 4"):
        encode_tiled(model, x, 0.3, tile=42)


def test_it_keeps_the_dtype_and_the_mode_and_leaves_the_autoencoder_alone(autoencoder, pictures):
    before = {name: tensor.clone() for name, tensor in autoencoder.state_dict().items()}
    model = multi_rate(autoencoder.train().double()).train()
    assert model.training
    assert model.dtype == torch.float64
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor.float(), before[name]) for name, tensor in autoencoder.state_dict().items())


def test_what_is_not_that_network_is_an_error_that_names_it(tmp_path):
    def changed(**config):
        return diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, **config)

    with pytest.raises(ValueError, match=r"down_block_types=\['AttnDownEncoderBlock2D'\] is not supported"):
        multi_rate(changed(down_block_types=("AttnDownEncoderBlock2D",)))
    with pytest.raises(ValueError, match="in_channels=3 and out_channels=4 should be the same"):
        multi_rate(changed(out_channels=4))
    with pytest.raises(ValueError, match="Linear is not an AutoencoderKL; for other autoencoders, see mrvae_zoo.gate"):
        multi_rate(torch.nn.Linear(3, 3))
    with pytest.raises(ValueError, match=r"beta_range=\(1.0, 0.5\) should be"):
        multi_rate(changed(), beta_range=(1.0, 0.5))
    with pytest.raises(ValueError, match="holds no AutoencoderKL of diffusers"):
        multi_rate(tmp_path)
    with pytest.raises(ValueError, match="is neither a folder nor the name of a repository"):
        multi_rate("a/b/c")


def test_it_loads_from_a_folder_also_of_a_pipeline(tmp_path, autoencoder, pictures):
    autoencoder.save_pretrained(tmp_path / "own")
    autoencoder.save_pretrained(tmp_path / "pipeline" / "vae")
    with torch.no_grad():
        expected = multi_rate(autoencoder).encode(pictures, 0.3).mean
        for source in (tmp_path / "own", str(tmp_path / "pipeline")):
            assert torch.equal(multi_rate(source).encode(pictures, 0.3).mean, expected)
    (tmp_path / "own" / "diffusion_pytorch_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="own holds an AutoencoderKL that cannot be read"):
        multi_rate(tmp_path / "own")
