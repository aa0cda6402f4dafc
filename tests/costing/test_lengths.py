"""A message is 5 ns late for every metre of cable that it passes."""

import numpy as np
import pytest

from fabric.bounds.chunks import chunk_bound
from fabric.costing import Calibration, Overhead, cost, sweep
from fabric.graph import loads
from fabric.graph.exchange import from_networkx, to_networkx
from fabric.interop.nccl_tests import parse_log
from fabric.study.logs import calibrate

METHODS = ("axes", "links")
US, KM = 1e-6, 1000


def sites(length, *, gpus=4, n_sites=2):
    """Sites of some GPUs on a switch each, and a cable of that length between any two switches."""
    said = f", length: {length}" if length else ""
    return loads(f"""
fabric: sites
axes: {{site: {n_sites}, g: {gpus}}}
devices:
  gpu: {{kind: gpu, axes: [site, g]}}
  sw: {{kind: switch, axes: [site]}}
links:
  - {{between: [gpu, sw], rate: 400Gb/s}}
  - {{between: [sw, sw], mesh: site, rate: 400Gb/s, count: {gpus}{said}}}
""")


def late(fabric, collective, **how):
    asked = {"calibration": "wire", **how}
    return cost(fabric, collective, "1MB", is_bounded=False, **asked).chosen.latency_s


@pytest.mark.parametrize("method", METHODS)
def test_two_ranks_over_100_km(method):
    far = sites("100km", gpus=1)
    assert late(far, "send-recv", method=method) == pytest.approx(500 * US)
    assert late(far, "all-reduce", algorithm="ring", method=method) == pytest.approx(1000 * US)
    assert late(far, "all-gather", algorithm="ring", method=method) == pytest.approx(500 * US)
    # The bytes are as before.
    near = sites("", gpus=1)
    for collective in ("send-recv", "all-reduce"):
        a, b = (cost(f, collective, "1MB", method=method, calibration="wire").chosen for f in (far, near))
        assert a.transfer_s == pytest.approx(b.transfer_s)
        assert (b.latency_s, a.time_s) == (0, pytest.approx(b.time_s + a.latency_s))


@pytest.mark.parametrize("method", METHODS)
def test_every_cable_that_a_message_passes_counts(method):
    text = """
fabric: star
axes: {i: 4}
devices: {gpu: {kind: gpu, axes: [i]}, hub: {kind: switch, axes: []}}
links: [{between: [gpu, hub], rate: 400Gb/s, length: 30m}]
"""
    # 3 steps of two cables of 30 m.
    assert late(loads(text), "all-gather", algorithm="ring", method=method) == pytest.approx(3 * 60 * 5e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_chunk_on_a_ring_crosses_twice_a_round(method):
    # Of 8 hops of a ring over two sites 2 cross, and an all-reduce takes 14 steps.
    found = late(sites("10km"), "all-reduce", algorithm="ring", method=method)
    assert found == pytest.approx(14 * 2 / 8 * 50 * US)


@pytest.mark.some(1)
@pytest.mark.parametrize("collective", ["all-reduce", "all-gather", "all-to-all", "broadcast", "send-recv"])
def test_length_is_a_latency_of_its_rule_whatever_the_method(collective):
    rng = np.random.default_rng(12)
    for length in rng.integers(1, 10**6, 3).tolist():
        fabric = sites(f"{length}m", n_sites=3)
        of_rule = {"sw-sw": {t: Overhead(1.0, 5e-9 * length) for t in ("copy", "in-switch", "all-to-all")}}
        same = Calibration("same", links=of_rule)
        for method in METHODS:
            known = {}
            for name, one, how in (("cable", fabric, "wire"), ("latency", sites("", n_sites=3), same)):
                answer = cost(one, collective, "1MB", algorithm="all", calibration=how, method=method)
                known[name] = {a.algorithm: a.time_s for a in answer.algorithms}
            assert known["cable"] == pytest.approx(known["latency"])


def test_calibrations_add_it():
    near, far = sites(""), sites("10km")
    for known in ("measured", Calibration("late", launch_s=3 * US)):
        plain, flown = (late(f, "all-reduce", algorithm="ring", calibration=known) for f in (near, far))
        assert flown - plain == pytest.approx(14 * 2 / 8 * 50 * US)


def test_nccl_adds_it_and_chooses_without():
    def nodes(length):
        return loads(f"""
fabric: far
axes: {{node: 4, g: 8}}
devices:
  gpu: {{part: h100_sxm5, axes: [node, g], transit: relay}}
  nvs: {{kind: switch, axes: [node]}}
  nic: {{kind: nic, axes: [node, g]}}
  leaf: {{kind: switch, axes: [g]}}
links:
  - {{between: [gpu, nvs], link: nvlink4, count: 18}}
  - {{between: [gpu, nic], link: pcie5}}
  - {{between: [nic, leaf], rate: 400Gb/s{length}}}
""")

    near, far = (
        cost(nodes(length), "all-reduce", "8GiB", calibration="nccl", is_bounded=False)
        for length in ("", ", length: 2000km")
    )
    assert [a.algorithm for a in near.algorithms] == [a.algorithm for a in far.algorithms]
    flight = {a.algorithm: a.latency_s for a in far.algorithms}
    plain = {a.algorithm: a.latency_s for a in near.algorithms}
    # 62 steps, of which 8 of 32 hops leave a node, over two cables.
    assert flight["ring"] - plain["ring"] == pytest.approx(62 * 4 / 32 * 2 * 2000 * KM * 5e-9)
    assert far.chosen.transfer_s == pytest.approx(near.chosen.transfer_s)
    # NCCL does not know that trees would be there first.
    assert far.chosen.algorithm == "ring"
    assert min(far.algorithms, key=lambda a: a.time_s).algorithm != "ring"


def test_chunks_fly_too():
    far, near = sites("100km", gpus=1), sites("", gpus=1)
    assert chunk_bound(far, "all-gather", "1MB").time_s == pytest.approx(
        chunk_bound(near, "all-gather", "1MB").time_s + 500 * US
    )
    for fabric in (sites("10km"), from_networkx(to_networkx(sites("10km")))):
        found = chunk_bound(fabric, "all-gather", "1MB", latency="1us")
        assert found.time_s > 53 * US  # three links of 1 us
        assert (
            found.time_s
            <= cost(fabric, "all-gather", "1MB", algorithm="ring", calibration="wire").time_s + 7 * 3 * US
        )


def test_a_fit_leaves_the_flight_to_the_cables():
    fitted = []
    for length in ("", "20km"):
        fabric = sites(length)
        log = str(sweep(fabric, "all-reduce", "1MiB..1GiB", algorithm="ring", calibration="measured"))
        logs = parse_log(log, "made.log")
        _, found = calibrate(logs, fabric, name="mine", date="2026-01-31", algorithm="ring")
        fitted.append([*found.efficiencies.values(), *found.link_latency_s.values(), found.launch_s])
    assert fitted[0] == pytest.approx(fitted[1], rel=0.02)
