"""Stripes: even ones in whole numbers, uneven ones within one cable, and files that say them exactly."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.blueprint import census
from fabric.graph import expand, loads
from fabric.sizing import DesignError, design
from fabric.sizing.rack import find_rack
from fabric.sizing.stripes import Stripe, stripe

shapes = st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=100)
@given(shapes, st.integers(1, 40), st.data())
def test_every_pair_has_a_cable_and_no_switch_one_more_than_another_has(below, up, data):
    one = Stripe(below, up, data.draw(st.integers(1, up)))
    table = one.cables(below[0])
    assert table.shape == (math.prod(below), one.above)
    assert (table.sum(axis=1) == up).all()
    assert set(np.unique(table)) <= {one.count, one.count + 1}
    assert table.min() >= 1
    loads_above = table.sum(axis=0)
    assert loads_above.max() - loads_above.min() <= 1
    assert loads_above.max() == one.most
    first = data.draw(st.integers(0, below[0]))
    assert (one.cables(first) == table[: first * one.n_below // below[0]]).all()


@pytest.mark.parametrize(
    ("n", "up", "capacity"), [(24, 32, 64), (98, 64, 128), (65, 32, 64), (3, 5, 1), (7, 9, 0)]
)
def test_uneven_stripes_take_the_fewest_switches_that_have_the_ports(n, up, capacity):
    able = [s for s in range(1, up + 1) if -(-n * up // s) <= capacity]
    assert stripe(n, up, capacity, is_even=False) == (able[0] if able else 0)


RACKS = ("hgx-h100", "hgx-b300", "gb300-nvl72", "aws-p5")
SWITCHES = ("sn5600", "sn5610", "sn6800", "64x400G", "40x800G", "24x400G", "36x400G")


@st.composite
def asks(draw):
    rack = draw(st.sampled_from(RACKS))
    n = draw(st.integers(1, 30 if rack.endswith("72") else 300)) * find_rack(rack).n_gpus
    ratio = st.sampled_from(["1:1", "2:1", "16:15", "7:1", "3:2"])
    return {
        "gpus": n,
        "rack": rack,
        "leaf": draw(st.sampled_from(SWITCHES)),
        "spine": draw(st.sampled_from((None, *SWITCHES))),
        "layout": draw(st.sampled_from(["rail", "rail", "tor"])),
        "planes": draw(st.sampled_from([1, 2])),
        "homes": draw(st.sampled_from([1, 1, 2])),
        "rail_groups": draw(st.sampled_from([1, "auto"])),
        "oversubscription": {"leaf": draw(ratio), "spine": draw(ratio)},
        "populated": draw(st.integers(1, n)),
        "tiers": draw(st.sampled_from(["auto", 2, 3])),
        "stripes": "uneven",
    }


def check_uneven(arguments):
    try:
        d = design(**arguments)
    except DesignError:
        return False
    counted = census(d.blueprint)
    assert {g: counted.present(g) for g in d.switches} == d.switches
    totals = dict.fromkeys(d.switches, 0)
    for rule in counted.rules:
        if rule.rule.left.group in totals:
            totals[rule.rule.left.group] += rule.total
    for lower, upper in (("leaf", "spine"), ("spine", "core")):
        if upper in d.switches:
            assert totals[lower] == d.cables[f"{lower}-{upper}"]
    # Ports are checked by the file; none is over, and never more switches than with even stripes.
    even = design(**arguments | {"stripes": "even"})
    if even.n_tiers == d.n_tiers and even.sizes.groups == d.sizes.groups:
        assert d.sizes.n_switches <= even.sizes.n_switches
    return any("-more" in r.name for r in d.blueprint.rules)


@settings(max_examples=15)
@given(asks())
def test_files_of_uneven_stripes_count_as_the_design_does(arguments):
    try:
        check_uneven(arguments)
    except DesignError:
        # Even stripes may not exist where uneven ones do.
        return


@pytest.mark.slow
@settings(max_examples=2000)
@given(asks())
def test_files_of_uneven_stripes_count_as_the_design_does_at_length(arguments):
    try:
        check_uneven(arguments)
    except DesignError:
        return


@pytest.mark.parametrize(
    ("arguments", "switches"),
    [
        # RA-11333-001, table 4: 24 leaves with 32 uplinks need 12 spines of 64 ports, and have 16 evenly.
        ({"gpus": 760, "rack": "hgx-h100", "leaf": "qm9700", "ufm": 4}, {"leaf": 24, "spine": 12}),
        # 100,352 uplinks of spines on cores of 128 ports: 784, where 32 a plane and 32 planes are 1,024.
        ({"gpus": 100_000, "rack": "hgx-h100", "leaf": "sn5600"}, {"leaf": 1568, "spine": 1568, "core": 784}),
    ],
)
def test_uneven_stripes_waste_no_port(arguments, switches):
    d = design(**arguments, stripes="uneven")
    assert d.switches == switches
    top = d.tiers[-1]
    assert top.free == top.stranded == 0
    assert design(**arguments).switches[top.name] > top.switches


def test_a_file_of_uneven_stripes_cable_by_cable():
    """24 leaves of 32 uplinks on 12 spines: two or three cables a pair, 64 at every spine."""
    d = design(gpus=768, rack="hgx-h100", leaf="qm9700", stripes="uneven")
    e = expand(loads(d.text))
    names = [g.name for g in e.groups]
    rows = [i for i, rule in enumerate(e.rules) if rule.name.startswith("leaf-spine")]
    assert len(rows) == 1 + 4
    kept = np.isin(e.rule, rows)
    table = {}
    for tail, head, count in zip(e.tail[kept], e.head[kept], e.count[kept], strict=True):
        pair = (int(tail), int(head))
        table[pair] = table.get(pair, 0) + int(count)
    assert set(table.values()) == {2, 3}
    assert len(table) == 24 * 12
    at = np.zeros(len(e.group), dtype=int)
    for pair, n in table.items():
        at[list(pair)] += n
    assert set(at[e.group == names.index("leaf")]) == {32}
    assert set(at[e.group == names.index("spine")]) == {64}
