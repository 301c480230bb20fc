from dataclasses import dataclass

import pytest
import torch
from helpers import PLUGIN, SHAPES

import mrvae_zoo
from mrvae_zoo.common.table import Table, matching
from mrvae_zoo.models import architecture_table
from mrvae_zoo.models.architecture_table import register_architecture


@dataclass(frozen=True)
class Thing:
    name: str
    value: int = 0


def test_a_record_is_found_under_its_name():
    things = Table("thing", [Thing("b", 2), Thing("a", 1)])
    assert list(things) == ["a", "b"]
    assert things["b"].value == 2
    assert "b" in things
    assert "c" not in things
    assert len(things) == 2


def test_a_duplicate_is_an_error_and_leaves_the_table_unchanged():
    things = Table("thing", [Thing("a", 1)])
    for added in ([Thing("new"), Thing("a", 2)], [Thing("new"), Thing("new")]):
        with pytest.raises(ValueError, match=r"thing '\w+' is registered already by \w+; theirs should choose another"):
            things.add(*added, package="theirs")
        assert list(things) == ["a"]
        assert things["a"].value == 1


def test_an_unknown_name_suggests_the_nearest():
    things = Table("thing", [Thing("resnet"), Thing("mlp")])
    with pytest.raises(mrvae_zoo.UnknownNameError, match="unknown thing 'resnt'; did you mean resnet\\?"):
        things["resnt"]
    with pytest.raises(mrvae_zoo.UnknownNameError, match="known: mlp, resnet"):
        things["zzzzzz"]


def test_patterns_are_a_str_or_a_list():
    names = ["b.mnist", "a.mnist", "a.cifar10"]
    assert matching(names, "*mnist*") == ["a.mnist", "b.mnist"]
    assert matching(names, ["a.*", "*.mnist"]) == ["a.cifar10", "a.mnist", "b.mnist"]
    assert matching(names, []) == []


def test_every_architecture_has_a_shape_in_these_tests():
    """So that a new one is not left out of the tests of every architecture."""
    assert set(SHAPES) == {*mrvae_zoo.list_architectures(), PLUGIN}


def test_an_architecture_of_ones_own(monkeypatch):
    monkeypatch.setattr(
        architecture_table,
        "architectures",
        Table("architecture", list(architecture_table.architectures._records.values())),
    )
    monkeypatch.setattr("mrvae_zoo.models.factory.architectures", architecture_table.architectures)

    @register_architecture("my_vae", gatings=("affine",))
    def build(input_shape, latent_dim, gating, *, widths: tuple[int, ...] = (8,)):
        from mrvae_zoo.models.architectures.mlp import build as build_mlp

        return build_mlp(input_shape, latent_dim, gating, widths=widths)

    assert "my_vae" in mrvae_zoo.list_architectures()
    model = mrvae_zoo.create_model("my_vae", input_shape=(1, 4, 4), widths=[5])
    assert model.config.arguments == {"widths": (5,)}
    assert model(torch.zeros(2, 1, 4, 4), 1.0).rate.shape == (2,)
    with pytest.raises(ValueError, match="gating='paper' is not one of affine"):
        mrvae_zoo.create_model("my_vae", input_shape=(1, 4, 4), gating="paper")
    with pytest.raises(ValueError, match="'my_vae' is registered already"):
        register_architecture("my_vae")(build)
    for name in ("my.vae", ""):
        with pytest.raises(ValueError, match="should not be empty nor hold a dot"):
            register_architecture(name)
