"""Untrusted files: read up to a limit, and never waited for."""

import os

import pytest

from fabric.errors import FileError
from fabric.text.reading import decode, read_bytes


def test_files_are_read_up_to_the_limit(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert read_bytes(file, limit=5) == b"12345"
    with pytest.raises(FileError, match=r"a: file too large; got 5 bytes or more; expected at most 4 bytes"):
        read_bytes(file, limit=4)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "fifo"])
def test_only_regular_files_are_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with pytest.raises(FileError, match=f"^{name}: not a regular file; save it as a file"):
        read_bytes(name, limit=100)


@pytest.mark.parametrize(
    ("name", "what"), [("none", "file not found"), ("\0", "not a file name"), (".", "is a directory")]
)
def test_what_is_no_file(name, what):
    with pytest.raises(FileError, match=what):
        read_bytes(name, limit=100)


@pytest.mark.parametrize(
    ("data", "where"),
    [(b"ab\n\xff", ":2:1: byte 0xFF"), (b"a\xe9b", ":1:2: byte 0xE9"), (b"a\nb\0", ":2:2: not a text")],
)
def test_what_is_no_text_says_where(data, where):
    with pytest.raises(FileError, match=where):
        decode(data, "a.csv")


def test_a_byte_order_mark_is_no_text():
    assert decode(b"\xef\xbb\xbfitem", "a.csv") == "item"
