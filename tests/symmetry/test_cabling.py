"""Cables that are up, counted as boxes of pairs, are those that are listed."""

import pytest

from fabric.graph import expand, loads
from fabric.symmetry.cabling import cables_up

RING = """{fabric: f, axes: {x: %d}, devices: {c: {kind: gpu, axes: [x], transit: all}},
  failed: [%s], links: [{between: [c, c], ring: x, rate: 1Gb/s%s}]}"""


def listed(fabric):
    e = expand(fabric)
    return [int(e.alive[e.rule == i].sum()) for i in range(len(e.rules))]


def test_random_fabrics_of_every_construct(constructs):
    n_counted = n_all = 0
    for name in constructs.CONSTRUCTS:
        for seed in range(12):
            draft, failed, _ = constructs.random_draft(name, seed)
            fabric = constructs.load(draft, failed)
            for rule, right in zip(fabric.blueprint.rules, listed(fabric), strict=True):
                found = cables_up(fabric.blueprint, rule)
                assert found in (None, right), (name, seed, rule.name)
                n_counted += found is not None
                n_all += 1
    assert n_counted > n_all / 2


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
