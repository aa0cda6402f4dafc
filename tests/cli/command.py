"""The command line in this process: a process of its own costs half a second more."""

import contextlib
import io
import sys
from typing import NamedTuple

from fabric.cli import app


class Done(NamedTuple):
    """What became of a command: its exit status and both outputs."""

    status: int
    out: str
    err: str


def run(*arguments, cwd=".", piped=b""):
    """Run `fabtopo` with `arguments` in a folder, with `piped` as its standard input."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["fabtopo", *map(str, arguments)], io.TextIOWrapper(io.BytesIO(piped))
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            app.main()
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        sys.argv, sys.stdin = before
    return Done(status, out.getvalue(), err.getvalue())
