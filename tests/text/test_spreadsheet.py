"""CSV: as the standard library has it where that is sound, and harmless in a spreadsheet."""

import csv
import io
import random
import unicodedata

import pytest

from fabric.errors import FileError
from fabric.text import spreadsheet
from fabric.text.as_json import to_json
from fabric.text.columns import columns
from fabric.text.csv_columns import csv_columns
from fabric.text.markdown import escape
from fabric.text.spreadsheet import read_csv, write_csv, xlsx_pieces

HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "=cmd|'/c calc'!A0"]
HOSTILE += ["\uff1d1+1", "\uff0b1", " \uff0d1", "\uff20SUM(A1)"]


def test_no_cell_is_a_formula():
    (head, *rows) = list(csv.reader(io.StringIO(write_csv(["a"], [[text] for text in HOSTILE]))))
    assert head == ["a"]
    assert len(rows) == len(HOSTILE)
    for (cell,) in rows:
        assert not cell.lstrip().startswith(("\t", "\r"))
        assert unicodedata.normalize("NFKC", cell.lstrip())[0] not in "=+-@"
    assert write_csv(["n"], [[-1], [-0.5], [None], ["leaf-1"]]) == 'n\n-1\n-0.5\n""\nleaf-1\n'


def test_columns_are_written_as_rows_are():
    rng = random.Random(1)
    odd = [
        *HOSTILE,
        '"',
        "a,b",
        "a\nb",
        "\x1b[2J",
        "",
        " ",
        "\x7f",
        "caf\u00e9",
        "\u2028",
        "'",
        "-",
        None,
        1.5,
        -2,
        "400.0",
    ]
    for _ in range(300):
        n = rng.randint(0, 4)
        pools = [rng.choice([["leaf0", "leaf1", "sp ine"], odd, [1.0, None], ["", "a"]]) for _ in range(3)]
        columns = [[rng.choice(pool) for _ in range(n)] for pool in pools]
        batches = [columns, [["x"], ["y"], ["z"]]]
        rows = [row for batch in batches for row in zip(*batch, strict=True)]
        assert "".join(csv_columns(["a", "b", "c"], batches)) == write_csv(["a", "b", "c"], rows)


def test_no_cell_of_a_workbook_is_a_formula_and_sheets_follow_each_other(tmp_path, monkeypatch):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    pytest.importorskip("xlsxwriter", reason="XlsxWriter is not installed")
    monkeypatch.setattr(spreadsheet, "_SHEET", 6)
    rows = [[text, n, None] for n, text in enumerate([*HOSTILE, "leaf"])]
    (tmp_path / "x.xlsx").write_bytes(b"".join(xlsx_pieces(["text", "n", "none"], rows, "plan")))
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    assert book.sheetnames == ["plan", "plan 2", "plan 3"]
    cells = []
    for sheet in book:
        head, *own = sheet.iter_rows()
        assert [cell.value for cell in head] == ["text", "n", "none"]
        cells += own
    assert [row[1].value for row in cells] == list(range(len(rows)))
    assert {row[0].data_type for row in cells} == {"s"}
    # Marked as quoted, so that no edit of the cell makes a formula of it.
    would_be = [not text.startswith(("\t", "\r")) for text in HOSTILE]  # those have no such first sign left
    assert [bool(row[0].quotePrefix) for row in cells] == [*would_be, False]
    assert {row[2].value for row in cells} == {None}
    (tmp_path / "empty.xlsx").write_bytes(b"".join(xlsx_pieces(["a"], [], "plan")))
    assert openpyxl.load_workbook(tmp_path / "empty.xlsx").sheetnames == ["plan"]


def test_cells_are_those_of_the_standard_library():
    chance = random.Random(5)
    pieces = ["a", "b c", " ", ",", '"', "\n", "\r\n", "é", "1.5", ""]
    n_rows = 0
    for _ in range(300):
        wide = chance.randint(2, 4)
        table = [
            ["".join(chance.choices(pieces, k=chance.randint(0, 4))) for _ in range(wide)]
            for _ in range(chance.randint(1, 5))
        ]
        sink = io.StringIO()
        csv.writer(sink, lineterminator=chance.choice(["\n", "\r\n"])).writerows(table)
        read = [[cell.text for cell in row] for row in read_csv(sink.getvalue(), "a.csv")]
        assert read == table
        lines = sink.getvalue().replace("\r\n", "\n").split("\n")
        for row in read_csv(sink.getvalue().replace("\r\n", "\n"), "a.csv"):
            n_rows += 1
            for cell in row:
                there = lines[cell.line - 1][cell.col - 1 :]
                assert there.startswith((cell.text.split("\n")[0].replace('"', '""')[:3], '"'))
    assert n_rows > 500


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('a,"b', ":1:3: a quote that is not closed"),
        ('a\nb,"c"d', ":2:6: .*quoted in part"),
        ('a\nb"c', ":2:2: .*quoted in part"),
        ("a\n" + "," * 2_000, ":2:1001: a row of more than 1,000 cells"),
        ("a\n" + "x" * 131_073, ":2:1: a cell of 131,073 characters"),
        ('"' * 100_001, ":1:1: .*quote"),
    ],
)
def test_what_is_no_csv_says_where(text, where):
    with pytest.raises(FileError, match=where):
        list(read_csv(text, "a.csv"))


CONTROLS = "".join(map(chr, [*range(32), 0x7F, *range(0x80, 0xA0), 0x200E, 0x202E, 0x2028, 0x2066, 0xD800]))


@pytest.mark.parametrize(
    "written",
    [
        lambda text: columns([text], [[text]]),
        lambda text: write_csv([text], [[text]]),
        escape,
        lambda text: to_json({text: text}),
    ],
)
def test_no_form_lets_a_control_character_through(written):
    text = written(f"a{CONTROLS}b")
    assert "a" in text
    assert [hex(ord(c)) for c in text if c != "\n" and not c.isprintable()] == []
