"""What binds beside the links: sums in switches by the buffer, messages by the channels between two ranks."""

import pytest

from fabric.costing import cost
from fabric.costing.calibration import calibration, calibration_text, parse_calibration
from fabric.evidence.residuals import LEAST, Residual, reach_of, residual_class
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


def test_a_class_of_one_source_takes_its_parents() -> None:
    def rows(source: str, ratio: float, domains: int = 1) -> tuple[Residual, ...]:
        return LEAST * (Residual("all-gather", "ring", 1 << 30, domains, ratio, source=source),)

    def name(*known: Residual) -> str:
        found = residual_class(known, "all-gather", "ring", 1 << 30, 1)
        return found.name if found else ""

    assert name(*rows("one", 0.9)) == ""
    assert name(*rows("one", 0.9), *rows("other", 1.0, 2)) == "all-gather, above 64 MiB"
    assert name(*rows("one", 0.9), *rows("other", 1.0)).endswith("one domain")
    # Of a log of one's own it is all there is.
    assert name(*rows("", 0.9)).endswith("one domain")
