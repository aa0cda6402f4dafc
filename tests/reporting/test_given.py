"""Pages of what a report is given beside the fabric: they tell what the verbs answer, and nothing else."""

import hashlib
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fabric.errors import FileError, QuestionError, TopologyError
from fabric.graph import load, loads
from fabric.reporting import report
from fabric.reporting.answers import Answers, Missing
from fabric.reporting.given import NOTHING, answer_given, n_questions, read_given
from fabric.reporting.html import page_html
from fabric.reporting.page import compose
from fabric.sizing.bom import bom
from fabric.sizing.prices import indicative_prices
from fabric.sizing.summary import summarize
from fabric.study.audit import audit
from fabric.study.failures import failures
from fabric.workload.place import place
from fabric.workload.serve import serve
from fabric.workload.serving_job import load_serving
from fabric.workload.train import train

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
TEXT = """
fabric: four
axes: {rack: 2, tray: 2, slot: 4, rail: 2}
devices:
  gpu:  {kind: gpu, axes: [rack, tray, slot]}
  chip: {kind: switch, axes: [rack, rail]}
  leaf: {kind: switch, axes: [rail]}
links:
  - {between: [gpu, chip], rate: 3.2Tb/s, net: scale-up}
  - {between: [gpu, leaf], rate: 400Gb/s, medium: opt_400_sm}
"""
JOB = """
job: small
model: llama3-8b
batch: {sequences: 64, length: 8192}
parallel: {tp: 8}
assume: {achieved: {value: 0.4, source: "HOSTILE"}, peak: 1000}
"""
SERVE = """
serve: chat
model:
  {name: "HOSTILE", layers: 2, hidden: 64, ffn: 128, heads: 4, kv_heads: 2, head_dim: 16, vocabulary: 100}
prefill: {among: rack0, tp: 2}
decode: {among: rack1, tp: 2}
request: {prompt: 4096, rate: 100}
"""
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> | `c` [l](javascript:a) www.e.x"
EDGES = "source,source_port,target,target_port\n{0},p1,leaf1,p2\nrack0/tray0/gpu0,1,leaf0,1\n"


@pytest.fixture(scope="module")
def four():
    return loads(TEXT, path="four.fabric.yaml")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("<img onerror=x>")
    hostile = HOSTILE.replace('"', "'")
    for name, text in (
        ("small.job.yaml", JOB.replace("HOSTILE", hostile)),
        ("chat.serve.yaml", SERVE.replace("HOSTILE", hostile)),
        ("cables.csv", EDGES.format("<img onerror=x>|`c`")),
    ):
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def given(files):
    jobs = [files / "small.job.yaml", files / "chat.serve.yaml"]
    return read_given(jobs, ["2/1", "wide=40"], window="30d", built=[files / "cables.csv"], form="edges")


@pytest.fixture(scope="module")
def answered(four, given):
    missing, asked = [], []
    found = answer_given(four, given, lambda *why: missing.append(Missing(*why)), lambda: asked.append(1))
    assert len(asked) == n_questions(given)
    assert missing == []
    bill = bom(four, prices=indicative_prices())
    failing = failures(four, rates="parts", window="30d", samples=10)
    return Answers((), (), (), bill, failing, given=found)


@pytest.fixture(scope="module")
def page(four, answered, given):
    return compose(four, summarize(four), answered, given)


def section(page, title):
    (found,) = (s for s in page.told if s.title == title)
    return found


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()[2:]]


def test_the_parts_of_a_step_are_those_of_train_and_sum_to_it(page, four, files, answered):
    step = train(files / "small.job.yaml", four)
    assert answered.given.trainings == (step,)
    text = page.to_markdown()
    assert f"![A step of small takes {step.step_s:.4g} s" in text
    assert (step.compute_s + step.bubble_s + step.exposed_s) == pytest.approx(step.step_s)
    assert sum(row.exposed_s for row in step.dimensions) == pytest.approx(step.exposed_s)
    (table,) = (b for b in section(page, "Jobs").filled if str(b).startswith("| Part of a step"))
    shares = [float(row[3].split()[0]) for row in rows(table)]
    assert sum(shares[:-1]) == pytest.approx(shares[-1], abs=0.2)
    assert {"step-small.svg", "heat-small.svg", "load-chat.svg"} <= {p.name for p in page.pictures}


def test_what_serving_loads_is_told_as_serve_tells_it(page, four, files):
    asked = serve(load_serving(files / "chat.serve.yaml"), four)
    (table,) = (b for b in section(page, "Jobs").filled if str(b).startswith("| Class | Cables"))
    assert rows(table) == [
        [f"`{one.link}`", f"{one.n_cables:,}", f"{100 * one.load:.3g} %", "yes" if one.is_binding else ""]
        for one in asked.loads
    ]


def test_who_fits_is_what_place_says(page, four):
    found = place(four, ["2/1", "wide=40"])
    text = "\n\n".join(b if isinstance(b, str) else "" for b in section(page, "Where jobs fit").filled)
    assert "wide: it wants 40 nodes" in text
    (curve,) = (b for b in section(page, "Where jobs fit").filled if getattr(b, "text", ""))
    assert rows(curve.text) == [
        [f"{r.segment}", f"{100 * r.expected:.2f} %", f"{100 * r.now:.2f} %"] for r in found.curve
    ]


def test_the_window_is_spread_as_its_mean_says(answered, page):
    kept = answered.failing.over_time
    values, times = zip(*kept.steps, strict=True)
    assert list(values) == sorted(values)
    assert list(times) == sorted(times, reverse=True)
    below = [*times[1:], 0.0]
    assert sum(v * (t - b) for v, t, b in zip(values, times, below, strict=True)) == pytest.approx(
        kept.kept, abs=1e-4
    )
    for part, value in ((0.5, kept.p50), (0.99, kept.p99)):
        assert max(v for v, t in kept.steps if t >= part * (1 - 1e-9)) == pytest.approx(value, abs=1e-4)
    assert f"in all of it, at least {100 * kept.p99:.4g} %" not in page.to_markdown()
    assert f"| 99 % | {100 * kept.p99:.4g} % |" in page.to_markdown()


def test_what_was_built_is_what_audit_finds(page, four, files):
    found = audit(four, [files / "cables.csv"], "edges")
    text = page.to_markdown()
    n = sum(group.n for group in found.groups)
    assert f"**{n} cables differ**: {found.n_right:,} of {found.n_planned:,} cables are as designed" in text
    (table,) = (b for b in section(page, "What was built").filled if str(b).startswith("| What"))
    assert [row[2] for row in rows(table)] == [f"{g.n:,} of {g.n_of:,}" for g in found.groups]


def test_summary_has_a_line_on_jobs_and_no_more_lines(page, answered):
    lines = page.told[0].filled[0].splitlines()
    assert len(lines) <= 7
    (line,) = (line for line in lines if line.startswith("- Jobs: "))
    assert "a step of `small` takes" in line
    assert "`chat` at most" in line


def test_provenance_has_every_file_and_the_command(page, files):
    text = section(page, "Provenance").filled[0]
    for name in ("small.job.yaml", "chat.serve.yaml", "cables.csv"):
        assert hashlib.sha256((files / name).read_bytes()).hexdigest() in text
    assert (
        "`fabtopo report four.fabric.yaml -o DIR --job small.job.yaml --job chat.serve.yaml "
        "--built edges=cables.csv --place 2/1 --place wide=40 --window 30d`" in text
    )
    assert str(files) not in text


def test_what_was_not_given_is_left_out(four):
    missing = []
    found = answer_given(four, NOTHING, lambda *why: missing.append(why), lambda: None)
    page = compose(four, summarize(four), Answers((), (), (), bom(four), given=found))
    assert missing == []
    # Here each GPU is a node: what segments can use is told of trays and servers alone.
    assert not {"Jobs", "Where jobs fit", "What was built"} & {s.title for s in page.told}
    assert "Jobs:" not in page.told[0].filled[0]


@pytest.mark.parametrize(("name", "n"), [("superpod-h100-4su", 4), ("gb300-nvl72", 0)])
def test_what_segments_can_use_is_told_where_there_are_blocks_of_nodes(name, n):
    one = load(TOPOLOGIES / f"{name}.fabric.yaml")
    found = answer_given(one, NOTHING, lambda *why: None, lambda: None).placements
    assert (found.n_blocks if found else 0) == n


def test_what_does_not_fit_is_told_with_its_reason(four, tmp_path):
    file = tmp_path / "large.job.yaml"
    file.write_text(JOB.replace("tp: 8", "tp: 32"))
    missing = []
    found = answer_given(four, read_given([file]), lambda *why: missing.append(Missing(*why)), lambda: None)
    assert found.trainings == ()
    ((section_of, what, why),) = ((m.section, m.what, m.why) for m in missing)
    assert (section_of, what) == ("jobs", "job small")
    assert "16" in why
    answers = Answers((), (), tuple(missing), bom(four), given=found)
    text = compose(four, summarize(four), answers).to_markdown()
    assert "## Jobs\n\nMissing here: job small, because " in text
    assert "Not answered: job small" in text


def test_hostile_texts_of_jobs_and_sources_are_text(page):
    line = page.to_markdown()
    assert "alert" in line
    assert not re.search(r"(?<!\\)<(?!details|/details|summary|/summary|https?://)", line)
    assert not re.search(r"(?<!\\)\[l\]|www\.e", line)
    text = page_html(page)
    for bad in ("<script>alert", "<img src=x", "<img onerror", 'href="javascript'):
        assert bad not in text
    for picture in page.pictures:
        tags = {e.tag.rpartition("}")[2] for e in ET.fromstring(picture.svg).iter()}
        assert not tags & {"script", "image", "a", "foreignObject"}, picture.name
        assert len(picture.svg) <= 60_000
        assert picture.title in " ".join("".join(ET.fromstring(picture.svg).itertext()).split())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"jobs": ["a", "a"]}, "two files name their job small"),
        ({"built": ["cables.csv"]}, "sources and their format"),
        ({"form": "edges"}, "sources and their format"),
    ],
)
def test_what_does_not_go_together_is_refused(given, said, files):
    named = {"a": files / "small.job.yaml"}
    given = {k: [named.get(v, v) for v in vs] if isinstance(vs, list) else vs for k, vs in given.items()}
    with pytest.raises(QuestionError, match=said):
        read_given(given.get("jobs", ()), built=given.get("built", ()), form=given.get("form", ""))


def test_changes_have_nothing_beside_them(four, tmp_path):
    with pytest.raises(QuestionError, match="no jobs, places, window or built"):
        report(four, tmp_path / "out", before=four, places=["1"])
    assert not (tmp_path / "out").exists()


def test_broken_files_are_told_with_their_line_before_anything_is_written(four, tmp_path):
    bad = tmp_path / "bad.job.yaml"
    bad.write_text("job: a\nmodel: llama3-8b\nbatch: {sequences: many, length: 8}\n")
    with pytest.raises(TopologyError, match=r"bad\.job\.yaml:3:"):
        report(four, tmp_path / "out", jobs=[bad])
    with pytest.raises(FileError, match="gone"):
        report(four, tmp_path / "out", jobs=[tmp_path / "gone.job.yaml"])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_writes_the_same_bytes_from_anywhere(files, tmp_path):
    (files / "four.fabric.yaml").write_text(TEXT)
    seen = []
    for i, folder in enumerate((files, tmp_path)):
        at = os.path.relpath(files, folder)
        out = tmp_path / f"out{i}"
        given = ["--html", "--job", f"{at}/small.job.yaml", "--built", f"edges={at}/cables.csv"]
        run = [
            sys.executable,
            "-m",
            "fabric.cli",
            "report",
            f"{at}/four.fabric.yaml",
            "-o",
            str(out),
            "--html",
        ]
        env = {**os.environ, "PYTHONHASHSEED": str(i)}
        done = subprocess.run([*run, *given, "--json"], cwd=folder, env=env, capture_output=True, check=True)
        assert str(out / "heat-small.svg") in json.loads(done.stdout)["files"]
        seen.append({f.name: f.read_bytes() for f in out.iterdir()})
    assert seen[0] == seen[1]
