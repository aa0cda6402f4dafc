"""Traffic to the nearest of some targets, against the router of many targets."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scipy import sparse

from fabric.costing import cost
from fabric.graph import expand, loads
from fabric.routing import Demands, link_loads, router
from fabric.routing.nearest import nearest, reverse_router


def load_of(ways, demand):
    return np.asarray(ways.onto @ ways.at(demand))


@pytest.mark.some(1)
@pytest.mark.parametrize("construct", ["clos", "two includes", "ring x mesh", "relations between groups"])
def test_one_target_is_an_equal_split(constructs: ModuleType, construct: str) -> None:
    rng = np.random.default_rng(3)
    n_routed = 0
    for seed in range(6):
        fabric, paths = constructs.random_fabric(construct, seed)
        e = expand(fabric)
        ranks = e.is_endpoint & ~e.failed
        route = router(e, ranks, paths=paths)
        for target in np.flatnonzero(ranks)[:2].tolist():
            ways = nearest(route, np.arange(e.n_devices) == target)
            sources = np.flatnonzero(ranks)
            sources = sources[(ways.hops[route.source[sources]] >= 0) & (sources != target)]
            amount = rng.random((len(sources), 2))
            demand = np.zeros((route.n_states, 2))
            demand[route.source[sources]] = amount
            found = load_of(ways, demand)
            for column in range(2):
                expected = link_loads(
                    route, Demands(sources, np.full(len(sources), target), amount[:, column])
                )
                np.testing.assert_allclose(found[:, column], expected, atol=1e-12)
            few = ways.onto @ ways.at(sparse.csr_array(demand))
            np.testing.assert_allclose(few.toarray(), found)
            # The same hop by hop: sources in their states, a demand of each in both columns.
            state, column = np.repeat(route.source[sources], 2), np.tile([0, 1], len(sources))
            link, of, carried = ways.carry(state, column, amount.ravel())
            summed = np.zeros_like(found)
            np.add.at(summed, (link, of), carried)
            np.testing.assert_allclose(summed, found)
            n_routed += len(sources)
    assert n_routed > 20


def test_the_nearest_of_several(hand_made: ModuleType) -> None:
    # All GPUs to leaves: each byte goes to its own, over its own cable.
    e = expand(hand_made.leaf_spine(1))
    leaves = np.array([str(n).endswith(tuple(f"leaf{i}" for i in range(4))) for n in e.names])
    route = router(e, e.is_endpoint, switches=leaves)
    ways = nearest(route, leaves)
    demand = np.zeros((route.n_states, 1))
    demand[route.source[e.is_endpoint]] = 1.0
    found = load_of(ways, demand)[:, 0].reshape(-1, 2)
    rules = np.array([r.name for r in e.rules])[e.rule]
    assert (found[rules == "gpu-leaf"] == [1, 0]).all()
    assert (found[rules == "leaf-spine"] == 0).all()
    np.testing.assert_allclose(ways.at(demand)[route.target[leaves]], 4)


def test_climbing_never_descends() -> None:
    # From leaf 0, leaf 1 is two hops away through the spine; only the spine is above.
    e = expand(
        loads("""{fabric: two, axes: {i: 2},
        devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: [i]},
                  spine: {kind: switch, axes: []}},
        links: [{between: [gpu, leaf], rate: 1Gb/s}, {between: [leaf, spine], rate: 1Gb/s}]}""")
    )
    names = [str(n) for n in e.names]
    one, other = (np.array([n == name for n in names]) for name in ("leaf0", "leaf1"))
    route = router(e, one, switches=other)
    assert nearest(route, other).hops[route.source[one]] == 2
    assert nearest(route, other, climbs=True).hops[route.source[one]] == -1


def test_turned_ways_are_those_back(hand_made: ModuleType) -> None:
    # A fabric that is the same both ways: what one rank sends to all is what all send to it, links turned.
    for fabric in (hand_made.leaf_spine(2), hand_made.torus(3, 4)):
        e = expand(fabric)
        route = router(e, e.is_endpoint)
        one = np.arange(e.n_devices) == int(np.flatnonzero(e.is_endpoint)[0])
        others = e.is_endpoint & ~one
        back = reverse_router(route)
        sent = np.zeros((route.n_states, 1))
        sent[back.source[others]] = 1.0
        received = np.zeros((route.n_states, 1))
        received[route.source[others]] = 1.0
        away = load_of(nearest(back, one), sent).reshape(-1, 2)
        home = load_of(nearest(route, one), received).reshape(-1, 2)
        np.testing.assert_allclose(away, home[:, ::-1])
        assert away.sum() > 0


# A ring of eight chips beside a leaf: by hops the leaf is nearer than the far side.
SIDE = """{fabric: side, axes: {box: 2, x: 8}, devices: {chip: {kind: gpu, axes: [box, x], transit: TRANSIT},
  nic: {kind: nic, axes: [box, x]}, leaf: {kind: switch, axes: []}}, links: [
  {between: [chip, chip], name: ring, ring: x, rate: 100Gb/s, net: scale-up},
  {between: [chip, nic], rate: 100Gb/s, net: host}, {between: [nic, leaf], rate: 100Gb/s}]}"""


@pytest.mark.some(1)
@pytest.mark.parametrize("method", ["axes", "links"])
@pytest.mark.parametrize(("transit", "stays"), [("all", True), ("relay", False)])
def test_traffic_of_a_torus_stays_in_it(method, transit, stays):
    fabric = loads(SIDE.replace("TRANSIT", transit))
    within = cost(
        fabric, "all-to-all", "1MiB", over=("x",), method=method, algorithm="pairwise", calibration="wire"
    ).chosen
    idle = dict(within.slack)
    assert (within.binding == "ring") == stays
    # Eight places of a ring: 16 hops to the seven others, over the two links of a chip each way.
    if stays:
        assert within.time_s == pytest.approx(8 * 2**20 / 8 * 16 / 2 / 100e9)
        assert idle.get("nic-leaf", 1.0) == 1.0
    # With the other box: half of the bytes over the card, no more.
    whole = cost(fabric, "all-to-all", "1MiB", method=method, algorithm="pairwise", calibration="wire").chosen
    assert (whole.time_s == pytest.approx(8 * 2**20 * 8 / 16 / 100e9)) == stays
