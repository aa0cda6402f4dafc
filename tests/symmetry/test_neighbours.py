"""Cables of one device, worked out from the rules, against the expanded form."""

from collections import Counter

import pytest

from fabric.graph import expand, loads
from fabric.symmetry import Lift, quotient
from fabric.symmetry.neighbours import cables_around, look_at_devices

GROUPS = "{g: {kind: gpu, axes: [x, y], transit: all}, s: {kind: switch, axes: [k]}}"
TEXT = """{fabric: f, axes: {x: 4, y: 3, k: 2, xy: [x, y]}, devices: %s,
  absent: [x3/g1], failed: [x0/g0, [x1/g1, s0]], links: [{between: [g, s], rate: 1Gb/s, count: 2}, %s]}"""
PEERS = {
    "ring": "{between: [g, g], name: p, ring: x, rate: 1Gb/s}",
    "ring of two": "{between: [s, s], name: p, ring: k, rate: 1Gb/s}",
    "line": "{between: [g, g], name: p, line: y, rate: 1Gb/s}",
    "mesh": "{between: [g, g], name: p, mesh: x, rate: 1Gb/s}",
    "mesh of a product": "{between: [g, g], name: p, mesh: xy, rate: 1Gb/s}",
    "pinned": "{between: [x0/g, x2/g], name: p, mesh: y, oneway: true, rate: 1Gb/s}",
    "counts": "{between: [g, s], name: p, rate: 1Gb/s, count: {x: [1, 0, 2, 3]}}",
}


@pytest.mark.some(2)
@pytest.mark.parametrize("peers", PEERS)
def test_cables_of_a_device_are_those_of_the_expanded_form(peers):
    fabric = loads(TEXT % (GROUPS, PEERS[peers]))
    e, lift = expand(fabric), Lift(fabric.blueprint)
    for number in range(len(e.rules)):
        own = [i for i in range(e.n_bundles) if e.rule[i] == number and e.alive[i] > 0]
        for device in range(e.n_devices):
            group = e.groups[int(e.group[device])]
            at = {p: int(e.coordinates[p][device]) for p in group.axes}
            right = Counter()
            for i in own:
                ends = [int(e.tail[i]), int(e.head[i])]
                if device in ends:
                    ends.remove(device)
                    right[str(e.names[ends[0]])] += int(e.alive[i])
            found = Counter()
            for side in (0, 1):
                for link in cables_around(fabric.blueprint, number, side, group.name, at):
                    here = tuple(sorted(at.items()))
                    index = dict(
                        link.head if link.tail == here and _is_left(fabric, link, side) else link.tail
                    )
                    other = fabric.blueprint.rules[number].groups[1 - side]
                    found[_name(fabric.blueprint, other, index)] += int(lift.cables(link).sum())
            assert +found == right, (e.rules[number].name, e.names[device])
    assert look_at_devices(lift, quotient(fabric.blueprint), 1).fault == ""


def _is_left(fabric, link, side):
    return side == 0 or (fabric.blueprint.rules[link.rule].is_peer and link.is_turned)


def _name(blueprint, group, index):
    axes = blueprint.groups[group].axes
    return "/".join([*(f"{a}{index[a]}" for a in axes[:-1]), f"{group}{index[axes[-1]]}"])
