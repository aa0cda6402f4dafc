"""Rates that are far apart in one fabric: b/s beside Eb/s lose no proof, and no part of the answer."""

import random

import numpy as np
import pytest

from fabric import Traffic, bottleneck, bound, max_flow, throughput
from fabric.flow.commodities import Commodities, capacities
from fabric.flow.question import Question, pose
from fabric.flow.span import span_of
from fabric.graph import loads

UNITS = ("b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s", "Pb/s", "Eb/s")

PEERS = """
fabric: peers
axes: {b: 5, s: 1}
devices:
  gpu: {kind: gpu, axes: [b], transit: all}
  leaf: {kind: switch, axes: []}
  spine: {kind: switch, axes: [s]}
links:
  - {between: [gpu, leaf], rate: 2Tb/s}
  - {between: [leaf, spine], rate: 8kb/s, count: 2}
  - {between: [gpu, gpu], name: peers, mesh: b, rate: 1kb/s}
"""
BELOW_A_THREAD = """
fabric: thread
axes: {b: 2, a: 4, s: 2}
devices:
  gpu: {kind: gpu, axes: [b, a]}
  nv: {kind: switch, axes: [b]}
  host: {kind: host, axes: [b]}
  nic: {kind: nic, axes: [b]}
  leaf: {kind: switch, axes: [b, s]}
  spine: {kind: switch, axes: [b, s]}
links:
  - {between: [gpu, nv], rate: 4Gb/s, net: scale-up}
  - {between: [gpu, host], rate: 3Mb/s}
  - {between: [host, nic], rate: 8Tb/s}
  - {between: [nic, leaf], rate: 2b/s, count: 2}
  - {between: [leaf, spine], rate: 1Mb/s, count: 2}
  - {between: [leaf, leaf], name: leaves, ring: b, rate: 2Pb/s, count: 2}
"""


def stretched(rng, units=UNITS):
    """Return a fabric of boxes under leaves, spines and perhaps peers, with rates of any size."""
    node, slot, s = rng.choice([(2, 2, 1), (3, 2, 2), (2, 3, 1), (4, 1, 3), (2, 1, 2)])

    def rate():
        return f"{rng.choice([1, 2, 3, 4, 6, 8])}{rng.choice(units)}"

    relay = rng.random() < 0.5
    leaf = rng.choice(["[slot]", "[node]", "[]", "[node, slot]"])
    lines = [
        f"fabric: f\naxes: {{node: {node}, slot: {slot}, s: {s}}}\ndevices:",
        f"  gpu: {{kind: gpu, axes: [node, slot], transit: {'relay' if relay else 'end'}}}",
        "  nv: {kind: switch, axes: [node]}",
        f"  nic: {{kind: nic, axes: {rng.choice(['[node, slot]', '[node, slot]', '[node]'])}}}",
        f"  leaf: {{kind: switch, axes: {leaf}}}",
        "  spine: {kind: switch, axes: [s]}\nlinks:",
        f"  - {{between: [gpu, nv], rate: {rate()}, net: scale-up}}",
        f"  - {{between: [gpu, nic], rate: {rate()}}}",
        f"  - {{between: [nic, leaf], rate: {rate()}, count: {rng.choice([1, 2])}}}",
        f"  - {{between: [leaf, spine], rate: {rate()}}}",
    ]
    if rng.random() < 0.4:
        lines.append(f"  - {{between: [gpu, gpu], name: peers, mesh: node, rate: {rate()}}}")
    if rng.random() < 0.3:
        lines.append("failed: [spine0]")
    return "\n".join(lines)


@pytest.mark.seeds(2, of=120)
def test_no_answer_loses_its_proof_where_rates_are_far_apart(seed):
    rng = random.Random(seed)
    fabric = loads(stretched(rng))
    for asked in ("all-to-all", Traffic("shift", ("node",))):
        found = [throughput(fabric, asked, method=method) for method in ("axes", "links")]
        assert {answer.status for answer in found} <= {"optimal", "cut off"}
        rates = [answer.per_endpoint_gbps for answer in found]
        assert rates[0] == pytest.approx(rates[1], rel=1e-6)
        for price in (*found[0].binding, *found[0].slack):
            assert 0 <= price.spare <= 1
    flows = [max_flow(fabric, "node0", "node1", method=method) for method in ("axes", "links")]
    assert {flow.status for flow in flows} <= {"optimal", "cut off"}
    assert flows[0].value_gbps == pytest.approx(flows[1].value_gbps, rel=1e-6)
    for collective in ("all-reduce", "all-gather"):
        found = bound(fabric, collective)
        # What prices prove on the file is never more than rounding above what is said.
        assert found.certificate.upper_gbps <= found.algbw_gbps * (1 + 1e-6)


def test_a_mesh_that_adds_next_to_nothing_costs_no_proof():
    answer = throughput(loads(PEERS), method="links")
    # 1 kb/s over the mesh comes on top of 2 Tb/s by the leaf: less than the gap of a proof.
    assert answer.status == "optimal"
    assert answer.per_endpoint_gbps == pytest.approx(2000, rel=1e-8)
    # A wider mesh would add to it too, but next to nothing.
    assert answer.binding[0].link == "gpu-leaf"
    assert answer.binding[0].share == pytest.approx(1, abs=1e-8)


def test_a_flow_that_passes_a_thread_is_found_beside_petabits():
    fabric = loads(BELOW_A_THREAD)
    for method in ("axes", "links"):
        answer = max_flow(fabric, "b0/gpu0", "b1/gpu3", method=method)
        # Two leaves of two cables of 2 b/s each.
        assert (answer.status, round(answer.value_gbps * 1e9, 6)) == ("optimal", 8.0)
    # 4 of 7 others are in the other box: 4 x 4 of 4 x 7 demands pass the 8 b/s.
    found = throughput(fabric)
    assert (found.status, found.per_endpoint_gbps * 1e9) == ("optimal", pytest.approx(3.5))
    assert bottleneck(fabric).binding[0].link == "nic-leaf"


def test_what_is_left_out_of_a_program_is_said_by_two_bounds():
    fabric = loads(PEERS)
    work: Commodities = pose(Question(fabric, "all-to-all", None, (), "rules", "links", False, 10**6))[0]
    span = span_of(work.commodities, capacities(work.base))
    rate = np.repeat(work.base.classes.rate_gbps, 2)
    # A kilobit adds to two terabits, but less than a proof sees only below 1e-11 of them.
    assert span.is_far_apart
    assert span.limits[rate == 2000].all()
    alike = loads(PEERS.replace("kb/s", "Tb/s"))
    work = pose(Question(alike, "all-to-all", None, (), "rules", "links", False, 10**6))[0]
    span = span_of(work.commodities, capacities(work.base))
    assert (span.is_far_apart, span.limits.all(), span.adds.all()) == (False, True, True)
