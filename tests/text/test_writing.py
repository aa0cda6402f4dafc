"""Files that are written whole or not at all, and never over what somebody else wrote."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from fabric.errors import FileError
from fabric.text import writing
from fabric.text.writing import write_file

THERE = r"is there already; say --force to replace it"


def test_a_new_file_is_written(tmp_path):
    write_file(tmp_path / "a.yaml", "é\n")
    assert (tmp_path / "a.yaml").read_bytes() == "é\n".encode()
    assert [f.name for f in tmp_path.iterdir()] == ["a.yaml"]
    # Who may read a new file is for the user's umask to say, not for us.
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.yaml").stat().st_mode) == 0o666 & ~mask


def test_a_file_that_is_there_is_replaced_by_force_only(tmp_path):
    file = tmp_path / "by-hand.yaml"
    file.write_text("by hand")
    file.chmod(0o640)
    with pytest.raises(FileError, match=rf"by-hand\.yaml: {THERE}"):
        write_file(file, "new")
    assert file.read_text() == "by hand"
    write_file(file, "new", force=True)
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path):
    file = tmp_path / "a.yaml"

    def pieces():
        yield "ne"
        file.write_bytes(b"of another")
        yield "w"

    with pytest.raises(FileError, match=THERE):
        write_file(file, pieces())
    assert file.read_bytes() == b"of another"
    assert [f.name for f in tmp_path.iterdir()] == ["a.yaml"]


def test_pieces_are_written_as_they_come(tmp_path, capsys):
    write_file(tmp_path / "a.csv", (f"{n}\n" for n in range(3)))
    assert (tmp_path / "a.csv").read_text() == "0\n1\n2\n"
    write_file("-", iter(["a", "b\n"]))
    assert capsys.readouterr().out == "ab\n"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_its_file_is_written(tmp_path, is_there):
    (tmp_path / "data").mkdir()
    file, link = tmp_path / "data" / "real.yaml", tmp_path / "link.yaml"
    link.symlink_to(Path("data") / "real.yaml")
    if is_there:
        file.write_text("old")
        with pytest.raises(FileError, match=THERE):
            write_file(link, "new")
        assert file.read_text() == "old"
    write_file(link, "new", force=is_there)
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert not file.is_symlink()


def test_a_fifo_is_written_to(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    text = "x" * 200_000  # more than a pipe holds
    found = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_text()))
    reader.start()
    write_file(fifo, text)
    reader.join(10)
    assert found == [text]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_fifo_that_nobody_reads_is_given_up(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(writing, "_PATIENCE_S", 0.05)
    with pytest.raises(FileError, match=r"fifo: cannot be written: No such device"):
        write_file(tmp_path / "fifo", "x", force=True)
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_a_device_is_written_to():
    write_file("/dev/null", "x", force=True)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(FileError, match=r"^/dev/full: cannot be written: No space left on device$"):
        write_file("/dev/full", "x")


def test_standard_output(capsys):
    write_file("-", "a\n")
    assert capsys.readouterr().out == "a\n"


@pytest.mark.parametrize("name", ["none/a.yaml", "\0", "a" * 400])
def test_what_cannot_be_written_names_the_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match="cannot be written: ") as caught:
        write_file(name, "x")
    assert str(caught.value).startswith(name.replace("\0", "\ufffd"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileError, match="is a directory, not a file"):
        write_file(tmp_path, "x", force=True)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path, is_there):
    file = tmp_path / "a.yaml"
    if is_there:
        file.write_text("old")

    def pieces():
        yield "n" * 100_000
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(FileError, match=r"a\.yaml: cannot be written: No space left on device$"):
        write_file(file, pieces(), force=is_there)
    assert [f.name for f in tmp_path.iterdir()] == ["a.yaml"] * is_there
    assert not is_there or file.read_text() == "old"


def test_without_hard_links_nothing_is_replaced_either(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", none)
    write_file(tmp_path / "a.yaml", "new")
    assert (tmp_path / "a.yaml").read_text() == "new"
    with pytest.raises(FileError, match=THERE):
        write_file(tmp_path / "a.yaml", "newer")
    assert [f.name for f in tmp_path.iterdir()] == ["a.yaml"]
