import re
import shutil
import subprocess

import pytest
from helpers import CHECKOUT

from mrvae_zoo.training.provenance import Origin, commit_of, format_seconds, record_training


@pytest.fixture
def checkout(tmp_path):
    """A git checkout that holds a package, with one commit."""
    package = tmp_path / "checkout" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("x = 1\n", encoding="utf-8")
    git(package.parent, "init", "--quiet")
    git(package.parent, "add", ".")
    git(package.parent, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "One")
    return package.parent


def git(folder, *arguments):
    done = subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_a_checkout_and_whether_it_was_changed(checkout, monkeypatch):
    head = git(checkout, "rev-parse", "HEAD")
    assert re.fullmatch("[0-9a-f]{40}", head)
    git(checkout, "-c", "user.name=A", "-c", "user.email=a@b.c", "tag", "-a", "v1", "-m", "One")  # a tag is no commit
    assert commit_of(checkout / "package") == head
    monkeypatch.setenv("GIT_DIR", str(CHECKOUT / ".git"))
    assert commit_of(checkout / "package") == head
    (checkout / "package" / "__init__.py").write_text("x = 2\n", encoding="utf-8")
    assert commit_of(checkout / "package") == f"{head}-dirty"


def test_a_package_installed_inside_another_checkout_has_none(checkout):
    installed = checkout / ".venv" / "package"
    shutil.copytree(checkout / "package", installed)
    assert commit_of(installed) is None


def test_without_a_checkout_a_commit_or_git_there_is_none_and_no_error(checkout, tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    assert commit_of(tmp_path / "package") is None
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "package")
    assert commit_of(tmp_path / "package") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(checkout / "package") is None


def test_a_record_is_dated_and_rounded():
    origin = Origin(version="0.1.0", data="0123456789abcdef", init="local-dir:RUN", init_sha256="0" * 64)
    record = record_training(seconds=12.3456, hardware="1 CPU thread", settings="bf16", origin=origin)
    assert (record.data, record.init, record.init_sha256) == (origin.data, origin.init, origin.init_sha256)
    assert (record.seconds, record.hardware, record.settings) == (12.3, "1 CPU thread", "bf16")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record.date)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.3, "1 second"), (7.4, "7 seconds"), (119, "119 seconds"), (3000, "50 minutes"), (7200, "2.0 hours")],
)
def test_a_time_as_one_says_it(seconds, text):
    assert format_seconds(seconds) == text
