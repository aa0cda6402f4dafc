"""Read an untrusted YAML or JSON text into plain Python data with the position of every node.

Values follow the YAML 1.2 core schema, so ``no``, ``010`` and ``12:30:00`` mean what they seem to;
JSON is read by the same rules. Whatever could run code, hide a value or exhaust memory is refused:
tags, merge keys, duplicate keys, deep nesting, aliases that expand without bound.

The events of the YAML parser are turned into data with an explicit stack. Next to the data grows a
tree of positions, in which an aliased subtree is shared::

    a: &x {b: 1}      data   {"a": {"b": 1}, "c": {"b": 1}}        (the second is a copy)
    c: *x             spots  {"a": (1:4, T), "c": (2:4, T)}, T = {"b": (1:11, None)}
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, TypeAlias

import yaml

from fabric.blueprint.document import Document, Mark, Marks, Pos, Spot, Spots, dotted, short
from fabric.blueprint.limits import MAX_BYTES, MAX_NODES, MAX_PROBLEMS, Room
from fabric.errors import FileError, Problem, TopologyError
from fabric.text.reading import read_bytes

MAX_DEPTH = 32
"""Deepest nesting of mappings and lists, aliases expanded."""
MAX_NUMBER_CHARS = 40
"""Longest number."""

# The C and the Python parser have event and mark classes that share attributes but no base.
_Event: TypeAlias = Any
_YamlMark: TypeAlias = Any

# The C parser is some twenty times faster; not every build of PyYAML has it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# YAML 1.2.2, 10.3.2, core schema.
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((s + w for s in ("", "+") for w in (".inf", ".Inf", ".INF")), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_NUMBER_RE = re.compile(
    r"(?P<int>[-+]?[0-9]+)|(?P<oct>0o[0-7]+)|(?P<hex>0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
)
# YAML 1.2.2, 5.1, without DEL, C1 and NEL; U+2028 and U+2029, at which YAML 1.1 parsers break
# lines and others do not; and a byte order mark that is not the first character.
_BAD_CHAR_RE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_BAD_PAIR_RE = re.compile("[\ud800-\udfff]")
_LINE_BREAK_RE = re.compile("\r\n|\r|\n")
_SURROGATE_RE = re.compile(r"u[dD][89a-fA-F]")

_START = Mark(1, 1)


def read_file(path: str | os.PathLike[str], *, is_strict: bool = True, room: Room | None = None) -> Document:
    """Read a topology file.

    Parameters
    ----------
    path : str or path-like
        A regular file in UTF-8.
    is_strict : bool
        Raise for duplicate keys too, instead of noting them in the document.
    room : Room, optional
        What may still be read, which is taken from it; by default that of one file.

    Returns
    -------
    Document
        Its data and positions.

    Raises
    ------
    TopologyError
        With all problems that were found; also if the file cannot be opened.
    """
    name = os.fspath(path)
    try:
        raw = read_bytes(name, limit=MAX_BYTES)
    except FileError as error:
        _refuse(name, error.what, todo=_as_shipped(name) or error.todo)
    return read_text(raw, name, is_strict=is_strict, room=room)


def _as_shipped(name: str) -> str:
    """Return how to have what comes with the program and is called like a file that cannot be read."""
    from fabric.blueprint.shipped import SUFFIX, examples
    from fabric.blueprint.templates import template_names

    stem = os.path.basename(name).removesuffix(SUFFIX)
    for example in examples():
        if example.name.rpartition("/")[2] == stem:
            return f"`fabtopo examples {example.name}` copies the example of that name here"
    return (
        f"a template: `fabtopo templates {stem}` says how a file includes it"
        if stem in template_names()
        else ""
    )


def read_text(text: str | bytes, path: str, *, is_strict: bool = True, room: Room | None = None) -> Document:
    r"""Read the text of a topology file.

    Parameters
    ----------
    text : str or bytes
        YAML or JSON; bytes are UTF-8, with or without byte order mark.
    path : str
        The name of the file in problems.
    is_strict : bool
        Raise for duplicate keys too, instead of noting them in the document.
    room : Room, optional
        What may still be read, which is taken from it; by default that of one file.

    Returns
    -------
    Document
        Its data and positions.

    Raises
    ------
    TopologyError
        With all problems that were found.

    Examples
    --------
    >>> read_text("fabric: pod\naxes: {rack: 010, on: no}", "pod.fabric.yaml").data
    {'fabric': 'pod', 'axes': {'rack': 10, 'on': 'no'}}
    >>> read_text("axes: {rack: 2, rack: 4}", "pod.fabric.yaml")
    Traceback (most recent call last):
        ...
    fabric.errors.TopologyError: pod.fabric.yaml:1:17: axes.rack: duplicate key; first on line 1
    """
    room = Room() if room is None else room
    if len(text) > room.n_bytes:
        _refuse_size(path, len(text))
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if len(raw) > room.n_bytes:
        _refuse_size(path, len(raw))
    room.n_bytes -= len(raw)
    chars = text if isinstance(text, str) else _decode(text, path)
    chars = chars.removeprefix("\ufeff")
    bad = _BAD_CHAR_RE.search(chars)
    if bad:
        got = f"U+{ord(bad[0]):04X}"
        todo = "leave it out, or write it as an escape in double quotes"
        _refuse(path, "character not allowed", pos=_end(chars[: bad.start()]), got=got, todo=todo)
    builder = _DocumentBuilder(path, room)
    data, root = builder.build(chars)
    if is_strict and builder.doubled:
        raise TopologyError(builder.doubled)
    digest = hashlib.sha256(raw).hexdigest()
    return Document(path, data, Marks(root, False), Marks(root, True), digest, tuple(builder.doubled))


class _Frame:
    """A mapping or list that is being read."""

    __slots__ = ("anchor", "before", "data", "height", "is_dropped", "key", "key_pos", "pos", "spots")

    def __init__(self, data: dict[str, object] | list[object], pos: Pos, anchor: str | None) -> None:
        self.data = data
        self.spots: Spots = {}
        self.pos = pos
        self.anchor = anchor
        self.before = 0  # nodes in the file before this one
        self.height = 1  # levels in here, this one included
        self.key: str | None = None  # in a mapping: the key that awaits its value
        self.key_pos = pos
        self.is_dropped = False  # its key is at fault, so the value is read and forgotten


class _Anchored(NamedTuple):
    """What an alias stands for."""

    value: object
    below: Spots | None
    n_nodes: int
    height: int


class _DocumentBuilder:
    """Turns the events of one document into data, spots and problems."""

    __slots__ = (
        "_anchors",
        "_chars",
        "_n_documents",
        "_n_nodes",
        "_path",
        "_problems",
        "_room",
        "_root",
        "_stack",
        "doubled",
    )

    def __init__(self, path: str, room: Room) -> None:
        self._path = path
        self._room = room
        self._problems: list[Problem] = []
        self._chars = ""
        self.doubled: list[Problem] = []  # duplicate keys: the data can still be used
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}  # None: still open
        self._root: tuple[object, Spot] | None = None
        self._n_nodes = 0
        self._n_documents = 0

    def build(self, chars: str) -> tuple[dict[str, object], Spot]:
        self._chars = chars
        handlers: dict[type, Callable[[_Event], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: lambda event: self._open(event, {}),
            yaml.SequenceStartEvent: lambda event: self._open(event, []),
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }
        try:
            for event in yaml.parse(chars, Loader=_LOADER):
                handler = handlers.get(type(event))
                if handler:
                    handler(event)
        except yaml.YAMLError as error:
            self._syntax(error)
        if self._root is None:
            self._stop(_START, "empty file", expected="a mapping of keys to values")
        data, spot = self._root
        if not isinstance(data, dict):
            got = _kind(data)
            self._say(spot[0], "top level must be a mapping", got=got)
        if self._problems or not isinstance(data, dict):
            raise TopologyError([*self._problems, *self.doubled])
        return data, spot

    def _at(self, mark: _YamlMark) -> Pos:
        line, col = mark.line + 1, mark.column + 1
        return line, col

    def _where(self) -> str:
        steps: list[str | int] = []
        for frame in self._stack:
            if isinstance(frame.data, list):
                steps.append(len(frame.data))
            elif frame.key is not None:
                steps.append(frame.key)
        return dotted(tuple(steps))

    def _say(self, pos: Pos, fault: str, *, got: str = "", expected: str = "", todo: str = "") -> None:
        self._problems.append(Problem(self._path, *pos, self._where(), fault, got, expected, todo))
        if len(self._problems) + len(self.doubled) >= MAX_PROBLEMS:
            raise TopologyError([*self._problems, *self.doubled])

    def _stop(self, pos: Pos, fault: str, *, got: str = "", expected: str = "", todo: str = "") -> NoReturn:
        self._say(pos, fault, got=got, expected=expected, todo=todo)
        raise TopologyError([*self._problems, *self.doubled])

    def _syntax(self, error: yaml.YAMLError) -> NoReturn:
        pos: Pos = _START
        fault = str(error)
        if isinstance(error, yaml.MarkedYAMLError):
            at = error.problem_mark or error.context_mark
            pos = self._at(at) if at else pos
            fault = ", ".join(part for part in (error.context, error.problem) if part)
        # The parser looks ahead, so the data read so far does not say where the fault is.
        self._stack.clear()
        if (
            "nesting depth" in fault
        ):  # some parsers have a limit of their own, which looking ahead meets first
            self._stop(pos, "nested too deep", expected=f"at most {MAX_DEPTH} levels")
        # JSON may write a character as two halves, \\ud83d\\ude00, which YAML does not know.
        is_half = "character escape" in fault and self._is_surrogate(pos)
        todo = "write the character itself, not the two halves that JSON makes of it" if is_half else ""
        if re.match(r" *\t", self._line(pos)):
            fault, todo = "a line is indented by a tab", "indent it by blanks"
        self._stop(pos, "syntax error: " + " ".join(fault.split()), todo=todo)

    def _line(self, pos: Pos) -> str:
        """Return the line of a place of the file."""
        lines = _LINE_BREAK_RE.split(self._chars)
        return lines[pos[0] - 1] if pos[0] <= len(lines) else ""

    def _is_surrogate(self, pos: Pos) -> bool:
        """Return whether an escape of half a character stands at a place of the file."""
        line = self._line(pos)
        return _SURROGATE_RE.search(line[max(pos[1] - 8, 0) : pos[1] + 8]) is not None

    def _document(self, event: _Event) -> None:
        self._n_documents += 1
        pos = self._at(event.start_mark)
        if self._n_documents > 1:
            self._stop(pos, "second document", expected="one document in a file", todo="split the file")
        if event.tags or event.version not in (None, (1, 2)):
            self._say(pos, "directive not allowed", todo="remove the lines that start with %")

    def _count(self, pos: Pos, n_nodes: int) -> None:
        self._n_nodes += n_nodes
        self._room.n_nodes -= n_nodes
        if self._room.n_nodes < 0:
            expected = f"at most {MAX_NODES} keys and values with those of includes, aliases expanded"
            self._stop(pos, "too many nodes", expected=expected)

    def _begin(self, event: _Event) -> Pos:
        """Do what scalars, mappings and lists have in common: count, tag, anchor."""
        pos = self._at(event.start_mark)
        self._count(pos, 1)
        if event.tag is not None:
            self._say(pos, "tag not allowed", got=short(event.tag), todo="remove it")
        if event.anchor is not None:
            if event.anchor in self._anchors:
                self._say(pos, f"anchor &{short(event.anchor)} is defined twice")
            self._anchors[event.anchor] = None
        return pos

    def _scalar(self, event: _Event) -> None:
        pos = self._begin(event)
        text: str = event.value
        value: object = text
        if not text.isascii() and _BAD_PAIR_RE.search(text):  # only the Python parser lets it pass
            self._say(pos, "syntax error: half of a surrogate pair")
        if not event.style:  # plain
            if text == "<<" and self._awaits_key():
                todo = "write the keys out, or use include"
                self._say(pos, "merge key '<<' not allowed", todo=todo)
                self._drop("<<", pos)
                return
            if text in _WORDS:
                value = _WORDS[text]
            elif text[0] in "+-.0123456789":
                value = self._number(text, pos)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, None, 1, 0)
        self._add(value, pos, text=text)

    def _number(self, text: str, pos: Pos) -> object:
        match = _NUMBER_RE.fullmatch(text)
        if not match:
            return text
        if len(text) > MAX_NUMBER_CHARS:
            todo = "quote it if it is a text"
            self._say(pos, f"number of more than {MAX_NUMBER_CHARS} characters", todo=todo)
            return 0
        if match["float"]:
            value = float(text)
            if math.isinf(value):
                self._say(pos, "number too large", got=text, todo="write .inf if infinity is meant")
            return value
        return int(text[2:], 8 if match["oct"] else 16) if match["int"] is None else int(text)

    def _open(self, event: _Event, data: dict[str, object] | list[object]) -> None:
        pos = self._begin(event)
        if len(self._stack) >= MAX_DEPTH:
            self._stop(pos, "nested too deep", expected=f"at most {MAX_DEPTH} levels")
        frame = _Frame(data, pos, event.anchor)
        frame.before = self._n_nodes - 1
        self._stack.append(frame)

    def _close(self, event: _Event) -> None:
        frame = self._stack.pop()
        if frame.anchor is not None:
            n_nodes = self._n_nodes - frame.before
            self._anchors[frame.anchor] = _Anchored(frame.data, frame.spots, n_nodes, frame.height)
        self._add(frame.data, frame.pos, frame.spots, height=frame.height)

    def _alias(self, event: _Event) -> None:
        pos, name = self._at(event.start_mark), event.anchor
        anchored = self._anchors.get(name)
        if anchored is None:
            if name in self._anchors:
                self._say(pos, f"alias *{short(name)} inside its own anchor")
            else:
                self._say(pos, f"alias *{short(name)} has no anchor before it")
            self._count(pos, 1)
            self._add("", pos)
            return
        # The expanded size and depth are known without expanding, so neither is ever exceeded.
        self._count(pos, anchored.n_nodes)
        if len(self._stack) + anchored.height > MAX_DEPTH:
            self._stop(pos, "nested too deep", expected=f"at most {MAX_DEPTH} levels, aliases expanded")
        self._add(_copy(anchored.value), pos, anchored.below, height=anchored.height)

    def _awaits_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].data, dict) and self._stack[-1].key is None

    def _drop(self, name: str, pos: Pos) -> None:
        frame = self._stack[-1]
        frame.key, frame.key_pos, frame.is_dropped = name, pos, True

    def _add(
        self,
        value: object,
        pos: Pos,
        below: Spots | None = None,
        *,
        height: int = 0,
        text: str | None = None,
    ) -> None:
        """Put a finished node into the mapping or list that is open; `text` is a scalar as written."""
        if not self._stack:
            self._root = (value, (pos, None, below))
            return
        frame = self._stack[-1]
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.data, list):
            frame.spots[len(frame.data)] = (pos, None, below)
            frame.data.append(value)
        elif frame.key is None:
            self._key(frame, value, pos, text)
        else:
            if not frame.is_dropped:
                frame.data[frame.key] = value
                frame.spots[frame.key] = (pos, frame.key_pos, below)
            frame.key = None
            frame.is_dropped = False

    def _key(self, frame: _Frame, value: object, pos: Pos, text: str | None) -> None:
        if not isinstance(value, str):
            todo = f'quote it: "{short(text)}"' if text else ""
            self._say(pos, "key must be a string", got=_kind(value), todo=todo)
            self._drop(text or "?", pos)
            return
        frame.key, frame.key_pos = value, pos
        first = frame.spots.get(value)
        if first and first[1]:
            self._say(pos, f"duplicate key; first on line {first[1][0]}")
            self.doubled.append(self._problems.pop())
            frame.is_dropped = True


def _copy(value: object) -> object:
    # Recursion is safe: nothing that is read is deeper than MAX_DEPTH.
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), "a number")


def _refuse(
    path: str, fault: str, *, pos: Pos = _START, got: str = "", expected: str = "", todo: str = ""
) -> NoReturn:
    raise TopologyError([Problem(path, *pos, "file", fault, got, expected, todo)])


def _refuse_size(path: str, n_bytes: int) -> NoReturn:
    _refuse(
        path,
        "file too large",
        got=f"{n_bytes} bytes or more",
        expected=f"at most {MAX_BYTES} bytes, includes counted in",
    )


def _decode(raw: bytes, path: str) -> str:
    # UTF-16 without byte order mark shows as NULs beside the first characters, which are ASCII.
    has_bom = raw.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff"))
    if has_bom or re.match(rb"[^\0]\0[^\0]\0|\0[^\0]\0[^\0]|[^\0]\0\0\0|\0\0\0[^\0]", raw):
        _refuse(path, "file is UTF-16 or UTF-32", expected="UTF-8", todo="save it as UTF-8")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        got = f"byte 0x{raw[error.start]:02X}"
        _refuse(path, "file is not UTF-8", pos=_end(before), got=got, todo="save it as UTF-8")


def _end(before: str) -> Pos:
    """Return the position of the character that follows `before`."""
    lines = _LINE_BREAK_RE.split(before)
    return len(lines), len(lines[-1]) + 1
