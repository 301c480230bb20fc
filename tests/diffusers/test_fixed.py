"""From a model to a stock AutoencoderKL at one β, that stock diffusers loads and uses."""

import warnings

import diffusers
import pytest
import torch
from diffusers_small import make_autoencoder, opened
from helpers import off_by

import mrvae_zoo
from mrvae_zoo.data.sets import ImageData
from mrvae_zoo.diffusers import autoencoder_at, multi_rate

KINDS = {
    "with attention and quant convolutions": {},
    "without, 16 latents": {
        "mid_block_add_attention": False,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "latent_channels": 16,
        "force_upcast": False,
    },
}


def config_of(autoencoder) -> dict[str, object]:
    """The config but for what is measured, with lists for tuples."""
    items = {key: value for key, value in autoencoder.config.items() if not key.startswith("_")}
    items = {key: list(value) if isinstance(value, tuple) else value for key, value in items.items()}
    return {key: value for key, value in items.items() if key not in ("scaling_factor", "shift_factor")}


@pytest.mark.parametrize("gating", ["shrinkage", "affine"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_stock_diffusers_loads_computes_what_the_gated_model_does(tmp_path, pictures, kind, gating):
    autoencoder = make_autoencoder(**KINDS[kind])
    model = opened(multi_rate(autoencoder, gating=gating))
    for beta in (0.01, 0.4):
        stock = autoencoder_at(model, beta, images=pictures)
        stock.save_pretrained(tmp_path / f"{beta}")
        loaded = diffusers.AutoencoderKL.from_pretrained(tmp_path / f"{beta}").eval()
        with torch.no_grad():
            out = model(pictures, beta, sample=False)
            found = loaded.encode(pictures).latent_dist
            assert off_by(found.mean, out.posterior.mean) < 1e-5
            assert off_by(found.logvar, out.posterior.log_var) < 1e-5
            assert off_by(loaded.decode(found.mean).sample.clamp(-1, 1), out.reconstruction) < 1e-5
        assert config_of(loaded) == config_of(autoencoder)


def test_the_factors_bring_the_latents_of_these_images_to_mean_0_and_variance_1(autoencoder, pictures):
    model = opened(multi_rate(autoencoder))
    images = torch.cat([pictures] * 8)  # more than are measured at once
    for beta in (0.01, 5.0):
        stock = autoencoder_at(model, beta, images=images)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            draws = torch.cat([stock.encode(images).latent_dist.sample(generator) for _ in range(40)])
        scaled = (draws - stock.config.shift_factor) * stock.config.scaling_factor
        assert abs(scaled.mean().item()) < 0.02
        assert abs(scaled.std().item() - 1) < 0.02
    assert not autoencoder_at(model, 5.0, images=images).training
    assert autoencoder_at(model.train(), 5.0, images=images).training


@pytest.mark.long
def test_they_come_from_the_curve_where_it_was_measured(autoencoder, pictures):
    model = opened(multi_rate(autoencoder))
    raw = ((pictures + 1) * 127.5).round().byte()
    data = ImageData(name="noise", split="test", images=raw)
    model.curve = mrvae_zoo.measure_curve(model, data)
    from_curve = autoencoder_at(model, 0.3).config
    measured = autoencoder_at(model, 0.3, images=raw / 127.5 - 1).config
    assert from_curve.scaling_factor == pytest.approx(measured.scaling_factor, rel=0.02)
    assert from_curve.shift_factor == pytest.approx(measured.shift_factor, abs=0.02)
    plain = model.at(0.3)
    assert autoencoder_at(plain, images=pictures).config.scaling_factor == pytest.approx(
        autoencoder_at(model, 0.3, images=pictures).config.scaling_factor
    )


def test_a_stock_pipeline_draws_latents_that_decode(tmp_path, autoencoder, pictures):
    stock = autoencoder_at(opened(multi_rate(autoencoder)), 0.3, images=pictures)
    stock.save_pretrained(tmp_path / "vae")
    vae = diffusers.AutoencoderKL.from_pretrained(tmp_path / "vae")
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=10, clip_sample=False)
    diffusers.DDPMPipeline(unet=unet, scheduler=scheduler).save_pretrained(tmp_path / "pipeline")
    pipeline = diffusers.DDPMPipeline.from_pretrained(tmp_path / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x0 = vae.encode(pictures).latent_dist.mode()
        latents = (x0 - vae.config.shift_factor) * vae.config.scaling_factor
        noise, time = torch.randn_like(latents), torch.full((len(latents),), 3)
        assert unet(scheduler.add_noise(latents, noise, time), time).sample.shape == latents.shape
        drawn = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        pipeline.scheduler.set_timesteps(5)
        for step in pipeline.scheduler.timesteps:
            drawn = pipeline.scheduler.step(pipeline.unet(drawn, step).sample, step, drawn).prev_sample
        images = vae.decode(drawn / vae.config.scaling_factor + vae.config.shift_factor).sample
    assert images.shape == (2, 3, 32, 32)
    assert images.isfinite().all()


def test_what_cannot_be_made_is_an_error_that_says_what_to_do(autoencoder, pictures):
    model = multi_rate(autoencoder)
    with pytest.raises(ValueError, match=r"the latents of this model were not measured, .* pass images="):
        autoencoder_at(model, 0.3)
    with pytest.raises(ValueError, match=r"beta is missing: pass a number in \[0.01, 10\]"):
        autoencoder_at(model, images=pictures)
    with pytest.raises(ValueError, match="beta=20"):
        autoencoder_at(model, 20.0, images=pictures)
    with pytest.raises(ValueError, match="folded at β=0.3"):
        autoencoder_at(model.at(0.3), 0.4, images=pictures)
    with pytest.raises(ValueError, match="images holds none"):
        autoencoder_at(model, 0.3, images=pictures[:0])
    with pytest.raises(ValueError, match=r"made of mrvae_autoencoder_kl, and not of mrvae_mlp"):
        autoencoder_at(mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 4, 4)), 0.3)
