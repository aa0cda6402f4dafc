"""A collective over sizes: the range, the columns of nccl-tests, and what a run must reach."""

import itertools
import math

import pytest

from fabric.costing import cost, sweep
from fabric.costing.sweep import sizes_of
from fabric.errors import QuestionError, UnitError
from fabric.graph import loads
from fabric.interop.nccl_tests import parse_log
from fabric.schedule import COLLECTIVES
from fabric.schedule.algorithms import busbw_factor

BOXES = """
fabric: boxes
axes: {node: 4, slot: 4}
devices:
  gpu:    {kind: gpu, axes: [node, slot], transit: relay}
  chip:   {kind: switch, axes: [node]}
  nic:    {kind: nic, axes: [node, slot]}
  leaf:   {kind: switch, axes: [slot]}
  spine:  {kind: switch, axes: []}
links:
  - {between: [gpu, chip], link: nvlink4, each: [1, 4]}
  - {between: [gpu, nic], rate: 512Gb/s, net: host, each: 1}
  - {between: [nic, leaf], rate: 400Gb/s, each: [1, 4]}
  - {between: [leaf, spine], rate: 800Gb/s, count: 2, each: [2, 8]}
"""


@pytest.fixture(scope="module")
def boxes():
    return loads(BOXES)


@pytest.mark.parametrize(
    ("text", "factor", "sizes"),
    [
        ("1KiB..4KiB", 2, (1024, 2048, 4096)),
        ("1KiB .. 5KiB", 2, (1024, 2048, 4096)),
        ("1KiB..1KiB", 2, (1024,)),
        ("1KiB", 2, (1024,)),
        ("8..1MB", 1000, (8, 8000)),
        ("1MB..1GB", 10, (10**6, 10**7, 10**8, 10**9)),
    ],
)
def test_sizes_of_a_range(text, factor, sizes):
    assert sizes_of(text, factor) == sizes


@pytest.mark.parametrize(
    ("text", "factor", "error", "message"),
    [
        ("..", 2, QuestionError, r"lower end missing$"),
        ("4KiB..1KiB", 2, QuestionError, r"'4KiB\.\.1KiB': from the smallest up"),
        ("1KiB..4KiB", 1, QuestionError, "factor of 2 or more; got 1"),
        ("1KiB..", 2, QuestionError, r"^range '1KiB\.\.': upper end missing$"),
        ("..1KiB", 2, QuestionError, r"^range '\.\.1KiB': lower end missing$"),
        ("1KiB..4K", 2, UnitError, "decimal or binary"),
        ("0..4KiB", 2, UnitError, "size '0'"),
        ("1KiB..2KiB..4KiB", 2, UnitError, "unknown unit"),
    ],
)
def test_ranges_that_are_none(text, factor, error, message):
    with pytest.raises(error, match=message):
        sizes_of(text, factor)


def test_the_longest_range_is_short():
    """Sizes are of 63 bits and at least double, so no range is too long."""
    assert sizes_of("1..9223372036854775807") == tuple(2**k for k in range(63))


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.1, math.nan, math.inf])
def test_thresholds_that_are_none(boxes, threshold):
    with pytest.raises(
        QuestionError, match="threshold: (above 0 and at most 1|got .*; expected a finite number)"
    ):
        sweep(boxes, "all-gather", "1MiB", threshold=threshold, calibration="wire")


@pytest.mark.some(2)
@pytest.mark.parametrize("collective", COLLECTIVES)
def test_every_row_is_the_cost_of_its_size(boxes, collective):
    asked = {"calibration": "measured", "among": "node0-1", "routing": "rail"}
    found = sweep(boxes, collective, "64KiB..64MiB", factor=32, **asked)
    for one in found.costs:
        alone = cost(boxes, collective, one.size_bytes, **asked)
        assert (one.time_s, one.chosen.algorithm) == (alone.time_s, alone.chosen.algorithm)
        assert one.busbw_gbps == pytest.approx(
            8e-9 * one.size_bytes / one.time_s * busbw_factor(collective, 8)
        )


@pytest.mark.some(1)
@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("calibration", ["wire", "measured"])
def test_time_grows_and_busbw_does_not_exceed_that_of_the_wire(boxes, collective, calibration):
    found = sweep(boxes, collective, "8..16GiB", factor=8, calibration=calibration)
    times = [one.time_s for one in found.costs]
    assert all(a <= b * (1 + 1e-12) for a, b in itertools.pairwise(times))
    wire = sweep(boxes, collective, "8..16GiB", factor=8, algorithm="all", calibration="wire").costs
    assert all(
        one.busbw_gbps <= most.busbw_gbps * (1 + 1e-9) for one, most in zip(found.costs, wire, strict=True)
    )


@pytest.mark.some(2)
@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("calibration", ["wire", "measured"])
@pytest.mark.parametrize("among", [None, "node0-2", "node0/slot0-1"])
def test_the_table_is_read_as_a_log(boxes, collective, calibration, among):
    """Nothing but the text is given: collective and ranks are told by it, and numbers agree as printed."""
    found = sweep(boxes, collective, "1KiB..16GiB", factor=16, calibration=calibration, among=among)
    (log,) = parse_log(str(found))
    assert (log.collective, log.n_ranks, log.remarks) == (collective, found.costs[0].n_ranks, ())
    assert [row.size_bytes for row in log.rows] == [one.size_bytes for one in found.costs]
    for row, one in zip(log.rows, found.costs, strict=True):
        timing = row.out_of_place
        # Two decimals of microseconds and GB/s, fewer where the column is narrow: four digits at least.
        assert timing.time_s == pytest.approx(one.time_s, rel=5e-4, abs=0.005e-6)
        assert timing.algbw_gbps == pytest.approx(one.algbw_gbps, rel=5e-4, abs=0.04)
        assert timing.busbw_gbps == pytest.approx(one.busbw_gbps, rel=5e-4, abs=0.04)


@pytest.mark.parametrize("threshold", [0.9, 0.75, 1.0])
def test_what_a_run_must_reach(boxes, threshold):
    found = sweep(boxes, "all-reduce", "1MiB..1GiB", factor=32, threshold=threshold, calibration="measured")
    assert f"a run passes from {100 * threshold:g} % of the busbw" in str(found)
    table = [line.split() for line in str(found).splitlines() if not line.startswith("#")]
    rows = found.table()
    assert len(table) == len(rows) == len(found.costs) == 3
    for words, row, one in zip(table, rows, found.costs, strict=True):
        assert row["pass_gbps"] == pytest.approx(threshold * one.busbw_gbps, rel=1e-12)
        assert float(words[9]) == pytest.approx(threshold * one.busbw_gbps / 8, abs=0.005)
        assert one.support is not None
        between = [one.support.low_gbps / 8, one.support.high_gbps / 8, one.chosen.most_gbps / 8]
        assert [float(word) for word in words[10:13]] == pytest.approx(between, abs=0.005)
        assert words[13:] == [f"{one.chosen.algorithm}/{one.chosen.protocol}".rstrip("/"), one.binding]


def test_rows_as_json_are_those_of_cost(boxes):
    found = sweep(boxes, "all-gather", "1MiB..2MiB", threshold=0.9, calibration="wire").to_dict()
    one = cost(boxes, "all-gather", "1MiB", calibration="wire").to_dict()
    assert found["costs"][0] == one
    assert found["pass_gbps"] == [0.9 * row["busbw_gbps"] for row in found["costs"]]
    assert found["threshold"] == 0.9


def test_patterns_are_routed_once(boxes):
    """The first size tells of the work that is to be done; the others find it done."""
    told = []
    sweep(
        boxes,
        "all-to-all",
        "1MiB..4MiB",
        method="links",
        progress=lambda done, of: told.append(done / of),
        calibration="wire",
    )
    assert told == sorted(told)
    assert told[-1] == 1
