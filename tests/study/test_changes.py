"""What changed from one file to another."""

import json
import random
import re

import networkx as nx
import pytest

import fabric
from fabric import cli
from fabric.errors import QuestionError
from fabric.graph import fail, loads
from fabric.study.changes import diff

POD = """\
fabric: NAME
axes: {pod: 2, i: 4, s: 2}
devices:
  gpu: {kind: gpu, axes: [pod, i]}
  leaf: {kind: switch, axes: [pod]}
  spine: {kind: switch, axes: [s]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s}
"""
OLD = POD.replace("NAME", "old")
NEW = POD.replace("NAME", "new").replace("s: 2}", "s: 3}").replace("rate: 800Gb/s", "rate: 200Gb/s")


def changed(old=OLD, new=NEW):
    return {(row.what, row.of): (row.before, row.after) for row in diff(loads(old), loads(new)).rows}


def test_numbers_are_those_of_the_verbs():
    rows = changed()
    assert rows["devices", "spine"] == (2, 3)
    assert rows["cables", "leaf-spine"] == (4, 6)
    assert rows["rate", "leaf-spine"] == (800, 200)
    assert rows["capacity", "leaf-spine"] == (3200, 1200)
    assert rows["each", "leaf-spine"] == ("[2, 2]", "[3, 2]")
    assert rows["oversubscription", "leaf"] == (1.0, pytest.approx(8 / 3))
    rates = tuple(fabric.throughput(loads(text)).per_endpoint_gbps for text in (OLD, NEW))
    assert rows["all-to-all", "each endpoint"] == rates
    assert rows["all-to-all", "binds"] == ("gpu-leaf", "leaf-spine")
    slow = OLD.replace("400Gb/s", "300Gb/s")
    bounds = tuple(fabric.bound(loads(text), "all-reduce").busbw_gbps for text in (OLD, slow))
    assert changed(OLD, slow)["all-reduce, at most", "busbw"] == bounds
    assert ("devices", "leaf") not in rows
    assert ("rate", "gpu-leaf") not in rows


def test_what_comes_and_goes_is_told():
    more = OLD.replace(
        "links:", "  core: {kind: switch, axes: [s]}\nlinks:\n  - {between: [spine, core], rate: 1Tb/s}"
    )
    rows = changed(OLD, more)
    assert rows["devices", "core"] == (None, 2)
    assert rows["cables", "spine-core"] == (None, 2)
    assert changed(more, OLD)["devices", "core"] == (2, None)


def test_failures_are_a_change():
    pod = loads(OLD)
    changes = diff(pod, fail(pod, "spine1"))
    rows = {(row.what, row.of): (row.before, row.after) for row in changes.rows}
    assert rows["failed", ""] == ("nothing", "spine1")
    assert rows["all-to-all", "binds"] == ("gpu-leaf", "leaf-spine")


def test_the_same_is_the_same_and_back_is_the_reverse():
    same = diff(loads(OLD), loads(OLD))
    assert (same.status, same.rows) == ("same", ())
    assert str(same) == f"old to old: no change in {same.n_same} facts"
    there, back = changed(OLD, NEW), changed(NEW, OLD)
    assert {key: (b, a) for key, (a, b) in there.items()} == back


@pytest.mark.some(1)
@pytest.mark.parametrize("seed", range(6))
def test_any_one_edit_is_seen(seed):
    rng = random.Random(seed)
    edits = [
        ("pod: 2", "pod: 3"),
        ("i: 4", "i: 5"),
        ("400Gb/s", "300Gb/s"),
        ("[leaf, spine], rate: 800Gb/s", "[leaf, spine], rate: 800Gb/s, count: 2"),
        ("axes: [s]}", "axes: [s, i]}"),
        ("links:", "absent: [pod1/gpu3]\nlinks:"),
    ]
    old, new = edits[seed]
    other = rng.choice([edit for edit in edits if edit[0] != old and edit[0] not in new])
    base = OLD.replace(*other)
    assert old in base
    assert changed(base, base) == {}
    assert changed(base, base.replace(old, new))


def test_a_question_that_does_not_fit_is_noted():
    two = OLD.replace(
        "links:", "  tpu: {kind: gpu, axes: [pod]}\nlinks:\n  - {between: [tpu, leaf], rate: 1Tb/s}"
    )
    changes = diff(loads(OLD), loads(two))
    assert any(note.startswith("all-to-all of old") for note in changes.notes)
    assert "not compared: all-to-all of old" in str(changes)


def test_graphs_have_no_summary():
    graph = nx.path_graph(3)
    nx.set_edge_attributes(graph, 1.0, "capacity")
    with pytest.raises(QuestionError, match="a summary"):
        diff(fabric.from_networkx(graph), loads(OLD))


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    def run(*options, old=OLD, new=NEW):
        (tmp_path / "old.fabric.yaml").write_text(old)
        (tmp_path / "new.fabric.yaml").write_text(new)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["fabtopo", "diff", "old.fabric.yaml", "new.fabric.yaml", *options])
        with pytest.raises(SystemExit, match=r"^\d$") as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    return run


def test_command(run):
    status, out, _ = run()
    assert status == 1
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"^devices +spine +2 +3 +\+1$", out, re.MULTILINE)
    assert run(new=OLD)[0] == 0
    assert run(new="fabric: x\n")[0] == 2
    status, out, _ = run("--json")
    assert (status, json.loads(out)["status"]) == (1, "changed")
    assert json.loads(out)["rows"][0]["what"] == "all-to-all"
    status, out, _ = run("--format", "md")
    assert "| devices `spine` | 2 | 3 | \\+1 |" in out
    assert run("--format", "html")[0] == 2


def test_markdown_of_hostile_names_is_text(run):
    evil = OLD.replace("links:", "about: '<script>alert(1)</script>'\nlinks:").replace("spine", "sp.ine")
    _, out, _ = run("--format", "md", old=evil)
    assert "<script" not in out
