r"""Lines of a log out of what runners wrap them in: JSON of Docker and Ansible, cells of CSV.

::

    {"log":"  1048576  262144  float ...\n","stream":"stdout","time":"..."}      Docker's json-file
    changed: [node1] => {"stdout": "# nThread 1 ...\n#  size ...", ...}          Ansible, a line a host
            "  1048576  262144  float ...",                                       Ansible's stdout_lines
    ok: [node1] => {"out.stdout_lines": ["#  size ...", "  1048576 ..."]}         the same on one line
          - '  1048576  262144  float ...'                                        the same as YAML
    node1 | CHANGED | rc=0 | (stdout) # nThread 1 ...\n#  size ...                Ansible --one-line
    1048576,262144,float,sum,-1,164.3,6.38,11.17,0,187.7,...                      a spreadsheet
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator

# Others that write an object a line put the time or the stream first.
_DOCKER_RE = re.compile(r'\s{0,9}\{(?:"[\w.@-]{1,40}": {0,3}"[^"\\]{0,200}", {0,3}){0,6}"log": {0,3}"')
_STDOUT_RE = re.compile(r'"(?:stdout|msg)": {0,9}"((?:[^"\\]|\\.)*)"')
# Where Ansible shows a variable, or the output of several commands, on one line.
_STRINGS_RE = re.compile(
    r'"(?:[\w.]{0,64}stdout_lines|stdout|msg)": {0,9}\[ {0,9}((?:"(?:[^"\\]|\\.)*"(?:, {0,9})?)*)\]'
)
_QUOTED_RE = re.compile(r'\s{0,64}"((?:[^"\\]|\\.)*)",?\s{0,9}')
_LISTED_RE = re.compile(r"\s{0,64}- '((?:[^']|'')*)'\s{0,9}")
_ONE_LINE_RE = re.compile(r"[^|]{1,200} \| [A-Z!]{2,20} \| rc=\d{1,9} \| \(stdout\) (.*)")
_CELLS_RE = re.compile(r'\s{0,9}["#]{0,2} {0,9}(?:size|bytes|[0-9]{1,18})"?[,;]')


def is_wrapped(text: str) -> bool:
    """Return whether a text that begins like JSON is a log of Docker, an object a line, and no one report."""
    return _DOCKER_RE.match(text.lstrip()) is not None


def unwrap(text: str) -> Iterator[tuple[int, str]]:
    r"""Yield the lines of a log, each with the number of the line that holds it.

    Examples
    --------
    >>> list(unwrap('{"log":"# size\\n","stream":"stdout"}\nplain'))
    [(1, '# size'), (2, 'plain')]
    >>> list(unwrap("8,2,float,sum,-1,1.0,0.01,0.01,0"))
    [(1, '8 2 float sum -1 1.0 0.01 0.01 0')]
    """
    for number, line in enumerate(text.split("\n"), 1):
        for part in _parts(line):
            yield number, part


def _parts(line: str) -> Iterator[str]:
    """Yield what one line holds: itself, if it is not wrapped."""
    # By the shape of the line alone, as one log may hold lines of several runners.
    if _DOCKER_RE.match(line):
        yield from _lines_of(_field(line, "log"), line)
    elif any(key in line for key in ('"stdout": ', '"msg": ', 'stdout_lines": [')):
        lines = [text for match in _STDOUT_RE.finditer(line) for text in _lines_of(_string(match[1]), "")]
        # Where both forms stand they say the same.
        if not any(lines):
            lines = [text for match in _STRINGS_RE.finditer(line) for text in _strings(match[1])]
        yield from lines or [line]
    elif line.lstrip()[:1] == '"' and (match := _QUOTED_RE.fullmatch(line)):
        yield from _lines_of(_string(match[1]), line)
    elif match := _LISTED_RE.fullmatch(line):
        yield match[1].replace("''", "'")
    elif match := _ONE_LINE_RE.fullmatch(line):
        yield from match[1].split("\\n")
    elif _CELLS_RE.match(line):
        yield _cells(line)
    else:
        yield line


def _lines_of(text: str | None, otherwise: str) -> list[str]:
    return (otherwise if text is None else text).split("\n") if text != "" else []


def _field(line: str, key: str) -> str | None:
    try:
        value = json.loads(line)[key]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return value.removesuffix("\n") if isinstance(value, str) else None


def _string(quoted: str) -> str | None:
    try:
        value = json.loads(f'"{quoted}"')
    except ValueError:
        return None
    return str(value)


def _strings(listed: str) -> list[str]:
    """Return the strings of a list as JSON has it, without its brackets."""
    try:
        return [text for item in json.loads(f"[{listed}]") for text in _lines_of(str(item), "")]
    except ValueError:
        return []


def _cells(line: str) -> str:
    """Return the cells of a line of a spreadsheet as words."""
    try:
        (cells,) = csv.reader([line], delimiter=";" if line.count(";") > line.count(",") else ",")
    except (csv.Error, ValueError):
        return line
    return " ".join(cell.strip() for cell in cells if cell.strip())
