import re
import tomllib
from dataclasses import replace

import pytest
from helpers import CHECKOUT

from mrvae_zoo.training.recipe import TrainedRecord, parse_override, read_recipe, recipe_from_table, to_toml

MINIMAL = """
[model]
architecture = "mrvae_mlp"
input_shape = [1, 28, 28]
widths = [16]
[data]
name = "mnist"
[training]
epochs = 3
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(MINIMAL, encoding="utf-8")
    return file


def test_a_minimal_recipe_has_the_defaults(path):
    recipe = read_recipe(path)
    assert recipe.model.arguments == {"widths": (16,), "activation": "silu"}
    assert recipe.model.gating == "shrinkage"
    objective, training = recipe.objective, recipe.training
    assert (objective.beta_min_share, objective.beta_min_fall, objective.beta_max_share) == ((0.95, 0.1), "linear", 0.1)
    assert (objective.beta_skew, training.schedule, training.adam_beta2) == (1.0, "linear", 0.99)
    assert (recipe.data.binarize, recipe.training.batch_size, recipe.objective.name) == ("none", 128, "beta_vae")


def test_overrides_are_toml_values_or_strings(path):
    sets = ["training.epochs=7", "training.learning_rate=2e-3", "data.binarize=static", "model.widths=[3, 4]"]
    recipe = read_recipe(path, [*sets, "objective.beta_weighting = 0"])
    assert recipe.training.epochs == 7
    assert recipe.training.learning_rate == 2e-3
    assert recipe.data.binarize == "static"
    assert recipe.model.arguments["widths"] == (3, 4)
    assert recipe.objective.beta_weighting == 0.0
    assert parse_override("a.b=x=y") == ("a", "b", "x=y")


def test_a_gaussian_without_a_sigma_measures_squared_errors(path):
    assert read_recipe(path).model.sigma is None
    assert read_recipe(path, ["model.likelihood=gaussian"]).model.sigma ** 2 == pytest.approx(0.5)
    assert read_recipe(path, ["model.likelihood=gaussian", "model.sigma=0.1"]).model.sigma == 0.1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", "unknown key training.epoch; did you mean epochs"),
        ("trainings.epochs=3", "unknown section; did you mean training"),
        ("trained.seconds=3", "unknown section; did you mean training"),
        ("training.epochs=many", "training.epochs='many' should be an integer"),
        ("training.epochs=0", "epochs=0 should be at least 1"),
        ("training.seed=4294967296", "seed=4294967296 should be below 2"),
        ("training.learning_rate=0", "learning_rate=0.0 should be above 0"),
        ("training.learning_rate=nan", "learning_rate=nan should be above 0"),
        ("training.ema=1", "ema=1.0 should be at least 0 and below 1"),
        ("training.clip_norm=0", "clip_norm=0.0 should be above 0"),
        ("training.schedule=step", "training.schedule='step' is not one of 'linear', 'cosine', 'constant'"),
        ("data.binarize=sometimes", "data.binarize='sometimes' is not one of"),
        ("data.limit=0", "limit=0 should be at least 1"),
        ("data.held_out=-1", "held_out=-1 should be at least 0"),
        ("data.size=64", "data.size=64 should be a list of 2"),
        ("data.size=[0, 8]", "size=0 should be at least 1"),
        ("data.flip=1", "data.flip=1 should be true or false"),
        ("model.widht=[3]", "unknown key widht for mrvae_mlp; did you mean widths"),
        ("model.architecture=mrvae_mpl", "did you mean mrvae_mlp"),
        ("model.beta=1.0", "unknown key beta"),
        ("objective.name=beta_tcave", r"objective.name: unknown objective 'beta_tcave'; did you mean beta_tcvae"),
        ("objective.name=3", "objective.name=3 should be a string"),
        ("objective.beta_sampling=all", "objective.beta_sampling='all' is not one of 'stratified', 'batch'"),
        (
            "objective.beta_min_share=[0.5, 1.5]",
            re.escape("objective.beta_min_share=[0.5, 1.5] should be two shares between 0 and 1, at the start and at"),
        ),
        ("objective.beta_min_share=[-0.1, 0]", re.escape("objective.beta_min_share=[-0.1, 0.0] should be two shares")),
        ("objective.beta_min_share=[0, nan]", re.escape("objective.beta_min_share=[0.0, nan] should be two shares")),
        ("objective.beta_min_share=0.1", r"objective.beta_min_share=0.1 should be a list of 2"),
        ("objective.beta_min_share=[0.1]", r"objective.beta_min_share=\[0.1\] should be a list of 2"),
        ("objective.beta_max_share=1.1", "objective.beta_max_share=1.1 should be a share between 0 and 1"),
        ("objective.beta_max_share=nan", "objective.beta_max_share=nan should be a share"),
        ("objective.beta_min_fall=slow", "objective.beta_min_fall='slow' is not one of 'linear', 'cosine'"),
        ("training.final_learning_rate=0.1", "final_learning_rate=0.1 should be at least 0 and at most learning_rate"),
        ("training.adam_beta2=1", "training.adam_beta2=1.0 should be at least 0 and below 1"),
        ("objective.beta_skew=0", "objective.beta_skew=0.0 should be a number above 0"),
        ("objective.beta=20", re.escape("objective.beta=20.0 should be within model.beta_range=[0.01, 10.0]")),
        ("objective.beta=nan", "objective.beta=nan should be within"),
        ("objective.beta=low", "objective.beta='low' should be a number"),
        ("epochs=3", "should be section.key=value"),
        ("training.epochs", "should be section.key=value"),
    ],
)
def test_what_is_wrong_is_named(path, override, message):
    with pytest.raises(ValueError, match=message):
        read_recipe(path, [override])


TCVAE = ["objective.name=beta_tcvae", "objective.beta_sampling=batch", "model.beta_range=[1, 20]"]


def test_a_recipe_of_the_beta_tcvae(path):
    objective = read_recipe(path, [*TCVAE, "training.batch_size=2"]).objective
    assert (objective.name, objective.beta_sampling) == ("beta_tcvae", "batch")
    assert read_recipe(path, ["objective.beta_sampling=batch"]).objective.name == "beta_vae"
    one_beta = read_recipe(path, [*TCVAE, "objective.beta_sampling=stratified", "objective.beta=4"])
    assert one_beta.objective.beta == 4.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "objective.beta_sampling=stratified",
            "beta_tcvae needs objective.beta_sampling = \"batch\", one β for all of a batch; with 'stratified', one β",
        ),
        ("objective.beta=0.5", "objective.beta=0.5 should be within model.beta_range=[1.0, 20.0]"),
        ("model.beta_range=[0.5, 20]", "model.beta_range begins at 0.5; it should not begin below 1.0 for beta_tcvae"),
        ("training.batch_size=1", "training.batch_size=1 should be at least 2 for beta_tcvae"),
    ],
)
def test_what_does_not_go_with_the_beta_tcvae_is_named(path, override, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        read_recipe(path, [*TCVAE, override])
    assert f"--set {override}: " in str(error.value)


def test_the_option_is_blamed_and_not_the_file(path):
    right = ["training.seed=3", "data.limit=5"]
    message = "--set training.epoch=2: unknown key training.epoch; did you mean epochs?"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_recipe(path, [*right, "training.epoch=2"])
    with pytest.raises(ValueError, match="^--set training.seed=x --set model.width=3: "):
        read_recipe(path, ["training.seed=x", "model.width=3"])
    path.write_text(path.read_text(encoding="utf-8") + "\n[extra]\nx = 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: unknown key extra"):
        read_recipe(path, ["training.epoch=2"])


def test_all_faults_are_named_at_once(path):
    path.write_text(
        'model.archtecture = "mrvae_mlp"\ndata.nam = "mnist"\ntraining.epoch = 3\ntraining.seed = "x"\n',
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        read_recipe(path)
    for fault in (
        "unknown key archtecture",
        "architecture is missing",
        "unknown key data.nam; did you mean name?",
        "data.name is missing",
        "unknown key training.epoch; did you mean epochs?",
        "training.epochs is missing",
        "training.seed='x' should be an integer",
    ):
        assert fault in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model", "is not TOML"),
        ("[data]\nname = 'mnist'", r"table \[model\] is missing"),
        ("model = 3", r"table \[model\] is missing"),
        (MINIMAL + "[extra]\nx = 1", "unknown key extra"),
        (MINIMAL + "[trained]\nseconds = 1", "trained.hardware is missing"),
        (MINIMAL + "[trained]\nseconds = nan\nhardware = ''\nversion = ''", "trained.seconds=nan should be a time"),
        (MINIMAL.replace("[data]", "[dat]"), "unknown key dat; did you mean data"),
        (MINIMAL.replace("epochs = 3", ""), "training.epochs is missing"),
        (MINIMAL.replace("architecture", "arch"), "architecture is missing"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_it(path, text, message):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_recipe(path)
    assert str(path) in str(error.value)


def test_a_missing_or_binary_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not TOML"):
        read_recipe(tmp_path / "binary.toml")


def test_a_recipe_is_written_whole_and_read_again(path):
    sets = ["training.max_steps=5", "data.size=[28, 20]", "data.flip=true", "objective.beta=0.5"]
    recipe = read_recipe(path, [*sets, "objective.beta_min_share=[0.7, 0.2]", "objective.beta_min_fall=cosine"])
    assert (recipe.objective.beta_min_share, recipe.objective.beta_min_fall) == ((0.7, 0.2), "cosine")
    trained = TrainedRecord(seconds=2.5, hardware="1 CPU thread", version="0.1.0", date="2026-01-31")
    for one in (recipe, replace(recipe, trained=trained)):
        text = to_toml(one)
        assert recipe_from_table(tomllib.loads(text), where="again") == one
        assert "activation" in text
        assert ("[trained]" in text) == (one.trained is not None)


@pytest.mark.parametrize("recipe", sorted(CHECKOUT.glob("registry/*/recipe.toml")), ids=lambda path: path.parent.name)
def test_every_recipe_of_the_registry_is_right(recipe):
    assert read_recipe(recipe).model.architecture == recipe.parent.name.split(".")[0]
