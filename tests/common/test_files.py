import os

import pytest

from mrvae_zoo.common.files import atomic_folder, atomic_path, check_output, write_atomically


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "out.json"
    write_atomically(path, "β")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_reads_meanwhile_sees_the_old_file_whole(tmp_path):
    path = tmp_path / "out.json"
    write_atomically(path, "old")
    with path.open(encoding="utf-8") as reader:
        write_atomically(path, "new")
        assert reader.read() == "old"
    assert path.read_text(encoding="utf-8") == "new"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old", encoding="utf-8")

    def fail(temporary):
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="on fire"), atomic_path(path) as temporary:
        fail(temporary)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["n" * 255, "β" * 127])
def test_a_name_may_be_as_long_as_a_name_can_be(tmp_path, name):
    write_atomically(tmp_path / name, "content")
    (tmp_path / name).unlink()
    with atomic_folder(tmp_path / name) as folder:
        write_atomically(folder / name, "content")
    assert [path.name for path in tmp_path.rglob("*")] == [name, name]


def test_a_folder_is_filled_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out"

    def fail(folder):
        (folder / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError), atomic_folder(path) as folder:
        fail(folder)
    assert list(tmp_path.iterdir()) == []
    for name in ("first", "second"):
        with atomic_folder(path) as folder:
            (folder / name).write_text(name, encoding="utf-8")
            assert not (path / name).exists()
    assert sorted(file.name for file in path.iterdir()) == ["first", "second"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_what_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as error, atomic_folder(tmp_path / "none" / "out"):
        pytest.fail("there is no folder to fill it in")
    assert error.value.filename == str(tmp_path / "none" / "out")
    with pytest.raises(OSError, match="too long") as error, atomic_folder(tmp_path / "out") as folder:
        (folder / ("n" * 256)).touch()
    assert error.value.filename == str(tmp_path / "out" / ("n" * 256))


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; name a file"):
        write_atomically(tmp_path, b"")


def test_an_output_is_checked_before_the_work(tmp_path):
    path = tmp_path / "out"
    check_output(path, force=False)
    with pytest.raises(FileNotFoundError, match="no such folder; make it first"):
        check_output(tmp_path / "none" / "out", force=True)
    path.touch()
    with pytest.raises(FileExistsError, match="exists; pass --force"):
        check_output(path, force=False)
    check_output(path, force=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="no permission"):
        check_output(tmp_path / "out", force=False)
