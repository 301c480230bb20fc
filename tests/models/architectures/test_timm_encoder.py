import re

import pytest
import timm
import torch
from helpers import make_images, off_by, outputs

import mrvae_zoo
from mrvae_zoo import MultiRateVAE, load_pretrained, save_pretrained

BACKBONES = {
    "test_resnet": ((3, 32, 32), {}),
    "test_vit": ((1, 32, 48), {}),
    "test_convnext": ((4, 45, 51), {}),
    "test_efficientnet": ((3, 28, 28), {}),
    "test_coatnet": ((3, 64, 64), {}),  # holds buffers that no checkpoint does
    "levit_128s": ((3, 32, 32), {"ungated": ("stages.*.attn.*", "stages.*.mlp.*", "stages.*.downsample.*")}),
    "eva02_tiny_patch14_224": ((3, 28, 28), {"ungated": ("blocks.*.attn.qkv",)}),
}


def make(backbone: str, gating: str = "affine") -> MultiRateVAE:
    torch.manual_seed(0)
    shape, options = BACKBONES[backbone]
    model = mrvae_zoo.create_model(
        "mrvae_timm", input_shape=shape, latent_dim=4, gating=gating, backbone=backbone, widths=(8,), **options
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "gate" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("gating", ["affine", "none"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_saved_model_gives_what_it_gave(backbone, gating, tmp_path):
    model = make(backbone, gating)
    x = make_images(model, 3)
    before = torch.get_rng_state()
    save_pretrained(model, tmp_path / "model")
    loaded = load_pretrained(f"local-dir:{tmp_path / 'model'}")
    save_pretrained(model.at(0.3), tmp_path / "plain")
    plain = load_pretrained(f"local-dir:{tmp_path / 'plain'}")
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(tensor.is_meta for tensor in (*loaded.parameters(), *loaded.buffers(), *plain.buffers()))
    for beta in (0.01, 3.0, torch.tensor([0.02, 0.3, 9.0])):
        assert all(torch.equal(a, b) for a, b in zip(outputs(model, x, beta), outputs(loaded, x, beta), strict=True))
    for folded, gated in zip(outputs(plain, x), outputs(model, x, 0.3), strict=True):
        assert off_by(folded, gated) < 1e-5
    assert loaded.train().encode(x, torch.tensor([0.02, 0.3, 9.0])).mean.shape == (3, 4)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_backbone_at_one_beta_is_timms_own(backbone):
    shape, _ = BACKBONES[backbone]
    options = {"img_size": shape[1:]} if timm.get_pretrained_cfg(backbone).fixed_input_size else {}
    own = timm.create_model(backbone, num_classes=0, in_chans=shape[0], **options)
    plain = make(backbone).at(0.3).encoder.backbone
    assert type(plain) is type(own)
    assert list(plain.state_dict()) == list(own.state_dict())
    own.load_state_dict(plain.state_dict(), strict=True)


def test_pretrained_weights_are_asked_for_once_and_not_when_a_checkpoint_is_read(tmp_path, monkeypatch):
    asked, create = [], timm.create_model

    def without_network(*args, pretrained=False, **options):
        asked.append(pretrained)
        return create(*args, **options)

    monkeypatch.setattr(timm, "create_model", without_network)
    model = mrvae_zoo.create_model(
        "mrvae_timm", input_shape=(3, 32, 32), backbone="test_resnet", pretrained_backbone=True, widths=(8,)
    )
    save_pretrained(model, tmp_path)
    load_pretrained(f"local-dir:{tmp_path}")
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet81"}, "backbone='resnet81' is not a model of timm; .*resnet18"),
        ({"backbone": "hf-hub:org/name"}, "backbone='hf-hub:org/name' is not a model of timm"),
        ({"backbone": "local-dir:folder"}, "is not a model of timm"),
        ({"backbone": "resnet18.no_such_tag"}, "backbone='resnet18.no_such_tag' cannot be made by timm: "),
        ({"backbone": "test_vit", "widths": ()}, r"widths=\(\) should hold"),
        ({"backbone": "test_convnext", "input_shape": (3, 8, 8)}, r"'test_convnext' does not take images \(3, 8, 8\)"),
        ({"backbone": "test_vit", "ungated": ("nothing",)}, "backbone='test_vit': pattern 'nothing' matches no layer"),
        ({"backbone": "test_nfnet"}, r"layer 'stem.conv1' \(ScaledStdConv2d\) has a forward .* ungated='stem.conv1'"),
        (
            {"backbone": "test_vit3"},
            "layer 'attn_pool.q' .* not known to be the batch of 2, .* gate without: ungated='attn_pool.q'",
        ),
        ({"backbone": "test_vit_relpos"}, r"layer 'blocks.0.attn.rel_pos.mlp.fc1' .* \(and so have 'blocks.0"),
    ],
)
def test_a_backbone_that_cannot_be_used_is_an_error_when_the_model_is_made(options, message):
    with pytest.raises(ValueError, match=message):
        mrvae_zoo.create_model("mrvae_timm", **{"input_shape": (3, 64, 64), **options})


def test_what_an_error_says_to_leave_plain_can_be_left_plain():
    options = {"backbone": "test_maxvit", "input_shape": (3, 64, 64), "widths": (8,)}
    with pytest.raises(ValueError, match="gate without") as error:
        mrvae_zoo.create_model("mrvae_timm", **options)
    named = tuple(re.findall(r"'([^']+)'", str(error.value).partition("ungated=")[2]))
    model = mrvae_zoo.create_model("mrvae_timm", **options, ungated=named)
    assert model.encode(make_images(model, 2), torch.tensor([0.1, 1.0])).mean.shape == (2, 32)
