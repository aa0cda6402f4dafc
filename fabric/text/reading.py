"""Untrusted files, read up to a limit and never waited for."""

from __future__ import annotations

import difflib
import errno
import itertools
import os
import stat
import sys

from fabric.errors import FileError, nearest

STANDARD = "-"
"""The name by which commands read standard input and write standard output."""

_LISTED = 2000
"""Names of a folder that are looked at for one that is nearly the name of a missing file."""


def read_bytes(path: str | os.PathLike[str], *, limit: int) -> bytes:
    """Read a regular file.

    Parameters
    ----------
    path : str or path-like
        Untrusted; a FIFO, a device or a folder is refused, and nothing waits for one.
    limit : int
        Largest file; more is never read [bytes].

    Raises
    ------
    FileError
        If it is no regular file, is larger, or cannot be read.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            is_regular = stat.S_ISREG(status.st_mode)
            # Files of /proc say that they are empty and go on for ever, or have nothing yet, which is None.
            data = (file.read(limit + 1) if is_regular and status.st_size <= limit else b"") or b""
    except OSError as error:
        raise FileError(name, _why_unread(error), _near_file(name, error)) from None
    except ValueError:  # a NUL in the name
        raise FileError(name, "not a file name") from None
    if not is_regular:
        raise FileError(name, "not a regular file", "save it as a file and name that, or pipe it in as -")
    _check_size(name, max(status.st_size, len(data)), limit)
    return data


def read_standard_input(*, limit: int) -> bytes:
    """Read standard input to its end.

    Raises
    ------
    FileError
        If it is larger than `limit` [bytes], closed, or a terminal.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise FileError(STANDARD, "standard input is closed", "pipe a file in: fabtopo check - < FILE")
    if sys.stdin.isatty():
        raise FileError(STANDARD, "standard input is a terminal", "pipe a file in: fabtopo check - < FILE")
    data = sys.stdin.buffer.read(limit + 1)
    _check_size(STANDARD, len(data), limit)
    return data


def decode(data: bytes, path: str) -> str:
    """Return a text in UTF-8, with or without byte order mark.

    Raises
    ------
    FileError
        At the place of the first byte that is none, or of a character that no text holds.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, col = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        fault = f"byte 0x{error.object[error.start]:02X} is not UTF-8"
        raise FileError(path, fault, "save it as UTF-8", line, col) from None
    if "\0" in text:
        before_it = text[: text.index("\0")]
        line, col = before_it.count("\n") + 1, len(before_it) - (before_it.rfind("\n") + 1) + 1
        raise FileError(path, "not a text, or one in UTF-16", "save it as UTF-8", line, col)
    return text


def _check_size(name: str, n_bytes: int, limit: int) -> None:
    if n_bytes > limit:
        got = f"got {n_bytes} bytes or more; expected at most {limit} bytes"
        raise FileError(name, "file too large", got)


def _open_at_once(name: str, flags: int) -> int:
    # Opening a FIFO that nobody writes to must return, for fstat to refuse it.
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _near_file(name: str, error: OSError) -> str:
    """Return a question after a file beside the one that is missing whose name is nearly the same."""
    folder, base = os.path.split(name)
    if not isinstance(error, FileNotFoundError) or not base:
        return ""
    try:
        with os.scandir(folder or ".") as entries:
            names = [one.name for one in itertools.islice(entries, _LISTED) if one.is_file()]
    except OSError:
        return ""
    # By what stands before the endings, which all have in common.
    near = set(difflib.get_close_matches(base.partition(".")[0], [n.partition(".")[0] for n in names]))
    return nearest(base, [n for n in names if n.partition(".")[0] in near])


def _why_unread(error: OSError) -> str:
    reasons = {
        errno.ENOENT: "file not found",
        errno.EACCES: "permission denied",
        errno.EISDIR: "is a directory, not a file",
    }
    return reasons.get(error.errno or 0, f"cannot be read: {error.strerror}")
