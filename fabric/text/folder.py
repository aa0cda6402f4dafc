"""A folder of files, written whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from glob import escape
from pathlib import Path

from fabric.errors import FileError
from fabric.text.writing import Piece, draft_of, naming

_LEFT = re.compile(r"\..*\.(?P<pid>[0-9]{1,9})\.(?P<ending>tmp|old)")


def write_folder(
    path: str | os.PathLike[str],
    texts: Mapping[str, Piece],
    *,
    is_ours: Callable[[Path], bool],
    force: bool = False,
) -> None:
    """Write a folder of files whole or not at all: beside its place, then moved there.

    Parameters
    ----------
    path : str or path-like
    texts : mapping of str to str or bytes
        Each file by name.
    is_ours : callable
        Whether a path in the folder that is there was written by an earlier call and may go.
    force : bool
        Write into a folder that holds other things too. They stay, but for those that `texts` names.

    Raises
    ------
    FileError
        If such a folder is there and `force` is not said, or it cannot be written. All is as it was then.

    Notes
    -----
    A folder that cannot be moved, since it is a mount point, the working folder, or in a folder that is
    read-only, gets its files one by one, once all are written. What a killed run left behind goes.
    """
    name = os.fspath(path)
    with naming(name):
        place = Path(os.path.realpath(name))
        place.parent.mkdir(parents=True, exist_ok=True)
        _clear(place)
        present = sorted(place.iterdir()) if place.exists() else []
        foreign = [entry for entry in present if not (_is_left(entry) or is_ours(entry))]
        if foreign and not force:
            todo = "name a new folder, or say --force to write among what is there"
            raise FileError(name, f"holds {foreign[0].name}, which no earlier run wrote", todo)
        is_fixed = place.exists() and _is_fixed(place)
        draft = draft_of(place / "files" if is_fixed else place)
        try:
            draft.mkdir()
            for file, text in texts.items():
                (draft / file).write_bytes(text.encode() if isinstance(text, str) else text)
            if is_fixed:
                _move_in(
                    draft,
                    place,
                    [entry for entry in present if entry not in foreign and entry.name not in texts],
                )
            else:
                _swap(draft, place, foreign)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _is_fixed(place: Path) -> bool:
    cwd = Path.cwd()
    is_bound = place in (cwd, *cwd.parents) or place.is_mount()
    return is_bound or not os.access(place.parent, os.W_OK)


def _move_in(draft: Path, place: Path, old: list[Path]) -> None:
    for file in sorted(draft.iterdir()):
        file.replace(place / file.name)
    for entry in old:
        _remove(entry)


def _swap(draft: Path, place: Path, foreign: list[Path]) -> None:
    """Put `draft` in the place of the folder there, which is moved aside first and comes back on failure."""
    if not place.exists():
        draft.rename(place)
        return
    # What is not ours moves along into the new folder.
    for entry in foreign:
        _keep(entry, draft / entry.name)
    draft.chmod(stat.S_IMODE(place.stat().st_mode))
    # Two moves, since a folder cannot be moved onto another; the first is undone if the second fails.
    aside = draft_of(place, "old")
    place.rename(aside)
    try:
        draft.rename(place)
    except OSError:
        aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _keep(entry: Path, to: Path) -> None:
    if to.exists():
        return
    if entry.is_dir() and not entry.is_symlink():
        shutil.copytree(entry, to, symlinks=True)
    else:
        shutil.copy2(entry, to, follow_symlinks=False)


def _clear(place: Path) -> None:
    """Remove what killed runs left beside `place`; a folder that one had moved aside comes back."""
    for draft in place.parent.glob(f".{escape(place.name[:200])}.*.*"):
        if not _is_left(draft):
            continue
        if draft.suffix == ".old" and not place.exists():
            draft.rename(place)
        else:
            _remove(draft)


def _is_left(path: Path) -> bool:
    """Return whether a draft is of a run that is no more."""
    match = _LEFT.fullmatch(path.name)
    if match is None:
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it lives, and is not ours
        return False
    return int(match["pid"]) == os.getpid()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
