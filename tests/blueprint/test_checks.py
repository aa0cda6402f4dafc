"""Counting: port budgets and breakout, the order of the checks, and fabrics too large to be listed."""

import itertools
import json
import math

import pytest

from fabric.blueprint import census, loads_blueprint
from fabric.errors import TopologyError
from fabric.graph import expand, loads


def star(part, cables):
    """Return one switch with `cables` {rate in Gb/s: number} to generic devices."""
    axes = ", ".join(f"n{'abc'[i]}: {n}" for i, n in enumerate(cables.values()) if n)
    devices = "".join(
        f"  d{'abc'[i]}: {{kind: nic, axes: [n{'abc'[i]}]}}\n" for i, n in enumerate(cables.values()) if n
    )
    links = "".join(
        f"  - {{between: [d{'abc'[i]}, leaf], rate: {rate}Gb/s}}\n"
        for i, (rate, n) in enumerate(cables.items())
        if n
    )
    head = f"fabric: star\nislands: 0\naxes: {{{axes}}}\ndevices:\n  leaf: {{part: {part}, axes: []}}\n"
    return f"{head}{devices}links:\n{links}"


def is_sound(text):
    try:
        loads(text)
    except TopologyError as error:
        # Not assert: what else may be wrong must not pass for a budget.
        if [p for p in error.problems if "port budget" not in p.what]:
            raise
        return False
    return True


@pytest.mark.some(2)
@pytest.mark.parametrize("full", [0, 1, 60, 61, 62, 63, 64, 65])
def test_breakout_of_single_ports_takes_whole_ports(full):
    for halves, quarters in itertools.product([0, 1, 2, 3, 4, 5, 126, 127, 128, 129], [0, 1, 4, 5]):
        if full + halves + quarters:
            used = full + math.ceil(halves / 2) + math.ceil(quarters / 4)
            text = star("sn5600", {800: full, 400: halves, 200: quarters})
            assert is_sound(text) == (used <= 64), (full, halves, quarters)


@pytest.mark.parametrize("full", [0, 59, 60, 61, 62, 63, 64])
def test_breakout_of_twin_ports_takes_whole_cages(full):
    for halves in (0, 1, 3, 4, 5, 8, 9, 128, 129):
        if full + halves:
            cages = math.ceil(halves / 4)
            assert is_sound(star("qm9700", {400: full, 200: halves})) == (full + 2 * cages <= 64), (
                full,
                halves,
            )


def test_cables_of_a_board_share_ports_by_rate():
    # A GPU has 18 NVLinks of 200 Gb/s; at a third of that rate it has room for 54.
    text = "fabric: a\naxes: {x: %d}\ndevices:\n  gpu: {part: h100_sxm5, axes: []}\n"
    text += "  sw: {kind: switch, axes: [x]}\nlinks:\n"
    text += "  - {between: [gpu, sw], link: nvlink4, rate: 200Gb/s/3}\n"
    assert is_sound(text % 54)
    assert not is_sound(text % 55)


def test_ports_after_absent_and_before_failed():
    text = star("sn5600", {800: 65})
    assert not is_sound(text)
    assert is_sound(text + "absent: [da64]\n")
    assert not is_sound(text + "failed: [da64]\n")


def test_absent_switch_has_no_budget():
    text = star("sn5600", {800: 65}) + "  - {between: [da, spare], rate: 800Gb/s}\n"
    text = text.replace("links:", "  spare: {part: sn5600, axes: []}\nlinks:")
    assert not is_sound(text + "absent: [leaf]\n")
    assert is_sound(text + "absent: [leaf, spare]\n")


def test_failed_makes_no_file_invalid():
    text = star("sn5600", {800: 3}).replace("kind: nic", "kind: gpu").replace("islands: 0", "islands: 1")
    assert loads(text).skipped == ()
    fabric = loads(text + "failed: [leaf, da0, [da1, leaf], [da, leaf, 2]]\n")
    expanded = expand(fabric)
    assert expanded.failed.sum() == 2
    assert expanded.alive.sum() == 0


def test_the_first_cables_fail():
    text = (
        "fabric: a\naxes: {x: 3}\ndevices:\n  gpu: {kind: gpu, axes: [x]}\n  sw: {kind: switch, axes: []}\n"
    )
    text += "links:\n  - {between: [gpu, sw], rate: 1Gb/s, count: 2}\nfailed: [[sw, gpu, 3]]\n"
    assert expand(loads(text)).failed_count.tolist() == [2, 1, 0]


@pytest.mark.parametrize("part", ["cx8", "bf3"])
def test_a_nic_meets_a_generic_switch_at_its_network_port(part):
    text = f"fabric: a\naxes: {{x: 2}}\ndevices:\n  nic: {{part: {part}, axes: [x]}}\n"
    text += "  sw: {kind: switch, axes: []}\nlinks:\n  - {between: [nic, sw], rate: 400Gb/s}\n"
    assert loads_blueprint(text).rules[0].port_class == "network"


def test_rates_are_compared_where_both_devices_are_there():
    text = "fabric: a\naxes: {x: 3, y: 2}\ndevices:\n  gpu: {kind: gpu, axes: [x, y]}\n"
    text += "  sw: {kind: switch, axes: [x]}\nlinks:\n  - {between: [gpu, sw], rate: 1Gb/s}\n"
    text += "  - {between: [x2/gpu, sw], name: fast, rate: 2Gb/s}\nislands: 2\nabsent: [%s]\n"
    assert loads(text % "gpu0, x2/gpu1").skipped == ()
    assert loads(text % "sw2, x2/gpu").skipped == ()
    with pytest.raises(TopologyError, match="two rules of unequal rate on one pair: gpu-sw and fast"):
        loads(text % "gpu0, x0-1/gpu1")


def hyperx(near, far):
    """Return switches joined to their own GPUs at one rate, and to those of all other slots at another."""
    text = "fabric: a\naxes: {x: 9, slot: 5}\ndevices:\n  gpu: {kind: gpu, axes: [slot, x]}\n"
    text += "  sw: {kind: switch, axes: [slot]}\n"
    text += f"links:\n  - {{between: [gpu, sw], rate: {near}}}\n"
    return text + f"  - {{between: [gpu, sw], name: far, mesh: slot, rate: {far}}}\n"


def test_a_mesh_and_a_plain_rule_share_no_pair():
    assert loads(hyperx("2Gb/s", "1Gb/s")).skipped == ()
    with pytest.raises(TopologyError, match="unequal rate on one pair: far and back"):
        loads(hyperx("2Gb/s", "1Gb/s") + "  - {between: [slot1/gpu, slot3/sw], name: back, rate: 3Gb/s}\n")


@pytest.mark.parametrize("n", [2, 3, 1000, 1_000_000, 50_000_000])
def test_a_mesh_is_counted_at_any_size(n):
    text = f"fabric: a\naxes: {{x: {n}, y: 3}}\ndevices:\n  gpu: {{kind: gpu, axes: [y, x]}}\nlinks:\n"
    one = loads_blueprint(text + f"  - {{between: [gpu, gpu], mesh: x, rate: 1Gb/s, each: {n - 1}}}\n")
    assert census(one).rules[0].total == 3 * n * (n - 1) // 2
    both = loads_blueprint(
        text + f"  - {{between: [gpu, gpu], mesh: x, rate: 1Gb/s, oneway: true, each: {2 * n - 2}}}\n"
    )
    assert census(both).rules[0].total == 3 * n * (n - 1)


TORUS = """\
fabric: torus
axes: {x: 256, y: 256, z: 256}
devices:
  gpu: {kind: gpu, axes: [x, y, z], transit: all}
links:
  - {between: [gpu, gpu], name: along-x, ring: x, rate: 1Gb/s}
  - {between: [gpu, gpu], name: along-y, ring: y, rate: 1Gb/s}
  - {between: [gpu, gpu], name: along-z, ring: z, rate: 1Gb/s}
"""


def test_what_is_too_large_to_be_counted_is_skipped_and_said():
    fabric = loads(TORUS)
    too_many = "gpu has 16,777,216 classes of devices; at most"
    counts, islands = fabric.skipped
    assert counts.startswith(f"each, ports and rates: {too_many}")
    assert islands.startswith(f"islands and reachability: {too_many}")


def test_a_line_too_long_to_be_listed_is_skipped():
    text = "fabric: a\naxes: {x: 5M}\ndevices:\n  gpu: {kind: gpu, axes: [x]}\nlinks:\n"
    fabric = loads(text + "  - {between: [gpu, gpu], line: x, rate: 1Gb/s}\n")
    assert "axis x has 5,000,000 indices; a ring, a line" in fabric.skipped[0]


def test_an_axis_without_devices_costs_nothing():
    text = star("sn5600", {800: 3}).replace("axes: {", "axes: {unused: 9007199254740992, ", 1)
    assert expand(loads(text)).n_devices == 4


def test_deep_chains_of_axes_are_read():
    axes = {"a": 2} | {f"a{'x' * i}": [f"a{'x' * (i - 1)}"] for i in range(1, 70)}
    axes |= {f"b{'x' * i}": [f"b{'x' * (i - 1)}"] for i in range(1, 70)} | {"b": [f"a{'x' * 69}"]}
    file = {"fabric": "a", "axes": axes, "devices": {"gpu": {"kind": "gpu", "axes": [f"b{'x' * 69}"]}}}
    assert loads_blueprint(json.dumps(file)).groups["gpu"].primitives == ("a",)


PAIR = """
fabric: a
axes: {x: 3}
devices:
  gpu: {kind: gpu, axes: [x]}
  sw: {kind: switch, axes: []}
links:
  - {between: [gpu, sw], rate: 1Gb/s}
"""


def test_an_unknown_failure_hides_no_other():
    text = PAIR + "failed: [[gpuu0, sw], [gpu0, gpu1], [gpu1, sw, 2], [gpu2, sv]]\n"
    with pytest.raises(TopologyError, match="no cable between gpu0 and gpu1") as caught:
        loads(text)
    found = [(p.where, p.what.partition(";")[0]) for p in caught.value.problems]
    assert found == [
        ("failed[0]", "selector 'gpuu0': no device group 'gpuu'"),
        ("failed[1]", "no cable between gpu0 and gpu1"),
        ("failed[2]", "more failed cables than there are between gpu1 and sw"),
        ("failed[3]", "no device group 'sv'"),
    ]
