"""The reader: YAML 1.2 values, a position for every node, and a refusal for every trick."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.blueprint import reader
from fabric.blueprint.document import Document, Mark, dotted
from fabric.blueprint.limits import MAX_BYTES, MAX_PROBLEMS, Room
from fabric.blueprint.reader import read_file, read_text
from fabric.errors import TopologyError

LAUGHS = "a: &a [l, l, l, l, l, l, l, l, l, l]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

# Each text with the problem that it must show: its position, where it is, and what it is.
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "syntax, flow": ("a: [1, 2\nb: 3\n", "2:2: file: syntax error: .*"),
    "syntax, block": ("a: b: c\n", "1:5: file: syntax error: mapping values are not allowed in this context"),
    "syntax, tab": (
        "a:\n\tb: 1\n",
        "2:1: file: syntax error: a line is indented by a tab; indent it by blanks",
    ),
    "syntax, quote": ('a: "b\n', "2:1: file: syntax error: while scanning a quoted scalar, .*end of stream"),
    "duplicate key": (
        "a: 1\nb: {c: 1,\n    c: 2}\n",
        "3:5: b.c: duplicate key; first on line 2",
    ),
    "duplicate by quotes": ('a: 1\n"a": 2', "2:1: a: duplicate key; first on line 1"),
    "duplicate by alias": ("&k a: 1\n*k : 2", "2:1: a: duplicate key; first on line 1"),
    "integer key": ("a:\n  1: x\n", '2:3: a: key must be a string; got a number; quote it: "1"'),
    "boolean key": ("true: x\n", '1:1: file: key must be a string; got a boolean; quote it: "true"'),
    "null key": ("~: x\n", '1:1: file: key must be a string; got nothing; quote it: "~"'),
    "empty key": ("?\n: x\n", "1:2: file: key must be a string; got nothing"),
    "list key": ("? [a, b]\n: 1\n", "1:3: file: key must be a string; got a list"),
    "mapping key": ("{a: 1}: 1\n", "1:1: file: key must be a string; got a mapping"),
    "tag": ("a: !foo bar\n", "1:4: a: tag not allowed; got !foo; remove it"),
    "tag on mapping": ("a: !foo {b: 1}\n", "1:4: a: tag not allowed; got !foo; remove it"),
    "tag on list": ("a: !foo [b]\n", "1:4: a: tag not allowed; got !foo; remove it"),
    "tag on key": ("!foo a: b\n", "1:1: file: tag not allowed; got !foo; remove it"),
    "core tag": ("a: !!int 3\n", "1:4: a: tag not allowed; got tag:yaml.org,2002:int; remove it"),
    "python tag": (
        "a: !!python/object/apply:os.system [ls]\n",
        "1:4: a: tag not allowed; got tag:yaml.org,2002:python/object/apply:os.system; remove it",
    ),
    "bare tag": ("a: ! b\n", "1:4: a: tag not allowed; got !; remove it"),
    "tag directive": ("%TAG ! tag:x,2000:\n---\na: 1\n", "1:1: file: directive not allowed; .*"),
    "version directive": ("%YAML 1.1\n---\na: no\n", "1:1: file: directive not allowed; .*"),
    "merge key": (
        "x: &x {b: 1}\na:\n  <<: *x\n",
        "3:3: a: merge key '<<' not allowed; write the keys out, or use include",
    ),
    "two documents": (
        "a: 1\n---\nb: 2\n",
        "2:1: file: second document; expected one document in a file; split the file",
    ),
    "bare separator": ("a: 1\n---\n", "2:1: file: second document; .*"),
    # PyYAML 6.0.4 stops by itself before it tells of any list.
    "nested lists": (
        "a: " + "[" * 100_000,
        r"1:(35: a(\[0\])+|1003: file): nested too deep; expected at most 32 levels",
    ),
    "nested mappings": ("".join(" " * i + "a:\n" for i in range(999)), "33:33: .*: nested too deep; .*"),
    "nested by dashes": ("a:\n" + "- " * 99_999, "2:63: .*: nested too deep; .*"),
    "nested by aliases": (
        "a0: &a0 []\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}]\n" for i in range(99)),
        "32:12: .*: nested too deep; expected at most 32 levels, aliases expanded",
    ),
    "billion laughs": (
        LAUGHS,
        r"5:\d+: e\[\d\]: too many nodes; expected at most 100000 .* aliases expanded",
    ),
    "recursive list": ("a: &x [1, *x]\n", r"1:11: a\[1\]: alias \*x inside its own anchor"),
    "recursive mapping": ("a: &x {b: {c: *x}}\n", r"1:15: a.b.c: alias \*x inside its own anchor"),
    "unknown alias": ("a: *x\n", r"1:4: a: alias \*x has no anchor before it"),
    "later anchor": ("a: *x\nb: &x 1\n", r"1:4: a: alias \*x has no anchor before it"),
    "anchor twice": ("a: &x 1\nb: &x 2\n", "2:4: b: anchor &x is defined twice"),
    "huge integer": ("a: " + "9" * 1_000_000, "1:4: a: number of more than 40 characters; .*"),
    "huge hexadecimal": ("a: 0x" + "f" * 39, "1:4: a: number of more than 40 characters; .*"),
    "long fraction": ("a: 0." + "3" * 39, "1:4: a: number of more than 40 characters; .*"),
    "overflow": ("a: 1e999", "1:4: a: number too large; got 1e999; write .inf if infinity is meant"),
    "not UTF-8": (
        b"a: 1\nb: \xc3\xa9\xff\n",
        "2:5: file: file is not UTF-8; got byte 0xFF; save it as UTF-8",
    ),
    "cut UTF-8": (b"\xef\xbb\xbfa: \xc3", "1:4: file: file is not UTF-8; got byte 0xC3; .*"),
    "UTF-16 with mark": ("a: 1".encode("utf-16"), "1:1: file: file is UTF-16 or UTF-32; expected UTF-8; .*"),
    "UTF-16": ("a: 1".encode("utf-16-be"), "1:1: file: file is UTF-16 or UTF-32; .*"),
    "UTF-32": ("a: 1".encode("utf-32-le"), "1:1: file: file is UTF-16 or UTF-32; .*"),
    "NUL": ("a: 1\nb: x\0y", r"2:5: file: character not allowed; got U\+0000; .*"),
    "escape sequence": ("a: \x1b[2J", r"1:4: file: character not allowed; got U\+001B; .*"),
    "control in comment": ("a: 1 # \x07", r"1:8: file: character not allowed; got U\+0007; .*"),
    "next line": ("a: 1\r\nb: \x85", r"2:4: file: character not allowed; got U\+0085; .*"),
    "line separator": ('{"a": "\u2028"}', r"1:8: file: character not allowed; got U\+2028; .*"),
    "inner byte order mark": ("a: 1\n\ufeffb: 2", r"2:1: file: character not allowed; got U\+FEFF; .*"),
    "lone surrogate": ("a: \ud800", r"1:4: file: character not allowed; got U\+D800; .*"),
    "lone surrogate escape": (
        '{"a": "\\ud800"}',
        "1:10: file: syntax error: .*Unicode character escape code; .*",
    ),
    "surrogate pair of JSON": (
        '{"a": "\\ud83d\\ude00"}',
        "1:10: file: syntax error: .*; write the character itself, not the two halves that JSON .*",
    ),
    "surrogate pair outside JSON": ('a: "\\ud83d\\ude00"', "1:7: file: syntax error: .*"),
    "empty": ("", "1:1: file: empty file; expected a mapping of keys to values"),
    "blank": (" \n\n", "1:1: file: empty file; .*"),
    "only comments": (b"# a\n# b\n", "1:1: file: empty file; .*"),
    "only a mark": (b"\xef\xbb\xbf", "1:1: file: empty file; .*"),
    "list on top": ("\n- a\n", "2:1: file: top level must be a mapping; got a list"),
    "text on top": ("fabric\n", "1:1: file: top level must be a mapping; got a text"),
    "nothing on top": ("---\n", "2:1: file: top level must be a mapping; got nothing"),
    "number on top": ("0x10", "1:1: file: top level must be a mapping; got a number"),
    "too large": (
        "#" * (MAX_BYTES + 1),
        "1:1: file: file too large; got .*; expected at most .* bytes, includes counted in",
    ),
    "too large in bytes": ("\u00e9" * (MAX_BYTES // 2 + 1), "1:1: file: file too large; .*"),
}


@pytest.mark.some(16)
@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_text_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(TopologyError, match=rf"\Af\.yaml:{message}\Z") as caught:
        read_text(text, "f.yaml")
    assert len(str(caught.value)) < 1000


@pytest.mark.some(8)
@pytest.mark.parametrize("name", [n for n in REFUSED if "too large" not in n])
def test_python_parser_refuses_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_LOADER", yaml.SafeLoader)
    text, message = REFUSED[name]
    # The two parsers word syntax errors differently, and may stop a token apart.
    if "syntax error" in message:
        message = r"\d+:\d+: .*: syntax error: .*"
    with pytest.raises(TopologyError, match=rf"\Af\.yaml:{message}\Z"):
        read_text(text, "f.yaml")


def test_all_problems_are_shown_at_once_and_in_order() -> None:
    text = "a: !x 1\nb: {1: 2, c: *no}\na: 2\nd:\n  <<: {}\n  e: 1\n  e: 1\n"
    with pytest.raises(TopologyError, match="tag not allowed") as caught:
        read_text(text, "f.yaml")
    got = [(p.line, p.col, p.where, p.what) for p in caught.value.problems]
    assert got == [
        (1, 4, "a", "tag not allowed"),
        (2, 5, "b", "key must be a string"),
        (2, 14, "b.c", "alias *no has no anchor before it"),
        (3, 1, "a", "duplicate key; first on line 1"),
        (5, 3, "d", "merge key '<<' not allowed"),
        (7, 3, "d.e", "duplicate key; first on line 6"),
    ]


def test_problems_before_a_syntax_error_are_kept() -> None:
    with pytest.raises(TopologyError, match="syntax error") as caught:
        read_text("a: 1\na: 2\nb: [\n", "f.yaml")
    assert [p.line for p in caught.value.problems] == [2, 4]


def test_nodes_are_limited() -> None:
    text = "a: [" + "1," * 997 + "%s]"  # with the mapping, its key and the list: 1000
    assert len(read_text(text % "", "f.yaml", room=Room(n_nodes=1000)).marks) == 999
    with pytest.raises(
        TopologyError, match=r":1:1999: a\[997\]: too many nodes; expected at most 100000 keys"
    ):
        read_text(text % "1", "f.yaml", room=Room(n_nodes=1000))


def test_files_of_one_load_share_their_room() -> None:
    room = Room(n_bytes=16, n_nodes=8)
    read_text("a: [1]", "f.yaml", room=room)
    assert (room.n_bytes, room.n_nodes) == (10, 4)
    read_text("b: [2]", "g.yaml", room=room)
    with pytest.raises(TopologyError, match="file too large; got 6 bytes or more"):
        read_text("c: [3]", "h.yaml", room=room)


def test_problems_are_limited() -> None:
    with pytest.raises(TopologyError, match="duplicate key") as caught:
        read_text("a: 1\n" * 10_000, "f.yaml")
    assert len(caught.value.problems) == MAX_PROBLEMS


SCALARS: dict[str, object] = {
    "null": None, "Null": None, "NULL": None, "~": None, "": None, "nULL": "nULL",
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "yes": "yes", "no": "no", "on": "on", "off": "off", "y": "y", "n": "n", "tRUE": "tRUE",
    "0": 0, "-0": 0, "+7": 7, "-12": -12, "010": 10, "0o10": 8, "0x1F": 31, "1" * 40: int("1" * 40),
    "0b1": "0b1", "-0x1F": "-0x1F", "0o8": "0o8", "1_000": "1_000", "12:30:00": "12:30:00", "2:1": "2:1",
    "1.5": 1.5, "-1.5": -1.5, "1.": 1.0, ".5": 0.5, "1e3": 1000.0, "1E-3": 1e-3, "+1.5e+2": 150.0,
    "1e": "1e", ".": ".", "-": None, "e3": "e3", "1.2.3": "1.2.3", "2001-01-01": "2001-01-01",
    ".inf": math.inf, "+.Inf": math.inf, "-.INF": -math.inf, ".iNF": ".iNF", "inf": "inf", "nan": "nan",
    "800Gb/s": "800Gb/s", "8Tb/s/3": "8Tb/s/3", "=": "=", "<<": "<<",
    "'1'": "1", '"true"': "true", '""': "", "'~'": "~", '"\\t\\/\\u00e9"': "\t/\u00e9",
    "|\n  1\n": "1\n", ">-\n  1\n": "1",
}  # fmt: skip


@pytest.mark.some(24)
@pytest.mark.parametrize("loader", [yaml.SafeLoader, reader._LOADER], ids=["python", "c"])
@pytest.mark.parametrize(("text", "value"), [pair for pair in SCALARS.items() if pair[0] != "-"])
def test_scalars_are_those_of_yaml_1_2(
    text: str, value: object, loader: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_LOADER", loader)
    got = read_text(f"a: {text}", "f.yaml").data["a"]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text: str) -> None:
    got = read_text(f"a: {text}", "f.yaml").data["a"]
    assert isinstance(got, float)
    assert math.isnan(got)


TEXT = """\
fabric: pod   # a name
axes: {rack: 2}
links:
  - {between: [nic, leaf], rate: 800Gb/s}
  - between:
      - leaf
      - spine
    rate:
"""


def test_every_node_has_its_position() -> None:
    doc = read_text(TEXT, "f.yaml")
    assert dict(doc.marks) == {
        (): (1, 1),
        ("fabric",): (1, 9),
        ("axes",): (2, 7),
        ("axes", "rack"): (2, 14),
        ("links",): (4, 3),
        ("links", 0): (4, 5),
        ("links", 0, "between"): (4, 15),
        ("links", 0, "between", 0): (4, 16),
        ("links", 0, "between", 1): (4, 21),
        ("links", 0, "rate"): (4, 34),
        ("links", 1): (5, 5),
        ("links", 1, "between"): (6, 7),
        ("links", 1, "between", 0): (6, 9),
        ("links", 1, "between", 1): (7, 9),
        ("links", 1, "rate"): (8, 10),
    }
    assert dict(doc.key_marks) == {
        ("fabric",): (1, 1),
        ("axes",): (2, 1),
        ("axes", "rack"): (2, 8),
        ("links",): (3, 1),
        ("links", 0, "between"): (4, 6),
        ("links", 0, "rate"): (4, 28),
        ("links", 1, "between"): (5, 5),
        ("links", 1, "rate"): (8, 5),
    }
    assert (len(doc.marks), len(doc.key_marks)) == (15, 8)
    assert doc.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.mark.parametrize(
    ("loc", "key", "mark"),
    [
        (("links", 1, "rate"), False, (8, 10)),
        (("links", 1, "rate"), True, (8, 5)),
        (("links", 1, "rate", "str", 0), True, (8, 5)),
        (("links", 0, "each"), False, (4, 5)),
        (("links", 0, "each"), True, (4, 5)),
        (("links", 7), False, (4, 3)),
        (("links", 7), True, (3, 1)),
        (("links", "0"), False, (4, 3)),
        (("nothing",), True, (1, 1)),
        ((), False, (1, 1)),
    ],
)
def test_locate_gives_the_longest_known_prefix(
    loc: tuple[str | int, ...], key: bool, mark: tuple[int, int]
) -> None:
    assert read_text(TEXT, "f.yaml").locate(loc, key=key) == Mark(*mark)


def test_marks_refuse_unknown_paths() -> None:
    doc = read_text(TEXT, "f.yaml")
    with pytest.raises(KeyError, match="each"):
        doc.marks["links", 0, "each"]
    with pytest.raises(KeyError, match="links"):
        doc.key_marks["links", 0]  # the item of a list has no key


def test_aliases_are_copies_with_the_marks_of_the_anchor() -> None:
    doc = read_text("a: &x {b: [1, 2]}\nc: *x\nd: [*x, *x]\n&k e: &s text\nf: *s\n", "f.yaml")
    anchored = {"b": [1, 2]}
    assert doc.data == {"a": anchored, "c": anchored, "d": [anchored] * 2, "e": "text", "f": "text"}
    assert doc.marks["c",] == (2, 4)
    assert doc.marks["c", "b"] == doc.marks["a", "b"] == (1, 11)
    assert doc.marks["d", 1, "b", 1] == (1, 15)
    assert doc.key_marks["d", 1, "b"] == (1, 8)
    seen = [doc.data["a"], doc.data["c"], *doc.data["d"]]  # type: ignore[misc]
    assert len({id(item) for item in seen}) == len({id(item["b"]) for item in seen}) == 4


def test_aliases_up_to_the_limit_are_expanded() -> None:
    text = "".join(LAUGHS.splitlines(keepends=True)[:4])  # 10**4 leaves
    doc = read_text(text, "f.yaml")
    assert json.dumps(doc.data["d"]).count('"l"') == 10**4
    assert doc.marks["d", 9, 9, 9, 9] == (1, 35)


def test_deepest_nesting_that_is_allowed() -> None:
    n_lists = reader.MAX_DEPTH - 1
    assert read_text("a: " + "[" * n_lists + "]" * n_lists, "f.yaml").locate((("a"), *[0] * 30)) == (1, 34)
    with pytest.raises(TopologyError, match="nested too deep"):
        read_text("a: " + "[" * (n_lists + 1) + "]" * (n_lists + 1), "f.yaml")


@pytest.mark.parametrize(
    "raw", ["a: \u00e9", b"\xef\xbb\xbfa: \xc3\xa9", "\ufeffa: \u00e9", "%YAML 1.2\n---\na: \u00e9\n...\n"]
)
def test_utf_8_in_its_forms(raw: str | bytes) -> None:
    doc = read_text(raw, "f.yaml")
    assert doc.data == {"a": "\u00e9"}
    assert doc.marks["a",].col == 4


def test_columns_count_characters() -> None:
    doc = read_text('{"\u00e9\U0001f600": 1, "b": 2}', "f.yaml")
    assert doc.key_marks["b",] == (1, 11)


# Beyond these JSON writes two halves of a character, which is refused.
BASIC = st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF)
KEYS = st.text(BASIC, max_size=5)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**38), 10**38)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(BASIC, max_size=8),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=20,
)


def _paths(value: object, loc: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {loc}.union(*(_paths(item, (*loc, step)) for step, item in below))


@given(data=st.dictionaries(KEYS, JSON_VALUES, max_size=5), indent=st.sampled_from([None, 2, "\t"]))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_json_is_read_as_json_reads_it(data: dict[str, object], indent: int | str | None) -> None:
    text = json.dumps(data, indent=indent)
    doc = read_text(text, "f.json")
    assert doc.data == json.loads(text)
    assert set(doc.marks) == _paths(data)
    assert set(doc.key_marks) == {loc for loc in _paths(data) if loc and isinstance(loc[-1], str)}
    lines = text.split("\n")
    for loc, mark in doc.key_marks.items():
        rest = lines[mark.line - 1][mark.col - 1 :]
        assert json.JSONDecoder().raw_decode(rest)[0] == loc[-1]


def test_json_escapes_and_tabs() -> None:
    text = '{\n\t"a":\t"\\/\\u00e9\U0001f600\\\\ud83d",\t"\U0001f600": 1, "b": 2}\t\n'
    doc = read_text(text, "f.json")
    assert doc.data == json.loads(text) == {"a": "/\u00e9\U0001f600\\ud83d", "\U0001f600": 1, "b": 2}
    line = text.split("\n")[1]
    assert doc.key_marks["b",] == (2, line.index('"b"') + 1)
    assert doc.marks["\U0001f600",] == (2, line.index("1, ") + 1)


@given(text=st.text(alphabet="ab:,-[]{}&*!|>'\"#%@ \n\t0.<~?\\", max_size=30) | st.binary(max_size=30))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    try:
        doc = read_text(text, "f.yaml")
    except TopologyError as error:
        problems = error.problems
        assert problems
    else:
        problems = ()
        assert set(doc.marks) == _paths(doc.data)
    assert [p for p in problems if p.line < 1 or p.col < 1 or not p.what] == []


def test_a_file_of_9_000_links() -> None:
    line = "  - {between: [rack%d/nic, leaf], rate: 800Gb/s, each: [1, 32]}\n"
    doc = read_text("links:\n" + "".join(line % i for i in range(9_000)), "f.yaml")
    assert doc.data["links"][8_999]["between"][0] == "rack8999/nic"  # type: ignore[index]
    assert doc.marks["links", 8_999, "rate"] == (9_001, 43)


def test_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "pod.fabric.yaml"
    file.write_bytes(b"a: 1\r\nb: 2\r\n")
    doc = read_file(file)
    assert isinstance(doc, Document)
    assert doc.path == str(file)
    assert doc.data == {"a": 1, "b": 2}
    assert doc.marks["b",] == (2, 4)
    assert doc.sha256 == hashlib.sha256(b"a: 1\r\nb: 2\r\n").hexdigest()


def _refusal(path: str | Path) -> str:
    with pytest.raises(TopologyError, match=r":1:1: file: ") as caught:
        read_file(path)
    return caught.value.problems[0].what


def test_files_that_are_none(tmp_path: Path) -> None:
    assert _refusal(tmp_path / "none.yaml") == "file not found"
    assert _refusal(tmp_path) in ("not a regular file", "is a directory, not a file")
    assert _refusal("a\0b") == "not a file name"
    assert _refusal(tmp_path / ("x" * 5000)).startswith("cannot be read: ")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert _refusal(loop).startswith("cannot be read: ")


def test_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert _refusal(tmp_path / "a.yaml") == "permission denied"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_pipes_and_devices_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert _refusal(tmp_path / "fifo") == "not a regular file"
    assert _refusal("/dev/zero") == "not a regular file"


def test_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as out:
        out.truncate(MAX_BYTES + 1)  # sparse
    assert _refusal(file) == "file too large"
    with file.open("wb") as out:
        out.truncate(MAX_BYTES)
    assert _refusal(file) == "character not allowed"  # the limit itself is allowed; NUL is not


def test_problem_names_the_path_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("a: *x")
    with pytest.raises(TopologyError, match=re.escape("a.yaml:1:4: a: alias *x has no anchor before it")):
        read_file("a.yaml")


def test_dotted() -> None:
    assert dotted(("links", 1, "between", 0)) == "links[1].between[0]"
    assert dotted(("x" * 100,)) == "x" * 57 + "..."


def test_duplicate_keys_can_be_noted_so_that_the_rest_is_judged():
    document = read_text("a: 1\na: 2\nb: 3", "x.yaml", is_strict=False)
    assert document.data == {"a": 1, "b": 3}
    assert [str(p) for p in document.problems] == ["x.yaml:2:1: a: duplicate key; first on line 1"]
