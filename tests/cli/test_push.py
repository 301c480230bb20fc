"""What `mrvae push` and `mrvae publish` ask for; tests/hub pushes to a Hub on loopback."""

import json

import pytest

from mrvae_zoo.cli import run
from mrvae_zoo.hub import publish as hub_publish
from mrvae_zoo.hub import push as hub_push
from mrvae_zoo.hub.upload import Pushed

URL = "https://hub.example/"


@pytest.fixture
def asked(monkeypatch):
    """The calls that the commands make, in the place of a push."""
    calls = []

    def push_to_hub(source, repo_id, *, space, **options):
        calls.append({"source": source, "repo_id": repo_id, "space": space, **options})
        shown = None
        if space is not None:
            where = "org/digits-dial" if space is True else space
            shown = Pushed(repo_id=where, url=f"{URL}spaces/{where}", commit="c", changed=(), sizes={})
        return Pushed(
            repo_id=repo_id, url=f"{URL}{repo_id}", commit="b", changed=("x",), sizes={"x": 1234567}, space=shown
        )

    def publish(author, *, spaces, **options):
        calls.append({"author": author, "spaces": spaces})
        options["report"]("digits", push_to_hub("digits", f"{author}/digits", space=True if spaces else None))
        return hub_publish.Published(pins={}, collection=f"{URL}collections/x")

    monkeypatch.setattr(hub_push, "push_to_hub", push_to_hub)
    monkeypatch.setattr(hub_publish, "publish", publish)
    return calls


@pytest.mark.parametrize(
    ("arguments", "space"),
    [
        ((), None),
        (("--space",), True),
        (("--space", "org/other"), "org/other"),
        (("--space", "--private"), True),
        (("--space", "org/other", "--private"), "org/other"),
        (("--private", "--space", "org/other"), "org/other"),
    ],
)
def test_a_space_may_be_named(asked, capsys, arguments, space):
    assert run(["push", "run", "org/digits", *arguments]) == 0
    assert asked[0]["space"] == space
    assert asked[0]["private"] == ("--private" in arguments)
    output, errors = capsys.readouterr()
    lines = ["hf-hub:org/digits@b"]
    if space is not None:
        where = "org/digits-dial" if space is True else space
        lines.append(f"{URL}spaces/{where}")
        assert f"the Space {where}: nothing to push" in errors
    assert output.splitlines() == lines
    assert "org/digits: pushed x; read back and compared" in errors


def test_the_flag_may_come_first(asked):
    assert run(["push", "--space", "run", "org/digits"]) == 0
    assert (asked[0]["source"], asked[0]["repo_id"], asked[0]["space"]) == ("run", "org/digits", True)


def test_a_space_without_the_option_is_wrong_usage(asked, capsys):
    assert run(["push", "run", "org/digits", "org/other"]) == 2
    assert capsys.readouterr().err == (
        "mrvae: to push the dial to the Space org/other, write --space org/other. See: mrvae push --help\n"
    )
    assert asked == []


def test_json_has_both(asked, capsys):
    assert run(["push", "run", "org/digits", "--space", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["commit"], told["space"]["commit"]) == ("b", "c")
    assert told["space"]["url"] == f"{URL}spaces/org/digits-dial"


def test_a_dry_run_tells_them_apart(asked, capsys):
    assert run(["push", "run", "org/digits", "--space", "--dry-run"]) == 0
    output, errors = capsys.readouterr()
    assert output.splitlines() == ["file  bytes", "file      bytes", "x     1,234,567"]
    assert errors.splitlines() == [
        "would push 0 files, 0.0 MB, to the Space org/digits-dial; nothing was sent",
        "would push 1 files, 1.2 MB, to org/digits; nothing was sent",
    ]


@pytest.mark.parametrize("spaces", [False, True])
def test_publish_passes_it_on(asked, capsys, spaces):
    assert run(["publish", "--author", "org", *(["--spaces"] if spaces else [])]) == 0
    assert asked[0] == {"author": "org", "spaces": spaces}
    told = f"digits: its dial is at {URL}spaces/org/digits-dial" in capsys.readouterr().err
    assert told == spaces
