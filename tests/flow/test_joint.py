"""Links that carry climbing and descending traffic of one question: exact by a linear program."""

import networkx as nx
import numpy as np
import pytest
from scipy import optimize

from fabric.errors import QuestionError
from fabric.flow import flow_network, max_flow
from fabric.graph import loads

#   gpu0    gpu1        no NVLink: the way from gpu0 to gpu1 leaves the node and comes back
#    |        |
#   cpu0 == cpu1        4
#    |        |
#   nic0    nic1        10 each
#     \      /
#       leaf
NODE = """
fabric: node
axes: {{socket: 2}}
devices:
  gpu: {{kind: gpu, axes: [socket]}}
  cpu: {{kind: host, axes: [socket]}}
  nic: {{kind: nic, axes: [socket]}}
  leaf: {{kind: switch, axes: []}}
links:
  - {{between: [gpu, cpu], rate: 100Gb/s, net: host}}
  - {{between: [cpu, cpu], rate: {peer}Gb/s, mesh: socket, peer: true, net: host}}
  - {{between: [cpu, nic], rate: 100Gb/s, net: host}}
  - {{between: [nic, leaf], rate: {nic}Gb/s}}
"""

MESH = """
fabric: mesh
axes: {{rack: {n}}}
devices:
  gpu: {{kind: gpu, axes: [rack]}}
  leaf: {{kind: switch, axes: [rack]}}
  spine: {{kind: switch, axes: []}}
links:
  - {{between: [gpu, leaf], rate: 100Gb/s}}
  - {{between: [leaf, leaf], rate: {peer}Gb/s, mesh: rack, peer: true}}
  - {{between: [leaf, spine], rate: {up}Gb/s}}
"""


def node_flow(peer, nic):
    """Solve the node by hand: p by the own NIC, q by the peer's NIC; r and s the same for coming in."""
    # p + q = r + s and p, q, r, s <= nic. The link from cpu0 to cpu1 carries what climbs to nic1 (q), and
    # what comes in by nic0 and descends to gpu1 (r).
    limits = [[0, 1, 1, 0]]
    bounds = [(0, nic)] * 4
    found = optimize.linprog([-1, -1, 0, 0], limits, [peer], [[1, 1, -1, -1]], [0], bounds)
    return min(100.0, -found.fun)


@pytest.mark.parametrize(("peer", "nic"), [(4, 10), (30, 10), (20, 10), (1, 99), (7, 3)])
def test_cpus_joined_inside_a_node(peer, nic):
    fabric = loads(NODE.format(peer=peer, nic=nic))
    answer = max_flow(fabric, "gpu0", "gpu1")
    assert answer.value_gbps == pytest.approx(node_flow(peer, nic), rel=1e-9)
    assert answer.status == "optimal"
    with pytest.raises(
        QuestionError, match=r"cpu0 - cpu1 shares its capacity .* no directed graph expresses"
    ):
        flow_network(fabric, "gpu0", "gpu1")


def test_the_joint_cable_is_half_of_each_way():
    answer = max_flow(loads(NODE.format(peer=4, nic=10)), "gpu0", "gpu1")
    assert answer.value_gbps == pytest.approx(12.0)
    assert {c.link for c in answer.cut} | set(answer.tied) == {"cpu-cpu", "nic-leaf"}
    assert sum(c.capacity_gbps for c in answer.cut) == pytest.approx(12.0)


def test_ties_of_a_joint_question():
    # With 20 between the CPUs all that the NICs carry gets through, and the link between the CPUs binds too.
    answer = max_flow(loads(NODE.format(peer=20, nic=10)), "gpu0", "gpu1")
    assert answer.value_gbps == pytest.approx(20.0)
    assert {c.link for c in answer.cut} | set(answer.tied) == {"cpu-cpu", "nic-leaf"}
    ample = max_flow(loads(NODE.format(peer=30, nic=10)), "gpu0", "gpu1")
    assert {c.link for c in ample.cut} | set(ample.tied) == {"nic-leaf"}


def mesh_flow(n, peer, up):
    """Solve the leaf mesh from rack 0 to rack 1 as a flow of its own with shared capacities."""
    # Arcs (from, to, capacity row): u for climbing and d for descending halves, s for the spine.
    arcs, rows = [], {}
    for i in range(n):
        arcs.append((f"u{i}", f"d{i}", None))
        arcs.append((f"u{i}", "s", rows.setdefault(("up", i), (len(rows), up))[0]))
        arcs.append(("s", f"d{i}", rows.setdefault(("down", i), (len(rows), up))[0]))
        for j in range(n):
            if i != j:
                row = rows.setdefault(("peer", i, j), (len(rows), peer))[0]
                arcs += [(f"u{i}", f"u{j}", row), (f"d{i}", f"d{j}", row)]
    nodes = {v: k for k, v in enumerate(sorted({v for arc in arcs for v in arc[:2]} - {"u0", "d1"}))}
    balance, use, cost = (
        np.zeros((len(nodes), len(arcs))),
        np.zeros((len(rows), len(arcs))),
        np.zeros(len(arcs)),
    )
    for k, (tail, head, row) in enumerate(arcs):
        for v, sign in ((tail, 1), (head, -1)):
            if v in nodes:
                balance[nodes[v], k] += sign
        if row is not None:
            use[row, k] = 1
        cost[k] -= (head == "d1") - (tail == "d1")
    limits = [limit for _, limit in rows.values()]
    found = optimize.linprog(cost, use, limits, balance, np.zeros(len(nodes)))
    return min(100.0, -found.fun)


@pytest.mark.some(4)
@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize(("peer", "up"), [(10, 15), (5, 40), (8 / 3, 1), (30, 30)])
def test_leaf_mesh_below_a_spine(n, peer, up):
    answer = max_flow(loads(MESH.format(n=n, peer=peer, up=up)), "gpu0", "gpu1")
    assert answer.value_gbps == pytest.approx(mesh_flow(n, peer, up), rel=1e-9)
    assert answer.status == "optimal"


def test_a_mesh_alone_is_plain_flow():
    text = """
    fabric: dragonfly
    axes: {group: 3, router: 4}
    devices: {gpu: {kind: gpu, axes: [group, router]}, router: {kind: switch, axes: [group, router]}}
    links:
      - {between: [gpu, router], rate: 100Gb/s}
      - {between: [router, router], name: local, rate: 20Gb/s, mesh: router, peer: true}
      - {between: [router, router], name: global, rate: 10Gb/s, mesh: group, peer: true}
    """
    fabric = loads(text)
    answer = max_flow(fabric, "group0/gpu0", "group1/gpu1")
    assert answer.status == "optimal"
    assert nx.maximum_flow_value(*flow_network(fabric, "group0/gpu0", "group1/gpu1")) == answer.value_gbps
