"""The command ``fabtopo``, and the guard of the import name ``fabric``.

The SSH tool of that name installs into the same folder as this package: pip lets one overwrite the other,
file by file, and ``pip check`` stays silent. Hence this module stands outside the package: none of the files
that the other may have overwritten runs before it has looked.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder

_PACKAGE = "fabric"
_OURS = "fabtopo"


def main() -> None:
    """Run the command line, or say in one line why the package cannot be ours."""
    try:
        refuse_rivals(sys.path)
        refuse_strangers(sys.path)
    except ImportError as error:
        _fail(str(error))
    # By name: the package imports this module, and type checkers read circles in no fixed order.
    importlib.import_module("fabric.cli").main()


def refuse_rivals(path: Iterable[str]) -> None:
    """Raise if another distribution also owns the package ``fabric``.

    Parameters
    ----------
    path : iterable of str
        Folders to search for installed distributions, such as ``sys.path``.

    Raises
    ------
    ImportError
        Names every such distribution, and the remedy.
    """
    rivals = sorted(set(owners(path)) - {_OURS})
    if rivals:
        named = " and ".join(repr(name) for name in rivals)
        msg = (
            f"the import package {_PACKAGE!r} belongs to {_OURS!r}, but {named} is installed here and owns "
            f"it too, so that files of one may have overwritten the other's; either run "
            f"'pip uninstall {' '.join(rivals)} && pip install --force-reinstall {_OURS}', "
            f"or keep {_OURS!r} in a virtual environment of its own"
        )
        raise ImportError(msg, name=_PACKAGE)


def refuse_strangers(path: Iterable[str]) -> None:
    """Raise if ``import fabric`` would not find the package that lies beside this module.

    That is so where a file or folder of the name stands earlier on the path, and where a rival took our
    ``__init__.py`` along when it was uninstalled.

    Parameters
    ----------
    path : iterable of str
        Folders as Python searches them, such as ``sys.path``.

    Raises
    ------
    ImportError
        Says what is found instead, and the remedy.
    """
    ours = os.path.join(os.path.dirname(os.path.abspath(__file__)), _PACKAGE, "__init__.py")
    spec = PathFinder.find_spec(_PACKAGE, list(path))
    found = spec.origin if spec else None
    if not os.path.isfile(ours):
        msg = f"{ours} is missing; run 'pip install --force-reinstall {_OURS}'"
    elif found and os.path.realpath(found) != os.path.realpath(ours):
        msg = (
            f"'import {_PACKAGE}' finds {found}, which is not the package of {_OURS!r} ({ours}); rename it, "
            f"or leave its folder out of PYTHONPATH"
        )
    else:
        return
    raise ImportError(msg, name=_PACKAGE)


def owners(path: Iterable[str]) -> list[str]:
    """Return the distributions on `path` that own the top-level package ``fabric``.

    Parameters
    ----------
    path : iterable of str
        Folders; those that do not exist, and archives, are passed over.

    Returns
    -------
    list of str
        Names as the metadata folders spell them, without version.

    Notes
    -----
    The answer is that of ``importlib.metadata.packages_distributions()["fabric"]`` (a test holds them
    together). That call parses every line of every ``RECORD``: some 100 ms for the 45 distributions of this
    project's environment, and 20 to 50 ms more to import it. Here ``top_level.txt`` is read where there is
    one, and a ``RECORD`` only in a folder that does hold a ``fabric``: 1 ms for an editable install, and 5 ms
    for an ordinary one.
    """
    found = []
    for folder in dict.fromkeys(path):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        is_here = _PACKAGE in names or f"{_PACKAGE}.py" in names
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix in {".dist-info", ".egg-info"} and _owns(os.path.join(folder, name), is_here):
                found.append(stem.partition("-")[0])
    return found


def _owns(metadata: str, is_here: bool) -> bool:
    declared = _read(metadata, "top_level.txt").split()
    if declared or not is_here:
        return _PACKAGE in declared
    record = "\n" + _read(metadata, "RECORD")
    return f"\n{_PACKAGE}/" in record or f"\n{_PACKAGE}.py," in record


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _fail(message: str) -> None:
    """Leave as every command does that cannot answer: one line, or with ``--json`` one object; status 2."""
    if "--json" in sys.argv:
        import json

        print(json.dumps({"status": "error", "message": message, "problems": []}, indent=2))
    else:
        print(message, file=sys.stderr)
    raise SystemExit(2)


def __getattr__(name: str) -> object:
    """Tell who imports the distribution by its own name what the package is called (PEP 562)."""
    msg = f"module {__name__!r} has no attribute {name!r}; the package is called {_PACKAGE!r}: import fabric"
    raise AttributeError(msg)


if __name__ == "__main__":
    main()
