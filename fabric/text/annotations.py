"""What is wrong in a file, in the forms that code hosts show beside its lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from fabric.errors import printable


@dataclass(frozen=True, slots=True)
class Annotation:
    """One remark on one line of a file.

    Parameters
    ----------
    path : str
    line, col : int
        From 1.
    kind : str
        Such as ``problem`` or ``unmet``.
    message : str
    """

    path: str
    line: int
    col: int
    kind: str
    message: str


def to_github(annotations: Iterable[Annotation]) -> str:
    """Return workflow commands of GitHub Actions, which show each remark in the change under review.

    References
    ----------
    GitHub, Workflow commands for GitHub Actions, "Setting an error message".

    Examples
    --------
    >>> print(to_github([Annotation("a,b.yaml", 3, 5, "unmet", "50 % kept")]))
    ::error file=a%2Cb.yaml,line=3,col=5,title=fabtopo unmet::50 %25 kept
    """
    return "\n".join(
        f"::error file={_escape(note.path, ':,')},line={note.line},col={note.col},"
        f"title=fabtopo {_escape(note.kind, ':,')}::{_escape(note.message)}"
        for note in annotations
    )


def _escape(text: str, more: str = "") -> str:
    """Return a text in which nothing can end a workflow command or one of its properties."""
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + more else c for c in printable(text, kept="\r\n"))


def to_sarif(annotations: Iterable[Annotation], version: str) -> str:
    """Return a SARIF log of one run, as code scanning reads it.

    Parameters
    ----------
    annotations : iterable of Annotation
    version : str
        Of this program.

    References
    ----------
    OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.

    Examples
    --------
    >>> log = json.loads(to_sarif([Annotation("a.yaml", 3, 5, "unmet", "50 % kept")], "1.0"))
    >>> log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    {'startLine': 3, 'startColumn': 5}
    """
    notes = list(annotations)
    driver = {
        "name": "fabtopo",
        "version": version,
        "rules": [{"id": kind} for kind in sorted({note.kind for note in notes})],
    }
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(note) for note in notes]}],
    }
    return json.dumps(log, indent=2)


def _result(note: Annotation) -> dict[str, object]:
    region = {"startLine": note.line, "startColumn": note.col}
    place = {"artifactLocation": {"uri": PurePath(note.path).as_posix()}, "region": region}
    return {
        "ruleId": note.kind,
        "level": "error",
        "message": {"text": printable(note.message)},
        "locations": [{"physicalLocation": place}],
    }
