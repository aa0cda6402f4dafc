"""What must hold of the rack and server templates, counted on the expanded links of the files themselves."""

import numpy as np
import pytest

from fabric.errors import TopologyError
from fabric.graph import expand, loads

# Published totals. GB200 and GB300: 1.8 TB/s a GPU, 130 TB/s a rack (rounded from 129.6), NVIDIA's GB200
# NVL72 page. Vera Rubin: 3.6 TB/s a GPU, 260 TB/s a rack (rounded from 259.2), NVIDIA Vera Rubin NVL72
# page; two NICs of 800 Gb/s a GPU, SemiAnalysis, "Vera Rubin - Extreme Co-Design", 25 Feb 2026. HGX H100:
# 900 GB/s a GPU, four NVSwitch chips with 5, 4, 4 and 5 links from each GPU, Hot Chips 34.
SCALE_UP = [
    # template, GPUs, links of a GPU, ports used on each chip, total of both directions [TB/s]
    ("gb200-nvl72", 72, 18, [72] * 18, 129.6),
    ("gb300-nvl72", 72, 18, [72] * 18, 129.6),
    ("vr-nvl72", 72, 36, [72] * 36, 259.2),
    ("hgx-h100", 8, 18, [40, 32, 32, 40], 7.2),
]
SCALE_OUT = [
    # template, NICs, rate of each, total of one direction [Tb/s]
    ("gb200-nvl72", 72, 400, 28.8),
    ("gb300-nvl72", 72, 800, 57.6),
    ("vr-nvl72", 144, 800, 115.2),
    ("hgx-h100", 8, 400, 3.2),
]


def rule(e, name):
    """Return tails, heads, counts and rates of the bundles of a rule."""
    rows = e.rule == [r.name for r in e.rules].index(name)
    return e.tail[rows], e.head[rows], e.count[rows], e.rate_gbps[rows]


def members(e, group):
    return np.flatnonzero(e.group == [g.name for g in e.groups].index(group))


def ports(devices, ends, count):
    return np.bincount(ends, count, minlength=devices.max() + 1)[devices].astype(int).tolist()


def template(name):
    return expand(loads(f"{{fabric: one, include: {name}}}"))


@pytest.mark.parametrize(
    ("name", "n_gpus", "links", "used", "total"), SCALE_UP, ids=[row[0] for row in SCALE_UP]
)
def test_scale_up_ports_meet_on_both_sides(name, n_gpus, links, used, total):
    e = template(name)
    gpus, chips = members(e, "gpu"), members(e, "nvswitch")
    tail, head, count, rate = rule(e, "gpu-nvswitch")
    assert ports(gpus, tail, count) == [links] * n_gpus
    assert ports(chips, head, count) == used
    assert sum(used) == n_gpus * links == int(count.sum())
    assert 2 * float(count @ rate) / 8000 == pytest.approx(total, rel=1e-12)
    # Every GPU reaches every chip, once.
    assert len(set(zip(tail, head, strict=True))) == len(gpus) * len(chips) == len(tail)
    assert all(r.net == "scale-up" for r in e.rules if r.name == "gpu-nvswitch")
    assert {g.transit for g in e.groups if g.name == "gpu"} == {"relay"}


@pytest.mark.parametrize(("name", "n_nics", "rate", "total"), SCALE_OUT, ids=[row[0] for row in SCALE_OUT])
def test_scale_out_is_what_the_nics_have_ports_for(name, n_nics, rate, total):
    text = """
    fabric: one
    include: {name}
    devices: {{leaf: {{part: sn5610, axes: [{axes}]}}}}
    links: [{{between: [nic, leaf], rate: {rate}Gb/s}}]
    """
    axes = "" if name == "hgx-h100" else "tray"
    e = expand(loads(text.format(name=name, axes=axes, rate=rate)))
    tail, _, count, rates = rule(e, "nic-leaf")
    assert sorted(tail.tolist()) == members(e, "nic").tolist()
    assert len(tail) == n_nics
    assert float(count @ rates) / 1000 == pytest.approx(total, rel=1e-12)
    with pytest.raises(TopologyError, match="nic-leaf"):
        loads(text.format(name=name, axes=axes, rate=2 * rate))


@pytest.mark.parametrize("name", [row[0] for row in SCALE_OUT])
def test_every_gpu_has_a_way_to_its_own_nics(name):
    e = template(name)
    joined = {}
    for tail, head in zip(e.tail.tolist(), e.head.tolist(), strict=True):
        joined.setdefault(tail, set()).add(head)
    nics = set(members(e, "nic").tolist())
    found = []
    for gpu in members(e, "gpu").tolist():
        ahead = {gpu}
        for _ in range(3):
            ahead |= {w for v in ahead for w in joined.get(v, ())}
        found.append(frozenset(ahead & nics))
    assert all(found)
    assert frozenset.union(*found) == nics
