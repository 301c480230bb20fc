import tomllib

import pytest

from mrvae_zoo.checkpoints.pins import Pin, read_pins, write_pins

PIN = Pin(repo="org/mrvae_mlp.mnist", revision=40 * "a", sha256=64 * "0")


def test_pins_come_back(tmp_path):
    pins = {"mrvae_mlp.mnist": PIN, "mrvae_mlp.b": Pin(repo="org/b", revision=40 * "1", sha256=64 * "2")}
    write_pins(pins, tmp_path / "pins.toml")
    assert read_pins(tmp_path / "pins.toml") == pins
    text = (tmp_path / "pins.toml").read_text()
    assert list(tomllib.loads(text)) == ["mrvae_mlp.b", "mrvae_mlp.mnist"]  # one table a model, sorted
    assert PIN.source == f"hf-hub:org/mrvae_mlp.mnist@{40 * 'a'}"


def test_no_file_is_no_pins(tmp_path):
    assert read_pins(tmp_path / "pins.toml") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "pins.toml is not TOML"),
        ("a = 1", "a=1 should be a table"),
        ("[a]\nrepo = 'o/n'\nsha256 = ''", "a: revision is missing"),
        ("[a]\nrepo = 'o/n'\nrevison = ''", "unknown key revison; did you mean revision"),
        (f"[a]\nrepo = 'n'\nrevision = '{40 * 'a'}'\nsha256 = '{64 * 'a'}'", "a: repo='n' should be org/name"),
        (f"[a]\nrepo = 'o/n'\nrevision = 'main'\nsha256 = '{64 * 'a'}'", "revision='main' should be 40 hexadecimal"),
        (
            f"[a]\nrepo = 'o/n'\nrevision = '{40 * 'A'}'\nsha256 = '{64 * 'a'}'",
            "should be 40 hexadecimal digits, in lower",
        ),
        (f"[a]\nrepo = 'o/n'\nrevision = '{40 * 'a'}'\nsha256 = '{63 * 'a'}'", "should be 64 hexadecimal"),
    ],
)
def test_damaged_pins_are_told(tmp_path, text, message):
    (tmp_path / "pins.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_pins(tmp_path / "pins.toml")


def test_a_write_that_fails_leaves_the_old_pins(tmp_path, monkeypatch):
    path = tmp_path / "pins.toml"
    write_pins({"mrvae_mlp.mnist": PIN}, path)
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_pins({}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
