"""Hosts, PCIe switches and cards that several ranks share: by axes as by links, for every algorithm."""

from __future__ import annotations

import random

import pytest

from fabric.costing import cost
from fabric.costing.calibration import ProtocolCost, calibration
from fabric.costing.evaluate import Overheads, evaluate
from fabric.errors import FabricError
from fabric.graph import load, loads
from fabric.job import Job, JobQuestion, job, listing, on_classes
from fabric.schedule import COLLECTIVES, Schedule, schedules
from fabric.symmetry import NoSymmetryError
from fabric.units import gbps_to_gbytes

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
    answer = cost(loads(text), collective, "1GiB", algorithm=algorithm, method=method, is_bounded=False)
    assert gbps_to_gbytes(answer.busbw_gbps) == pytest.approx(gbytes, rel=1e-4)


@pytest.mark.parametrize("method", ["axes", "links"])
def test_the_box_without_nvlink(method: str) -> None:
    # Rings in both sockets meet at the three links of 32 GB/s between the CPUs, and at x16 of 63 GB/s before.
    fabric = load("fabric/templates/pcie-gpu-box.fabric.yaml")
    answer = cost(fabric, "all-reduce", "1GiB", algorithm="ring", method=method, is_bounded=False)
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


def seconds(work: Job, schedule: Schedule) -> float | None:
    """Return how long a schedule takes at wire rates, or None where it has no path."""
    try:
        return evaluate(work, schedule, Overheads(calibration("wire"), ProtocolCost(""))).transfer_s
    except FabricError:
        return None


@pytest.fixture(autouse=True)
def reducing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let switches reduce where random boxes have some."""
    for module in (on_classes, listing):
        monkeypatch.setattr(module, "reducing_groups", lambda blueprint: ("leaf", "nv"))


def compare(seeds: range) -> int:
    n_equal = 0
    for seed in seeds:
        fabric = loads(random_box(seed))
        try:
            by_axes = job(fabric, JobQuestion(method="axes", reduces=BOTH))
        except NoSymmetryError:
            # Cards that the GPUs deal out unevenly.
            continue
        by_links = job(fabric, JobQuestion(method="links", reduces=BOTH))
        assert by_axes.shape == by_links.shape
        for collective in COLLECTIVES:
            for name, schedule in schedules(collective, by_axes.shape, 2**30).items():
                found = seconds(by_axes, schedule)
                assert found == pytest.approx(seconds(by_links, schedule), rel=1e-6), (seed, collective, name)
                n_equal += found is not None
    return n_equal


def test_every_algorithm_of_every_collective() -> None:
    assert compare(range(10)) > 150


@pytest.mark.slow
def test_many() -> None:
    assert compare(range(10, 80)) > 1_500
