"""Values of ``expect:`` are those of the verbs, and what is not met fails the check."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import fabric
from fabric import cli
from fabric.blueprint.expectation import COUNT, MEASURES, RAILS, SURVIVES
from fabric.flow.traffic import Traffic
from fabric.graph import loads
from fabric.sizing.bom import bom
from fabric.study import expectations
from fabric.study.expectations import _MEASURED, Finding, _judge, check
from fabric.units import format_rate

POD = """\
fabric: pod
axes: {pod: 2, i: 4, s: 2}
devices:
  gpu: {kind: gpu, axes: [pod, i]}
  leaf: {kind: switch, axes: [pod]}
  spine: {kind: switch, axes: [s]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 600Gb/s, name: up}
"""

ROOT = Path(__file__).parents[2]


def outcome(line, text=POD):
    (one,) = check(loads(f"{text}expect:\n  - {line}\n", path="pod.fabric.yaml")).outcomes
    return one


def test_every_measure_is_measured():
    assert set(_MEASURED) == {*MEASURES, COUNT, SURVIVES, RAILS}


def test_values_are_those_of_the_verbs():
    pod = loads(POD)
    assert outcome("all-to-all >= 1Gb/s").value == fabric.throughput(pod).per_endpoint_gbps
    halves = fabric.throughput(pod, Traffic("halves", over=("pod",))).per_endpoint_gbps
    assert outcome("bisection(pod) >= 1Gb/s").value == pytest.approx(halves)
    assert outcome("bisection(pod) >= 0.1").value == pytest.approx(halves / 400)
    assert outcome("max-flow(pod0, pod1) > 1Gb/s").value == fabric.max_flow(pod, "pod0", "pod1").value_gbps
    bound = fabric.bound(pod, "all-reduce")
    assert outcome("bound(all-reduce).busbw > 1Gb/s").value == bound.busbw_gbps
    assert outcome("bound(all-reduce).algbw > 1Gb/s").value == bound.algbw_gbps
    cost = fabric.cost(pod, "all-reduce", "1GiB", algorithm="ring", over=["pod"])
    of_pods = "all-reduce(1GiB, algorithm=ring, over=[pod])"
    assert outcome(f"{of_pods}.time < 1s").value == cost.time_s
    assert outcome(f"{of_pods} > 1Gb/s").value == cost.busbw_gbps
    assert outcome("cables > 1").value == bom(pod).n_cables
    assert [outcome(f"{what} > 0").value for what in ("up", "gpu", "switches", "endpoints")] == [4, 8, 4, 8]


def test_oversubscription_by_hand():
    # A leaf takes 4 x 400 Gb/s from below and 2 x 600 up.
    assert outcome("oversubscription leaf <= 4:3").status == "met"
    assert outcome("oversubscription leaf <= 1.33").status == "unmet"
    assert outcome("oversubscription spine <= 1").value == 0


def test_any_one_spine_by_hand():
    # 4 of a pod send 4/7 of their traffic over: by one spine of 600 Gb/s 600 / 4 * 7 / 4 = 262.5 of 400 each.
    kept = outcome("survives any one spine at 0.65")
    assert (kept.status, kept.value) == ("met", pytest.approx(262.5 / 400))
    assert (kept.binding, kept.why) == ("up", "")
    assert outcome("survives any one spine at 0.66").status == "unmet"
    assert outcome("survives any one leaf").status == "unmet"
    # Four have no leaf, and the other four reach three of seven others: none reaches most of them.
    assert outcome("survives any one leaf").why == "leaf0 cuts off 8 endpoints"
    assert outcome("survives any one gpu - leaf").value == 0
    cable = outcome("survives any one leaf - spine")
    assert (cable.status, cable.value) == ("met", pytest.approx(262.5 / 400))
    assert outcome("survives any one gpu at 1").status == "met"


def test_any_one_is_the_worst_of_all_by_brute_force():
    text = POD.replace("s: 2}", "s: 3}").replace("rate: 600Gb/s", "rate: 200Gb/s, count: {s: [1, 2, 3]}")
    pod = loads(text)
    healthy = fabric.throughput(pod).per_endpoint_gbps
    kept = [fabric.throughput(fabric.fail(pod, f"spine{n}")).per_endpoint_gbps / healthy for n in range(3)]
    assert kept[0] > kept[1] > kept[2]
    assert outcome("survives any one spine", text).value == pytest.approx(kept[2])


RAIL = """\
fabric: rails
axes: {node: 4, slot: 2, s: 2}
devices:
  gpu: {kind: gpu, axes: [node, slot]}
  nic: {kind: nic, axes: [node, slot]}
  cpu: {kind: host, axes: [node]}
  leaf: {kind: switch, axes: [AXIS]}
  spine: {kind: switch, axes: [s]}
links:
  - {between: [gpu, nic], rate: 400Gb/s, net: host}
  - {between: [gpu, cpu], rate: 400Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s}
"""


def test_rails():
    assert outcome("rails disjoint", RAIL.replace("AXIS", "slot")).status == "met"
    top_of_rack = outcome("rails disjoint", RAIL.replace("AXIS", "node"))
    assert (top_of_rack.status, top_of_rack.why) == ("unmet", "leaf joins several nic of one box, along slot")
    assert (
        outcome(
            "rails disjoint",
            RAIL.replace("leaf: {kind: switch, axes: [AXIS]}", "leaf: {kind: switch, axes: []}"),
        ).status
        == "unmet"
    )


def test_what_is_not_known_is_undecided():
    power = outcome("power <= 1MW")
    assert (power.status, power.value) == ("undecided", 0.0)
    assert "no power known of" in power.why
    cost = outcome("all-reduce(1GiB, algorithm=rin) > 1Gb/s")
    assert (cost.status, cost.value) == ("undecided", None)
    assert "ring" in cost.why
    assert check(loads(f"{POD}expect: [power <= 1MW]\n")).status == "unmet"


@pytest.mark.parametrize(
    ("relation", "demand", "standing"),
    [
        (">=", 1.0, "met"),
        (">=", 1.5, "undecided"),
        (">=", 3.0, "unmet"),
        ("<=", 3.0, "met"),
        ("<=", 1.5, "undecided"),
        ("<=", 0.5, "unmet"),
        ("=", 1.5, "unmet"),
    ],
)
def test_an_interval_decides_where_all_of_it_does(relation, demand, standing):
    (line,) = loads(f"{POD}expect: [gpu = 8]\n").blueprint.expectations
    assert _judge(replace(line, relation=relation, demand=demand), Finding(1.0, 2.0))[0] == standing


def test_shipped_prices_leave_an_interval():
    text = (ROOT / "topologies" / "gb300-nvl72-1152.fabric.yaml").read_text()
    assert outcome("price <= $1", text).status == "unmet"
    assert outcome("power >= 1kW", text).status == "met"


def test_prints():
    text = f"{POD}expect: [all-to-all >= 1Gb/s, gpu = 9]\n"
    answer = check(loads(text, path="pod.fabric.yaml"))
    rate = format_rate(fabric.throughput(loads(POD)).per_endpoint_gbps)
    assert str(answer).splitlines() == [
        "pod: 1 of 2 expectations are met",
        f"  all-to-all >= 1Gb/s: met: {rate}; gpu-leaf binds",
        "  pod.fabric.yaml:10:31: gpu = 9: unmet: 8 where 9 is expected",
    ]
    assert [row["status"] for row in answer.table()] == ["met", "unmet"]
    assert str(check(loads(POD))) == "pod: nothing is expected; write expect: in its file"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Return status, output and errors of ``fabtopo check`` on files of these texts."""

    def run(*texts, options=()):
        names = [f"{chr(97 + i)}.fabric.yaml" for i in range(len(texts))]
        for name, text in zip(names, texts, strict=True):
            (tmp_path / name).write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["fabtopo", "check", *names, *options])
        with pytest.raises(SystemExit, match=r"^\d$") as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    return run


MET, UNMET, BROKEN = f"{POD}expect: [gpu = 8]\n", f"{POD}expect: [gpu = 9]\n", f"{POD}expect: [gpu]\n"


def test_exit_status_is_that_of_the_worst(run):
    assert [run(POD)[0], run(MET)[0], run(UNMET)[0], run(BROKEN)[0]] == [0, 0, 1, 2]
    assert run(MET, UNMET)[0] == 1
    status, out, err = run(UNMET, BROKEN, MET)
    assert status == 2
    assert "a.fabric.yaml:10:10: gpu = 9: unmet" in out
    assert "c.fabric.yaml: ok" in out
    assert err.startswith("b.fabric.yaml:10:10: expect[0]: cannot be read")


def test_json(run):
    status, out, _ = run(UNMET, options=["--json"])
    answer = json.loads(out)
    assert (status, answer["status"]) == (1, "unmet")
    (line,) = answer["expectations"]
    assert (line["expectation"], line["value"], line["demand"], line["line"]) == ("gpu = 9", 8, 9, 10)
    several = json.loads(run(UNMET, BROKEN, options=["--json"])[1])
    assert [one["status"] for one in several] == ["unmet", "error"]
    assert several[1]["problems"][0]["line"] == 10


def test_github_annotations(run):
    status, out, _ = run(MET, UNMET, BROKEN, options=["--format", "github"])
    assert status == 2
    unmet, problem = out.splitlines()
    assert unmet == (
        "::error file=b.fabric.yaml,line=10,col=10,title=fabtopo unmet::gpu = 9: unmet: 8 where 9 is expected"
    )
    assert problem.startswith("::error file=c.fabric.yaml,line=10,col=10,title=fabtopo problem::expect[0]: ")
    assert run(MET, options=["--format", "github"]) == (0, "", "")


def test_sarif(run):
    status, out, _ = run(UNMET, options=["--format", "sarif"])
    (result,) = json.loads(out)["runs"][0]["results"]
    assert (status, result["ruleId"]) == (1, "unmet")
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("a.fabric.yaml", 10)


def test_no_such_format(run):
    status, _, err = run(MET, options=["--format", "yaml"])
    assert (status, err) == (2, "format: text, json, github or sarif; got 'yaml'\n")


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.yaml", "mine.yaml", "/dev/zero"])
def test_a_topology_file_has_no_other_file_read(path):
    one = outcome(f"'all-reduce(1GiB, calibration={path}) >= 1GB/s'")
    assert one.status == "undecided"
    assert (
        one.why == f"calibration {path!r}: a topology file names one of the program and reads no other file"
    )


def test_a_rate_that_many_lines_ask_for_is_worked_out_once(monkeypatch):
    asked = []
    whole = expectations.throughput
    monkeypatch.setattr(
        expectations, "throughput", lambda f, *a, **k: asked.append((a, k)) or whole(f, *a, **k)
    )
    lines = "".join(f"  - all-to-all >= {n}Gb/s\n" for n in range(1, 200)) + "  - bisection(pod) >= 0.1\n"
    assert len(check(loads(f"{POD}expect:\n{lines}")).outcomes) == 200
    assert len(asked) == 2


def test_lines_that_demand_otherwise_are_measured_once(monkeypatch):
    asked = []
    whole = expectations.throughput
    monkeypatch.setattr(expectations, "throughput", lambda f, *a, **k: asked.append(f) or whole(f, *a, **k))
    lines = "".join(f"  - survives any one spine at 0.{n:03}\n" for n in range(1, 200))
    found = check(loads(f"{POD}expect:\n{lines}")).outcomes
    assert len({one.value for one in found}) == 1
    # The whole fabric, and one spine less: all spines are alike.
    assert (len(found), len(asked)) == (199, 2)


def test_what_one_file_has_solved_is_limited(monkeypatch):
    monkeypatch.setattr(expectations, "MOST_SOLVED", 5)
    lines = "".join(f"  - max-flow(pod0/gpu0, pod1/gpu{n}) >= 1Gb/s\n" for n in range(4))
    lines += "  - survives any one spine\n  - max-flow(pod0/gpu0, pod1/gpu0) >= 2Gb/s\n  - leaf = 2\n"
    found = check(loads(f"{POD}expect:\n{lines}")).outcomes
    # Four flows, and two states of a spine that fails, are one too many; what is known still holds.
    assert [one.status for one in found] == [*["met"] * 4, "undecided", "met", "met"]
    assert found[4].why.startswith("not measured: one check solves at most 5 states of a fabric")
