"""The autoencoders of diffusers, small and with random weights: what gates, and what it needs."""

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from helpers import off_by

from mrvae_zoo import gate

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'mrvae-zoo[diffusers]'")

pytestmark = pytest.mark.slow

BETAS = torch.tensor([0.01, 0.5, 8.0], dtype=torch.float64)
LEVELS = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
    "sample_size": 16,
}


@dataclass(frozen=True)
class Case:
    """One autoencoder: how it is made, what it takes, what one β per example and its forward need to leave out."""

    kind: str
    config: dict[str, Any]
    shape: tuple[int, ...] = (3, 16, 16)
    each: tuple[str, ...] = ()
    forward: tuple[str, ...] = ()
    decode: dict[str, Any] = field(default_factory=dict)
    tiles: dict[str, int] | None = None
    calls: bool = True

    def make(self) -> torch.nn.Module:
        torch.manual_seed(0)
        return getattr(diffusers, self.kind)(**self.config).double().eval()

    def x(self, n: int = 3, *, larger: int = 0) -> torch.Tensor:
        *rest, height, width = self.shape
        shape = (n, *rest, height + larger, width + larger)
        return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


CASES = {
    "AutoencoderKL": Case("AutoencoderKL", LEVELS, tiles={}),
    "AutoencoderKL, 16 latents, no attention, no quant convolutions": Case(
        "AutoencoderKL",
        {
            **LEVELS,
            "latent_channels": 16,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "mid_block_add_attention": False,
        },
        tiles={},
    ),
    "VQModel": Case("VQModel", {**LEVELS, "num_vq_embeddings": 32}),
    "AutoencoderDC": Case(
        "AutoencoderDC",
        {
            "latent_channels": 4,
            "attention_head_dim": 4,
            **{f"{side}_block_types": ("ResBlock", "EfficientViTBlock") for side in ("encoder", "decoder")},
            **{f"{side}_block_out_channels": (8, 16) for side in ("encoder", "decoder")},
            **{f"{side}_layers_per_block": (1, 1) for side in ("encoder", "decoder")},
            **{f"{side}_qkv_multiscales": ((), (5,)) for side in ("encoder", "decoder")},
        },
        tiles={name: 12 if "stride" in name else 16 for name in (
            "tile_sample_min_height", "tile_sample_min_width", "tile_sample_stride_height", "tile_sample_stride_width"
        )},
    ),
    "AutoencoderTiny": Case(
        "AutoencoderTiny",
        {f"{side}_block_out_channels": (8,) * 4 for side in ("encoder", "decoder")},
        shape=(3, 32, 32),
        tiles={"tile_sample_min_size": 32, "tile_latent_min_size": 4},
        calls=False,
    ),
    "AutoencoderKLTemporalDecoder": Case(
        "AutoencoderKLTemporalDecoder",
        {"block_out_channels": (32, 64), "down_block_types": ("DownEncoderBlock2D",) * 2},
        forward=("decoder.mid_block.attentions.*",),
        decode={"num_frames": 1},
    ),
    "AsymmetricAutoencoderKL": Case(
        "AsymmetricAutoencoderKL",
        {
            "down_block_types": LEVELS["down_block_types"],
            "up_block_types": LEVELS["up_block_types"],
            "down_block_out_channels": (8, 16),
            "up_block_out_channels": (8, 16),
            "norm_num_groups": 4,
        },
        forward=("decoder.condition_encoder.*",),
    ),
    "AutoencoderKLCogVideoX": Case(
        "AutoencoderKLCogVideoX",
        {"block_out_channels": (8,) * 4, "norm_num_groups": 2, "layers_per_block": 1, "latent_channels": 4},
        shape=(3, 5, 16, 16),
        each=("*samplers*",),
        tiles={"tile_sample_min_height": 16, "tile_sample_min_width": 16},
    ),
    "AutoencoderKLWan": Case(
        "AutoencoderKLWan",
        {
            "base_dim": 6,
            "z_dim": 4,
            "dim_mult": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "latents_mean": [0.0] * 4,
            "latents_std": [1.0] * 4,
        },
        shape=(3, 5, 16, 16),
        each=("*resample*", "*attentions*"),
        tiles={name: 8 if "stride" in name else 16 for name in (
            "tile_sample_min_height", "tile_sample_min_width", "tile_sample_stride_height", "tile_sample_stride_width"
        )},
    ),
}  # fmt: skip


RANKS = [*((name, 0) for name in CASES), *((name, 2) for name in CASES if name in ("VQModel", "AutoencoderKLWan"))]


def opened(module: torch.nn.Module, **options: Any) -> torch.nn.Module:
    gated = gate(module, **options)
    with torch.no_grad():
        for name, parameter in gated.named_parameters():
            if "gate" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return gated


def latents(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output[0], torch.Tensor) else output[0].mode()


def encoded(vae: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    return latents(vae.encode(x, return_dict=False))


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize(("name", "rank"), RANKS)
def test_folded_equals_gated(name, rank):
    case = CASES[name]
    module, x = case.make(), case.x()
    at_first = gate(module, rank=rank)
    gated = opened(module, methods=("encode", "decode"), rank=rank)
    with at_first.bound(0.3) as vae:
        assert off_by(encoded(vae, x), encoded(module, x)) < 1e-12
    for beta in (0.01, 0.7):
        plain = gated.at(beta)
        assert type(plain) is type(module)
        assert plain.state_dict().keys() == module.state_dict().keys()
        with gated.bound(beta) as vae:
            z = encoded(vae, x)
            y = vae.decode(z, **case.decode).sample
        assert off_by(z, encoded(plain, x)) < 1e-12
        assert off_by(y, plain.decode(z, **case.decode).sample) < 1e-12
        assert torch.equal(z, latents(gated.encode(x, beta, return_dict=False)))
        assert torch.equal(y, gated.decode(z, beta, **case.decode).sample)
    assert off_by(encoded(gated.at(10.0), x), z) > 1e-2


@pytest.mark.parametrize(("name", "rank"), RANKS)
def test_one_beta_per_example_equals_one_call_per_example(name, rank):
    case = CASES[name]
    gated = opened(case.make(), exclude=case.each, methods=("encode", "decode"), rank=rank)
    x = case.x()
    with gated.bound(BETAS) as vae:
        z = encoded(vae, x)
        y = vae.decode(z, **case.decode).sample
    for i, beta in enumerate(BETAS.tolist()):
        one = slice(i, i + 1)
        assert off_by(z[one], latents(gated.encode(x[one], beta, return_dict=False))) < 1e-12
        assert off_by(y[one], gated.decode(z[one], beta, **case.decode).sample) < 1e-12
    if case.each:
        with pytest.raises(ValueError, match=r"so it cannot take one β per example; .* exclude="):
            gate(case.make(), methods=("encode",)).encode(x, BETAS)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.calls])
def test_the_call_is_encode_and_decode(name):
    case = CASES[name]
    gated = opened(case.make(), exclude=(*case.forward, *case.each))
    x = case.x()
    for beta in (0.3, BETAS):
        with gated.bound(beta) as vae:
            z = encoded(vae, x)
            y = vae.decode(z, **case.decode).sample
        assert torch.equal(gated(x, beta).sample, y)
    if case.forward:
        with pytest.raises(RuntimeError, match="did not reach, so that β would not act on them"):
            gate(case.make())(x, 0.3)


@pytest.mark.parametrize("name", CASES)
def test_slices_and_tiles_run_at_one_beta(name):
    case = CASES[name]
    gated = opened(case.make())
    x = case.x(2, larger=case.shape[-1] // 2)
    plain = gated.at(0.3)
    with gated.bound(0.3) as vae:
        whole = encoded(vae, x)
        if hasattr(vae, "use_slicing"):
            vae.enable_slicing()
            assert off_by(encoded(vae, x), whole) < 1e-12
            vae.disable_slicing()
        if case.tiles is None:
            return
        for one in (vae, plain):
            for option, value in case.tiles.items():
                setattr(one, option, value)
            one.enable_tiling()
        tiled, expected = encoded(vae, x).to(x.dtype), encoded(plain, x).to(x.dtype)
        assert off_by(tiled, expected) < 1e-12
        assert off_by(tiled, whole) > 1e-6
        assert off_by(vae.decode(tiled).sample, plain.decode(expected).sample) < 1e-12


def test_the_original_keeps_its_class_and_weights_and_runs_without_a_block():
    module = CASES["AutoencoderKL"].make()
    before = copy.deepcopy(module.state_dict())
    opened(module)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.long
def test_the_autoencoder_of_stable_diffusion_gates_and_folds():
    """83.65 million parameters, one forward at a small image."""
    torch.manual_seed(0)
    module = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        sample_size=512,
    ).eval()
    assert sum(parameter.numel() for parameter in module.parameters()) == 83_653_863
    gated = opened(module)
    x = torch.rand(1, 3, 32, 32)
    with gated.bound(0.3) as vae:
        y = vae(x).sample
    assert off_by(y, gated.at(0.3)(x).sample) < 1e-4
    assert off_by(y, module(x).sample) > 1e-3
