# A file and what it lacks are read side by side.
# ruff: noqa: E501
"""Rings and tori of nodes as Slurm has them: written, read back, and refused with what is in the way."""

from collections import Counter
from itertools import product
from math import prod

import pytest
import yaml

import fabric
from fabric.errors import QuestionError, TopologyError
from fabric.interop.export.schedulers import hostlist_in_order
from fabric.interop.sources import read_sources
from fabric.interop.sources.schedulers import hosts
from fabric.sizing.cable_plan import CablePlan

TORUS = """\
fabric: t
axes: {pod: 2, x: 4, y: 3, z: 2}
devices: {chip: {kind: gpu, axes: [pod, x, y, z], transit: all}}
links:
  - {between: [chip, chip], name: x, ring: x, rate: 100Gb/s, count: 2, net: scale-up}
  - {between: [chip, chip], name: y, ring: y, rate: 100Gb/s, net: scale-up}
  - {between: [chip, chip], name: z, ring: z, rate: 100Gb/s, net: scale-up}
islands: 2
"""
RING = "fabric: r\naxes: {rack: 2, i: 6}\ndevices: {node: {kind: host, axes: [rack, i], endpoint: true, transit: all}}\n"
RING += "links: [{between: [node, node], ring: i, rate: 100Gb/s}]\nislands: 2\n"
# Chips of a host of 2 x 2 are no nodes of their own: their torus of 8 x 4 is one of 4 x 2 hosts.
BOXED = """\
fabric: b
axes: {hx: 4, hy: 2, cx: 2, cy: 2, x: [hx, cx], y: [hy, cy]}
devices:
  chip: {kind: gpu, axes: [hx, hy, cx, cy], transit: all}
  cpu:  {kind: host, axes: [hx, hy]}
links:
  - {between: [chip, chip], name: x, ring: x, rate: 100Gb/s, net: scale-up}
  - {between: [chip, chip], name: y, ring: y, rate: 100Gb/s, net: scale-up}
  - {between: [chip, cpu], rate: 100Gb/s, net: host}
"""


def written(text, form):
    return fabric.export(fabric.loads(text), form).files[""]


def read(text, name, folder):
    (folder / name).write_text(text)
    return read_sources([folder / name], "slurm")


def joined(text):
    """Return which nodes cables of the plan join, each two once."""
    cables = CablePlan(fabric.loads(text).blueprint).cables()
    return {frozenset((c.a.node, c.z.node)) for c in cables if c.a.node != c.z.node}


def pairs(found):
    return Counter(frozenset((cable.a[0], cable.z[0])) for cable in found.cables)


def checked(torus):
    """Check a torus by the rules of Slurm (torus3d_record.c), and return its nodes by place."""
    sizes = tuple(torus["dims"][d] for d in "xyz")
    regions = torus.get("regions") or [{"anchor": dict.fromkeys("xyz", 0), **torus}]
    at = {}
    for region in regions:
        dims, anchor = ([region[key][d] for d in "xyz"] for key in ("dims", "anchor"))
        nodes = hosts(region["nodes"], ("", 1), None)
        assert len(nodes) == prod(dims)
        assert all(a + n <= size for a, n, size in zip(anchor, dims, sizes, strict=True))
        places = [(x, y, z) for z, y, x in product(*(range(n) for n in reversed(dims)))]
        for place, node in zip(places, nodes, strict=True):
            key = tuple(a + i for a, i in zip(anchor, place, strict=True))
            assert key not in at
            at[key] = node
    assert len(set(at.values())) == len(at)
    shapes = [tuple(one["dims"][d] for d in "xyz") for one in torus["placements"]]
    assert shapes[0] == sizes
    assert shapes[-1] == (1, 1, 1)
    # The next one fits into the one before without a rest, and so into the torus: no two places overlap.
    for large, small in zip(shapes, shapes[1:], strict=False):
        assert all(n % m == 0 for n, m in zip(large, small, strict=True))
        assert prod(small) < prod(large)
    return sizes, at


def test_a_torus_is_written_with_x_fastest_and_read_back(tmp_path):
    text = written(TORUS, "slurm-torus3d")
    (topology,) = yaml.safe_load(text)
    first, second = topology["torus3d"]["toruses"]
    assert (first["name"], second["name"]) == ("pod0", "pod1")
    sizes, at = checked(first)
    assert sizes == (4, 3, 2)
    assert [at[x, 0, 0] for x in range(4)] == [f"pod0-x{x}-y0-chip0" for x in range(4)]
    assert at[3, 2, 1] == "pod0-x3-y2-chip1"
    # Parallel cables are one to Slurm, and so are the two of a ring of two.
    assert pairs(read(text, "topology.yaml", tmp_path)) == Counter(dict.fromkeys(joined(TORUS), 1))


def test_a_file_with_all_topologies_has_the_torus_as_its_default(tmp_path):
    text = written(TORUS, "slurm")
    own, tree, block = yaml.safe_load(text)
    assert [list(one)[-1] for one in (own, tree, block)] == ["torus3d", "tree", "block"]
    assert [one["cluster_default"] for one in (own, tree, block)] == [True, False, False]
    # What no switch joins is near each other in its own domain.
    assert len(tree["tree"]["switches"]) == 2
    assert all(switch["switch"] for switch in tree["tree"]["switches"])
    assert set(pairs(read(text, "topology.yaml", tmp_path))) == joined(TORUS)


def test_absent_nodes_are_no_part_of_any_region(tmp_path):
    lacking = TORUS + "absent: [pod0/x1/y0/chip0, pod0/x0/y2/chip1]\n"
    text = written(lacking, "slurm-torus3d")
    first, second = yaml.safe_load(text)[0]["torus3d"]["toruses"]
    _, at = checked(first)
    assert sorted({*product(range(4), range(3), range(2))} - set(at)) == [(0, 2, 1), (1, 0, 0)]
    assert "nodes" in second
    assert pairs(read(text, "topology.yaml", tmp_path)) == Counter(dict.fromkeys(joined(lacking), 1))


def test_chips_of_a_host_are_one_node(tmp_path):
    (torus,) = yaml.safe_load(written(BOXED, "slurm-torus3d"))[0]["torus3d"]["toruses"]
    sizes, at = checked(torus)
    assert (torus["name"], sizes, at[1, 1, 0]) == ("b", (4, 2, 1), "hx1-hy1")
    assert len(at) == 8


def test_rings(tmp_path):
    conf = written(RING, "slurm-ring")
    assert conf == "RingName=rack0 Nodes=rack0-node[0-5]\nRingName=rack1 Nodes=rack1-node[0-5]\n"
    own, *_ = yaml.safe_load(written(RING, "slurm"))
    assert own["ring"]["rings"] == [{"ring": f"rack{r}", "nodes": f"rack{r}-node[0-5]"} for r in range(2)]
    for text, name in ((conf, "topology.conf"), (written(RING, "slurm"), "topology.yaml")):
        assert pairs(read(text, name, tmp_path)) == Counter(dict.fromkeys(joined(RING), 1))


def test_a_hostlist_may_keep_its_order():
    names = ["n2", "n0", "n1", "n3", "a09", "a10", "x"]
    text = hostlist_in_order(names)
    assert text == "n2,n[0-1],n3,a09,a10,x"
    assert hosts(text, ("", 1), None) == names


@pytest.mark.parametrize(
    ("text", "form", "why"),
    [
        (TORUS.replace("ring: z", "ring: z, twist: {y: 1}"), "slurm-torus3d", "z that close its rings are shifted"),
        (TORUS.replace("ring: x", "line: x"), "slurm-torus3d", "x0-y0-chip0 and pod0-x3-y0-chip0 are not joined, but"),
        (TORUS.replace("ring: x", "mesh: x"), "slurm-torus3d", "are joined, but do not stand side by side"),
        (TORUS.replace("z: 2}", "z: 2, w: 2}").replace("y, z]", "y, z, w]").replace("links:", "links:\n  - {between: "
         "[chip, chip], name: w, ring: w, rate: 1Gb/s}"), "slurm-torus3d", "they have 4 dimensions"),
        (TORUS, "slurm-ring", "they are tori of 4 x 3 x 2, which slurm-torus3d writes"),
        (RING.replace("i: 6", "i: 17"), "slurm-ring", "they have 17 nodes, and Slurm at most 16"),
        (RING + "absent: [rack1/node3]\n", "slurm-ring", "rack1 lacks a node"),
        ("{fabric: a, axes: {i: 2}, devices: {node: {kind: host, axes: [i], endpoint: true}, leaf: {kind: switch, "
         "axes: []}}, links: [{between: [node, leaf], rate: 1Gb/s}]}", "slurm-torus3d", "no cable joins two of them"),
    ],
)  # fmt: skip
def test_what_is_no_torus_says_why(text, form, why):
    with pytest.raises(QuestionError, match=why) as caught:
        written(text, form)
    assert "the nodes are no rings or tori" in str(caught.value)
    # The file with all that there is then has its tree.
    if form == "slurm-torus3d":
        tree, _ = yaml.safe_load(written(text, "slurm"))
        assert tree["cluster_default"]


HEAD = "- topology: t\n  torus3d:\n    toruses:\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('    - {name: p, dims: {x: 3, y: 2, z: 1}, nodes: "n[0-4]"}\n', [4]),
        ('    - {name: p, dims: {x: 70000, y: 2, z: 1}, nodes: "n[0-4]"}\n', [4]),
        ('    - {name: p, dims: {x: 0, y: 2, z: 1}, nodes: ""}\n', [4]),
        ('    - {name: p, dims: {x: 2, y: 1, z: 1}, nodes: "n[0-1]"}\n'
         '    - {name: q, dims: {x: 2, y: 1, z: 1}, nodes: "n[1-2]"}\n', [5]),
        ("    - name: p\n      dims: {x: 4, y: 1, z: 1}\n      regions:\n"
         "      - {anchor: {x: 3, y: 0, z: 0}, dims: {x: 2, y: 1, z: 1}, nodes: 'n[0-1]'}\n"
         "      - {anchor: {x: 0, y: 0, z: 0}, dims: {x: 2, y: 1, z: 1}, nodes: 'n[2-3]'}\n"
         "      - {anchor: {x: 1, y: 0, z: 0}, dims: {x: 2, y: 1, z: 1}, nodes: 'n[4-5]'}\n"
         "      - {anchor: {x: -1}, dims: {x: 2, y: 1, z: 1}, nodes: 'n[4-5]'}\n", [7, 9, 10]),
    ],
)  # fmt: skip
def test_tori_that_slurm_would_refuse_are_refused_with_their_lines(text, lines, tmp_path):
    with pytest.raises(TopologyError, match=r"topology.yaml:\d+") as caught:
        read(HEAD + text, "topology.yaml", tmp_path)
    assert [problem.line for problem in caught.value.problems] == lines
