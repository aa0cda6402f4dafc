"""Our files, written whole or not at all, and never over what somebody else wrote."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fabric.errors import FileError
from fabric.text.reading import STANDARD

_PATIENCE_S = 10.0
_THERE = "is there already", "say --force to replace it, or name another"


Piece = str | bytes
"""A part of a file: a text, written as UTF-8, or bytes."""


def write_file(path: str | os.PathLike[str], text: Piece | Iterable[Piece], *, force: bool = False) -> None:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : str or path-like
        ``-`` is standard output. A FIFO or a device is written to. The file that a symbolic link names is
        written, and the link stays.
    text : str or bytes, or iterable of them
        Written piece by piece as they come, texts as UTF-8.
    force : bool
        Replace a regular file that is there.

    Raises
    ------
    FileError
        If it is there and may not be replaced, or cannot be written.
    """
    name = os.fspath(path)
    pieces = [text] if isinstance(text, str | bytes) else text
    if name == STANDARD:
        _print(pieces)
        return
    with naming(name):
        at = _status(name)
        if at is None:
            _replace(Path(os.path.realpath(name)), pieces)
        elif stat.S_ISDIR(at.st_mode):
            raise FileError(name, "is a directory, not a file")
        elif _is_standard_output(at):  # such as /dev/stdout, also where that is a file
            _print(pieces)
        elif not stat.S_ISREG(at.st_mode):
            _write_to(name, pieces)
        elif force:
            _replace(Path(os.path.realpath(name)), pieces, mode=at.st_mode)
        else:
            raise FileError(name, *_THERE)


def draft_of(place: Path, ending: str = "tmp") -> Path:
    """Return the hidden name beside `place` under which it is made, so that a move is all that is left."""
    return place.with_name(f".{place.name[:200]}.{os.getpid()}.{ending}")


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Name the path in whatever the system complains of, such as a full disk.

    Raises
    ------
    FileError
        Instead of `OSError`.
    """
    try:
        yield
    except FileExistsError:
        raise FileError(name, *_THERE) from None
    except OSError as error:
        raise FileError(name, f"cannot be written: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(name, "cannot be written: not the name of a file") from None  # a NUL in it


def _print(pieces: Iterable[Piece]) -> None:
    """Write to standard output, whose text may be caught in memory."""
    for piece in pieces:
        if isinstance(piece, bytes):
            sys.stdout.flush()
            sys.stdout.buffer.write(piece)
        else:
            sys.stdout.write(piece)


def _encoded(pieces: Iterable[Piece]) -> Iterator[bytes]:
    return (piece.encode() if isinstance(piece, str) else piece for piece in pieces)


def _replace(place: Path, pieces: Iterable[Piece], mode: int | None = None) -> None:
    """Write beside `place`, and move there only what is whole; `mode` is that of the file to replace."""
    draft = draft_of(place)
    try:
        with draft.open("wb") as file:
            file.writelines(_encoded(pieces))
        if mode is None:
            _move_to_free(draft, place)
        else:
            draft.chmod(stat.S_IMODE(mode))
            draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)


def _move_to_free(draft: Path, place: Path) -> None:
    """Move to a place where nothing is; unlike a move, a link fails where another has come first."""
    try:
        os.link(draft, place)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if place.exists():
            raise FileExistsError(errno.EEXIST, "", str(place)) from None
        draft.replace(place)


def _write_to(name: str, pieces: Iterable[Piece]) -> None:
    """Write to a FIFO or a device; one that nobody reads is given up after a while."""
    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    end = time.monotonic() + _PATIENCE_S
    # Opened without blocking: until a reader comes, the system answers ENXIO.
    descriptor = None
    while descriptor is None:
        try:
            descriptor = os.open(name, flags)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > end:
                raise
            time.sleep(0.02)
    os.set_blocking(descriptor, True)
    with open(descriptor, "wb") as file:
        file.writelines(_encoded(pieces))


def _status(name: str) -> os.stat_result | None:
    """Return what stands at a path, at the end of all links; None if nothing does."""
    try:
        return os.stat(name)
    except FileNotFoundError:
        return None


def _is_standard_output(at: os.stat_result) -> bool:
    try:
        return os.path.samestat(at, os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError, AttributeError):  # there is none, or it is no file
        return False
