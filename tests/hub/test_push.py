"""Pushing to a Hub on loopback, and what is checked before; test_faults.py has the faults."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from fake_hub.client_code import failed, told
from helpers import CHECKOUT, DEFAULT_MODEL

import mrvae_zoo
from mrvae_zoo.checkpoints.folder import load_checkpoint
from mrvae_zoo.hub import client as hub_calls
from mrvae_zoo.hub import package as hub_package

pytestmark = pytest.mark.slow

PULL = ("sample", "-n", "1", "-o", "s.png", "--force")  # a command that needs the weights
FILES = {"README.md", "config.json", "latents.json", "model.safetensors", "rd_curve.json", "recipe.toml"}
FILES |= {"sampler.safetensors"}
PAGE_IMAGES = {"rd_curve.png", "reconstructions.png", "samples.png", "example_1.png", "example_2.png"}
OURS = FILES | PAGE_IMAGES
REPO = "zoo/mrvae_mlp.mnist"


def copy_model(folder: Path) -> Path:
    """A folder as a training leaves it, with the files of the default model."""
    shutil.copytree(CHECKOUT / "registry" / DEFAULT_MODEL, folder)
    return folder


def other_version(folder: Path) -> Path:
    """The same model in full precision: another weights file and another config.json."""
    copy_model(folder)
    mrvae_zoo.save_pretrained(load_checkpoint(folder), folder, dtype=torch.float32)
    return folder


@pytest.fixture
def run(tmp_path):
    return other_version(tmp_path / "run")


def test_a_model_goes_to_the_hub_and_comes_back(hub, hub_client):
    code = f"""
import json, mrvae_zoo, torch
first = mrvae_zoo.push_to_hub("{DEFAULT_MODEL}", "{REPO}", tag="v1")
again = mrvae_zoo.push_to_hub("{DEFAULT_MODEL}", "{REPO}", tag="v1")
here = mrvae_zoo.load_pretrained("{DEFAULT_MODEL}")
def same(model):
    ours, theirs = here.state_dict(), model.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours) \\
        and here.curve == model.curve and not model.training
loaded = [
    same(mrvae_zoo.load_pretrained("hf-hub:{REPO}")),
    same(mrvae_zoo.load_pretrained("hf-hub:{REPO}@v1")),
    same(mrvae_zoo.load_pretrained("hf-hub:{REPO}", revision=first.commit)),
]
print(json.dumps([first.commit, sorted(first.changed), again.commit, list(again.changed), loaded]))
"""
    first, changed, again, nothing, loaded = told(hub_client(code))
    assert hub.commits(REPO)[0] == first == again
    assert len(hub.commits(REPO)) == 2  # that which made the repository, and one
    assert (set(changed), nothing) == (OURS, [])
    assert loaded == [True, True, True]
    files = hub.files(REPO)
    assert set(files) - {".gitattributes"} == OURS
    for name in FILES - {"README.md"}:
        assert files[name] == (CHECKOUT / "registry" / DEFAULT_MODEL / name).read_bytes()
    assert f"hf-hub:{REPO}".encode() in files["README.md"]
    assert hub.repository(REPO).log()[0][2] == f"Upload {DEFAULT_MODEL} with mrvae_zoo {mrvae_zoo.__version__}"
    assert hub.repository(REPO).refs()["refs/tags/v1"] == first
    agents = {request["agent"] for request in hub.requests("GET /api/models|/resolve/")}
    assert all(agent.startswith(f"mrvae_zoo/{mrvae_zoo.__version__}; ") for agent in agents)


@pytest.mark.long
def test_a_new_version_replaces_what_is_ours(hub, hub_client, run):
    (run / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (run / "notes.pt").write_bytes(b"\x80\x04.")
    assert hub_client(["push", DEFAULT_MODEL, REPO]).returncode == 0
    old = hub.files(REPO)
    code = f"""
from huggingface_hub import HfApi, CommitOperationAdd
HfApi().create_commit("{REPO}", [CommitOperationAdd("NOTES.md", b"theirs")], commit_message="their own")
"""
    assert hub_client(code).returncode == 0
    done = hub_client(["push", run, REPO, "--tag", "full"])
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"hf-hub:{REPO}@{hub.commits(REPO)[0]}\n"
    assert len(hub.commits(REPO)) == 4
    files = hub.files(REPO)
    assert set(files) == {*old, "NOTES.md"}
    assert files["model.safetensors"] == (run / "model.safetensors").read_bytes() != old["model.safetensors"]
    assert files["NOTES.md"] == b"theirs"
    for tag, weights in (("full", files), ("main", files)):
        assert hub.files(REPO, tag)["model.safetensors"] == weights["model.safetensors"]
    assert "tag full at another commit" in failed(hub_client(["push", DEFAULT_MODEL, REPO, "--tag", "full"]))
    assert hub.files(REPO) == files


@pytest.mark.long
def test_a_model_pushes_itself_and_comes_back_by_its_class(hub, hub_client):
    code = f"""
import json, mrvae_zoo, torch
model = mrvae_zoo.MultiRateVAE.from_pretrained("{DEFAULT_MODEL}")
pushed = model.push_to_hub("{REPO}", tag="v1")
again = mrvae_zoo.MultiRateVAE.from_pretrained("hf-hub:{REPO}", revision="v1")
plain = again.at(0.5)
faults = []
for one in (plain, mrvae_zoo.create_model("mrvae_mlp", input_shape=(1, 4, 4))):
    try:
        one.push_to_hub("zoo/other")
    except ValueError as error:
        faults.append(str(error))
plain.curve = mrvae_zoo.RDCurve(points=(model.curve.at(0.5),), data=model.curve.data)
folded = mrvae_zoo.FixedRateVAE.from_pretrained(f"hf-hub:{{plain.push_to_hub('zoo/folded').repo_id}}")
x = torch.rand(2, 1, 28, 28)
same = [torch.equal(a.encode(x, 0.5).mean, b.encode(x, 0.5).mean) for a, b in ((model, again), (plain, folded))]
print(json.dumps([sorted(pushed.changed), again.recipe == model.recipe, folded.recipe == model.recipe, same, faults]))
"""
    changed, kept, folded, same, faults = told(hub_client(code))
    assert set(changed) == OURS
    assert (kept, folded, same) == (True, True, [True, True])
    assert len(faults) == 2
    assert all("this model has no curve that names the data set it was measured on" in fault for fault in faults)


def test_an_image_that_the_page_lost_is_removed(hub, hub_client):
    code = f"""
from mrvae_zoo.hub import package as hub_package
from mrvae_zoo import push_to_hub
from mrvae_zoo.cards.card import Card, make_card
push_to_hub("{DEFAULT_MODEL}", "{REPO}")
def without(*arguments, **options):
    files = make_card(*arguments, **options).files
    del files["samples.png"]
    return Card(files=files | {{"README.md": files["README.md"].replace(b"(samples.png)", b"(rd_curve.png)")}})
hub_package.make_card = without
push_to_hub("{DEFAULT_MODEL}", "{REPO}")
"""
    done = hub_client(code)
    assert done.returncode == 0, done.stderr
    assert set(hub.files(REPO)) - {".gitattributes"} == OURS - {"samples.png"}


def test_a_sampler_comes_back_and_goes_with_the_weights_that_it_belonged_to(hub, hub_client):
    """Pushed over by other weights without a sampler: the old one would belong to none."""
    code = f"""
import json, mrvae_zoo, torch
here = mrvae_zoo.load_pretrained("{DEFAULT_MODEL}")
mrvae_zoo.push_to_hub(here, "{REPO}")
there = mrvae_zoo.load_pretrained("hf-hub:{REPO}")
ours, theirs = here.sampler.to_tensors(), there.sampler.to_tensors()
same = ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
here.sampler = None
mrvae_zoo.push_to_hub(here.double(), "{REPO}")
print(json.dumps([same, mrvae_zoo.load_pretrained("hf-hub:{REPO}").sampler is None]))
"""
    assert told(hub_client(code)) == [True, True]
    assert set(hub.files(REPO)) - {".gitattributes"} == OURS - {"sampler.safetensors"}


@pytest.mark.long
def test_a_repository_that_changed_in_between_is_not_overwritten(hub, hub_client, run):
    assert hub_client(["push", DEFAULT_MODEL, REPO]).returncode == 0
    hub.fault("POST .*/preupload/", "hold")
    pushing = hub_client.start(["push", run, REPO])
    hub.wait_for_fault(pushing)
    code = f"""
from huggingface_hub import HfApi, CommitOperationAdd
HfApi().create_commit("{REPO}", [CommitOperationAdd("NOTES.md", b"theirs")], commit_message="their own")
"""
    assert hub_client(code).returncode == 0
    theirs = hub.commits(REPO)[0]
    hub.clear_faults()
    _, errors = pushing.communicate()
    assert pushing.returncode == 1
    assert errors.splitlines()[-1] == (
        f"mrvae: {REPO} was changed by someone else in the meantime (it is at {theirs}); look at it, then push again"
    )
    assert hub.commits(REPO)[0] == theirs
    assert hub_client(["push", run, REPO]).returncode == 0  # now that it was looked at
    assert hub.files(REPO)["NOTES.md"] == b"theirs"


@pytest.mark.long
def test_a_lost_answer_makes_no_second_commit(hub, hub_client):
    hub.fault("POST .*/commit/", "drop", at="answer")
    done = hub_client(["push", DEFAULT_MODEL, REPO])
    assert done.returncode == 0, done.stderr
    assert len(hub.commits(REPO)) == 2


@pytest.mark.long
def test_private_branches_and_pull_requests(hub, hub_client, run):
    assert hub_client(["push", DEFAULT_MODEL, REPO, "--private"]).returncode == 0
    assert hub.repository(REPO).settings["private"]
    assert hub_client(["push", run, REPO, "--revision", "dev"]).returncode == 0
    assert hub.commits(REPO, "dev")[1:] == hub.commits(REPO)
    done = hub_client(["push", run, REPO, "--create-pr"])
    assert done.returncode == 0, done.stderr
    assert f"opened {hub.url}/{REPO}/discussions/1" in done.stderr
    assert hub.files(REPO)["model.safetensors"] != (run / "model.safetensors").read_bytes()
    assert hub.files(REPO, "refs/pr/1")["model.safetensors"] == (run / "model.safetensors").read_bytes()

    public = "zoo/public"
    assert hub_client(["push", DEFAULT_MODEL, public]).returncode == 0
    assert "zoo/public is public already" in failed(hub_client(["push", run, public, "--private"]))


@pytest.mark.long
@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "pushing needs a token; log in with: hf auth login, or set HF_TOKEN"),
        ("wrong", "the Hub refuses this token"),
        ("read", "your token may not write"),
        ("other", "your token may not write"),
    ],
)
def test_a_token_that_may_not(hub, hub_client, run, token, message):
    assert message in failed(hub_client(["push", run, "zoo/new"], token=token))
    assert not hub.requests("/preupload/|/storage|/commit/")
    assert hub_client(["push", DEFAULT_MODEL, REPO]).returncode == 0
    before = hub.commits(REPO)
    assert message in failed(hub_client(["push", run, REPO], token=token))
    assert hub.commits(REPO) == before


@pytest.mark.long
def test_the_registry_is_published_and_pinned(hub, hub_client, tmp_path):
    """In a checkout of two models, one of them without weights; then the other way round, from the pins."""
    checkout = tmp_path / "checkout"
    copy_model(checkout / "registry" / DEFAULT_MODEL)
    (checkout / "registry" / "mrvae_mlp.far").mkdir()
    shutil.copy(checkout / "registry" / DEFAULT_MODEL / "recipe.toml", checkout / "registry" / "mrvae_mlp.far")
    shutil.copytree(CHECKOUT / "mrvae_zoo", checkout / "mrvae_zoo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "examples" / "digits", checkout / "examples" / "digits")
    run = "import sys; sys.path.insert(0, '.'); from mrvae_zoo.cli import run; sys.exit(run(%r))"
    for _ in range(2):
        done = hub_client(run % ["publish", "--author", "zoo"], cwd=checkout)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"hf-hub:{REPO}@{hub.commits(REPO)[0]}\n"
        assert hub.collections() == {"zoo: Multi-Rate VAEs": [REPO]}
        assert f"the models are in the collection {hub.url}/collections/zoo/multi-rate-vaes-" in done.stderr
    assert len(hub.commits(REPO)) == 2
    told_again = json.loads(hub_client(run % ["publish", "--author", "zoo", "--json"], cwd=checkout).stdout)
    assert told_again["pins"][DEFAULT_MODEL]["revision"] == hub.commits(REPO)[0]
    assert told_again["collection"].startswith(f"{hub.url}/collections/zoo/multi-rate-vaes-")
    pins = (checkout / "registry" / "pins.toml").read_text()
    assert hub.commits(REPO)[0] in pins
    assert "mrvae_mlp.far" not in pins

    for name in ("model.safetensors", "config.json", "rd_curve.json"):
        (checkout / "registry" / DEFAULT_MODEL / name).unlink()
    done = hub_client(run % ["list"], cwd=checkout)
    assert re.search(r"^mrvae_mlp.mnist\s+mnist\s+Hub\b", done.stdout, re.MULTILINE)
    home = tmp_path / "home"
    home.mkdir()
    for offline in (False, True):
        done = hub_client(run % [*PULL, DEFAULT_MODEL], cwd=checkout, home=home, offline=offline)
        assert done.returncode == 0, done.stderr
    message = "has no weights here; train it with"
    assert message in failed(hub_client(run % [*PULL, "mrvae_mlp.far"], cwd=checkout))

    (checkout / "registry" / "pins.toml").write_text(pins.replace('sha256 = "', 'sha256 = "00')[:-4] + '"\n')
    assert "differs from the one in" in failed(hub_client(run % [*PULL, DEFAULT_MODEL], cwd=checkout))


@pytest.mark.parametrize("token", [None, "write"])
def test_a_dry_run_says_what_it_would_send_and_asks_nobody(hub, hub_client, token):
    done = hub_client(["push", DEFAULT_MODEL, REPO, "--dry-run"], token=token, offline=token is None)
    assert done.returncode == 0, done.stderr
    sizes = {name: int(size.replace(",", "")) for name, size in (line.split() for line in done.stdout.splitlines()[1:])}
    assert set(sizes) == OURS
    weights = CHECKOUT / "registry" / DEFAULT_MODEL / "model.safetensors"
    assert sizes["model.safetensors"] == weights.stat().st_size
    assert f"to {REPO}; nothing was sent" in done.stderr.splitlines()[-1]
    assert f"{len(OURS)} files, {sum(sizes.values()) / 1e6:.1f} MB" in done.stderr.splitlines()[-1]
    assert not hub.requests()


def test_a_dry_run_in_python_and_as_json_says_the_same(hub, hub_client):
    done = hub_client(["push", DEFAULT_MODEL, REPO, "--dry-run", "--json"], token=None)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    told_of = mrvae_zoo.push_to_hub(DEFAULT_MODEL, REPO, dry_run=True)
    there = {"url": f"{hub.url}/{REPO}", "changed": list(told_of.changed), "dry_run": True}
    assert printed == dataclasses.asdict(told_of) | there
    assert (told_of.commit, set(told_of.changed), told_of.pull_request) == (None, OURS, None)
    assert set(told_of.sizes) == OURS
    assert not hub.requests()


def test_a_dry_run_finds_what_is_wrong(run):
    (run / "rd_curve.json").unlink()
    with pytest.raises(ValueError, match="only a model with its measured curve is pushed"):
        mrvae_zoo.push_to_hub(run, REPO, dry_run=True)


def test_the_message_is_that_of_the_commit_and_the_search_finds_the_model(hub, hub_client):
    done = hub_client(["push", DEFAULT_MODEL, REPO, "--message", "The digits, for β from 0.01 to 10", "--json"])
    assert done.returncode == 0, done.stderr
    ((commit, _, message), _) = hub.repository(REPO).log()
    assert message == "The digits, for β from 0.01 to 10"
    printed = json.loads(done.stdout)
    assert (printed["commit"], printed["dry_run"], set(printed["changed"])) == (commit, False, OURS)
    assert printed["sizes"]["README.md"] == len(hub.files(REPO)["README.md"])
    assert REPO in hub_client(["list", "--hub"]).stdout


def test_what_cannot_be_pushed_is_told(tmp_path, run, monkeypatch):
    cases = {
        "hf-hub:org/name": "is on the Hub already",
        "mrvae_mpl.mnist": "did you mean mrvae_mlp.mnist",
        "mrvae_resnet.paper_cifar10": "has no weights here; train it with",
        "runs/none": "none: no such folder",
        str(tmp_path): "config.json is missing",
    }
    for source, message in cases.items():
        with pytest.raises(ValueError, match=message):
            hub_package.make_package(source, REPO)
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT_MODEL).mkdir()
    with pytest.raises(ValueError, match="is a folder here and a name of the registry"):
        hub_package.make_package(DEFAULT_MODEL, REPO)


def test_a_model_without_curve_is_not_pushed_and_one_without_recipe_is(run):
    (run / "recipe.toml").unlink()
    assert set(hub_package.make_package(run, REPO).files) == OURS - {"recipe.toml"}
    (run / "rd_curve.json").unlink()
    with pytest.raises(ValueError, match=r"has no rd_curve.json; only a model with its measured curve is pushed"):
        hub_package.make_package(run, REPO)


def test_a_package_holds_our_files_alone(run):
    (run / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    package = hub_package.make_package(f"local-dir:{run}", "org/some.name")
    assert set(package.files) == OURS
    assert package.name == "some.name"
    assert package.files["model.safetensors"] == (run / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def page() -> dict[str, bytes]:
    return hub_package.make_package(DEFAULT_MODEL, REPO).files


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"library_name: mrvae-zoo\n", b"", "library_name is None; expected 'mrvae-zoo'"),
        (b"- mrvae_zoo\n", b"", "its tags lack 'mrvae_zoo', which `mrvae list --hub` searches for"),
        (b"pipeline_tag:", b"other:", "its metadata lacks pipeline_tag"),
        (b"model-index:", b"other:", "its metadata lacks eval_results"),
        (b"(rd_curve.png)", b"(none.png)", "README.md shows none.png, which is not there"),
        (b"---\n", b"---\n]", "its metadata cannot be read"),
    ],
)
def test_a_page_that_lacks_something_is_not_pushed(page, old, new, message):
    assert old in page["README.md"]
    with pytest.raises(ValueError, match=message):
        hub_package.check_page(page | {"README.md": page["README.md"].replace(old, new, 1)})


def test_a_curve_that_is_not_the_models_is_not_pushed(run, data_root):
    curve = json.loads((run / "rd_curve.json").read_text())
    curve["points"][-1]["rate"] *= 1.02
    (run / "rd_curve.json").write_text(json.dumps(curve))
    with pytest.raises(ValueError, match=r"does not have its published curve: off by 1.9\d% at β=10; not pushed"):
        hub_package.make_package(run, REPO, data_root=data_root)


@pytest.mark.long
def test_a_curve_that_is_the_models_is_pushed(run, data_root):
    assert set(hub_package.make_package(run, REPO, data_root=data_root).files) == OURS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"revision": 40 * "a"}, "is a commit; give the name of a branch or a tag"),
        ({"tag": 40 * "a"}, "is a commit; give the name of a branch or a tag"),
        ({"tag": "a b"}, "is not a revision"),
        ({"create_pr": True, "tag": "v1"}, "a tag is for what is merged"),
        ({"message": " "}, "the message of the commit is empty"),
    ],
)
def test_wrong_arguments_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        mrvae_zoo.push_to_hub(DEFAULT_MODEL, REPO, **options)
    with pytest.raises(ValueError, match="is not a repository of the Hub"):
        mrvae_zoo.push_to_hub(DEFAULT_MODEL, "name")


def test_a_call_whose_connections_another_thread_closed_is_made_again(monkeypatch):
    monkeypatch.setattr(hub_calls, "WAITS", (0.0,))
    clients = []

    def upload() -> str:
        clients.append(huggingface_hub.get_session())
        if len(clients) > 1:
            return "uploaded"
        huggingface_hub.close_session()  # as the client does in a thread that cannot connect
        try:
            return str(clients[0].get("http://127.0.0.1:1"))
        except RuntimeError as error:
            raise RuntimeError("Error while uploading 'model.safetensors' to the Hub.") from error

    assert hub_calls.call(upload, api=hub_calls.make_api(), repo_id="zoo/m", action="write") == "uploaded"
