"""Prices of cable classes: measured slopes agree with solving a changed file, and who starves is named."""

from dataclasses import replace
from pathlib import Path

import pytest

import fabric.flow.throughput as throughput_module
from fabric.flow import lp, program
from fabric.flow.bottleneck import bottleneck
from fabric.flow.throughput import throughput
from fabric.flow.traffic import Traffic
from fabric.graph import loads

CLOS = """
{fabric: clos, axes: {pod: 2, rack: 3, slot: 4, k: 2}, devices: {gpu: {kind: gpu, axes: [pod, rack, slot]},
 leaf: {kind: switch, axes: [pod, rack]}, spine: {kind: switch, axes: [k]}},
 links: [{between: [gpu, leaf], rate: %sGb/s}, {between: [leaf, spine], rate: %sGb/s}], failed: [%s]}
"""


def rate(access, uplink, failed=""):
    return throughput(loads(CLOS % (access, uplink, failed))).per_endpoint_gbps


# Uplinks of 2 Gb/s bind at 1.15 Gb/s a GPU: the last three fill the access to 95, 91 and 88 %.
@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("access", "uplink"), [(4, 2), (4, 20), (1.5, 4), (7, 3), (1.21, 2), (1.264, 2), (1.307, 2)]
)
def test_gain_and_loss_are_those_of_a_changed_file(access, uplink):
    found = bottleneck(loads(CLOS % (access, uplink, "")))
    base = rate(access, uplink)
    changed = {"gpu-leaf": (1, 0), "leaf-spine": (0, 1)}
    assert {price.link for price in (*found.binding, *found.slack)} == changed.keys()
    for price in found.binding:
        a, u = changed[price.link]
        wide = rate(access * (1 + 0.1 * a), uplink * (1 + 0.1 * u))
        thin = rate(access * (1 - 0.1 * a), uplink * (1 - 0.1 * u))
        assert price.gain == pytest.approx(wide / base - 1, abs=1e-7)
        assert price.loss == pytest.approx(1 - thin / base, abs=1e-7)
    for row in found.slack:
        a, u = changed[row.link]
        for part, is_felt in ((row.spare - 1e-4, False), (row.spare + 1e-4, True)):
            thin = rate(access * (1 - part * a), uplink * (1 - part * u))
            assert (thin < base * (1 - 1e-9)) == is_felt
    assert sum(p.share for p in found.binding) == pytest.approx(1.0, abs=1e-6)
    assert found.throughput.per_endpoint_gbps == pytest.approx(base)


def test_classes_that_bind_jointly():
    # 20 of 23 others are in other racks: 4 GPUs send 4 * 20 / 23 through uplinks of 2 * 40 / 23.
    text = (CLOS % (1, 1, "")).replace("spine], rate: 1Gb/s", "spine], rate: 40Gb/s/23")
    found = bottleneck(loads(text))
    assert {p.link for p in found.binding} == {"gpu-leaf", "leaf-spine"}
    assert all(p.is_joint for p in found.binding)
    assert all(p.gain == pytest.approx(0.0, abs=1e-6) for p in found.binding)
    assert all(p.loss == pytest.approx(0.1, abs=1e-6) for p in found.binding)
    assert found.joint_gain == pytest.approx(0.1, abs=1e-6)
    assert "jointly" in str(found)


def test_the_next_bottleneck():
    found = bottleneck(loads(CLOS % (4, 2, "")))
    assert [p.link for p in found.binding] == ["leaf-spine"]
    assert found.next_binding == ("gpu-leaf",)
    assert found.next_gbps == pytest.approx(4.0, rel=1e-6)
    assert [p.link for p in found.slack] == ["gpu-leaf"]


def test_a_small_class_that_starves_all():
    found = bottleneck(loads(CLOS % (4, 2, "[pod0/leaf1, spine0]")))
    ((who, n, rest),) = found.starving
    assert (who, n) == ("pod0/rack1/gpu0", 4)
    assert found.throughput.per_endpoint_gbps < rest <= rate(4, 2) * 1.2
    assert "hold back the rest" in str(found)
    assert "pod0/leaf1 - spine1" in found.binding[0].where
    # A class that is but part of a rule is told by one of its cables, a whole rule by its name alone.
    assert f"leaf-spine (such as {found.binding[0].where})" in str(found)
    assert "such as" not in str(bottleneck(loads(CLOS % (4, 2, ""))))


def test_cut_off_endpoints_are_named():
    fabric = loads(CLOS % (4, 2, "pod0/leaf1"))
    lost = bottleneck(fabric)
    assert (lost.status, lost.cut_off, lost.binding) == ("cut off", (("pod0/rack1/gpu0", 4),), ())
    assert "cut off: 4 endpoints such as pod0/rack1/gpu0" in str(lost)
    found = bottleneck(fabric, drop_unreachable=True)
    assert found.throughput.n_endpoints == 20


def test_a_shift_within_racks_does_not_use_the_spines():
    found = bottleneck(loads(CLOS % (4, 2, "")), Traffic("shift", ("slot",)))
    assert [p.link for p in found.binding] == ["gpu-leaf"]
    assert found.next_gbps == float("inf")
    assert (found.to_dict()["next_gbps"], found.to_dict()["next_binding"]) == (None, [])


def rule_of(text, name, factor):
    """Return `text` with the rate of one rule times a factor."""
    fabric = loads(text)
    rules = tuple(
        replace(r, rate_gbps=r.rate_gbps * factor) if r.name == name else r for r in fabric.blueprint.rules
    )
    return replace(fabric, blueprint=replace(fabric.blueprint, rules=rules))


DRAGONFLY = Path(__file__).parents[2] / "topologies" / "patterns" / "dragonfly.fabric.yaml"
SLACK = {
    "clos": (CLOS % (4, 2, ""), {"gpu-leaf": 1 - 1.15 / 4}),
    "failed": (CLOS % (4, 2, "[pod0/leaf1, spine0]"), {"gpu-leaf": 1 - 0.575 / 4}),
    # Each alone, and far more than what a corner of the program leaves: 0 and 0.
    "dragonfly": (DRAGONFLY.read_text(), {"global": 0.0986, "local": 0.1062}),
}


@pytest.mark.parametrize(
    "name", ["clos", *(pytest.param(name, marks=pytest.mark.slow) for name in ("failed", "dragonfly"))]
)
def test_slack_is_what_a_class_alone_can_lose(name):
    """Settled by other programs: narrowed by its slack the rate stays, narrowed by more it does not."""
    text, right = SLACK[name]
    found = throughput(loads(text))
    assert {c.link: c.spare for c in found.slack} == pytest.approx(right, abs=1e-3)
    for one in found.slack:
        assert one.is_measured
        rate = found.per_endpoint_gbps
        just = throughput(rule_of(text, one.link, 1 - one.spare)).per_endpoint_gbps
        more = throughput(rule_of(text, one.link, 1 - one.spare - 0.02)).per_endpoint_gbps
        assert just == pytest.approx(rate, rel=1e-6)
        assert more < rate * (1 - 1e-4)


@pytest.mark.some(1)
@pytest.mark.parametrize("name", SLACK)
def test_slack_is_the_same_in_every_verb(name):
    fabric = loads(SLACK[name][0])
    first, second = throughput(fabric), bottleneck(fabric)
    assert first.slack == second.slack
    assert first.to_dict()["slack"] == second.to_dict()["slack"] != []
    names = [row.link for row in (*second.binding, *second.slack)]
    assert len(names) == len(set(names))


def test_what_is_almost_full_has_slack_and_no_price():
    # Of 23 others 20 are in other racks: uplinks of 40 / 23 Gb/s / 0.95 are full to 95 %.
    text = (CLOS % (1, 1, "")).replace("spine], rate: 1Gb/s", "spine], rate: 800Gb/s/437")
    found = bottleneck(loads(text))
    assert [p.link for p in found.binding] == ["gpu-leaf"]
    assert found.binding[0].gain == pytest.approx(1 / 0.95 - 1, abs=1e-6)
    assert [(row.link, row.spare) for row in found.slack] == [("leaf-spine", pytest.approx(0.05, abs=1e-6))]


def test_the_program_of_throughput_is_built_once_and_solved_no_more_than_needed(monkeypatch):
    built, solved = [], []

    class Counted(lp.LinearProgram):
        def __init__(self, *rows, **more):
            built.append(rows)
            super().__init__(*rows, **more)

        def _solve(self):
            solved.append(self)
            return super()._solve()

    monkeypatch.setattr(program, "LinearProgram", Counted)
    bottleneck(loads(CLOS % (4, 2, "")))
    # The rate; the one full class a little and 10 % narrower and wider; all that bind wider; what is next.
    assert (len(built), len(solved)) == (1, 7)


def test_a_large_program_says_that_slack_is_no_less(monkeypatch):
    monkeypatch.setattr(throughput_module, "MANY_VARIABLES", 10)
    found = throughput(loads(DRAGONFLY.read_text()))
    assert found.slack
    assert not any(row.is_measured for row in found.slack)
    assert "at least" in str(found)


def test_a_cable_between_two_that_are_alike_is_not_one_to_itself():
    text = "{fabric: chain, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i], transit: all}}, links: "
    text += "[{between: [gpu, gpu], name: chain, line: i, rate: 400Gb/s, net: scale-up}]}"
    (price,) = bottleneck(loads(text)).binding
    # The middle cable of three.
    assert (price.n_cables, price.where) == (1, "gpu1 and one like it")
