"""The longest matching, and permutations along axes that may be worse."""

import sys
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from scipy import optimize

from fabric.flow import along, commodities, matching, program
from fabric.flow.along import permutations_along
from fabric.flow.generated import EnoughError
from fabric.flow.matching import longest_matching
from fabric.flow.question import Question
from fabric.flow.throughput import answer_question, throughput
from fabric.flow.traffic import Traffic
from fabric.graph import expand, load, loads
from fabric.graph.exchange import from_networkx
from fabric.sizing import design
from tests.flow.drawn import FAMILIES, PAIRS_OF_A_LEAF, PATHS, fabric_of

ROOT = Path(__file__).parents[2]

throughput_module = sys.modules["fabric.flow.throughput"]  # the package has a function of this name


@pytest.mark.some(1)
@pytest.mark.seeds(1, of=3)
@pytest.mark.parametrize("paths", PATHS)
def test_a_longest_matching(paths, seed):
    for number, family in ((2 * seed, "chips"), (2 * seed + 1, "clos")):
        fabric, _, _ = fabric_of(family, ("matching", number))
        e = expand(fabric)
        ends = np.flatnonzero(e.is_endpoint)
        graph = nx.Graph(zip(e.tail.tolist(), e.head.tolist(), strict=True))
        hops = dict(nx.all_pairs_shortest_path_length(graph))
        sources, targets = longest_matching(e, e.is_endpoint, paths="any")
        assert sorted(sources) == sorted(targets) == ends.tolist()
        assert (sources != targets).all()
        total = sum(hops[s][t] for s, t in zip(sources.tolist(), targets.tolist(), strict=True))
        # As many hops as any permutation without fixed points has; all of them, as there are few devices.
        row = np.array([[hops[s][t] if s != t else -99 for t in ends] for s in ends])
        best = row[optimize.linear_sum_assignment(-row)].sum()
        assert total == best
        found = throughput(fabric, "longest-matching", paths=paths)
        sources, targets = longest_matching(e, e.is_endpoint, paths=paths)
        matrix = {
            (e.names[s], e.names[t]): 1.0 for s, t in zip(sources.tolist(), targets.tolist(), strict=True)
        }
        matched = throughput(fabric, matrix, paths=paths).per_endpoint_gbps
        if "gets less" in found.why:
            assert found.per_endpoint_gbps < matched
        else:
            assert found.per_endpoint_gbps == pytest.approx(matched, rel=1e-9)
        assert found.status == "optimal"


def test_a_longest_matching_leaves_out_what_is_cut_off():
    fabric = loads(PAIRS_OF_A_LEAF % (1, "leaf1/nic0"))
    assert throughput(fabric, "longest-matching").cut_off == (("leaf1/gpu0", 1),)
    rest = throughput(fabric, "longest-matching", drop_unreachable=True)
    assert rest.n_endpoints == 5
    assert rest.per_endpoint_gbps == pytest.approx(3.0)


LONGEST = """{fabric: lm, axes: {block: 2, node: 2, slot: 2}, devices: {
  gpu: {kind: gpu, axes: [block, node, slot], transit: relay}, nvsw: {kind: switch, axes: [block, node]},
  leaf: {kind: switch, axes: [block, slot]}, spine: {kind: switch, axes: []}},
 links: [{between: [gpu, nvsw], rate: 4Tb/s, net: scale-up}, {between: [gpu, leaf], rate: 400Gb/s},
  {between: [leaf, spine], rate: 100Gb/s}]}"""


def test_the_longest_matching_crosses_what_is_scarce():
    """A hop over NVLink is none beside one over the spine: all 8 GPUs share 4 uplinks of 100 Gb/s."""
    found = throughput(loads(LONGEST), "longest-matching")
    assert (found.per_endpoint_gbps, found.status) == (pytest.approx(50.0), "optimal")
    assert [row.link for row in found.binding] == ["leaf-spine"]


@pytest.mark.slow
def test_the_longest_matching_of_racks_with_two_planes():
    made = design(
        gpus=144, rack="gb300-nvl72", leaf="sn5610", planes=2, oversubscription={"leaf": 8}, block=1
    )
    matched = throughput(made.fabric, "longest-matching").per_endpoint_gbps
    axes = [a for a in ("block", "tray") if a in made.blueprint.axes and made.blueprint.axes[a].size > 1]
    rates = [
        throughput(made.fabric, Traffic(p, (a,), **by)).per_endpoint_gbps
        for a in axes
        for p, by in (("shift", {"by": made.blueprint.axes[a].size // 2}), ("halves", {}))
    ]
    assert rates
    assert 0 < matched <= min(rates) * (1 + 1e-9)


@pytest.mark.some(1)
@pytest.mark.seeds(1, of=4)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_permutation_along_an_axis_gets_less_than_the_longest_matching(family, seed):
    fabric, sizes, _ = fabric_of(family, ("longest", seed))
    found = throughput(fabric, "longest-matching", drop_unreachable=True)
    for axis in sizes:
        if sizes[axis] < 2 or axis not in fabric.blueprint.groups["gpu"].primitives:
            continue
        along = throughput(fabric, Traffic("shift", (axis,), by=sizes[axis] // 2), drop_unreachable=True)
        assert found.per_endpoint_gbps <= along.per_endpoint_gbps * (1 + 1e-9)


TWO_FAULTS = """{fabric: by, axes: {c: 6}, devices: {gpu: {kind: gpu, axes: [c]},
      nv: {kind: switch, axes: []}, leaf: {kind: switch, axes: [c]}, spine: {kind: switch, axes: []}},
      links: [
      {between: [gpu, nv], rate: 8Tb/s, net: scale-up}, {between: [gpu, leaf], rate: 3Gb/s},
      {between: [leaf, spine], rate: 2Gb/s}, {between: [gpu, gpu], name: peers, mesh: c, rate: 1Gb/s}],
      failed: [[leaf3, spine], [gpu5, nv]]}"""


def test_a_shift_by_few_places_can_be_worse_than_one_by_half():
    # GPU 5 is off its NVLink switch, leaf 3 off its spine: by two places 3 sends to 5 over the mesh alone.
    fabric = loads(TWO_FAULTS)
    shifts = {by: throughput(fabric, Traffic("shift", ("c",), by=by)) for by in (1, 2, 3)}
    rates = {by: along.per_endpoint_gbps for by, along in shifts.items()}
    assert rates == pytest.approx({1: 3.0, 2: 1.0, 3: 3.0})
    assert throughput(fabric, "longest-matching").per_endpoint_gbps == pytest.approx(1.0)


def test_halves_of_unequal_size_count_by_what_a_permutation_gets():
    """Five GPUs of a leaf share its 100 Gb/s: 20 each. Of halves of 10 and 18, those 10 receive 1.8 of it."""
    fabric = loads(
        LONGEST.replace("{block: 2, node: 2,", "{block: 3, node: 5,").replace(
            "{fabric: lm,", "{fabric: lm, absent: [block2/node4/gpu],"
        )
    )
    rates = {
        t.pattern: (times, throughput(fabric, t).per_endpoint_gbps)
        for t, times in permutations_along(fabric.blueprint, None)
        if t.over == ("block",)
    }
    assert rates == {"shift": (1.0, pytest.approx(20.0)), "halves": (1.8, pytest.approx(100 / 9))}
    assert throughput(fabric, "longest-matching").per_endpoint_gbps <= 20 * (1 + 1e-9)


def test_among_many_endpoints_places_that_faults_tell_apart_are_tried(monkeypatch):
    """What `test_a_shift_by_few_places_can_be_worse` finds by trying all, without trying all."""
    monkeypatch.setattr(along, "FEW_ENDPOINTS", 5)
    blueprint = loads(TWO_FAULTS).blueprint
    tried = [(t.pattern, t.by, times) for t, times in permutations_along(blueprint, None)]
    assert tried == [("shift", 3, 1.0), ("halves", 1, 1.0), ("shift", 2, 1.0), ("shift", 1, 1.0)]
    assert throughput(loads(TWO_FAULTS), "longest-matching").per_endpoint_gbps == pytest.approx(1.0)
    # A size of millions costs no more: of a range of what is down only its ends tell places apart.
    many = loads(
        LONGEST.replace("block: 2", "block: 90000").replace(
            "{fabric: lm,", "{fabric: lm, failed: [block7-60000/node0/gpu0, block5/leaf1],"
        )
    ).blueprint
    shifts = [t.by for t, _ in permutations_along(many, None) if (t.pattern, *t.over) == ("shift", "block")]
    assert shifts == [45000, 2, 30005, 30007, 1]


def test_many_endpoints_are_not_matched_but_permuted_along_their_axes(monkeypatch):
    exact = throughput(loads(LONGEST), "longest-matching")
    monkeypatch.setattr(throughput_module, "MANY_MATCHED", 7)
    monkeypatch.setattr(matching, "longest_matching", None)
    found = throughput(loads(LONGEST), "longest-matching")
    assert (found.per_endpoint_gbps, found.status, found.method) == (pytest.approx(50.0), "optimal", "axes")
    assert found.why == "shift over block is the worst along an axis; 8 endpoints are not matched"
    assert (found.traffic, found.n_endpoints) == (exact.traffic, exact.n_endpoints)
    down = loads(LONGEST.replace("{fabric: lm,", "{fabric: lm, failed: ['block0/node0/nvsw', block0/leaf0],"))
    lost = throughput(down, "longest-matching")
    assert (lost.status, lost.cut_off) == ("cut off", throughput(down).cut_off)
    assert [who for who, _ in lost.cut_off] == ["block0/node0/gpu0", "block0/node1/gpu0"][: len(lost.cut_off)]


@pytest.mark.slow
def test_a_million_endpoints_have_a_worst_permutation():
    """Beyond its pod a GPU has 112 x 128 / 18,432 of a cable of 800 Gb/s."""
    found = throughput(load(ROOT / "topologies/systems/million-scenario.fabric.yaml"), "longest-matching")
    assert found.per_endpoint_gbps == pytest.approx(112 * 128 / 18_432 * 800)
    assert (found.status, found.binding[0].link) == ("optimal", "spine-core")


def test_permutations_below_one_switch_are_not_tried():
    fly = load(ROOT / "topologies/patterns/slim-fly.fabric.yaml").blueprint
    assert [axis for t, _ in permutations_along(fly, None) for axis in t.over] == ["half", "half", "x", "y"]
    kept = permutations_along(loads(LONGEST).blueprint, None)
    assert {axis for t, _ in kept for axis in t.over} == {"block", "node", "slot"}
    one = """{fabric: o, axes: {i: 2, j: 2}, devices: {gpu: {kind: gpu, axes: [i, j]},
      leaf: {kind: switch, axes: [i]}, spine: {kind: switch, axes: []}}, %slinks: [
      {between: [gpu, leaf], rate: 1Gb/s, count: 2}, {between: [leaf, spine], rate: 1Gb/s}]}"""
    assert [t.over for t, _ in permutations_along(loads(one % "").blueprint, None)] == [("i",), ("i",)]
    # What has failed tells endpoints under one leaf apart.
    down = loads(one % "failed: [[i0/gpu0, leaf0, 1]], ").blueprint
    kept = [(t.pattern, *t.over) for t, _ in permutations_along(down, None)]
    # All four endpoints are up, so that halves are equal; a shift by half of two is one by 1.
    assert kept == [(pattern, axis) for axis in "ij" for pattern in ("shift", "halves")]


def test_a_rate_that_is_enough_ends_a_large_program(monkeypatch):
    monkeypatch.setattr(program, "ALL_VARIABLES", 0)
    question = Question(loads(LONGEST), Traffic("shift", ("slot",)))
    right = answer_question(question).per_endpoint_gbps
    assert answer_question(replace(question, enough_gbps=right * 1.01)).per_endpoint_gbps == pytest.approx(
        right
    )
    with pytest.raises(EnoughError, match="enough"):
        answer_question(replace(question, enough_gbps=right * 0.99))


def test_a_longest_matching_is_worked_out_once_for_program_and_interval(monkeypatch):
    graph = nx.random_regular_graph(4, 24, seed=1)
    nx.set_edge_attributes(graph, 100.0, "capacity")
    fabric = from_networkx(graph)
    exact, asked = matching.longest_matching, []

    def counted(*arguments, **options):
        asked.append(1)
        return exact(*arguments, **options)

    monkeypatch.setattr(matching, "longest_matching", counted)
    monkeypatch.setattr(commodities, "MAX_VARIABLES", 100)
    found = throughput(fabric, "longest-matching")
    assert (found.status, len(asked)) == ("bounded", 1)
