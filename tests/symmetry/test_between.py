"""More damage and less hold what is between them; and what is not alike at all is answered by that."""

import pytest

import fabric as f
from fabric.errors import FabricError
from fabric.flow import between
from fabric.flow.question import Question
from fabric.flow.throughput import _answer_at_once
from fabric.graph import fail, loads

FAMILIES = ("nested", "pods of rings", "cells")
CONSTRUCTS = ("ring x mesh", "composed axes", "two includes", "clos")


def check_hold(fabric, monkeypatch):
    """Check that the interval holds the rate, and return whether there is one."""
    monkeypatch.setattr(between, "FEW_VARIABLES", -1)
    monkeypatch.setattr(between, "_SMALLER", 0)
    group = next(g.name for g in fabric.blueprint.groups.values() if g.is_endpoint)
    ask = Question(fabric, "all-to-all", among=group, method="axes")
    try:
        exact = _answer_at_once(ask)
    except FabricError:
        return False
    found = between.answer_between(ask, _answer_at_once)
    if found is None:
        return False
    proof = found.certificate
    assert proof.lower_gbps <= exact.per_endpoint_gbps * (1 + 1e-8)
    assert exact.per_endpoint_gbps <= proof.upper_gbps * (1 + 1e-8)
    assert found.n_endpoints == exact.n_endpoints
    cables = {one.link: one for one in (*exact.binding, *exact.slack)}
    for one in (*found.binding, *found.slack):
        assert one.link not in cables or one.n_cables == cables[one.link].n_cables
        if found.status == "optimal" and one.link in cables and one in found.slack:
            assert one.spare <= cables[one.link].spare + 1e-7
    return True


@pytest.mark.parametrize("family", FAMILIES)
def test_the_interval_holds_the_rate(family, marked_fabrics, monkeypatch):
    assert sum(check_hold(marked_fabrics.marked_fabric(family, seed), monkeypatch) for seed in range(8))


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
    monkeypatch.setattr(between, "FEW_VARIABLES", 500)
    fabric = loads(PODS)
    whole, damaged = f.throughput(fabric), f.throughput(fail(fabric, *scattered(30)))
    assert damaged.status == "optimal"
    assert damaged.per_endpoint_gbps == pytest.approx(whole.per_endpoint_gbps, rel=1e-9)
    assert damaged.binding == whole.binding
    assert damaged.n_variables < 6_000
    assert "nothing down" in damaged.why
    nic = next(one for one in damaged.slack if one.link == "nic-leaf")
    assert nic.n_cables == 12 * 3 * 3 * 4 * 2 - 30
    assert not nic.is_measured


def test_damage_that_binds_is_solved_as_it_is(monkeypatch):
    monkeypatch.setattr(between, "FEW_VARIABLES", 500)
    fabric = loads(PODS)
    # All but one NIC of a rack.
    down = [f"pod1/su1/rack1/tray{t}/nic{s}" for t in range(4) for s in range(2) if (t, s) != (3, 1)]
    found = f.throughput(fail(fabric, *down, *scattered(4)))
    assert found.status == "optimal"
    # Its 8 GPUs send 856 of 863 parts out by one NIC.
    assert found.per_endpoint_gbps == pytest.approx(4 * 863 / (8 * 856), rel=1e-9)
