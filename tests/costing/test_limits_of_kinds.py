"""What binds beside the links: sums in switches by the buffer, messages by the channels between two ranks."""

from dataclasses import replace

import pytest

from fabric.costing import cost
from fabric.costing.calibration import calibration, calibration_text, parse_calibration
from fabric.evidence.residuals import (
    LEAST,
    LEAST_SITES,
    Residual,
    between_sites,
    reach_of,
    residual_class,
    residuals,
)
from fabric.graph import Fabric, loads
from fabric.units import gbps_to_gbytes


@pytest.fixture
def rack() -> Fabric:
    return loads("fabric: rack\ninclude: gb200-nvl72")


def algbw(fabric: Fabric, collective: str, among: str, algorithm: str = "auto") -> float:
    answer = cost(
        fabric, collective, "16GiB", among=among, algorithm=algorithm, in_place=True, is_bounded=False
    )
    return gbps_to_gbytes(answer.algbw_gbps)


@pytest.mark.parametrize(
    ("among", "measured"), [("tray0", 440), ("tray0-7", 439), ("tray0-15", 464), ("tray", 425)]
)
def test_sums_in_switches_take_what_the_buffer_does(rack: Fabric, among: str, measured: float) -> None:
    """4, 32, 64 and 72 GPUs of GB200 and GB300 (Oracle, GTC, CoreWeave): one rate of the buffer, in GB/s."""
    assert algbw(rack, "all-reduce", among, "nvls") == pytest.approx(measured, rel=0.07)


def test_two_ranks_exchange_by_the_channels_of_one_message(rack: Fabric) -> None:
    """Two GPUs of GB200 exchange 345 GB/s (AIConfigurator), eight 660 over the same links (Oracle)."""
    asked = {"in_place": True, "is_bounded": False}
    two = cost(rack, "all-to-all", "16GiB", among="tray0/slot0-1", **asked)
    assert two.binding == "NCCL channels"
    known = calibration("measured").gpus["nvlink5/nvl72_backplane"]["all-to-all"]
    assert two.algbw_gbps == pytest.approx(2 * known.message_gbps, rel=1e-3)
    eight = cost(rack, "all-to-all", "16GiB", among="tray0-1", **asked)
    assert eight.binding == "gpu-nvswitch"
    assert gbps_to_gbytes(eight.busbw_gbps) == pytest.approx(670, rel=0.06)


def test_a_file_says_what_a_message_gets() -> None:
    known = calibration("measured")
    again = parse_calibration(calibration_text(known), "again.yaml")
    for key, kinds in known.gpus.items():
        limit = kinds["all-to-all"].message_gbps
        assert limit > 0
        assert again.gpus[key]["all-to-all"].message_gbps == pytest.approx(limit, rel=1e-5)


def test_two_domains_are_a_kind_of_their_own() -> None:
    assert [reach_of(n) for n in (1, 2, 3, 8, 9)] == [
        "one domain",
        "two domains",
        "few domains",
        "few domains",
        "many domains",
    ]


def test_a_class_of_few_sites_takes_its_parents() -> None:
    def rows(source: str, domains: int = 1, collective: str = "all-gather") -> tuple[Residual, ...]:
        return LEAST * (Residual(collective, "ring", 1 << 30, domains, 1.0, source=source),)

    def name(*known: Residual) -> str:
        found = residual_class(known, "all-gather", "ring", 1 << 30, 2)
        return found.name if found else ""

    sites = [f"site {i}" for i in range(LEAST_SITES)]
    few = [r for site in sites[:-1] for r in rows(site, 2)]
    assert name(*few) == ""
    assert name(*few, *rows(sites[-1], 2)).endswith("ring, above 64 MiB, two domains")
    assert name(*few, *rows(sites[-1], 4)) == "all-gather, above 64 MiB, several domains"
    other = rows(sites[-1], 4, "all-reduce")
    assert name(*few, *other) == "any collective, above 64 MiB, several domains"
    # What a box does says nothing of a network.
    assert name(*few, *rows(sites[-1], 1)) == ""
    # Of a log of one's own it is all there is.
    assert name(*rows("", 2)).endswith("two domains")


def test_every_site_counts_alike_however_many_points_it_has() -> None:
    one = [[0.7], *([1.0 + 0.01 * i] for i in range(18)), [1.4]]
    many = [one[0], *one[1:-1], 500 * one[-1]]
    assert between_sites(many) == pytest.approx(between_sites(one))
    low, high = between_sites(one)
    assert 0.7 < low < 1.01
    assert 1.15 < high < 1.4


def test_of_few_sites_the_next_may_lie_beyond_them_all() -> None:
    known = [[0.8], [0.9], [1.0], [1.1]]
    low, high = between_sites(known)
    assert low < 0.8
    assert high > 1.1
    # Of nine sites the lowest and the highest are what eight of ten lie between.
    nine = [[0.8 + 0.05 * i] for i in range(9)]
    assert between_sites(nine) == pytest.approx((0.8, 1.2))


def test_what_a_library_was_told_to_run_says_nothing_of_what_it_runs() -> None:
    free = [Residual("all-reduce", "ring", 1 << 30, 16, 1.0, source=f"site {i}") for i in range(5)]
    told = Residual("all-reduce", "ring", 1 << 30, 128, 5.0, source="told", is_forced=True)
    asked = ("all-reduce", "ring", 1 << 30, 16)
    assert residual_class([*free, told], *asked) == residual_class(free, *asked)


def test_an_interval_widens_with_every_doubling_beyond_the_evidence() -> None:
    known = residuals("measured")
    asked = ("all-reduce", "ring", 1 << 30, 64)
    widths = []
    for doublings in (0.0, 1.0, 3.0):
        found = residual_class(known, *asked, is_outside=True, doublings=doublings)
        assert found is not None
        widths.append(found.high / found.low)
    assert widths[0] < widths[1] < widths[2]


def test_a_network_is_waited_for_once() -> None:
    text = "include: {fabric: hgx-h100, over: {node: 4}}\ndevices: {network: {kind: switch, axes: []}}"
    nodes = loads(f"fabric: x\n{text}\nlinks: [{{between: [nic, network], rate: 400Gb/s}}]")
    known = calibration("measured")
    once_s = known.once_s((("infiniband", "scale-out"),), "copy")
    assert once_s > 0
    idle = {
        key: {kind: replace(o, once_s=0.0) for kind, o in kinds.items()}
        for key, kinds in (known.links or {}).items()
    }
    without = replace(known, links=idle)
    for size in ("1KiB", "1GiB"):
        asked = {"algorithm": "ring", "is_bounded": False}
        more, less = (cost(nodes, "all-reduce", size, calibration=c, **asked) for c in (known, without))
        assert more.time_s - less.time_s == pytest.approx(once_s, rel=1e-6)
        # Inside one domain nothing waits for it.
        box = {**asked, "among": "node0"}
        more, less = (cost(nodes, "all-reduce", size, calibration=c, **box) for c in (known, without))
        assert more.time_s == less.time_s
    again = parse_calibration(calibration_text(known), "again.yaml")
    assert again.once_s((("infiniband", "scale-out"),), "copy") == pytest.approx(once_s, rel=1e-5)
