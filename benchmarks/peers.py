"""The same questions asked of other tools; each is imported only when its case runs."""
# Their types are their own.
# ruff: noqa: ANN401

from typing import Any

# Gb/s that no flow here reaches, where a capacity has no limit: scipy and ngraph know no missing capacity.
NO_LIMIT = 1_000_000_000


def scipy_matrix(graph: Any, source: Any, target: Any) -> tuple[Any, int, int]:
    """Return a flow network as scipy wants it: int32 Gb/s, which silently wraps above 2**31 - 1."""
    import numpy as np
    from scipy.sparse import csr_matrix

    number = {v: i for i, v in enumerate(graph)}
    rows = [(number[u], number[v], data.get("capacity", NO_LIMIT)) for u, v, data in graph.edges(data=True)]
    tail, head, capacity = (np.array(column) for column in zip(*rows, strict=True))
    matrix = csr_matrix((capacity.round().astype(np.int32), (tail, head)), shape=(len(number),) * 2)
    return matrix, number[source], number[target]


def ngraph_graph(graph: Any, source: Any, target: Any) -> tuple[Any, Any, int, int]:
    """Return the solver of NetGraph, and a flow network as it wants it."""
    import netgraph_core
    import networkx as nx
    from ngraph import from_networkx

    named = nx.relabel_nodes(graph, {v: str(v) for v in graph})
    for _, _, data in named.edges(data=True):
        data.setdefault("capacity", float(NO_LIMIT))
    core, nodes, _ = from_networkx(named)
    solver = netgraph_core.Algorithms(netgraph_core.Backend.cpu())
    return solver, solver.build_graph(core), nodes.to_index[str(source)], nodes.to_index[str(target)]


def infragraph_racks(n: int) -> Any:
    """Return `n` NVL72 racks with their NICs as InfraGraph builds them: a networkx.Graph."""
    from infragraph import Component, Device, DeviceEdge, Infrastructure
    from infragraph.infragraph_service import InfraGraphService

    rack = Device(name="nvl72", description="72 GPUs with a NIC each, 18 NVLink chips")
    for name, kind, count in (
        ("gpu", Component.XPU, 72),
        ("chip", Component.SWITCH, 18),
        ("nic", Component.NIC, 72),
    ):
        rack.components.add(name=name, description=name, count=count).choice = kind
    for name, rate, scheme, other in (
        ("nvlink", 400, DeviceEdge.MANY2MANY, "chip"),
        ("pcie", 800, DeviceEdge.ONE2ONE, "nic"),
    ):
        rack.links.add(name=name).physical.bandwidth.gigabits_per_second = rate
        edge = rack.edges.add(scheme=scheme, link=name)
        edge.ep1.component, edge.ep2.component = "gpu", other
    racks = Infrastructure(name="racks", description="racks")
    racks.devices.append(rack)
    racks.instances.add(name="rack", device="nvl72", count=n)
    service = InfraGraphService()
    service.set_graph(racks.serialize())
    return service.get_networkx_graph()
