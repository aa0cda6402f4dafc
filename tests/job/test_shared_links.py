"""Hosts, PCIe switches and cards that several ranks share: by axes as by links, for every algorithm."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from fabric import costing
from fabric.costing.calibration import ProtocolCost, calibration
from fabric.costing.evaluate import Overheads, evaluate
from fabric.costing.spread import Spread, slowdowns
from fabric.errors import FabricError
from fabric.graph import load, loads
from fabric.job import Job, JobQuestion, job, listing, on_classes
from fabric.job.ranks import Routing
from fabric.schedule import COLLECTIVES, Schedule, schedules
from fabric.symmetry import NoSymmetryError
from fabric.units import gbps_to_gbytes

# Bounds have tests of their own.
cost = partial(costing.cost, is_bounded=False)

BOTH = ("scale-up", "scale-out")
HALVES = """
fabric: halves
axes: {half: 2, g: 2}
devices:
  gpu: {kind: gpu, axes: [half, g]}
  hub: {kind: %s, axes: [half]}
links:
  - {between: [gpu, hub], rate: 50GB/s, net: scale-up}
  - {between: [hub, hub], mesh: half, rate: 50GB/s, net: scale-up}
"""
SHARED_NIC = """
fabric: shared-nic
axes: {node: 4, g: 4}
devices:
  gpu: {kind: gpu, axes: [node, g], transit: relay}
  nvs: {kind: switch, axes: [node]}
  nic: {kind: nic, axes: [node]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, nvs], rate: 400GB/s, net: scale-up}
  - {between: [gpu, nic], rate: 50GB/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
"""


@pytest.mark.parametrize("method", ["axes", "links"])
@pytest.mark.parametrize(
    ("text", "collective", "algorithm", "gbytes"),
    [
        # A ring of four crosses the cable between the halves once each way.
        (HALVES % "host, transit: turn", "all-reduce", "ring", 50),
        (HALVES % "switch", "all-reduce", "ring", 50),
        # Of four GPUs of a node one sends to the next node.
        (SHARED_NIC, "send-recv", "direct", 50),
        # 12/16 of S enter the NIC of the root: t = 0.015 S, busbw = 15/16 S/t.
        (SHARED_NIC, "gather", "direct", 62.5),
        (SHARED_NIC, "all-gather", "pat", 26.786),
    ],
)
def test_shared_links(text: str, collective: str, algorithm: str, gbytes: float, method: str) -> None:
    answer = cost(
        loads(text),
        collective,
        "1GiB",
        algorithm=algorithm,
        method=method,
        is_bounded=False,
        calibration="wire",
    )
    assert gbps_to_gbytes(answer.busbw_gbps) == pytest.approx(gbytes, rel=1e-4)


@pytest.mark.parametrize("method", ["axes", "links"])
def test_the_box_without_nvlink(method: str) -> None:
    # Rings in both sockets meet at the three links of 32 GB/s between the CPUs, and at x16 of 63 GB/s before.
    fabric = load("fabric/templates/pcie-gpu-box.fabric.yaml")
    answer = cost(
        fabric, "all-reduce", "1GiB", algorithm="ring", method=method, is_bounded=False, calibration="wire"
    )
    assert gbps_to_gbytes(answer.busbw_gbps) == pytest.approx(63)


def random_box(seed: int) -> str:
    """Return servers of sockets, PCIe switches, GPUs and cards at random, on one leaf."""
    chance = random.Random(seed)
    sizes = [chance.choice(own) for own in ((2, 3, 4), (1, 2), (1, 2), (1, 2, 3))]
    has_nvlink = chance.random() < 0.6
    card = chance.choice(
        [
            "node",
            "node, socket",
            "node, socket, bank",
            "node, socket, bank, lane",
            "node, socket, bank, card",
        ]
    )
    host = chance.choice(
        ["{kind: host, axes: [node, socket], transit: turn}", "{kind: switch, axes: [node, socket]}"]
    )
    switch = chance.choice(["kind: switch", "kind: switch, transit: pass", "kind: host, transit: turn"])

    def link(ends: str, times: int = 1, more: str = "") -> str:
        return (
            f"  - {{between: [{ends}], rate: {chance.choice([25, 50, 100, 200, 400]) * times}Gb/s{more}}}\n"
        )

    links = link("gpu, psw", 1, ", net: host") + link("psw, nic", 1, ", net: host") + link("nic, leaf")
    devices = ""
    if has_nvlink:
        devices = "  nv: {kind: switch, axes: [node]}\n"
        links += link("gpu, nv", 4, ", net: scale-up")
    else:
        devices = f"  cpu: {host}\n"
        links += link("psw, cpu", 1, ", net: host")
        links += link("cpu, cpu", 1, ", net: host, mesh: socket") if sizes[1] > 1 else ""
    relays = ", transit: relay" if has_nvlink else ""
    return (
        f"fabric: box\naxes: {{node: {sizes[0]}, socket: {sizes[1]}, bank: {sizes[2]}, lane: {sizes[3]}, "
        "card: 2}\n"
        f"devices:\n  gpu: {{kind: gpu, axes: [node, socket, bank, lane]{relays}}}\n"
        f"  psw: {{{switch}, axes: [node, socket, bank]}}\n  nic: {{kind: nic, axes: [{card}]}}\n"
        f"  leaf: {{kind: switch, axes: []}}\n{devices}links:\n{links}"
    )


def random_rails(seed: int) -> str:
    """Return servers with NVLink, cards that are own, shared or several, and leaves of rails."""
    chance = random.Random(seed)
    nodes, pairs, lanes = chance.choice([2, 3, 4, 5]), chance.choice([1, 2]), chance.choice([1, 2, 3])
    card = chance.choice(
        ["node, pair, lane", "node, pair, lane", "node, pair, lane, each", "node, pair"],
    )
    leaf = chance.choice(
        ["pair", ""] if card == "node, pair" else ["pair, lane", "pair, lane", "pair", "lane", ""]
    )
    if "each" in card and chance.random() < 0.5:
        leaf = f"{leaf}, each".strip(", ")
    spine, up = "", ""
    if chance.random() < 0.5:
        spine = "  spine: {kind: switch, axes: [k]}\n"
        up = f"  - {{between: [leaf, spine], rate: {chance.choice([25, 50])}GB/s}}\n"
    return (
        f"fabric: rails\naxes: {{node: {nodes}, pair: {pairs}, lane: {lanes}, each: 2, k: 2}}\ndevices:\n"
        "  gpu: {kind: gpu, axes: [node, pair, lane], transit: relay}\n  nv: {kind: switch, axes: [node]}\n"
        f"  nic: {{kind: nic, axes: [{card}]}}\n  leaf: {{kind: switch, axes: [{leaf}]}}\n{spine}links:\n"
        f"  - {{between: [gpu, nv], rate: {chance.choice([100, 200, 400])}GB/s, net: scale-up}}\n"
        f"  - {{between: [gpu, nic], rate: {chance.choice([25, 50, 100])}GB/s}}\n"
        f"  - {{between: [nic, leaf], rate: {chance.choice([25, 50])}GB/s}}\n{up}"
    )


def seconds(work: Job, schedule: Schedule, routing: Routing) -> float | None:
    """Return how long a schedule takes at wire rates, or None where it has no path."""
    (_, slowdown), *_ = slowdowns(work, routing, Spread())
    over = Overheads(calibration("wire"), ProtocolCost(""), slowdown, is_ideal=routing == "ideal")
    try:
        return evaluate(work, schedule, over).transfer_s
    except FabricError:
        return None


@pytest.fixture(autouse=True)
def reducing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let switches reduce where random boxes have some."""
    for module in (on_classes, listing):
        monkeypatch.setattr(module, "reducing_groups", lambda blueprint: ("leaf", "nv"))


def compare(
    seeds: range,
    make: Callable[[int], str] = random_box,
    routings: Sequence[Routing] = ("ecmp",),
    within: float = 1e-6,
) -> int:
    """Raise where axes and links differ by more than a part; return how many times were the same."""
    n_equal = 0
    for seed in seeds:
        fabric, routing = loads(make(seed)), routings[seed % len(routings)]
        try:
            by_axes = job(fabric, JobQuestion(method="axes", routing=routing, reduces=BOTH))
        except NoSymmetryError:
            # Cards that the GPUs deal out unevenly.
            continue
        by_links = job(fabric, JobQuestion(method="links", routing=routing, reduces=BOTH))
        assert by_axes.shape == by_links.shape
        for collective in COLLECTIVES:
            for name, schedule in schedules(collective, by_axes.shape, 2**30).items():
                found, expected = (seconds(work, schedule, routing) for work in (by_axes, by_links))
                where = (seed, routing, collective, name)
                # Either has no path where the other has none.
                assert (found is None) == (expected is None), where
                assert found is None or found == pytest.approx(expected, rel=within), where
                n_equal += found is not None
    return n_equal


def test_every_algorithm_of_every_collective() -> None:
    assert compare(range(2)) > 20


RAILS: tuple[Routing, ...] = ("ecmp", "rail", "rail-direct", "adaptive")


@pytest.mark.slow
def test_rails_with_relays() -> None:
    assert compare(range(2), random_rails, RAILS) > 20


@pytest.mark.slow
def test_many_rails() -> None:
    assert compare(range(2, 200), random_rails, RAILS) > 4_500


@pytest.mark.parametrize("draw", [random_box, pytest.param(random_rails, marks=pytest.mark.slow)])
def test_best_routes(draw) -> None:
    # On classes ranks that differ in what they do are averaged: those are routed on every cable.
    assert compare(range(1), draw, ("ideal",)) > 5


def test_the_best_routes_of_roots_are_not_averaged() -> None:
    # One rank after the other of 4 x 3 GB/s of NVLink; the roots of all groups share the card of node 0.
    fabric = loads(SHARED_NIC)
    for method in ("axes", "links"):
        answer = cost(
            fabric,
            "scatter",
            "1GB",
            algorithm="direct",
            over=("node",),
            method=method,
            routing="ideal",
            calibration="wire",
        )
        # 4 roots, 3/4 of 1 GB each, over one card of 50 GB/s.
        assert answer.time_s == pytest.approx(0.06)
        assert answer.binding in ("gpu-nic", "nic-leaf")


def test_best_routes_of_many_ranks_say_that_they_are_averaged() -> None:
    # Too many cables for a program of every rank.
    fabric = loads(SHARED_NIC.replace("node: 4", "node: 400"))
    options = {"algorithm": "binomial", "routing": "ideal", "calibration": "wire"}
    averaged = cost(fabric, "broadcast", "1GB", **options)
    split = cost(fabric, "broadcast", "1GB", **options | {"routing": "ecmp"})
    assert averaged.time_s < split.time_s
    assert any("average" in note for note in averaged.notes)
    assert not any("average" in note for note in split.notes)


@pytest.mark.slow
def test_best_routes_of_many_fabrics() -> None:
    assert compare(range(1, 40), random_box, ("ideal",)) > 600
    assert compare(range(1, 40), random_rails, ("ideal",)) > 800


def test_hashed_flows() -> None:
    # A class of links carries what its busiest does; of those as many are drawn as are busy.
    assert compare(range(2), random_rails, ("hashed",), within=0.1) > 20


@pytest.mark.slow
def test_many() -> None:
    assert compare(range(4, 80)) > 1_500
