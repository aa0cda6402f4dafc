import errno
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fabric import from_networkx, to_networkx
from fabric.costing import cost
from fabric.errors import FileError, LimitError, QuestionError
from fabric.flow import max_flow
from fabric.flow.throughput import throughput
from fabric.graph import load, loads
from fabric.reporting import (
    answers,
    billing,
    failing,
    growing,
    racks,
    report,
    sizes,
    tornado,
    waterfall,
)
from fabric.reporting import page as page_of_report
from fabric.reporting.collectives import details
from fabric.reporting.evidence import doubts
from fabric.reporting.questions import questions as find_questions
from fabric.sizing.bom import bom
from fabric.sizing.prices import indicative_prices
from fabric.sizing.summary import summarize
from fabric.text.markdown import code, escape, link
from fabric.units import format_power, format_rate, format_rate_gbyte, parse_rate

ROOT = Path(__file__).parents[2]
TOPOLOGIES = ROOT / "topologies"
FILES = {"README.md"} | {
    f"{name}.svg"
    for name in ("algorithms", "bill", "failures", "racks", "segments", "staircase", "time-all-reduce",
                 "time-all-to-all", "upgrades", "wiring")
}  # fmt: skip


@pytest.fixture(scope="module")
def written(small, asked, tmp_path_factory):
    """Return the page of the small fabric, in its folder with the figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_of_report, "ask", lambda fabric, summary, progress, given: asked)
        return report(small, tmp_path_factory.mktemp("small") / "made" / "here")


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch, request):
    """Draw nothing in reports of which only the words are asked; that of `written` has its figures."""

    def unasked(fabric, *, rates):
        msg = "not asked in this test"
        raise QuestionError(msg)

    if "asks_failures" not in request.keywords:
        monkeypatch.setattr(answers, "failures", unasked)
    for name in ("staircase", "wiring"):
        monkeypatch.setattr(page_of_report, name, lambda _: "<svg/>")
    for name in (waterfall, tornado, failing, growing, sizes, billing, racks):
        monkeypatch.setattr(name, "svg", lambda draw, title: "<svg/>")


@pytest.fixture(scope="module")
def page(written):
    return written.read_text()


def section(page, title):
    return re.search(rf"^## {title}\n\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)[1]


def rows(text):
    """Return the tables of a section, each a list of dicts by heading."""
    tables = []
    for block in text.split("\n\n"):
        lines = [
            [c.strip().strip("`*") for c in re.split(r"(?<!\\)\|", x)[1:-1]]
            for x in block.splitlines()
            if x.startswith("|")
        ]
        if lines:
            tables.append([dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]])
    return tables


def whole(text):
    return int(text.replace(",", ""))


def test_summary_is_short_and_names_what_binds(page, small):
    lines = section(page, "Summary").strip().splitlines()
    assert len(lines) <= 7
    for collective in ("all-reduce", "all-to-all"):
        (line,) = [x for x in lines if x.startswith(f"- {collective.capitalize()} of 1 GiB")]
        answer = cost(small, collective, "1GiB")
        assert f"**`{answer.binding}` binds**" in line
        assert f"busbw {answer.busbw_gbps / 8:,.4g} GB/s (" in line
        assert f"On the wires at most {answer.wire.busbw_gbps / 8:,.4g} GB/s" in line
    bill = bom(small, prices=indicative_prices())
    assert f"**{format_power(bill.power_w)}** known" in lines[1]
    assert f"{bill.count('rack')} racks and {bill.count('network rack')} network rack" in lines[1]
    assert "**USD " in lines[1]
    assert any(x.startswith("- One failure, of all-to-all: ") for x in lines)
    assert any(x.startswith("- Growth: 103 of 128 leaf ports free") for x in lines)
    assert any("leaf 2:1" in x for x in lines)
    (cuts,) = re.findall(
        r"^- Cut between two neighbouring units.*", section(page, "Maximum flow"), re.MULTILINE
    )
    assert "8 `nic-leaf` cables (3.2 Tb/s" in cuts


def test_tables_add_up(page, small):
    summary = summarize(small)
    cables, tiers, media = rows(section(page, "Bandwidth per tier"))
    assert {row["Rule"]: whole(row["Cables"]) for row in cables} == {
        x.name: x.n_cables for x in summary.links
    }
    for row, of_all in zip(cables, media, strict=True):
        per_cable = float(row["Of [Gb/s]"].replace(",", ""))
        total = whole(row["Cables"]) * per_cable
        assert parse_rate(of_all["All of it"].split(" (")[0]) == pytest.approx(total, rel=1e-3)
        assert parse_rate(row["Per endpoint"].split(" (")[0]) == pytest.approx(total / 15, rel=1e-3)
    assert [(row["Tier"], row["Oversubscription"]) for row in tiers] == [
        ("leaf", "2:1"),
        ("spine", "top tier"),
    ]
    devices, ports, _ = rows(section(page, "Devices, wiring and racks"))
    numbers = {row["Group"]: whole(row["Devices"]) for row in devices}
    assert numbers == {"gpu": 15, "chip": 8, "nic": 15, "cpu": 8, "leaf": 2, "spine": 1, "admin": 1}
    for row in ports:
        of_one = whole(row["Busiest"].split(" of ")[1])
        assert numbers[row["Group"]] * of_one == whole(row["Used"]) + whole(row["Free"])


def test_costs_are_those_of_the_solver(page, small):
    text = section(page, "Collectives")
    *_, regimes = (t for t in rows(text) if "Sizes" in t[0])
    expected = [t for t in rows(text) if "80 % of runs" in t[0] and "Size" in t[0]]
    (algorithms,) = (t for t in rows(text) if "At most [GB/s]" in t[0])
    (slack,) = (t for t in rows(text) if "Binds" in t[0] and "Algorithm" in t[0] and "Sizes" not in t[0])
    for name, table in zip(answers.REPORTED, expected, strict=True):
        assert [row["Size"] for row in table] == [
            "1 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB", "1 GiB", "4 GiB", "16 GiB",
        ]  # fmt: skip
        (row,) = (row for row in table if row["Size"] == "1 GiB")
        answer = cost(small, name, "1GiB")
        assert float(row["algbw"]) == pytest.approx(answer.algbw_gbps / 8, rel=1e-3)
        assert float(row["busbw"]) == pytest.approx(answer.busbw_gbps / 8, rel=1e-3)
        assert row["Evidence"] == answer.support.standing
        low, high = (float(word) for word in row["80 % of runs"].split(" to "))
        assert low == pytest.approx(answer.support.low_gbps / 8, rel=1e-3)
        assert high == pytest.approx(answer.support.high_gbps / 8, rel=1e-3)
        # Neighbouring sizes with one algorithm and one class that binds are one row.
        own = [row for row in regimes if row["Collective"].startswith(f"{name}, ")]
        assert {row["Algorithm"].rstrip(" ?") for row in own} == {row["Algorithm"] for row in table}
    for row in algorithms:
        answer = cost(small, row["Collective"], "1GiB")
        (one,) = [a for a in answer.algorithms if row["Algorithm"].rstrip(" ?\\*") == a.name]
        assert float(row["busbw [GB/s]"]) == pytest.approx(one.busbw_gbps / 8, rel=1e-3)
        # What runs show lies below the rate of the wires, which takes no latency and has no time.
        assert float(row["busbw [GB/s]"]) < float(row["At most [GB/s]"])
        assert float(row["At most [GB/s]"]) == pytest.approx(one.most_gbps / 8, rel=1e-3)
        # A bound is of those that reduce where this one does: switches that reduce have a higher one.
        assert float(row["Bound [GB/s]"]) >= float(row["At most [GB/s]"]) * (1 - 1e-3)
        if one is answer.chosen:
            assert float(row["Bound [GB/s]"]) == pytest.approx(answer.bound.busbw_gbps / 8, rel=1e-3)
    assert [row["Binds"] for row in slack] == [row["Binding"] for row in algorithms]


def test_switches_that_reduce_have_a_bound_of_their_own():
    known = cost(load(TOPOLOGIES / "gb300-nvl72.fabric.yaml"), "all-reduce", "1GiB")
    job = answers.JobAnswers("", {"all-reduce": (known,)})
    (folded,) = (f for f in details(job) if "each algorithm" in f.title)
    (table,) = rows(folded.text)
    figures = {
        row["Algorithm"].split()[0].rstrip("\\*"): [
            float(row[column].replace(",", "")) for column in ("At most [GB/s]", "Bound [GB/s]")
        ]
        for row in table
    }
    assert figures["nvls"][1] > figures["ring"][1]
    assert [name for name, (most, bound) in figures.items() if most > bound * (1 + 1e-3)] == []


def test_times_of_the_waterfall_sum_to_the_whole(small):
    for name in answers.REPORTED:
        answer = cost(small, name, "1GiB")
        assert sum(stage.time_s for stage in waterfall.stages(answer)) == pytest.approx(answer.time_s)


def test_flat_and_grouped_all_reduce_stand_side_by_side(small_text, tmp_path):
    whole = loads(small_text.replace("absent: [rack3/slot3/*]", ""))
    groups, reaches = [
        table
        for table in rows(section(report(whole, tmp_path).read_text(), "Collectives"))
        if "Of ranks" in table[0]
    ]
    assert [row["Groups"].replace("`", "") for row in groups] == [
        "all ranks", "one rank of each domain", "the ranks of a domain",
    ]  # fmt: skip
    for row, over in zip(groups, ((), ("rack",), ("slot",)), strict=True):
        answer = cost(whole, "all-reduce", "1GiB", over=over)
        assert float(row["busbw [GB/s]"]) == pytest.approx(answer.busbw_gbps / 8, rel=1e-3)
        assert row["Of ranks"] == f"{answer.n_instances} × {answer.n_ranks}"
    assert [row["Leaves"] for row in reaches] == ["0 %", "80 %"]  # 12 of 15 others are in other domains
    for row, over in zip(reaches, (("slot",), ()), strict=True):
        answer = cost(whole, "all-to-all", "1GiB", over=over)
        assert float(row["busbw [GB/s]"]) == pytest.approx(answer.busbw_gbps / 8, rel=1e-3)
        assert row["Binds"] == answer.binding


TORUS = """{fabric: torus, axes: {x: 4, y: 4}, devices: {chip: {kind: gpu, axes: [x, y], transit: all}},
  links: [{between: [chip, chip], ring: x, rate: 100Gb/s, net: scale-up, name: th.x},
          {between: [chip, chip], ring: y, rate: 100Gb/s, net: scale-up, name: th.y}]}"""


@pytest.fixture(scope="module")
def torus_written(tmp_path_factory):
    return report(loads(TORUS, path="torus.fabric.yaml"), tmp_path_factory.mktemp("torus"))


@pytest.fixture(scope="module")
def torus_page(torus_written):
    return torus_written.read_text()


def test_a_report_has_its_pictures(written):
    assert {f.name for f in written.parent.iterdir()} == FILES


def test_ties_are_told_as_such(torus_page):
    lines = section(torus_page, "Summary")
    (line,) = re.findall(r"^- All-to-all.*", lines, re.MULTILINE)
    assert "**`th.x` binds**" in line
    assert ", as busy: `th.y`." in line
    assert "only together with `th.y`" in section(torus_page, "What would change the answer")
    assert not re.search(r"e-\d+ %|\b0 % idle", torus_page)


def test_cables_of_a_cut_have_a_plural(torus_page):
    assert "8 `th.x` cables (" in section(torus_page, "Maximum flow")


def test_expectations_say_whether_such_hardware_was_measured(page, torus_page):
    for text, is_extrapolated in ((page, True), (torus_page, True)):
        found = [x for x in section(text, "Summary").splitlines() if " of 1 GiB: " in x]
        assert len(found) == 2
        assert all(("*extrapolated*" in x) == is_extrapolated for x in found)
    assert "hardware outside the evidence" in section(torus_page, "Collectives")
    assert "no pass threshold: extrapolated" in section(torus_page, "Collectives")


def test_an_algorithm_far_below_the_bound_is_told_to_limit(tmp_path):
    random = """{fabric: random, axes: {x: 12}, devices: {chip: {kind: gpu, axes: [x], transit: all}}, links:
      [{between: [chip, chip], wiring: {pattern: jellyfish, along: x, degree: 4}, rate: 100Gb/s}]}"""
    fabric = loads(random)
    answer = cost(fabric, "all-reduce", "1GiB")
    assert answer.wire.busbw_gbps < 0.5 * answer.bound.busbw_gbps
    (line,) = re.findall(
        r"^- All-reduce.*", section(report(fabric, tmp_path).read_text(), "Summary"), re.MULTILINE
    )
    share = 100 * answer.wire.busbw_gbps / answer.bound.busbw_gbps
    assert f"{share:.3g} % of the bound, {format_rate_gbyte(answer.bound.busbw_gbps)}" in line
    assert "the algorithm limits, not the fabric" in line


def test_an_unknown_bound_is_told_once(small, tmp_path, monkeypatch):
    def unbounded(fabric, collective, size, *, among, over=()):
        answer = cost(fabric, collective, size, among=among, over=over, is_bounded=False)
        return replace(answer, no_bound="too | far")

    monkeypatch.setattr(answers, "cost", unbounded)
    page = report(small, tmp_path).read_text()
    reason = "No bound of all-reduce, all-gather, reduce-scatter and all-to-all: too \\| far."
    assert page.count(reason) == 1
    (told,) = [t for t in rows(section(page, "Collectives")) if "Bound [GB/s]" in t[0]]
    assert {row["Bound [GB/s]"] for row in told} == {"not known"}
    assert "the algorithm limits" not in page


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ((100, 100.2), r"hardly shortens all-to-all \(0\.2 %\)"),
        ((100, 150), r"shortens all-to-all up to 1\.5 times"),
    ],
)
def test_what_more_capacity_gains(rates, said, tmp_path):
    text = TORUS.replace("100Gb/s", f"{rates[0]}Gb/s", 1).replace(
        "y, rate: 100Gb/s", f"y, rate: {rates[1]}Gb/s"
    )
    page = report(loads(text), tmp_path).read_text()
    assert re.search(
        f"more of `th.x` {said}, where `th.y` binds", section(page, "What would change the answer")
    )


def test_without_a_scale_up_network_the_size_says_so(tmp_path):
    text = "{fabric: a, axes: {i: 4}, links: [{between: [gpu, leaf], rate: 400Gb/s}],"
    text += " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}"
    page = report(loads(text), tmp_path).read_text()
    assert section(page, "Summary").startswith(
        "- Size: 4 GPUs with no scale-up network between them, 1 leaf."
    )


def test_figures_behind_a_rule_are_named_once():
    fabric = load(TOPOLOGIES / "systems" / "maia200-6144.fabric.yaml")
    found = doubts(fabric, "tor-spine")
    assert found
    assert len({(g.row, g.what) for g in found}) == len(found)


def test_provenance_is_last_and_names_no_place(page, small):
    assert page.rindex("\n## ") == page.index("\n## Provenance")
    (table,) = rows(section(page, "Provenance"))
    found = {row["What"]: row["Value"] for row in table}
    assert found["SHA-256, with includes"] == small.blueprint.sha256
    assert found["Command"] == "fabtopo report small.fabric.yaml -o DIR"
    assert found["Status"].startswith("3 of 3 maximum flows optimal")
    assert not re.search(r"/work|/tmp|/home", page)


def test_every_part_has_its_source(page):
    text = section(page, "Assumptions and notes")
    listed = re.findall(r"^- `(\w+)`: .*: (?:published|reported|derived|assumed), (`.*)$", text, re.MULTILINE)
    assert {"gb300_gpu", "nvlink5_switch", "cx8", "sn5610", "nvlink5", "opt_400_sm"} <= {
        row for row, _ in listed
    }
    for _, names in listed:
        for name in re.findall(r"[\w-]+", names):
            assert f"- `{name}`: " in text


@pytest.mark.parametrize("name", ["torus", pytest.param("small", marks=pytest.mark.slow)])
def test_same_bytes_on_every_run_and_from_anywhere(name, small_text, written, torus_written, tmp_path):
    text, here = {"torus": (TORUS, torus_written), "small": (small_text, written)}[name]
    (tmp_path / f"{name}.fabric.yaml").write_text(text)
    program = "import sys; from fabric.graph import load; from fabric.reporting import report; "
    program += f"report(load('{name}.fabric.yaml'), 'out')"
    # Another process than this one, which draws its hashes, in another folder.
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    here, there = (
        {f.name: f.read_bytes() for f in folder.iterdir()} for folder in (here.parent, tmp_path / "out")
    )
    assert here == there


@pytest.mark.usefixtures("known")
def test_a_failing_write_leaves_the_old_report(small, small_text, tmp_path, monkeypatch):
    out = tmp_path / "out"
    report(small, out)
    old = {f.name: f.read_bytes() for f in out.iterdir()}
    write = Path.write_bytes

    def full_disk(self, data):
        if "wiring" in self.name:
            write(self, data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(FileError, match=r"out: cannot be written: No space left on device$"):
        report(loads(small_text.replace("A test.", "Another test.")), out)
    assert {f.name: f.read_bytes() for f in out.iterdir()} == old
    assert [f.name for f in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("known")
def test_a_report_is_renewed_as_a_whole_and_spares_what_others_wrote(small, tmp_path):
    out = tmp_path / "out"
    page = report(small, out)
    (out / "wiring-gone.svg").write_text("of an earlier report")
    report(small, out)
    assert {f.name for f in out.iterdir()} == FILES
    page.write_text("by hand")
    with pytest.raises(FileError, match=r"holds README\.md, which no earlier run wrote; .*--force"):
        report(small, out)
    (out / "notes").mkdir()
    (out / "notes" / "a.txt").write_text("mine")
    report(small, out, force=True)
    assert {f.name for f in out.iterdir()} == FILES | {"notes"}
    assert (out / "notes" / "a.txt").read_text() == "mine"
    assert "## Provenance" in page.read_text()


def test_nothing_is_written_where_the_page_cannot_be_made(small, tmp_path):
    with pytest.raises(QuestionError, match="needs axes"):
        report(from_networkx(to_networkx(small)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_progress_is_told_to_the_end(small, tmp_path):
    told = []
    report(small, tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 10) for i in range(11)]


HOSTILE = (
    "x | y <script>alert(1)</script> `code` [a](javascript:b) ![i](http://c) "
    "http://d www.e.f *g* _h_ &lt; $k$"
)


@pytest.mark.usefixtures("known")
def test_hostile_about_is_shown_as_text(small_text, tmp_path):
    text = small_text.replace("about: A test.", f"about: |\n  {HOSTILE}\n\n  ## Provenance\n  - item\n")
    page = report(loads(text), tmp_path).read_text()
    (line,) = [x for x in page.splitlines() if "alert" in x]
    assert line == f"- From the file: small: {escape(HOSTILE)} \\#\\# Provenance - item"
    assert not re.search(r"(?<!\\)[<`|]script|(?<!\\)\[a|(?<!\\)`code|://d|www\.", line)
    assert page.count("\n## Provenance") == 1


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("- a", "\\- a"),
        ("1. a", "1\\. a"),
        ("12) a", "12\\) a"),
        ("# a", "\\# a"),
        ("a\r\n\tb\u202e\x1b[0m", "a b \\[0m"),
        ("a@b.c", "a\\@b.c"),
        ("\\|", "\\\\\\|"),
        ("~~a~~", "\\~\\~a\\~\\~"),
    ],
)
def test_escape(text, escaped):
    assert escape(text) == escaped


def test_code_and_link_hold_hostile_names():
    assert code("a`|\nb") == "`a'\\| b`"
    assert link("[x]", "https://a/b>c") == "\\[x\\] (https:\\//a/b\\>c)"
    assert link("[x]", "https://a/b") == "[\\[x\\]](<https://a/b>)"


def test_without_endpoints_the_page_says_what_is_missing(small_text, tmp_path):
    text = small_text.replace("transit: relay}", "endpoint: false, transit: pass}") + "islands: 0\n"
    page = report(loads(text), tmp_path).read_text()
    assert "no endpoint" in section(page, "Summary")
    for title in ("Maximum flow", "Collectives"):
        assert section(page, title).startswith("Missing here: ")
    assert len(rows(section(page, "Devices, wiring and racks"))) >= 2
    assert len(section(page, "Summary").strip().splitlines()) <= 7


def test_too_large_to_expand_still_gets_flows_and_tables(small_text, tmp_path):
    fabric = loads(small_text.replace("rack: 4,", "rack: 4_000_000,").replace("each: [2, 16]", "about: large")
                   .replace("part: sn5610", "kind: switch"))  # fmt: skip
    page = report(fabric, tmp_path).read_text()
    assert "optimal" in section(page, "Maximum flow")
    assert "optimal" in section(page, "All-to-all")
    assert "2,500,000 devices" in section(page, "What a failure leaves")
    (spots,) = rows(section(page, "What a failure leaves"))
    assert [row["Fails"] for row in spots] == ["leaf", "spine"]
    assert "expanded form is limited to" in section(page, "Collectives")
    assert "15,999,999 GPUs" in section(page, "Summary")


def test_two_groups_of_endpoints_are_answered_one_by_one_and_between(small_text, tmp_path):
    text = small_text.replace("cpu:    {part: grace,", "cpu:    {kind: host, endpoint: true, transit: end,")
    text = text.replace("[gpu, cpu], link: c2c-grace, each: [1, 2]", "[cpu, leaf], rate: 400Gb/s")
    text = (
        text.replace("rack: 4", "rack: 2")
        .replace("absent: [rack3/slot3/*]", "")
        .replace(", each: [2, 16]", "")
    )
    fabric = loads(text)
    page = report(fabric, tmp_path).read_text()
    names = ("staircase", "wiring", "upgrades", "time-all-reduce", "time-all-to-all", "algorithms")
    assert {f"{name}-{kind}.svg" for name in names for kind in ("gpu", "cpu")} <= {
        f.name for f in tmp_path.iterdir()
    }
    for name in ("wiring-gpu.svg", "wiring-cpu.svg", "wiring.svg"):
        assert f"]({name})" in section(page, "Devices, wiring and racks")
    (flows,) = rows(section(page, "Maximum flow"))
    assert flows[0]["Between"] == "two kinds of endpoints"
    assert "- Cut between two kinds of endpoints, `gpu` to `cpu`, " in section(page, "Maximum flow")
    answer = max_flow(fabric, "gpu", "cpu")
    own_gbps = answer.value_gbps if answer.without_relay_gbps is None else answer.without_relay_gbps
    assert flows[0]["On its own"] == format_rate_gbyte(own_gbps)
    spread, *_ = rows(section(page, "All-to-all"))
    assert [row["Among"] for row in spread] == ["gpu", "cpu"]
    for row in spread:
        best = throughput(fabric, among=row["Among"])
        assert row["Rate of each"] == format_rate(best.per_endpoint_gbps)
        assert whole(row["Endpoints"]) == best.n_endpoints
    for kind in ("gpu", "cpu"):
        (own,) = re.findall(rf"### Among `{kind}`\n(.*?)(?=###|\Z)", section(page, "Collectives"), re.DOTALL)
        (told,) = [t for t in rows(own) if "At most [GB/s]" in t[0]]
        busbw = {r["Collective"]: r["busbw [GB/s]"] for r in told if r["Algorithm"].endswith("\\")}
        answer = cost(fabric, "all-reduce", "1GiB", among=kind)
        assert float(busbw["all-reduce"].replace(",", "")) == pytest.approx(answer.busbw_gbps / 8, rel=1e-3)
    assert len(section(page, "Summary").strip().splitlines()) <= 7


def test_one_device_of_a_kind_does_not_hide_the_others(tmp_path):
    text = """{fabric: f, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []},
      cpu: {kind: host, axes: [], endpoint: true, transit: end}}, failed: [gpu3], links: [
        {between: [gpu, leaf], rate: 400Gb/s}, {between: [cpu, leaf], rate: 400Gb/s}]}"""
    page = report(loads(text), tmp_path).read_text()
    spread, *_ = rows(section(page, "All-to-all"))
    assert spread[0]["Endpoints"] == "3"
    assert "Missing here" not in section(page, "All-to-all")
    assert "- Cut between two kinds of endpoints, `gpu` to `cpu`, " in section(page, "Maximum flow")


def test_peers_of_a_network_are_climbed_from_either_side():
    text = """{fabric: f, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, lpu: {kind: gpu, axes: [i]},
      low: {kind: switch, axes: []}, high: {kind: switch, axes: []}, top: {kind: switch, axes: []}}, links: [
        {between: [gpu, high], rate: 400Gb/s}, {between: [lpu, low], rate: 400Gb/s},
        {between: [low, high], rate: 600Gb/s, peer: true}, {between: [high, top], rate: 600Gb/s}]}"""
    per = {one.name: one.per_endpoint_gbps for one in summarize(loads(text)).links}
    # The GPUs cross to low from above, the LPUs from below: all four share it, and the way up.
    assert (per["low-high"], per["high-top"], per["gpu-high"]) == (150.0, 150.0, 400.0)


def test_capacity_is_shared_by_the_endpoints_that_use_it(small_text):
    text = small_text.replace("cpu:    {part: grace,", "cpu:    {kind: host, endpoint: true, transit: end,")
    text = text.replace("[gpu, cpu], link: c2c-grace, each: [1, 2]", "[cpu, leaf], rate: 400Gb/s")
    per = {one.name: one.per_endpoint_gbps for one in summarize(loads(text)).links}
    # 15 GPUs of 18 NVLinks; 8 CPUs of a port on each of 2 leaves; 16 uplinks for all 23.
    assert per["gpu-chip"] == pytest.approx(18 * 400)
    assert per["cpu-leaf"] == pytest.approx(400)
    assert per["leaf-spine"] == pytest.approx(16 * 400 / 23)


def test_one_collective_that_fails_leaves_the_others(small, tmp_path, monkeypatch):
    def picky(fabric, collective, size, *, among, over=()):
        if collective == "all-to-all":
            msg = "too many pairs"
            raise LimitError(msg)
        return cost(fabric, collective, size, among=among, over=over)

    monkeypatch.setattr(answers, "cost", picky)
    page = report(small, tmp_path).read_text()
    assert "Missing here: all-to-all, because too many pairs." in section(page, "Collectives")
    assert "| all-reduce |" in section(page, "Collectives")
    assert len(section(page, "Summary").strip().splitlines()) <= 7


def test_failures_are_named_and_lower_the_flow(tmp_path):
    text = (
        "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}, "
    )
    text += "failed: [[gpu0, leaf, 2]], links: [{between: [gpu, leaf], rate: 400Gb/s, count: 4}]}"
    page = report(loads(text), tmp_path).read_text()
    assert "Failed: gpu0 - leaf x 2." in section(page, "Assumptions and notes")
    # Half of the first GPU's cables are left: 800 + 1,600 Gb/s between the halves.
    assert "2.4 Tb/s (300 GB/s)" in section(page, "Maximum flow")


def test_light_imports():
    program = "import sys, fabric.reporting, fabric.sizing.summary; "
    program += "print([m for m in ('scipy', 'matplotlib') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_without_matplotlib_one_line_says_what_to_install(small_text, tmp_path):
    (tmp_path / "small.fabric.yaml").write_text(small_text)
    # None in sys.modules is how Python marks a module that is not to be had.
    program = "import fabtopo, sys; sys.modules['matplotlib'] = None; fabtopo.main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "report", "small.fabric.yaml", "-o", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    told = "a report needs matplotlib, which is not installed here; run: pip install 'fabtopo[report]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
    assert not (tmp_path / "out").exists()


def test_cuts_of_the_1152_gpu_cluster():
    fabric = load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml")
    asked = [(q.source, q.target) for q in find_questions(fabric)]
    assert asked == [("rack0", "rack1"), ("block0-3", "block4-7"), ("rack0/tray0/gpu0", "rack1/tray0/gpu0")]


def test_two_units_that_are_the_halves_are_asked_about_once():
    text = "{fabric: a, axes: {half: 2, i: 3}, links: [{between: [gpu, leaf], rate: 1Gb/s}], devices:"
    text += " {gpu: {kind: gpu, axes: [half, i]}, leaf: {kind: switch, axes: []}}}"
    asked = [(q.what, q.source, q.target) for q in find_questions(loads(text))]
    assert asked == [
        ("the two halves", "half0", "half1"),
        ("two endpoints of two units", "half0/gpu0", "half1/gpu0"),
    ]


def test_one_endpoint_is_asked_nothing():
    text = "{fabric: a, axes: {i: 1}, links: [{between: [gpu, leaf], rate: 1Gb/s}],"
    fabric = loads(text + " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}")
    with pytest.raises(QuestionError, match="a flow needs two"):
        find_questions(fabric)


@pytest.mark.parametrize(
    ("axes", "absent", "asked"),
    [
        ("i: 2", "", "gpu0 gpu1"),  # the halves are the same two
        ("i: 7", "", "gpu0 gpu1; i0-2 i3-6"),
        ("i: 4", "gpu0", "gpu1 gpu2; i0-1 i2-3"),
        ("i: 4", "gpu0-1", "gpu2 gpu3"),
    ],
)
def test_questions_follow_the_axes(axes, absent, asked):
    text = (
        f"{{fabric: a, axes: {{{axes}}}, absent: [{absent}], links: [{{between: [gpu, leaf], rate: 1Gb/s}}],"
    )
    fabric = loads(text + " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}")
    assert [f"{q.source} {q.target}" for q in find_questions(fabric)] == asked.split("; ")
