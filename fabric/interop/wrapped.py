r"""Lines of a log out of what runners wrap them in: JSON of Docker and Ansible, tags of CRI, cells of tables.

::

    {"log":"  1048576  262144  float ...\n","stream":"stdout","time":"..."}      Docker's json-file
    {"log":"  1048576  262144  fl", ...}  {"log":"oat ...\n", ...}                     the same in two pieces
    2026-01-01T00:00:00Z stdout P   1048576  262144  fl                          CRI (containerd, CRI-O)
    changed: [node1] => {"stdout": "# nThread 1 ...\n#  size ...", ...}          Ansible, a line a host
            "  1048576  262144  float ...",                                       Ansible's stdout_lines
    ok: [node1] => {"out.stdout_lines": ["#  size ...", "  1048576 ..."]}         the same on one line
          - '  1048576  262144  float ...'                                        the same as YAML
    node1 | CHANGED | rc=0 | (stdout) # nThread 1 ...\n#  size ...                Ansible --one-line
    1048576,262144,float,sum,-1,164.3,6.38,11.17,0,187.7,...                      a spreadsheet
    | 1048576 | 262144 | float | sum | -1 | 164.3 | ...                           a table of Markdown
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

# Keys of a line in an object a line: Docker, Fluent Bit, the journal, Loki, Cloud Logging.
_KEYS = ("log", "message", "MESSAGE", "msg", "line", "textPayload")
_CRI_RE = re.compile(
    r"[0-9]{4}-[0-9-]{5}T[0-9:.]{1,20}[Z0-9:+-]{1,6} (stdout|stderr) ([PF])(?::[PF]){0,9} (.*)"
)
_STDOUT_RE = re.compile(r'"(?:[\w.]{1,64}\.)?(?:stdout|msg)": {0,9}"((?:[^"\\]|\\.)*)"')
# Where Ansible shows a variable, or the output of several commands, on one line.
_STRINGS_RE = re.compile(
    r'"(?:[\w.]{0,64}stdout_lines|stdout|msg)": {0,9}\[ {0,9}((?:"(?:[^"\\]|\\.)*"(?:, {0,9})?)*)\]'
)
_QUOTED_RE = re.compile(r'\s{0,64}"((?:[^"\\]|\\.)*)",?\s{0,9}')
_LISTED_RE = re.compile(r"\s{0,64}- '((?:[^']|'')*)'\s{0,9}")
_DECIMAL_RE = re.compile(r";[0-9]{1,18},[0-9]{1,9};")
_LINES_RE = re.compile(r'"(?:[\w.]{0,64})stdout_lines": \[\s{0,9}$')
_ANSIBLE_RE = re.compile(r'"(?:[\w.]{0,64})stdout(?:_lines)?": ["\[]')
_ONE_LINE_RE = re.compile(r"[^|]{1,200} \| [A-Z!]{2,20} \| rc=\d{1,9} \| \(stdout\) (.*)")
_CELLS_RE = re.compile(r'\s{0,9}["#]{0,2} {0,9}(?:size|bytes|[0-9]{1,18})"?[,;]')


@dataclass(frozen=True, slots=True)
class _Piece:
    """What an object a line, or a line of CRI, holds of a line of its stream."""

    stream: str
    text: str
    is_end: bool


def is_wrapped(text: str) -> bool:
    """Return whether a text that begins like JSON is a log, an object a line or of Ansible, and no report."""
    first = text.lstrip().partition("\n")[0]
    return _piece(first, has_ends=False) is not None or _ANSIBLE_RE.search(text) is not None


def unwrap(text: str) -> Iterator[tuple[int, str]]:
    r"""Yield the lines of a log, each with the number of the line that holds it, or its first piece.

    Examples
    --------
    >>> list(unwrap('{"log":"# size\\n","stream":"stdout"}\nplain'))
    [(1, '# size'), (2, 'plain')]
    >>> list(unwrap('{"log":"# si","stream":"stdout"}\n{"log":"ze\\n","stream":"stdout"}'))
    [(1, '# size')]
    >>> list(unwrap("8,2,float,sum,-1,1.0,0.01,0.01,0"))
    [(1, '8 2 float sum -1 1.0 0.01 0.01 0')]
    """
    # Docker ends every line by a newline of its own, and a piece by none; others leave all of them out.
    has_ends = '\\n"' in text
    begun: dict[str, tuple[int, list[str]]] = {}
    is_said, is_again = False, False
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if piece := _piece(line, has_ends=has_ends):
            first, pieces = begun.setdefault(piece.stream, (number, []))
            pieces.append(piece.text)
            if piece.is_end:
                del begun[piece.stream]
                yield from ((first, part) for part in _lines_of("".join(pieces).removesuffix("\n"), ""))
            continue
        # Ansible says the same as a string, and after it line by line.
        is_again = (
            is_again and line.strip() not in ("]", "],") or is_said and _LINES_RE.search(line) is not None
        )
        if is_again:
            continue
        parts = list(_parts(line))
        is_said = len(parts) > 1 or is_said and line.strip()[:1] not in ("}", "]")
        yield from ((number, part) for part in parts)
    # What was cut off at the end of the log.
    yield from ((first, "".join(pieces)) for first, pieces in begun.values())


def _piece(line: str, *, has_ends: bool) -> _Piece | None:
    if match := _CRI_RE.fullmatch(line):
        return _Piece(match[1], match[3], match[2] == "F")
    if line.lstrip()[:1] != "{" or line.rstrip()[-1:] != "}":
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    text = next((record[key] for key in _KEYS if isinstance(record.get(key), str)), None)
    if text is None:
        return None
    return _Piece(str(record.get("stream", "")), text, text.endswith("\n") or not has_ends)


def _parts(line: str) -> Iterator[str]:
    """Yield what one line holds: itself, if it is not wrapped."""
    # By the shape of the line alone, as one log may hold lines of several runners.
    if any(key in line for key in ('stdout": ', '"msg": ', 'stdout_lines": [')):
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
    elif line[:1] == "|" and line.rstrip()[-1:] == "|":
        yield " ".join(cell.strip() for cell in line.split("|") if cell.strip())
    else:
        yield line


def _lines_of(text: str | None, otherwise: str) -> list[str]:
    return (otherwise if text is None else text).split("\n") if text != "" else []


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
    # Where semicolons part the cells, a comma parts the whole from the decimals.
    has_commas = line.count(";") > line.count(",") or _DECIMAL_RE.search(line) is not None
    try:
        (cells,) = csv.reader([line], delimiter=";" if has_commas else ",")
    except (csv.Error, ValueError):
        return line
    if has_commas:
        cells = [
            cell.replace(",", ".") if _DECIMAL_RE.fullmatch(f";{cell.strip()};") else cell for cell in cells
        ]
    return " ".join(cell.strip() for cell in cells if cell.strip())
