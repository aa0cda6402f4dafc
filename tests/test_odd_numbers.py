"""Numbers that no fabric means, wherever one is taken: refused by name, never an odd answer."""

import math

import pytest

import fabric
from fabric.bounds.chunks import chunk_bound
from fabric.costing import Spread, calibration
from fabric.errors import FabricError
from fabric.schedule import Moe
from fabric.sizing.floor import FloorPlan

STAR = fabric.loads(
    "{fabric: a, axes: {i: 8}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},"
    " links: [{between: [gpu, leaf], rate: 300GB/s}]}"
)
LAYER = {"tokens": 4096, "hidden": 7168, "top_k": 8, "n_experts": 256, "bytes_per_value": 1.0}


def designed(**arguments):
    return fabric.design(gpus=1152, rack="gb300-nvl72", leaf="sn5610", **arguments)


def sprayed(efficiency):
    return fabric.cost(
        STAR, "all-to-all", "1MiB", routing="adaptive", spread=Spread(1, efficiency), calibration="wire"
    )


@pytest.mark.some(10)
@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: chunk_bound(STAR, "all-gather", n_chunks=1.5), "n_chunks: got 1.5; expected a whole number"),
        (lambda: chunk_bound(STAR, "all-gather", n_chunks=10**9), "n_chunks: got 1000000000; expected 1 to"),
        (lambda: chunk_bound(STAR, "broadcast", n_chunks=10**9), "n_chunks: got 1000000000; expected 1 to"),
        (lambda: chunk_bound(STAR, "all-gather", 80, n_chunks=11), "expected 1 to 10 chunks of 10 B"),
        (lambda: chunk_bound(STAR, "all-gather", n_chunks=0), "n_chunks: got 0"),
        (
            lambda: chunk_bound(STAR, "all-gather", latency=1e300),
            "latency of gpu-leaf: 1e.300; expected a",
        ),
        (lambda: chunk_bound(STAR, "all-gather", latency=math.nan), "latency: got nan"),
        (lambda: chunk_bound(STAR, "all-gather", root="gpu0"), "root: all-gather has none"),
        (lambda: fabric.bound(STAR, "all-to-all", root="gpu0"), "root: all-to-all has none; leave it out"),
        (lambda: fabric.bound(STAR, "all-reduce", root="gpu0"), "root: all-reduce has none; leave it out"),
        (
            lambda: fabric.Traffic("all-to-all", root="gpu0"),
            "root: all-to-all has none; .* one-to-all",
        ),
        (lambda: fabric.Traffic("shift", over=("i",), root="gpu0"), "root: shift has none"),
        (lambda: designed(name="a: b #c"), "name: got .*a: b #c.*; expected letters and digits"),
        (lambda: designed(name="\x1b[2J"), "name: got .*; expected letters and digits"),
        (lambda: designed(name="a" * 500), "name: got .*; expected letters and digits"),
        (lambda: designed(breakout="0x400G"), "got 0x400G"),
        (lambda: designed(breakout="99x400G"), "got 99x400G"),
        (lambda: designed(oversubscription={"leaf": math.nan}), "oversubscription: .*got nan"),
        (lambda: fabric.Traffic("all-to-all", by=3), "by: all-to-all goes by no number of places"),
        (
            lambda: fabric.sweep(STAR, "all-reduce", "1KiB..16GiB", factor=math.nan, calibration="wire"),
            "factor: got nan",
        ),
        (
            lambda: fabric.bom(STAR, spares=1e308),
            "spares of 1e.308 percent; expected a number",
        ),
        (lambda: fabric.bom(STAR, prices={"leaf": 1e308}), "price of USD 1e.308"),
        (lambda: fabric.bom(STAR, prices={"leaf": math.nan}), "got nan"),
        (lambda: FloorPlan(rack_pitch_m=1e308), "rack_pitch_m is 1e.308; expected metres"),
        (lambda: FloorPlan(racks_per_row=10**30), "racks_per_row is 10{30}|racks_per_row: got 10{30}"),
        (lambda: sprayed(1e-320), "1e-320; expected a number from 0.001"),
        (lambda: sprayed("1_0e-1"), "'1_0e-1'"),
        (lambda: Moe(**{**LAYER, "bytes_per_value": 1e308}), "values of 1e.308 bytes for 4096 tokens"),
        (lambda: Moe(**{**LAYER, "bytes_per_value": 1e-320}), "expected a byte a token"),
        (lambda: Moe(**{**LAYER, "hidden": 2**62}), "at most 9223372036854775807 bytes in all"),
    ],
)
def test_an_argument_that_no_fabric_means_is_refused(ask, message):
    with pytest.raises(FabricError, match=message):
        ask()


CALIBRATION = "{calibration: a, source: b, date: 2026-01-01, %s}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("launch: 1e300s", r":1:55: launch: time '1e300s': too large"),
        ("launch: 1e-320s", "too small"),
        ("links: {nvlink5: {copy: {rate: 1e-320}}}", "links.nvlink5.copy.rate: too small; .*1e-09"),
        ("links: {nvlink5: {copy: {rate: 1e308}}}", "links.nvlink5.copy.rate: "),
        ("links: {nvlink5: {copy: {rate: .nan}}}", "links.nvlink5.copy.rate: "),
        ("links: {nvlink5: {copy: {latency: 1e308s}}}", "too large"),
        ("protocols: {LL: {rate: 1e-300}}", "protocols.LL.rate: "),
        ("protocols: {LL: {latency: .inf}}", "protocols.LL.latency: "),
        ('about: "a\\e[31mb"', r":1:54: about: expected printable text"),
        ('links: {"a\\u202eb": {}}', r"links.a\ufffdb"),
        (
            'links: {nvlink5: {copy: {source: "\\x9b"}}}',
            r"links.nvlink5.copy.source: expected printable text",
        ),
    ],
)
def test_a_calibration_that_no_fabric_has_is_refused_with_its_place(text, message, tmp_path):
    (tmp_path / "a.yaml").write_text(CALIBRATION % text)
    with pytest.raises(FabricError, match=message):
        calibration(tmp_path / "a.yaml")


@pytest.mark.parametrize("number", ["1e-320", "1e300", "1e-13", "1_0__0", "\u0661", "inf"])
def test_a_rate_that_no_cable_has_is_refused_with_its_place(number):
    devices = "{gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}"
    text = f"{{fabric: a, axes: {{i: 2}}, devices: {devices},\n"
    with pytest.raises(FabricError, match=r"^<text>:2:39: links.gpu-leaf.rate: .*; got "):
        fabric.loads(f"{text} links: [{{between: [gpu, leaf], rate: {number}Gb/s}}]}}")


@pytest.mark.parametrize("part", [2**64, 10**400, "18446744073709551616"])
def test_a_whole_number_that_no_float_holds_is_no_part_of_a_rate(part):
    """Of 2**64 numpy says that it cannot tell whether it is finite: that was a traceback."""
    text = """{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]},
      leaf: {kind: switch, axes: []}},
      links: [{between: [gpu, leaf], rate: 1Gb/s}], degraded: [[gpu0, leaf, %s]]}"""
    with pytest.raises(FabricError, match="degraded"):
        fabric.loads(text % part)
