import os

import pytest

from mrvae_zoo.common.files import atomic_path, check_output, write_atomically


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
