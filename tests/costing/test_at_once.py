"""Messages that are posted in one step: no step per peer, and the farthest of them sets the latency."""

from __future__ import annotations

import random
from types import ModuleType

import pytest

from fabric.bounds.chunks import chunk_bound
from fabric.costing import Calibration, Cost, Overhead, cost
from fabric.errors import QuestionError
from fabric.graph import Fabric, load, loads
from fabric.symmetry import NoSymmetryError
from fabric.units import parse_bytes

METHODS = ("axes", "links")
US = 1e-6


def alphas(**us: float) -> Calibration:
    """Return wire rates with a latency of the links of some networks or rules [us]."""
    links = {name.replace("_", "-"): {"copy": Overhead(1.0, value * US)} for name, value in us.items()}
    return Calibration("alphas", links={name: {**o, "all-to-all": o["copy"]} for name, o in links.items()})


def all_to_all(fabric: Fabric, size: str, known: Calibration, **asked: object) -> dict[str, float]:
    """Return the time of every algorithm [s]."""
    answer: Cost = cost(
        fabric,
        "all-to-all",
        size,
        algorithm="all",
        calibration=known,
        is_bounded=False,
        **asked,  # type: ignore[arg-type]
    )
    return {one.algorithm: one.time_s for one in answer.algorithms}


DGX2 = load("topologies/measured/dgx2-2-chassis.fabric.yaml")
TE_CCL = alphas(scale_up=0.35, across=2.6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", ["1kB", "16kB", "256kB", "1MB"])
def test_two_chassis_of_a_dgx2(method: str, size: str) -> None:
    # From an even GPU to an odd one of the other chassis: 0.35, 0.35, 2.6, 0.35 and 0.35 us. 16 GPUs have
    # 16/32 of S each for the other chassis, over 8 links of 12.5 GB/s: each carries S.
    found = all_to_all(DGX2, size, TE_CCL, method=method)
    assert found["direct"] == pytest.approx(4 * US + parse_bytes(size) / 12.5e9, rel=1e-9)
    assert min(found, key=lambda name: found[name]) == "direct"


def test_near_the_bound_of_whole_chunks() -> None:
    # 8.8 us by the best of those that send in steps (issue 12, C8).
    found = all_to_all(DGX2, "1kB", TE_CCL)
    bound = chunk_bound(DGX2, "all-to-all", "1kB", latency={"gpu-switch": "0.35us", "across": "2.6us"})
    assert bound.time_s <= found["direct"] < 1.02 * bound.time_s
    assert min(time for name, time in found.items() if name != "direct") > 8.7 * US


@pytest.mark.parametrize("method", METHODS)
def test_a_star_is_its_bound(hand_made: ModuleType, method: str) -> None:
    # Two links of 1 us, and 4/5 of S out of each of five ports.
    found = all_to_all(hand_made.star(5), "1MB", alphas(gpu_leaf=1.0), method=method)
    assert found["direct"] == pytest.approx(2 * US + 0.8e6 / 50e9)
    bound = chunk_bound(hand_made.star(5), "all-to-all", "1MB", latency="1us")
    assert bound.time_s == pytest.approx(found["direct"], rel=0.1)
    assert bound.time_s <= found["direct"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("routing", ["ecmp", "rail", "adaptive"])
def test_boxes_with_cards(hand_made: ModuleType, method: str, routing: str) -> None:
    # Another box and rail: GPU, NIC, leaf, spine and back, 2 x (4 + 1 + 2) us. By rail: NVLink, then a leaf.
    far = {"ecmp": 14.0, "adaptive": 14.0, "rail": 2 * 0.5 + 2 * (4.0 + 1.0)}[routing]
    known = alphas(scale_up=0.5, gpu_nic=4.0, nic_leaf=1.0, leaf_spine=2.0)
    found = cost(
        hand_made.boxes(3, 4),
        "all-to-all",
        "1kB",
        algorithm="direct",
        calibration=known,
        routing=routing,  # type: ignore[arg-type]
        method=method,  # type: ignore[arg-type]
        is_bounded=False,
    )
    assert found.chosen.latency_s == pytest.approx(far * US)
    assert found.chosen.steps == 1


@pytest.mark.parametrize("method", METHODS)
def test_one_pair_that_lost_its_way_is_the_farthest(method: str) -> None:
    # Six GPUs in a full mesh, of which two cannot speak directly: over one of the others.
    fabric = loads("""
fabric: mesh
axes: {i: 6}
devices: {gpu: {kind: gpu, axes: [i], transit: all}}
links: [{between: [gpu, gpu], mesh: i, rate: 50GB/s, net: scale-up}]
failed: [[gpu0, gpu3]]
""")
    found = cost(
        fabric,
        "all-to-all",
        "1kB",
        algorithm="direct",
        calibration=alphas(scale_up=1.0),
        method=method,  # type: ignore[arg-type]
        is_bounded=False,
    )
    assert found.chosen.latency_s == pytest.approx(2 * US)


@pytest.mark.parametrize("method", METHODS)
def test_a_message_to_the_next_is_one_step_too(method: str) -> None:
    # Three sites of two, 50 km from the switch between them: every other message passes 100 km.
    fabric = loads("""
fabric: sites
axes: {site: 3, n: 2}
devices:
  gpu: {kind: gpu, axes: [site, n]}
  leaf: {kind: switch, axes: [site]}
  far: {kind: switch, axes: []}
links:
  - {between: [gpu, leaf], rate: 50GB/s, length: 10m}
  - {between: [leaf, far], rate: 50GB/s, length: 50km}
""")
    for collective in ("send-recv", "all-to-all"):
        found = cost(
            fabric,
            collective,
            "1kB",
            algorithm="direct",
            method=method,  # type: ignore[arg-type]
            is_bounded=False,
            calibration="wire",
        )
        assert found.chosen.latency_s == pytest.approx(500.1 * US)


def test_wire_rates_have_no_latency(hand_made: ModuleType) -> None:
    # The first of those that take the same time is named: the one that runs are known of.
    answer = cost(
        hand_made.boxes(3, 4), "all-to-all", "1GB", algorithm="all", is_bounded=False, calibration="wire"
    )
    found = {one.algorithm: one for one in answer.algorithms}
    assert found["direct"].time_s == found["pairwise"].time_s
    assert list(found).index("pairwise") < list(found).index("direct")


def random_fabric(seed: int) -> Fabric:
    """Return boxes with cards, or none, leaves of rails or racks, spines, and something that failed."""
    chance = random.Random(seed)
    k, g, spines = chance.choice([2, 3, 4]), chance.choice([1, 2, 3]), chance.choice([1, 2, 3])
    leaf = chance.choice(["box", "slot", "box, slot"])
    has_cards = chance.random() < 0.6
    down = chance.choice(["", "failed: [spine0]", "failed: [[box0/slot0/gpu, box0/nv, 1]]"])
    card = "  nic: {kind: nic, axes: [box, slot]}\n" if has_cards else ""
    up = (
        "  - {between: [gpu, nic], rate: 100GB/s}\n  - {name: up, between: [nic, leaf], rate: 50GB/s}\n"
        if has_cards
        else "  - {name: up, between: [gpu, leaf], rate: 50GB/s}\n"
    )
    return loads(
        f"fabric: some\naxes: {{box: {k}, slot: {g}, spine: {spines}}}\ndevices:\n"
        "  gpu: {kind: gpu, axes: [box, slot], transit: relay}\n  nv: {kind: switch, axes: [box]}\n"
        f"  leaf: {{kind: switch, axes: [{leaf}]}}\n  spine: {{kind: switch, axes: [spine]}}\n{card}links:\n"
        "  - {between: [gpu, nv], rate: 200GB/s, net: scale-up, count: 2}\n"
        f"{up}  - {{between: [leaf, spine], rate: 50GB/s}}\n{down}\n"
    )


@pytest.mark.seeds(1, of=10)
def test_classes_and_cables_agree(seed: int) -> None:
    n_equal = 0
    for number in range(4 * seed, 4 * seed + 4):
        chance = random.Random(1_000 + number)
        known = alphas(
            scale_up=chance.random(), gpu_nic=chance.random(), up=chance.random(), leaf_spine=chance.random()
        )
        fabric = random_fabric(number)
        found = []
        for method in METHODS:
            try:
                times = all_to_all(fabric, "1kB", known, method=method)
            except (NoSymmetryError, QuestionError):
                break
            # Of ranks that are cut off none has a time.
            if not times:
                break
            assert times["direct"] <= times["pairwise"] * (1 + 1e-12), number
            found.append(times["direct"])
        if len(found) == 2:
            assert found[0] == pytest.approx(found[1], rel=1e-9), number
            n_equal += 1
    assert n_equal > 0
