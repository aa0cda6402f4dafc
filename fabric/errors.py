"""The error tree: every mistake of a user ends in one of these, never in a traceback."""

from __future__ import annotations

import contextlib
import difflib
import shlex
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

# Control, format (which turns the direction of text) and surrogate characters, and breaks of lines.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str, kept: str = "") -> str:
    r"""Return a text that does nothing to a terminal or a page: what cannot be printed becomes U+FFFD.

    Parameters
    ----------
    text : str
        From a file, a name, or an argument.
    kept : str
        Characters that may stay all the same, such as a line break.

    Examples
    --------
    >>> printable("red \x1b[31m, from right \u202e"), printable("two\nlines", kept="\n")
    ('red �[31m, from right �', 'two\nlines')
    """
    if text.isprintable():  # the usual case, a hundred times faster
        return text
    return "".join(c if c in kept or unicodedata.category(c) not in _UNPRINTABLE else "\ufffd" for c in text)


class FabricError(Exception):
    """Base of all errors that a user can cause and mend.

    Parameters
    ----------
    *args : object
        The message; what cannot be printed in it is replaced, since names and texts of files get into it.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg, kept="\n") if isinstance(arg, str) else arg for arg in args))


class UnitError(FabricError, ValueError):
    """A quantity that cannot be read, or a unit of the wrong kind."""


class PartError(FabricError, LookupError):
    """A part that the catalogue does not hold, or a row that may not load."""


class SelectorError(FabricError, ValueError):
    """A selector that cannot be read or that matches nothing."""


class QuestionError(FabricError, ValueError):
    """A question that the fabric cannot answer as it was put."""


class NoPathError(QuestionError):
    """Two ranks between which the path rule, or what has failed, leaves no path.

    Parameters
    ----------
    message : str
    rank : str
        One of them.
    """

    def __init__(self, message: str, rank: str) -> None:
        super().__init__(message)
        self.rank = rank


class ArgumentError(QuestionError, TypeError):
    """An argument of a public function that is missing, unknown, of another type or not among its choices."""


class LimitError(FabricError, ValueError):
    """An expanded form larger than the limit that guards memory."""


class ProofError(FabricError, ArithmeticError):
    """An answer whose own proof fails: an error of this program, not of who asked."""


class GraphError(FabricError, ValueError):
    """A graph that cannot be read as a fabric."""


class ExtraError(FabricError, ImportError):
    """A question that needs a package which only an extra of the distribution installs."""


class FileError(FabricError, ValueError):
    """A file that cannot be read or written.

    Parameters
    ----------
    path : str
        The file, as the user named it.
    what : str
        What is wrong.
    todo : str
        The remedy; may be empty.
    line, col : int
        Position in it, both from 1; 0 for the file as a whole.
    """

    def __init__(self, path: str, what: str, todo: str = "", line: int = 0, col: int = 0) -> None:
        self.path, self.what, self.todo, self.line, self.col = path, what, todo, line, col
        where = f"{path}:{line}:{col}" if line else path
        super().__init__(printable("; ".join(filter(None, (f"{where}: {what}", todo)))))


class LogError(FabricError, ValueError):
    """A log of measurements that cannot be read, or whose numbers contradict each other.

    Parameters
    ----------
    path : str
        The file, as the user named it.
    line : int
        From 1; 0 for the file as a whole.
    what : str
        What is wrong, with the numbers.
    """

    def __init__(self, path: str, line: int, what: str) -> None:
        self.path, self.line = path, line
        text = f"{path}:{line}: {what}" if line else f"{path}: {what}"
        super().__init__(printable(text))


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding in one file: where it is, what it is, and what to do.

    Parameters
    ----------
    path : str
        The file, as the user named it.
    line, col : int
        Position of the offending node, both from 1.
    where : str
        Dotted path inside the file, such as ``links.nic-leaf``.
    what : str
        The rule that is broken.
    got, expected, todo : str
        What was found, what was expected, and the remedy; each may be empty.
    """

    path: str
    line: int
    col: int
    where: str
    what: str
    got: str = ""
    expected: str = ""
    todo: str = ""

    def __str__(self) -> str:
        """Return ``path:line:col: where: what; got; expected; what to do`` on one line."""
        tail = [self.what]
        if self.got:
            tail.append(f"got {self.got}")
        if self.expected:
            tail.append(f"expected {self.expected}")
        if self.todo:
            tail.append(self.todo)
        text = f"{self.path}:{self.line}:{self.col}: {self.where}: " + "; ".join(tail)
        return printable(text)


class TopologyError(FabricError, ValueError):
    """All problems of a topology file at once.

    Parameters
    ----------
    problems : iterable of Problem
        At least one; shown in the order of their position in the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems = tuple(sorted(unique, key=lambda p: (p.path, p.line, p.col)))
        super().__init__("\n".join(str(p) for p in self.problems))


# A comparison takes the product of the lengths; beyond this, only names that begin alike are compared.
_COMPARED = 30_000


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``"did you mean a or b?"`` for the names closest to `name`, or an empty string.

    Examples
    --------
    >>> nearest("leef", ["leaf", "spine", "gpu"])
    'did you mean leaf?'
    """
    known = sorted(names)
    if len(name) * sum(map(len, known)) > _COMPARED:
        known = [word for word in known if word[:1] == name[:1]]
        known = known[: _COMPARED * len(known) // max(1, len(name) * sum(map(len, known)))]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else ""


_NOT_SAID = object()
_ON_COMMAND_LINE = ContextVar("on_command_line", default=False)


@contextlib.contextmanager
def command_line() -> Iterator[None]:
    """Let messages name arguments as options of the command line."""
    token = _ON_COMMAND_LINE.set(True)
    try:
        yield
    finally:
        _ON_COMMAND_LINE.reset(token)


# Arguments whose option has another name.
_OTHERWISE_CALLED = {"pattern": "traffic"}


def option(argument: str) -> str:
    """Return the option of the command line that stands for an argument.

    Examples
    --------
    >>> option("rail_groups"), option("n_chunks")
    ('--rail-groups', '--chunks')
    """
    name = _OTHERWISE_CALLED.get(argument, argument.removeprefix("n_"))
    return f"--{name.replace('_', '-')}"


def argument_name(verb: str, argument: str) -> str:
    """Return an argument as an error names it: by its verb, or as the option that it is on the command line.

    Examples
    --------
    >>> argument_name("max_flow", "paths")
    'max_flow: paths'
    >>> with command_line():
    ...     argument_name("max_flow", "paths")
    '--paths'
    """
    return option(argument) if _ON_COMMAND_LINE.get() else f"{verb}: {argument}"


def setting(argument: str, value: object = _NOT_SAID) -> str:
    """Return an argument as whoever reads the message types it.

    Parameters
    ----------
    argument : str
        Its name in Python.
    value : object
        None is no such argument; left out it is the argument alone.

    Examples
    --------
    >>> setting("oversubscription", {"leaf": "5:4"}), setting("block", None), setting("among")
    ("oversubscription={'leaf': '5:4'}", 'block=None', 'among=')
    >>> with command_line():
    ...     setting("oversubscription", {"leaf": "5:4"}), setting("block", None), setting("among")
    ('--oversubscription leaf=5:4', 'no --block', '--among')
    """
    if not _ON_COMMAND_LINE.get():
        return f"{argument}=" if value is _NOT_SAID else f"{argument}={value!r}"
    name = option(argument)
    if value is _NOT_SAID or value is True:
        return name
    if value is None:
        return f"no {name}"
    text = ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
    return f"{name} {shlex.quote(text)}"
