"""Cables that are up, counted as boxes of pairs, are those that are listed."""

import itertools
import random

import pytest

from fabric.errors import TopologyError
from fabric.graph import expand, load, loads
from fabric.symmetry.cabling import cables_up

RING = """{fabric: f, axes: {x: %d}, devices: {c: {kind: gpu, axes: [x], transit: all}},
  failed: [%s], links: [{between: [c, c], ring: x, rate: 1Gb/s%s}]}"""


def listed(fabric):
    e = expand(fabric)
    return [int(e.alive[e.rule == i].sum()) for i in range(len(e.rules))]


@pytest.mark.seeds(1, of=6)
def test_random_fabrics_of_every_construct(constructs, seed):
    n_counted = n_all = 0
    for name in constructs.CONSTRUCTS:
        for number in range(2 * seed, 2 * seed + 2):
            draft, failed, _ = constructs.random_draft(name, number)
            fabric = constructs.load(draft, failed)
            for rule, right in zip(fabric.blueprint.rules, listed(fabric), strict=True):
                found = cables_up(fabric.blueprint, rule)
                assert found in (None, right), (name, number, rule.name)
                n_counted += found is not None
                n_all += 1
    assert n_counted > n_all / 2


MESH = """{fabric: f, axes: {x: 3, y: 4}, failed: [%s],
  devices: {c: {kind: gpu, axes: [x, y], transit: all}, sw: {kind: switch, axes: []}},
  links: [{between: [%s, %s], name: m, mesh: %s, rate: 1Gb/s%s}, {between: [c, sw], rate: 1Gb/s}]}"""


def test_a_mesh_between_parts_of_a_group():
    """Sides that are apart, that overlap, or that are the whole group, whichever comes first."""
    sides, n_counted = ("c", "x0/c", "x1-2/c", "c0", "c1-3", "c0-2", "x0-1/c1-2"), 0
    rng = random.Random(1)
    for left, right in itertools.product(sides, repeat=2):
        counts = ("", "count: 2", "oneway: true", "count: {y: [1, 2, 0, 1]}", "count: {x: [2, 1, 1]}")
        more = f", {rng.choice(counts)}".removesuffix(", ")
        failed = rng.choice(("", "x0/c1", "c2", "[x0/c0, c3]"))
        text = MESH % (failed, left, right, rng.choice("xy"), more)
        try:
            fabric = loads(text)
        except TopologyError:
            continue  # no pair, or a count by an axis on which the two differ
        found = cables_up(fabric.blueprint, fabric.blueprint.rules[0])
        assert found == listed(fabric)[0], text
        n_counted += 1
    assert n_counted > 15


def test_one_way_cables_between_two_chassis():
    fabric = load("topologies/measured/dgx2-2-chassis.fabric.yaml")
    assert (
        [cables_up(fabric.blueprint, rule) for rule in fabric.blueprint.rules] == listed(fabric) == [32, 16]
    )


@pytest.mark.some(8)
@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("failed", ["", "c0", "[c0, c*]"])
@pytest.mark.parametrize("way", ["", ", oneway: true"])
def test_the_wrap_cable_of_a_ring(size, failed, way):
    fabric = loads(RING % (size, failed, way))
    assert [cables_up(fabric.blueprint, rule) for rule in fabric.blueprint.rules] == listed(fabric)


def test_what_boxes_do_not_say():
    text = """{fabric: f, axes: {x: 3}, devices: {gpu: {kind: gpu, axes: [x]}, sw: {kind: switch, axes: []}},
      links: [{between: [gpu, sw], rate: 1Gb/s, count: 2}], failed: [[gpu*, sw, 3]]}"""
    blueprint = loads(text).blueprint
    assert cables_up(blueprint, blueprint.rules[0]) is None


@pytest.mark.some(16)
@pytest.mark.parametrize("oneway", ["", ", oneway: true"])
@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("relation", ["ring", "line", "mesh"])
@pytest.mark.parametrize("failed", ["", "a1", "b0"])
def test_relations_between_two_groups_are_those_of_the_expanded_form(relation, size, oneway, failed):
    # A ring of two between two groups has two cables, low0-high1 and low1-high0: one was counted.
    text = f"""{{fabric: f, axes: {{x: {size}}}, devices: {{a: {{kind: gpu, axes: [x], transit: all}},
      b: {{kind: gpu, axes: [x], transit: all}}}}, failed: [{failed}], links: [
        {{between: [a, b], name: straight, rate: 1Gb/s}},
        {{between: [a, a], name: own, ring: x, rate: 1Gb/s}},
        {{between: [a, b], name: across, {relation}: x, rate: 1Gb/s{oneway}}}]}}"""
    fabric = loads(text)
    e = expand(fabric)
    for number, rule in enumerate(fabric.blueprint.rules):
        up = int(e.alive[e.rule == number].sum())
        assert cables_up(fabric.blueprint, rule) == up, rule.name
