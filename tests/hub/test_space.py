"""Pushing a model with its page, a static Space, to a Hub on loopback; test_upload.py has the faults of a Space."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from fake_hub.client_code import failed, told
from fake_hub.fixtures import HubClient, HubServer
from helpers import CHECKOUT, DEFAULT_MODEL

import mrvae_zoo
from mrvae_zoo.hub import space as hub_space
from mrvae_zoo.hub.package import ModelPackage
from mrvae_zoo.models.vae import BaseVAE

pytestmark = pytest.mark.slow

REPO = f"zoo/{DEFAULT_MODEL}"
SPACE = f"spaces/{REPO}-dial"
PAGE = {"README.md", "index.html", "options.json", "js/main.js"}
TEMPLATE = {".gitattributes", "style.css"}  # what a new Space has beside the files of the page

# A page that is made at once, and says what it was asked for: networks take seconds to be exported.
STUB = """
import json, sys
from mrvae_zoo.hub import space
def page_files(model, **options):
    asked = {name: option if option is None else str(option) for name, option in options.items()}
    return {"index.html": b"<h1>page</h1>", "options.json": json.dumps(asked).encode(), "js/main.js": b"export {};"}
space.page_files = page_files
"""
RUN = "from mrvae_zoo.cli import run\nsys.exit(run({!r}))"


def command(*arguments: str) -> str:
    """The code of an `mrvae` command that makes pages at once."""
    return STUB + RUN.format(list(arguments))


def metadata(readme: bytes):
    return yaml.safe_load(readme.decode().split("---\n")[1])


def test_a_model_and_its_space_link_each_other(hub: HubServer, hub_client: HubClient):
    code = f"""{STUB}
import dataclasses, mrvae_zoo
from huggingface_hub import HfApi
first, again = (mrvae_zoo.push_to_hub("{DEFAULT_MODEL}", "{REPO}", space=True, tag="v1") for _ in range(2))
listed = [one.id for one in HfApi().list_spaces(models="{REPO}")]
print(json.dumps([dataclasses.asdict(first), dataclasses.asdict(again), listed]))
"""
    first, again, listed = told(hub_client(code))
    url = f"{hub.url}/{SPACE}"
    assert first["space"] == {
        "repo_id": f"{REPO}-dial",
        "url": url,
        "commit": hub.commits(SPACE)[0],
        "changed": sorted(PAGE),
        "sizes": {name: len(content) for name, content in sorted(hub.files(SPACE).items()) if name in PAGE},
        "pull_request": None,
        "space": None,
    }
    assert first["url"] == f"{hub.url}/{REPO}"
    assert (first["commit"], len(hub.commits(REPO)), len(hub.commits(SPACE))) == (hub.commits(REPO)[0], 2, 2)
    assert again == first | {"changed": [], "space": first["space"] | {"changed": []}}

    files = hub.files(SPACE)
    assert set(files) == PAGE | TEMPLATE
    assert json.loads(files["options.json"]) == {
        "name": DEFAULT_MODEL,
        "repo_id": REPO,
        "model_url": f"{hub.url}/{REPO}",
        "data_root": None,
    }
    card = files["README.md"].decode()
    assert f"runs [{REPO}]({hub.url}/{REPO}) in your browser: turn β" in card
    assert metadata(files["README.md"]) == {
        "title": f"Turn β: {DEFAULT_MODEL}",
        "sdk": "static",
        "app_file": "index.html",
        "pinned": False,
        "short_description": "One VAE for every β, in your browser",
        "models": [REPO],
        "tags": ["mrvae_zoo", "vae", "multi-rate-vae", "beta-vae", "rate-distortion"],
        "license": "apache-2.0",
    }
    assert listed == [f"{REPO}-dial"]
    assert f"\nTurn β in the browser: {url}\n" in hub.files(REPO)["README.md"].decode()
    commits = [request["path"] for request in hub.requests("POST .*/commit/")]
    assert commits == [f"/api/{SPACE}/commit/main", f"/api/models/{REPO}/commit/main"]
    (agent,) = {request["agent"].split(";")[0] for request in hub.requests("GET /api/spaces/|/resolve/")}
    assert agent == f"mrvae_zoo/{mrvae_zoo.__version__}"


@pytest.mark.long
def test_another_page_is_a_commit_of_the_space_alone(hub: HubServer, hub_client: HubClient):
    arguments = ("push", DEFAULT_MODEL, REPO, "--space", "zoo/other")
    done = hub_client(command(*arguments))
    assert done.returncode == 0, done.stderr
    commit = hub.commits(REPO)[0]
    assert done.stdout == f"hf-hub:{REPO}@{commit}\n{hub.url}/spaces/zoo/other\n"
    said = [line for line in done.stderr.splitlines() if "read back and compared" in line]
    assert said[0].startswith(f"the Space zoo/other: pushed {', '.join(sorted(PAGE))}")
    assert said[1].startswith(f"{REPO}: pushed README.md, config.json")
    done = hub_client(command(*arguments).replace("<h1>page</h1>", "<h1>new</h1>"))
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "read back and compared" in line]
    assert said == [
        "the Space zoo/other: pushed index.html; read back and compared",
        f"{REPO}: nothing to push: the repository holds the same; read back and compared",
    ]
    assert hub.files("spaces/zoo/other")["index.html"] == b"<h1>new</h1>"
    assert (len(hub.commits("spaces/zoo/other")), hub.commits(REPO)[0]) == (3, commit)
    assert f"in the browser: {hub.url}/spaces/zoo/other\n" in hub.files(REPO)["README.md"].decode()

    done = hub_client(["push", DEFAULT_MODEL, REPO])
    assert done.returncode == 0, done.stderr
    assert "pushed README.md; read back" in done.stderr
    assert "in the browser" not in hub.files(REPO)["README.md"].decode()


@pytest.mark.long
def test_where_the_space_fails_nothing_of_the_model_is_sent(hub: HubServer, hub_client: HubClient):
    push = command("push", DEFAULT_MODEL, REPO, "--space")
    hub.fault("GET /spaces/.*/index.html", "alter", after=3, times=1000)
    assert "gives another index.html back than was pushed" in failed(hub_client(push))
    assert set(hub.files(REPO)) == {".gitattributes"}
    hub.clear_faults()
    done = hub_client(push)
    assert done.returncode == 0, done.stderr
    assert (len(hub.commits(SPACE)), len(hub.commits(REPO))) == (2, 2)


@pytest.mark.long
def test_a_space_of_another_kind_is_told_before_anything_is_sent(hub: HubServer, hub_client: HubClient):
    create = f"""{STUB}
from huggingface_hub import HfApi
HfApi().create_repo("{REPO}-dial", repo_type="space", space_sdk="docker")
"""
    assert hub_client(create).returncode == 0
    message = failed(hub_client(command("push", DEFAULT_MODEL, REPO, "--space")))
    assert f"{SPACE} is there already, as a Space of the kind 'docker'" in message
    assert not hub.requests("/preupload/|/storage|/commit/")
    assert hub_client(command("push", DEFAULT_MODEL, REPO, "--space", "zoo/free")).returncode == 0


def test_a_dry_run_lists_both_and_asks_nobody(hub: HubServer, hub_client: HubClient):
    done = hub_client(command("push", DEFAULT_MODEL, REPO, "--space", "--dry-run", "--json"), token=None, offline=True)
    assert done.returncode == 0, done.stderr
    assert not hub.requests()
    assert [line.split(" MB, ")[1] for line in done.stderr.splitlines() if "would push" in line] == [
        f"to the Space {REPO}-dial; nothing was sent",
        f"to {REPO}; nothing was sent",
    ]
    planned = json.loads(done.stdout)
    assert (planned["commit"], planned["space"]["commit"], planned["space"]["changed"]) == (None, None, sorted(PAGE))
    assert planned["space"]["url"] == f"{hub.url}/{SPACE}"
    assert {"model.safetensors", "README.md"} <= set(planned["sizes"])


@pytest.mark.long
def test_the_space_of_a_private_model_is_private(hub: HubServer, hub_client: HubClient):
    assert hub_client(["push", DEFAULT_MODEL, REPO, "--private"]).returncode == 0
    done = hub_client(command("push", DEFAULT_MODEL, REPO, "--space"))
    assert done.returncode == 0, done.stderr
    assert hub.repository(SPACE).settings["private"]
    hub.put("spaces/zoo/open", {"README.md": b"---\nsdk: static\n---\n"})
    begun = hub.commits(REPO)[0]
    message = failed(hub_client(command("push", DEFAULT_MODEL, REPO, "--space", "zoo/open")))
    assert "spaces/zoo/open is public already, and this push is private" in message
    assert (hub.commits(REPO)[0], len(hub.commits("spaces/zoo/open"))) == (begun, 2)


@pytest.mark.long
def test_the_registry_is_published_with_a_space_for_each_model(hub: HubServer, hub_client: HubClient, tmp_path: Path):
    checkout = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "registry" / DEFAULT_MODEL, checkout / "registry" / DEFAULT_MODEL)
    shutil.copytree(CHECKOUT / "mrvae_zoo", checkout / "mrvae_zoo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "examples" / "digits", checkout / "examples" / "digits")
    publish = "import sys; sys.path.insert(0, '.')" + command("publish", "--author", "zoo", "--spaces")
    for _ in range(2):
        done = hub_client(publish, cwd=checkout)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"hf-hub:{REPO}@{hub.commits(REPO)[0]}\n"
        assert f"{DEFAULT_MODEL}: its dial is at {hub.url}/{SPACE}" in done.stderr
        assert (len(hub.commits(REPO)), len(hub.commits(SPACE))) == (2, 2)
    assert hub.commits(REPO)[0] in (checkout / "registry" / "pins.toml").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "dial"}, "'dial' is not a repository of the Hub"),
        ({"space": ""}, "'' is not a repository of the Hub"),
        ({"space": True, "revision": "dev"}, "a Space shows what is on the main branch"),
        ({"space": "zoo/dial", "create_pr": True}, "a Space shows what is on the main branch"),
    ],
)
def test_wrong_arguments_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        mrvae_zoo.push_to_hub(DEFAULT_MODEL, REPO, **options)


def package_of(model: BaseVAE, card: str = "license: apache-2.0\n") -> ModelPackage:
    files = {"README.md": f"---\n{card}---\n".encode()}
    return ModelPackage(repo_id="org/m", repo_type="model", name="m", files=files, removable=(), model=model)


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(hub_space, "page_files", lambda _, **options: {"index.html": repr(options).encode()})


def test_the_licence_is_that_of_the_model_and_a_folded_one_has_no_dial(stub, default_model):
    terms = {"license": "other", "license_name": "mine", "license_link": "https://example.org/terms"}
    made = hub_space.make_space(package_of(default_model.at(0.5), yaml.safe_dump(terms)), "org/dial", model_url="there")
    data = metadata(made.files["README.md"])
    assert {key: data[key] for key in terms} == terms
    assert (data["title"], data["short_description"]) == ("m, a VAE", "A VAE in your browser")
    assert "β" not in made.files["README.md"].decode()
    assert (made.repo_id, made.repo_type, made.name) == ("org/dial", "space", "the dial of m")
    none = hub_space.make_space(package_of(default_model, "tags: [vae]\n"), "org/dial", model_url="there")
    assert "license" not in metadata(none.files["README.md"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"sdk: static", b"sdk: gradio", "sdk is 'gradio'; expected 'static'"),
        (b"app_file: index.html", b"app_file: none.html", "starts none.html, which is not there"),
        (b"models:\n- org/m\n", b"", "its metadata lacks models"),
        (b"in your browser\n", b"in your browser, or in that of anyone else\n", "short_description is longer than 60"),
    ],
)
def test_a_space_that_the_hub_cannot_show_is_not_pushed(stub, default_model, old, new, message):
    files = hub_space.make_space(package_of(default_model), "org/dial", model_url="there").files
    assert old in files["README.md"]
    with pytest.raises(ValueError, match=message):
        hub_space.check_space(files | {"README.md": files["README.md"].replace(old, new, 1)})


@pytest.mark.long
def test_the_page_of_a_real_model_goes_up_and_the_same_again_is_no_commit(hub: HubServer, hub_client: HubClient):
    for _ in range(2):
        done = hub_client(["push", DEFAULT_MODEL, REPO, "--space"])
        assert done.returncode == 0, done.stderr
    assert (len(hub.commits(REPO)), len(hub.commits(SPACE))) == (2, 2)
    files = hub.files(SPACE)
    model = json.loads(files["model.json"])
    assert (model["name"], model["source"]) == (DEFAULT_MODEL, f"hf-hub:{REPO}")
    assert model["links"]["model"] == f"{hub.url}/{REPO}"
    assert {"index.html", "encoder.onnx", "decoder.onnx", "images/00.png", "sampler.safetensors"} <= set(files)
    assert not [name for name in files if name.startswith("runtime/")]
    from mrvae_zoo.page.build import page_files

    here = page_files(
        mrvae_zoo.load_pretrained(DEFAULT_MODEL), name=DEFAULT_MODEL, repo_id=REPO, model_url=f"{hub.url}/{REPO}"
    )
    assert {name: files[name] for name in here} == here
