"""Topologies of every usual shape, small, for imports and audits; and their cables as tools list them."""

import random

from fabric.graph import loads
from fabric.sizing.cable_plan import CablePlan


def _clos(axes, groups, links):
    devices = {"node": "{kind: host, endpoint: true, axes: [%s]}"}
    lines = [f"axes: {{{axes}}}", "devices:"]
    for name, own in groups.items():
        lines.append(f"  {name}: " + devices.get(name, "{kind: switch, axes: [%s]}") % own)
    lines += ["links:", *(f"  - {{between: [{ends}], rate: 400Gb/s{more}}}" for ends, more in links)]
    return "\n".join(lines) + "\n"


SHAPES = {
    "two-tier": _clos(
        "su: 3, node: 6, rail: 4, spine: 4",
        {"node": "su, node", "leaf": "su, rail", "spine": "spine"},
        [("node, leaf", ""), ("leaf, spine", ", count: 2")],
    ),
    "three-tier": _clos(
        "pod: 3, su: 2, node: 5, rail: 4, k: 3, core: 2",
        {"node": "pod, su, node", "leaf": "pod, su, rail", "spine": "pod, k", "core": "k, core"},
        [("node, leaf", ""), ("leaf, spine", ""), ("spine, core", ", count: 2")],
    ),
    "top-of-rack": _clos(
        "rack: 6, node: 5, spine: 3",
        {"node": "rack, node", "leaf": "rack", "spine": "spine"},
        [("node, leaf", ""), ("leaf, spine", ", count: 2")],
    ),
    "rail-only": _clos("node: 10, rail: 4", {"node": "node", "leaf": "rail"}, [("node, leaf", "")]),
    "planes": _clos(
        "plane: 2, su: 4, node: 6, rail: 2, spine: 3",
        {"node": "su, node", "leaf": "plane, su, rail", "spine": "plane, spine"},
        [("node, leaf", ""), ("leaf, spine", ", count: 2")],
    ),
    "rail-groups": _clos(
        "su: 4, node: 6, group: 2, rail: 2, spine: 3",
        {"node": "su, node", "leaf": "su, group, rail", "spine": "group, spine"},
        [("node, leaf", ""), ("leaf, spine", "")],
    ),
    "fat-tree": _clos(
        "pod: 6, edge: 3, node: 3, agg: 3, core: 3",
        {"node": "pod, edge, node", "edge": "pod, edge", "agg": "pod, agg", "core": "agg, core"},
        [("node, edge", ""), ("edge, agg", ""), ("agg, core", "")],
    ),
    "hyperx": _clos(
        "x: 4, y: 3, node: 4",
        {"node": "x, y, node", "router": "x, y"},
        [
            ("node, router", ""),
            ("router, router", ", name: across, mesh: x"),
            ("router, router", ", name: up, mesh: y"),
        ],
    ),
    "full-mesh": _clos(
        "router: 6, node: 3",
        {"node": "router, node", "router": "router"},
        [("node, router", ""), ("router, router", ", mesh: router")],
    ),
    "torus": _clos(
        "x: 6, y: 5, node: 2",
        {"node": "x, y, node", "router": "x, y"},
        [
            ("node, router", ""),
            ("router, router", ", name: across, ring: x"),
            ("router, router", ", name: up, ring: y"),
        ],
    ),
}
"""Topology files without their first line, by name: hosts at the bottom, one rate."""


def drawn(shape):
    """Return the fabric of a shape."""
    return loads(f"fabric: {shape}\n{SHAPES[shape]}")


def cables_of(f):
    """Return the cables of a plan, ``((node, port), (node, port))``, and which of its nodes are switches."""
    plan = CablePlan(f.blueprint)
    ends = [((c.a.node, c.a.port), (c.z.node, c.z.port)) for c in plan.cables()]
    return ends, {node.name for node in plan.nodes() if node.is_switch}


def renamed(ends, switches, seed):
    """Return the same cables between nodes that have each other's names, in another order."""
    rng = random.Random(seed)
    nodes = sorted({node for cable in ends for node, _ in cable})
    numbers = list(range(len(nodes)))
    rng.shuffle(numbers)
    name = {node: f"n{number}" for node, number in zip(nodes, numbers, strict=True)}
    shuffled = [((name[a], p), (name[z], q)) for (a, p), (z, q) in ends]
    rng.shuffle(shuffled)
    return shuffled, {name[node] for node in switches}


def point_to_point(ends, switches):
    """Return a point-to-point list; where `switches` is None it says nothing of what nodes are."""
    kind = (lambda node: "") if switches is None else lambda node: "Switch" if node in switches else "Host"
    lines = ["A-Rack,A-U,A-Node Name,A-Type,A-Port,Z-Rack,Z-RU,Z-Node Name,Z-Type,Z-Port"]
    lines += [f",,{a},{kind(a)},{p},,,{z},{kind(z)},{q}" for (a, p), (z, q) in ends]
    return "\n".join(lines) + "\n"
