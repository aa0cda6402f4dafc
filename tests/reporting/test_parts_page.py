"""The page on the catalogue: nothing of the data files is missing, and nothing in them can break it."""

import csv
import dataclasses
import io
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fabric.parts import (
    CONFIDENCES,
    Evidence,
    Frozen,
    Part,
    catalogue,
    entries,
    evidence,
    figures_of,
    find_part,
    label,
    sources_of,
)
from fabric.reporting.parts_page import family, parts_csv, parts_page, templates_with
from fabric.units import format_rate, format_rate_gbit

ROOT = Path(__file__).parents[2]
ROWS = list(entries().values())
PAGE = parts_page(ROWS)


def rows_of(page):
    """Yield head and cells of every line of every table."""
    head = None
    for line in page.splitlines():
        cells = re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |"))
        if not line.startswith("|"):
            head = None
        elif head is None:
            head = cells
        elif not set(line) <= set("|-: "):
            assert len(cells) == len(head), line
            yield dict(zip(head, cells, strict=True))


TABLES = list(rows_of(PAGE))


def shown(page, name, port=None):
    """Return the one line on a row or on its ports of one class."""
    lines = [cells for cells in rows_of(page) if cells.get("Id") == f"`{name}`"]
    (line,) = (cells for cells in lines if cells.get("Port class") == (port and f"`{port}`"))
    return line


def test_same_bytes_on_every_run():
    again = subprocess.run(
        [sys.executable, "-m", "fabric.cli", "parts", "--format", "md"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout == PAGE


@pytest.mark.some(24)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_figure_stands_in_its_line_with_its_evidence(row):
    texts = [cells for cells in TABLES if cells.get("Id") == f"`{row.id}`"]
    ports = row.ports if isinstance(row, Part) else ()
    assert len(texts) == 1 + len(ports)
    lines = dict(zip(["", *(port.name for port in ports)], texts, strict=True))
    usual = {"": row.confidence, **{port.name: port.confidence for port in ports}}
    for name, cells in lines.items():
        assert cells["Evidence"] == usual[name]
    for figure in figures_of(row):
        value = figure.value
        if figure.name == "modes":
            value = ", ".join(
                f"{int(n):,} x {format_rate_gbit(float(rate))}"
                for n, rate in (m.split("x") for m in value.split())
            )
        elif figure.name == "rate_gbps":
            value = format_rate(value)
        elif figure.name != "year" and not isinstance(value, str):
            value = f"{value:,.0f}" if value >= 1000 else f"{value:g}"
        mark = figure.evidence.confidence
        letter = "" if mark == usual[figure.port_class] else f"<sup>{mark[0].upper()}</sup>"
        assert f"{value}{letter}" in lines[figure.port_class].values(), figure
        for source in figure.evidence.source:
            assert f"](#source-{source})" in lines[figure.port_class]["Sources"], figure


def test_names_notes_and_sources_are_there():
    plain = re.sub(r"\\(.)", r"\1", PAGE)
    for row in ROWS:
        notes = [row.note, *(port.note for port in getattr(row, "ports", ()))]
        for text in (getattr(row, "name", ""), getattr(row, "vendor", ""), *notes):
            assert text in plain
        assert [alias for alias in getattr(row, "aliases", ()) if f"`{alias}`" not in plain] == []
    for source in catalogue().sources.values():
        assert f'- <a id="source-{source.id}"></a>`{source.id}`: ' in PAGE
        assert source.title in plain
        assert source.locator in PAGE


def test_anchors_and_links_meet():
    anchors = re.findall(r'<a id="([^"]+)">', PAGE)
    assert len(set(anchors)) == len(anchors) == len(catalogue().sources)
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) == set(anchors)


def test_summary_counts_every_figure():
    lines = {cells["Family"]: cells for cells in rows_of(PAGE) if "Family" in cells}
    counts = Counter((family(row), f.evidence.confidence) for row in ROWS for f in figures_of(row))
    for name in {family(row) for row in ROWS}:
        assert [int(lines[name][word]) for word in CONFIDENCES] == [counts[name, w] for w in CONFIDENCES]
    assert int(lines["All"]["Figures"].replace(",", "")) == counts.total()
    assert int(lines["All"]["Rows"]) == len(ROWS)


def test_tables_hold_no_empty_column_and_vendors_agree():
    tables = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)
    heads = []
    for table in tables:
        rows = list(rows_of(table))
        assert all(any(row[head] for row in rows) for head in rows[0])
        heads.append([head for head in rows[0] if "[" in head])
    order = max(heads[1:10], key=len)
    assert all([h for h in order if h in head] == head for head in heads[1:10])


def test_part_of_the_rows_makes_part_of_the_page():
    page = parts_page([find_part("cx8")])
    assert "## NICs and DPUs" in page
    assert "## CPUs" not in page
    assert set(re.findall(r'<a id="source-([^"]+)">', page)) == set(sources_of(find_part("cx8")))
    assert "## Sources" in parts_page([])


def test_marks_follow_the_evidence():
    part = find_part("sn5600")
    assert shown(PAGE, "sn5600")["Latency [ns]"] == "600<sup>A</sup>"
    sure = dataclasses.replace(
        part, exceptions=Frozen({"latency_ns": Evidence("published", ("nv-sn5000", "probsee"))})
    )
    line = shown(parts_page([sure]), "sn5600")
    assert (line["Latency [ns]"], line["Power max [W]"]) == ("600", "2,167")
    assert line["Sources"].endswith(
        "Latency [ns]: [nv-sn5000](#source-nv-sn5000), [probsee](#source-probsee)"
    )
    derived = dataclasses.replace(part, exceptions=Frozen({"buffer_mb": Evidence("derived", part.source)}))
    line = shown(parts_page([derived]), "sn5600")
    assert line["Buffer [MB]"] == "160<sup>D</sup>"
    assert line["Sources"] == "[nv-sn5000](#source-nv-sn5000)"


def test_text_of_the_files_is_harmless():
    (port,) = find_part("sn5600").ports
    bad = dataclasses.replace(
        find_part("sn5600"),
        name="a|b <script> *c* [x](http://y)",
        vendor="V|W",
        note="1. `d` | <b>\n# e",
        ports=(dataclasses.replace(port, note="2. f|g <i>"),),
    )
    page = parts_page([bad, find_part("cx8")])
    line = shown(page, "sn5600")
    assert line["Name"] == r"a\|b \<script\> \*c\* \[x\](http:\//y)"
    assert line["Vendor"] == r"V\|W"
    assert r"- `sn5600`: 1. \`d\` \| \<b\> \# e; `network` ports: 2. f\|g \<i\>." in page


def test_rates_are_per_direction_and_totals_of_both():
    line = shown(PAGE, "gb300_gpu", "nvlink5")
    assert line["Rate of one, per direction"] == "400 Gb/s (50 GB/s)"
    assert line["All, per direction"] == "7.2 Tb/s (900 GB/s)"
    assert line["All, sum of both directions"] == "14.4 Tb/s (1.8 TB/s)"


def test_csv_holds_every_figure():
    lines = list(csv.DictReader(io.StringIO(parts_csv(ROWS))))
    assert len(lines) == sum(1 for row in ROWS for _ in figures_of(row))
    (line,) = (r for r in lines if (r["id"], r["figure"], r["ports"]) == ("cx8", "rate_gbps", "pcie"))
    assert line == {
        "id": "cx8", "kind": "nic", "name": "ConnectX-8 SuperNIC", "ports": "pcie", "figure": "rate_gbps",
        "value": "968", "unit": "Gb/s per direction", "confidence": "derived", "sources": "sa-vr",
    }  # fmt: skip
    exact = {float(r["value"]) for r in lines if r["figure"] == "rate_gbps"}
    assert {8000 / 3, 412.316860416} < exact
    assert all(r["unit"] == label(r["figure"])[1] for r in lines)


def test_templates():
    assert "gb300-nvl72" in templates_with(find_part("gb300_gpu"))
    assert "hgx-h100" not in templates_with(find_part("gb300_gpu"))
    assert templates_with(find_part("acceleron")) == ()
    used = entries()["nvl72_backplane"], entries()["nvlink5"]
    assert all("gb300-nvl72" in templates_with(row) for row in used)


def test_parts_without_ports_say_why():
    bare = [part for part in catalogue().parts.values() if not part.ports]
    assert [part.id for part in bare] == ["graviton5", "acceleron", "neuronswitch_gen3"]
    assert all("ports are not listed" in part.note for part in bare)
    assert evidence(find_part("q3200"), "latency_ns").confidence == "assumed"
