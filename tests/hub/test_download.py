"""Pulling from a Hub on loopback; test_faults.py has the rest of the faults."""

import json

import pytest
from fake_hub.client_code import told
from helpers import CHECKOUT, DEFAULT_MODEL

pytestmark = pytest.mark.slow

REPO = "zoo/mrvae_mlp.mnist"
PUT = f"""
import json, sys
from pathlib import Path
from huggingface_hub import CommitOperationAdd, HfApi
api = HfApi()
FOLDER = Path({str(CHECKOUT / "registry" / DEFAULT_MODEL)!r})
def put(repo_id="{REPO}", private=False, leave=(), **changes):
    api.create_repo(repo_id, private=private, exist_ok=True)
    files = {{path.name: path.read_bytes() for path in FOLDER.iterdir() if path.name not in leave}}
    files |= {{name.replace("__", "."): content for name, content in changes.items()}}
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    return api.create_commit(repo_id, operations, commit_message="put").oid
"""
PULL = ("sample", "-n", "1", "-o", "s.png", "--force")  # a command that needs the weights
LOAD = f"""
import json, mrvae_zoo
model = mrvae_zoo.load_pretrained("hf-hub:{REPO}%s")
print(json.dumps([model.latent_dim, model.curve is not None]))
"""
WEIGHTS = "GET /storage/"


def failed(done):
    """What the command said in the end; without a traceback."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("mrvae: ")
    return line


@pytest.fixture
def put(hub, hub_client):
    """Puts a model onto the Hub without any of our code, and returns the commit."""

    def run(arguments: str = "", then: str = "") -> str:
        commit = told(hub_client(f"{PUT}\ncommit = put({arguments})\n{then}\nprint(json.dumps(commit))"))
        assert isinstance(commit, str)
        return commit

    return run


@pytest.mark.long
def test_a_cache_that_another_program_filled_serves_offline(hub, hub_client, put, tmp_path):
    """Without the marks that tell what a repository does not have, and where nothing can be written."""
    put('leave=["rd_curve.json", "recipe.toml"]')
    home = tmp_path / "home"
    home.mkdir()
    snapshot = f'import json, huggingface_hub as hub; print(json.dumps(hub.snapshot_download("{REPO}")))'
    told(hub_client(snapshot, home=home))
    assert not list(home.rglob(".no_exist"))
    for _ in range(2):
        assert told(hub_client(LOAD % "", home=home, offline=True)) == [32, False]
    done = hub_client(LOAD % "", home=home)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("refs/main")}
    assert len(before) == 1
    assert told(done) == [32, False]
    assert told(hub_client(LOAD % "", home=home)) == [32, False]
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing to write, so that none can fail


def test_what_is_in_the_cache_is_not_asked_for(hub, hub_client, put, tmp_path):
    commit = put()
    home = tmp_path / "home"
    home.mkdir()
    before = len(hub.requests())
    assert told(hub_client(LOAD % "", home=home)) == [32, True]
    asked = hub.requests()[before:]
    got = {request["path"].rsplit("/", 1)[1] for request in asked if "/resolve/" in request["path"]}
    assert got == {
        "config.json",
        "model.safetensors",
        "latents.json",
        "rd_curve.json",
        "recipe.toml",
        "sampler.safetensors",
    }
    assert all(commit in request["path"] for request in asked if "/resolve/" in request["path"])

    before = len(hub.requests())
    assert told(hub_client(LOAD % "", home=home, offline=True)) == [32, True]  # the commit that main was
    assert len(hub.requests()) == before
    both = LOAD % f"@{commit}" + LOAD % ""
    assert told(hub_client(both, home=home)) == [32, True]
    assert [request["path"] for request in hub.requests()[before:]] == [f"/api/models/{REPO}"]  # for main alone


@pytest.mark.long
def test_a_branch_and_a_tag_are_what_they_are_on_the_hub(hub, hub_client, put, tmp_path):
    old = put(then=f"api.create_tag('{REPO}', tag='v1', revision=commit)")
    home = tmp_path / "home"
    home.mkdir()
    for revision in ("", "@v1"):
        assert told(hub_client(LOAD % revision, home=home)) == [32, True]
    new = put("rd_curve__json=(FOLDER / 'rd_curve.json').read_bytes() + b'\\n'")
    assert old != new
    code = f"""
import json
from mrvae_zoo.hub.load import exact, locate_checkpoint
print(json.dumps([[exact(source), locate_checkpoint(source).name] for source in ("hf-hub:{REPO}", "hf-hub:{REPO}@v1")]))
"""
    both = [[f"hf-hub:{REPO}@{new}", new], [f"hf-hub:{REPO}@{old}", old]]
    assert told(hub_client(code, home=home)) == both
    hub.kill()
    done = hub_client(code, home=home)  # from the cache
    assert told(done) == both
    assert "using the commit it was last seen at" in done.stderr


@pytest.mark.long
def test_a_model_without_curve_loads(hub, hub_client, put, tmp_path):
    commit = put("leave=('rd_curve.json',)")
    home = tmp_path / "home"
    home.mkdir()
    assert told(hub_client(LOAD % "", home=home)) == [32, False]
    before = len(hub.requests())
    assert told(hub_client(LOAD % f"@{commit}", home=home)) == [32, False]
    assert len(hub.requests()) == before  # that there is none is in the cache too


@pytest.mark.long
def test_every_command_takes_a_source_of_the_hub(hub, hub_client, put, tmp_path, digits):
    source = f"hf-hub:{REPO}@{put()}"
    home = tmp_path / "home"
    home.mkdir()
    branch = f"hf-hub:{REPO}"
    for arguments in (
        ["info", branch],
        ["curve", branch],
        ["sample", branch, "-n", 1, "-o", "s.png"],
        ["reconstruct", branch, digits[0], "--beta", 1, "-o", "r.png"],
        ["export", branch, "--format", "pt2", "--part", "decoder", "--beta", 1, "-o", "d.pt2"],
        ["curve", branch, "--against", DEFAULT_MODEL],
        ["card", branch, "-o", "card"],
        ["encode", branch, digits[0], "--beta", 1, "-o", "l.safetensors"],
    ):
        done = hub_client(arguments, home=home)
        assert done.returncode == 0, done.stderr
    assert f'load_pretrained("{branch}")' in (tmp_path / "card" / "README.md").read_text()
    put("rd_curve__json=(FOLDER / 'rd_curve.json').read_bytes() + b'\\n'")
    code = "import json, safetensors; print(safetensors.safe_open('l.safetensors', 'pt').metadata()['info'])"
    assert told(hub_client(code))["source"] == source
    assert hub_client(["decode", "l.safetensors", "-o", "out"], home=home, offline=True).returncode == 0
    assert "none: no such folder" in failed(hub_client(["train", branch, "--data-root", "none", "-o", "run"]))


@pytest.mark.long
def test_verify_names_commit_and_checksum(hub, hub_client, put, data_root):
    commit = put()
    done = hub_client(["verify", f"hf-hub:{REPO}", "--data-root", data_root])
    assert done.returncode == 0, done.stderr
    weights = json.loads((CHECKOUT / "registry" / DEFAULT_MODEL / "config.json").read_text())["weights"]
    assert f"hf-hub:{REPO}@{commit}: checksum {weights['sha256']}, as in config.json\n" in done.stderr


READER = {"token": "read"}
CASES = [
    (
        f"hf-hub:{REPO}",
        {"token": None},
        "the Hub has no public repository zoo/mrvae_mlp.mnist; check the name, or log in",
    ),
    (f"hf-hub:{REPO}", {"token": "other"}, "has no repository zoo/mrvae_mlp.mnist that your token may read"),
    (
        f"hf-hub:{REPO}",
        {"token": "wrong"},
        "the Hub refuses this token (HF_TOKEN, or the saved one); log in again with",
    ),
    (f"hf-hub:{REPO}@v9", {}, "zoo/mrvae_mlp.mnist has no revision 'v9'; see its branches and tags at http"),
    (f"hf-hub:{REPO}@{40 * 'a'}", {}, f"zoo/mrvae_mlp.mnist has no revision '{40 * 'a'}'"),
    (f"hf-hub:{REPO}", {"offline": True}, "is not in the cache, and HF_HUB_OFFLINE is set; unset it and run again"),
    (f"hf-hub:{REPO}@{40 * 'a'}", {"offline": True}, "is not in the cache, and HF_HUB_OFFLINE is set"),
    ("hf-hub:zoo/none", {}, "the Hub has no repository zoo/none that your token may read; check the name"),
    ("hf-hub:zoo/text", {}, "zoo/text is not an MR-VAE repository: it has no config.json; see: mrvae list --hub"),
    ("hf-hub:zoo/bert", {}, "zoo/bert is not an MR-VAE repository: its config.json is not that of an mrvae_zoo model"),
    ("hf-hub:zoo/half", {}, "zoo/half has no model.safetensors"),
    ("hf-hub:zoo/wrong", {}, "the checksum differs from the one in config.json; both are removed from the cache"),
]


@pytest.mark.long
def test_what_cannot_be_had_is_told(hub, hub_client, put):
    put(
        "private=True",
        then="""
put("zoo/text", leave=("config.json",))
put("zoo/bert", config__json=b'{"architectures": ["BertModel"]}')
put("zoo/half", leave=("model.safetensors",))
put("zoo/wrong", model__safetensors=(FOLDER / "model.safetensors").read_bytes()[:-1] + b"x")
""",
    )
    for source, options, message in CASES:
        assert message in failed(hub_client([*PULL, source], **options)), (source, options)
    assert hub_client([*PULL, f"hf-hub:{REPO}"], **READER).returncode == 0
    assert not hub.requests("zoo/bert/resolve/.*/model.safetensors")


@pytest.mark.long
def test_no_network_is_told_after_a_few_tries(hub, hub_client, put):
    put()
    hub.kill()
    done = hub_client([*PULL, f"hf-hub:{REPO}"])
    assert f"the connection to the Hub at {hub.url} failed" in failed(done)
    assert failed(done).endswith("check the network and run again")
    assert done.stderr.count("trying again in") == 3


@pytest.mark.long
@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "rd_curve.json"])
def test_a_file_that_is_damaged_in_the_cache_is_replaced(hub, hub_client, put, tmp_path, file):
    source = f"hf-hub:{REPO}@{put()}"
    home = tmp_path / "home"
    home.mkdir()
    assert hub_client([*PULL, source], home=home).returncode == 0
    (cached,) = home.rglob(f"snapshots/*/{file}")
    whole = cached.read_bytes()
    for damaged in (b"", whole[:-1], whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
        cached.write_bytes(damaged)
        assert hub_client([*PULL, source], home=home).returncode == 0
        assert cached.read_bytes() == whole
    cached.write_bytes(b"damaged")
    message = f"{file} was damaged and is removed from the cache; run again without HF_HUB_OFFLINE"
    assert message in failed(hub_client([*PULL, source], home=home, offline=True))
    assert not cached.exists()
    assert hub_client([*PULL, source], home=home).returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("do", ["alter", "truncate"])
def test_a_file_that_is_not_what_was_announced_is_not_kept(hub, hub_client, put, tmp_path, do):
    put()
    home = tmp_path / "home"
    home.mkdir()
    hub.fault(WEIGHTS, do, after=1000, times=100)
    assert failed(hub_client([*PULL, f"hf-hub:{REPO}"], home=home))
    assert not list(home.rglob("snapshots/*/model.safetensors"))
    hub.clear_faults()
    assert hub_client([*PULL, f"hf-hub:{REPO}"], home=home).returncode == 0


@pytest.mark.long
def test_the_models_on_the_hub_are_listed(hub, hub_client):
    code = f"""{PUT}
def name(repo_id, library, **options):
    api.create_repo(repo_id, **options)
    readme = CommitOperationAdd("README.md", f"---\\nlibrary_name: {{library}}\\n---\\n".encode())
    api.create_commit(repo_id, [readme], commit_message="card")
for i in range(5):  # more than a page
    name(f"zoo/m{{i}}", "mrvae_zoo")
name("ada/mine", "mrvae_zoo", private=True)
name("zoo/bert", "transformers")
"""
    assert hub_client(code).returncode == 0
    listed = hub_client(["list", "--hub", "--json"])
    assert [model["repo_id"] for model in told_all(listed)] == ["ada/mine", *(f"zoo/m{i}" for i in range(5))]
    listed = hub_client(["list", "--hub", "--json"], token=None)
    assert [model["repo_id"] for model in told_all(listed)] == [f"zoo/m{i}" for i in range(5)]
    listed = hub_client(["list", "*2", "--hub", "--author", "zoo"])
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["source", "hf-hub:zoo/m2"]
    listed = hub_client(["list", "--hub", "--author", "ada"])
    assert listed.stdout.splitlines()[1].split()[::2] == ["hf-hub:ada/mine", "private"]
    listed = hub_client(["list", "--hub", "--author", "nobody"])
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", "the Hub has no such model of nobody\n")
    assert "HF_HUB_OFFLINE is set" in failed(hub_client(["list", "--hub"], offline=True))


def told_all(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_a_file_that_was_altered_once_is_downloaded_again(hub, hub_client, put):
    put()
    for match in (WEIGHTS, "GET .*/resolve/.*/config.json", "GET .*/resolve/.*/rd_curve.json"):
        hub.fault(match, "alter", after=100)
        struck = hub.struck()
        assert hub_client([*PULL, f"hf-hub:{REPO}"]).returncode == 0
        assert hub.struck() == struck + 1
