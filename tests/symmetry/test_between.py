"""More damage and less hold what is between them; and what is not alike at all is answered by that."""

from dataclasses import replace
from functools import partial

import pytest

import fabric as f
from fabric.bounds import bound
from fabric.errors import FabricError
from fabric.flow import between
from fabric.flow.question import Question
from fabric.flow.throughput import _answer_at_once, _answer_held
from fabric.graph import fail, loads

FAMILIES = ("nested", "pods of rings", "cells")
CONSTRUCTS = ("ring x mesh", "composed axes", "two includes", "clos")


def look_at_all(monkeypatch):
    """Have more damage and less looked at however small the program is."""
    monkeypatch.setattr(between, "MANY_COLUMNS", -1)
    monkeypatch.setattr(bound, "FEW_COLUMNS", -1)
    monkeypatch.setattr(between, "_SMALLER", 0)


def check_hold(fabric, monkeypatch):
    """Check that the interval holds the rate, and return whether there is one."""
    look_at_all(monkeypatch)
    group = next(g.name for g in fabric.blueprint.groups.values() if g.is_endpoint)
    ask = Question(fabric, "all-to-all", among=group, method="axes")
    try:
        exact = _answer_at_once(ask)
    except FabricError:
        return False
    held = between.hold_question(ask, lambda posed: posed)
    found = held and _answer_held(ask, held, 0.0)
    if not found:
        return False
    proof = found.certificate
    assert proof.lower_gbps <= exact.per_endpoint_gbps * (1 + 1e-8)
    assert exact.per_endpoint_gbps <= proof.upper_gbps * (1 + 1e-8)
    assert held.is_met == (found.status == "optimal")
    assert found.n_endpoints == exact.n_endpoints
    cables = {one.link: one for one in (*exact.binding, *exact.slack)}
    for one in (*found.binding, *found.slack):
        assert one.link not in cables or one.n_cables == cables[one.link].n_cables
        if found.status == "optimal" and one.link in cables and one in found.slack:
            assert one.spare <= cables[one.link].spare + 1e-7
    return True


def check_same(fabric, monkeypatch):
    """Check bottleneck and bounds by more and less damage against those without, and return how many are."""
    group = next(g.name for g in fabric.blueprint.groups.values() if g.is_endpoint)
    asked = [
        partial(f.bottleneck, among=group, method="axes"),
        *(partial(f.bound, collective=c, among=group) for c in ("all-gather", "all-reduce", "broadcast")),
    ]
    n_held = 0
    for ask in asked:
        try:
            exact = ask(fabric)
        except FabricError:
            continue
        with monkeypatch.context() as patch:
            look_at_all(patch)
            found = ask(replace(fabric, blueprint=replace(fabric.blueprint)))
        why = found.throughput.why if isinstance(found, f.Bottleneck) else found.why
        n_held += "with less down" in why
        if isinstance(found, f.Bottleneck):
            assert found.throughput.per_endpoint_gbps == pytest.approx(exact.throughput.per_endpoint_gbps)
            assert {p.link for p in found.binding} == {p.link for p in exact.binding}
            for price in found.binding:
                again = next(p for p in exact.binding if p.link == price.link)
                # With less down a class may be the whole rule, where alone some of its cables bind.
                n_cables = ("n_cables",) if price.where == again.where else ()
                for name in (*n_cables, "up_slope", "down_slope", "gain", "loss"):
                    assert getattr(price, name) == pytest.approx(getattr(again, name), abs=1e-4), name
            assert found.joint_gain == pytest.approx(exact.joint_gain, abs=1e-7)
            # What then binds is asked of wider cables of these classes.
            if {p.where for p in found.binding} == {p.where for p in exact.binding}:
                assert found.next_gbps == pytest.approx(exact.next_gbps)
                assert found.next_binding == exact.next_binding
        else:
            assert found.algbw_gbps == pytest.approx(exact.algbw_gbps, rel=1e-7)
            assert found.n_ranks == exact.n_ranks
            # What flows prove stays proven; the status never rests on less.
            assert found.status == exact.status
    return n_held


@pytest.mark.some(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_interval_holds_the_rate(family, marked_fabrics, monkeypatch):
    assert sum(check_hold(marked_fabrics.marked_fabric(family, seed), monkeypatch) for seed in range(4))


def test_bottlenecks_and_bounds_are_those_without(marked_fabrics, monkeypatch):
    assert check_same(marked_fabrics.marked_fabric("nested", 3), monkeypatch) == 4


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(5))
@pytest.mark.parametrize("family", FAMILIES)
def test_bottlenecks_and_bounds_are_those_without_in_quota(family, chunk, marked_fabrics, monkeypatch):
    seeds = range(100 + 40 * chunk, 140 + 40 * chunk)
    held = [check_same(marked_fabrics.marked_fabric(family, seed), monkeypatch) for seed in seeds]
    assert sum(held) or family != "nested"


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(5))
@pytest.mark.parametrize("family", [*FAMILIES, *CONSTRUCTS])
def test_the_interval_holds_the_rate_in_quota(family, chunk, marked_fabrics, constructs, monkeypatch):
    n_seen = 0
    for seed in range(100 + 40 * chunk, 140 + 40 * chunk):
        fabric = (
            marked_fabrics.marked_fabric(family, seed)
            if family in FAMILIES
            else constructs.random_fabric(family, seed)[0]
        )
        n_seen += check_hold(fabric, monkeypatch)
    assert n_seen


PODS = """
fabric: pods
axes: {pod: 12, su: 3, rack: 3, tray: 4, slot: 2, spine: 4, core: 2}
devices:
  gpu: {kind: gpu, axes: [pod, su, rack, tray, slot], transit: relay}
  nvswitch: {kind: switch, axes: [pod, su, rack]}
  nic: {kind: nic, axes: [pod, su, rack, tray, slot]}
  leaf: {kind: switch, axes: [pod, su, slot]}
  s: {kind: switch, axes: [pod, spine]}
  c: {kind: switch, axes: [spine, core]}
links:
  - {between: [gpu, nvswitch], rate: 9Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 4Gb/s}
  - {between: [nic, leaf], rate: 4Gb/s}
  - {between: [leaf, s], rate: 24Gb/s}
  - {between: [s, c], rate: 24Gb/s}
"""


def scattered(n):
    """Return n NICs of as many racks, such as a prime number of steps scatters them."""
    racks = ((7 * i) % 108 for i in range(n))
    return [f"pod{r // 9}/su{r // 3 % 3}/rack{r % 3}/tray{(5 * r) % 4}/nic{(3 * r) % 2}" for r in racks]


def test_scattered_damage_that_does_not_bind_has_the_rate_of_none(monkeypatch):
    monkeypatch.setattr(between, "MANY_COLUMNS", 500)
    monkeypatch.setattr(between, "_SMALLER", 2)
    fabric = loads(PODS)
    whole, damaged = f.throughput(fabric), f.throughput(fail(fabric, *scattered(30)))
    assert damaged.status == "optimal"
    assert damaged.per_endpoint_gbps == pytest.approx(whole.per_endpoint_gbps, rel=1e-9)
    assert damaged.binding == whole.binding
    assert damaged.n_variables < 6_000
    assert "less down" in damaged.why
    nic = next(one for one in damaged.slack if one.link == "nic-leaf")
    assert nic.n_cables == 12 * 3 * 3 * 4 * 2 - 30
    assert not nic.is_measured


def test_damage_that_binds_is_solved_as_it_is(monkeypatch):
    monkeypatch.setattr(between, "MANY_COLUMNS", 500)
    monkeypatch.setattr(between, "_SMALLER", 2)
    fabric = loads(PODS)
    # All but one NIC of a rack.
    down = [f"pod1/su1/rack1/tray{t}/nic{s}" for t in range(4) for s in range(2) if (t, s) != (3, 1)]
    found = f.throughput(fail(fabric, *down, *scattered(4)))
    assert found.status == "optimal"
    # Its 8 GPUs send 856 of 863 parts out by one NIC.
    assert found.per_endpoint_gbps == pytest.approx(4 * 863 / (8 * 856), rel=1e-9)


@pytest.mark.slow  # bottlenecks and bounds are asked of random fabrics too
def test_what_scattered_damage_costs_cables_is_what_none_does(monkeypatch):
    monkeypatch.setattr(between, "MANY_COLUMNS", 500)
    monkeypatch.setattr(between, "_SMALLER", 2)
    # Once cores are wide uplinks bind, not what is left of the NICs of a rack.
    fabric = loads(PODS.replace("[leaf, s], rate: 24Gb/s", "[leaf, s], rate: 8.6Gb/s"))
    whole, damaged = f.bottleneck(fabric), f.bottleneck(fail(fabric, *scattered(30)))
    assert damaged.throughput.why == "no more with less down, and no less with more"
    assert damaged.binding == whole.binding
    assert (damaged.next_gbps, damaged.next_binding) == (
        pytest.approx(whole.next_gbps, rel=1e-9),
        whole.next_binding,
    )


@pytest.mark.slow
def test_damage_of_many_kinds_that_binds_is_that_of_the_worst_kind(monkeypatch):
    monkeypatch.setattr(between, "MANY_COLUMNS", 500)
    monkeypatch.setattr(between, "_SMALLER", 2)
    # Every leaf that is lost binds as much as one alone.
    down = ["pod0/su0/leaf0", "pod3/su1/leaf1", "pod5/su2/leaf0", "pod6/su0/leaf0", "pod6/su2/leaf1"]
    one = f.throughput(fail(loads(PODS), "pod0/su0/leaf0"))
    found = f.throughput(fail(loads(PODS), *down))
    assert found.status == "optimal"
    assert found.per_endpoint_gbps == pytest.approx(one.per_endpoint_gbps, rel=1e-9)


@pytest.mark.slow  # bottlenecks and bounds are asked of random fabrics too
def test_what_every_rank_takes_in_at_most_is_that_of_one_without_its_nic(monkeypatch):
    monkeypatch.setattr(between, "MANY_COLUMNS", 500)
    monkeypatch.setattr(bound, "FEW_COLUMNS", 500)
    monkeypatch.setattr(between, "_SMALLER", 2)
    fabric = loads(PODS)
    one, many = (f.bound(fail(fabric, *scattered(n)), "all-gather") for n in (1, 30))
    assert many.algbw_gbps == pytest.approx(one.algbw_gbps, rel=1e-9)
    assert many.algbw_gbps < f.bound(fabric, "all-gather").algbw_gbps
    assert "less down" in many.why


@pytest.mark.slow  # the law is asked of one fabric of each family too
def test_less_damage_is_the_same_on_links_and_on_classes(marked_fabrics, monkeypatch):
    """Links had one cable of a range of pairs down, classes one of each pair: a proof failed."""
    assert check_same(marked_fabrics.marked_fabric("nested", 278), monkeypatch) == 1
