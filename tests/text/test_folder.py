"""A folder that is written whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fabric.errors import FileError
from fabric.text.folder import write_folder


def is_ours(path):
    return path.suffix == ".txt"


def write(path, force=False, **texts):
    write_folder(path, {f"{name}.txt": text for name, text in texts.items()}, is_ours=is_ours, force=force)


def listing(path):
    return {f.relative_to(path).as_posix(): f.read_text() for f in path.rglob("*") if f.is_file()}


def test_a_folder_is_made_and_renewed(tmp_path):
    out = tmp_path / "a" / "b"
    write(out, x="1", y="2")
    assert listing(out) == {"x.txt": "1", "y.txt": "2"}
    out.chmod(0o750)
    write(out, x="3")
    assert listing(tmp_path) == {"a/b/x.txt": "3"}  # what is of no use any more is gone, and no draft is left
    assert out.stat().st_mode & 0o777 == 0o750


def test_what_others_wrote_is_kept_or_refused(tmp_path):
    out = tmp_path / "out"
    write(out, x="1")
    (out / "notes").mkdir()
    (out / "notes" / "mine.md").write_text("mine")
    (out / "x.md").symlink_to("notes/mine.md")
    with pytest.raises(FileError, match=r"out: holds notes, which no earlier run wrote; .*--force"):
        write(out, x="2")
    assert (out / "x.txt").read_text() == "1"
    write(out, force=True, x="2")
    assert listing(out) == {"x.txt": "2", "notes/mine.md": "mine", "x.md": "mine"}
    assert (out / "x.md").is_symlink()


def test_through_a_link_the_folder_is_renewed_and_the_link_stays(tmp_path):
    write(tmp_path / "real", x="1")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", x="2")
    assert (tmp_path / "link").is_symlink()
    assert listing(tmp_path / "real") == {"x.txt": "2"}


def test_the_working_folder_is_not_moved(tmp_path, monkeypatch):
    write(tmp_path, x="1", y="2")
    monkeypatch.chdir(tmp_path)
    here = os.stat(".").st_ino
    write(".", x="3")
    assert (os.stat(".").st_ino, listing(tmp_path)) == (here, {"x.txt": "3"})


@pytest.mark.parametrize("call", ["write_bytes", "mkdir", "rename"])
def test_a_full_disk_leaves_all_as_it_was(tmp_path, monkeypatch, call):
    out = tmp_path / "out"
    write(out, x="1", y="2")
    whole = getattr(Path, call)

    def full(self, *args, **options):
        if self.name.startswith(".out") and self.name.endswith(".tmp") or self.name == "y.txt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(self, *args, **options)

    monkeypatch.setattr(Path, call, full)
    with pytest.raises(FileError, match=r"out: cannot be written: No space left on device$"):
        write(out, x="3", y="4")
    monkeypatch.undo()
    assert listing(tmp_path) == {"out/x.txt": "1", "out/y.txt": "2"}
    assert [f.name for f in tmp_path.iterdir()] == ["out"]


KILLED = """
import os, sys
from pathlib import Path
from fabric.text.folder import write_folder
move, n = Path.rename, int(sys.argv[2])
def moved(self, to):
    global n
    n -= 1
    if n < 0:
        os._exit(9)
    return move(self, to)
Path.rename = moved
write_folder(sys.argv[1], {"x.txt": "2"}, is_ours=lambda path: True)
"""


@pytest.mark.parametrize("n_moves", [0, 1])
def test_what_a_killed_run_left_is_gone_with_the_next(tmp_path, n_moves):
    out = tmp_path / "out"
    write(out, x="1")
    run = [sys.executable, "-c", KILLED, str(out), str(n_moves)]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(run, env={**os.environ, "PYTHONPATH": root}, check=False)
    assert done.returncode == 9
    assert any(f.name.startswith(".out.") for f in tmp_path.iterdir())
    (out if out.exists() else next(tmp_path.glob(".out.*.old"))).joinpath("kept").touch()
    with pytest.raises(FileError, match="holds kept"):  # also where the new run comes to nothing
        write(out, x="3")
    assert [f.name for f in tmp_path.iterdir()] == ["out"]
    assert listing(out) == {"x.txt": "1", "kept": ""}


def test_a_file_in_its_place_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("by hand")
    with pytest.raises(FileError, match="out: cannot be written: Not a directory"):
        write(tmp_path / "out", force=True, x="1")
    assert (tmp_path / "out").read_text() == "by hand"
