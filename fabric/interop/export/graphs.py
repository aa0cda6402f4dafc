"""Formats of graphs: GraphML, node-link and Cytoscape JSON, and the text of SimAI."""

from __future__ import annotations

import io
import json

import networkx as nx

from fabric.errors import QuestionError
from fabric.graph import Fabric, expand
from fabric.graph.exchange import to_networkx

Files = dict[str, str]
Bundle = tuple[int, int, int, float, int]
"""Tail, head, rule, rate [Gb/s] and cables that are up."""

CABLE_LATENCY_S = 500e-9
"""Latency that SimAI is told of a link between devices: its examples' own value [s]."""
DOMAIN_LATENCY_S = 25e-9
"""The same inside a scale-up domain [s]."""


def graphml(fabric: Fabric) -> Files:
    """Return GraphML, with the numbers of cables as the ids of edges."""
    graph = _numbered(to_networkx(fabric))
    sink = io.BytesIO()
    nx.write_graphml(graph, sink)
    return {"": sink.getvalue().decode() + "\n"}


def node_link(fabric: Fabric) -> Files:
    """Return the node-link JSON of NetworkX."""
    return {"": json.dumps(nx.node_link_data(to_networkx(fabric), edges="edges"), indent=1) + "\n"}


def cytoscape(fabric: Fabric) -> Files:
    """Return the JSON that Cytoscape and Cytoscape.js read."""
    return {"": json.dumps(nx.cytoscape_data(_numbered(to_networkx(fabric))), indent=1) + "\n"}


def _numbered(graph: nx.MultiGraph) -> nx.MultiGraph:
    """Return a graph whose edges have keys of their own: these formats make ids of them."""
    numbered = nx.MultiGraph(**graph.graph)
    numbered.add_nodes_from(graph.nodes(data=True))
    for number, (a, b, data) in enumerate(graph.edges(data=True)):
        # What is not known is left out: these formats know no null.
        known = {key: value for key, value in data.items() if value is not None}
        numbered.add_edge(a, b, key=number, **known)
    return numbered


def simai(fabric: Fabric) -> Files:
    """Return the topology of SimAI: GPUs, the switches of domains, the switches of the network.

    A cable of a NIC is one of the GPU that it is nearest to, of several the one with fewest NICs so far:
    SimAI knows no NICs, hosts and PCIe.

    Raises
    ------
    QuestionError
        If the endpoints are no GPUs in scale-up domains of one size.
    """
    e = expand(fabric)
    kind = [e.groups[group].kind for group in e.group.tolist()]
    columns = (e.tail, e.head, e.rule, e.rate_gbps, e.alive)
    bundles: list[Bundle] = list(zip(*(column.tolist() for column in columns), strict=True))
    of_net: dict[str, list[Bundle]] = {"scale-up": [], "host": [], "scale-out": []}
    for bundle in bundles:
        of_net[e.rules[bundle[2]].net].append(bundle)
    gpus = [v for v, is_kind in enumerate(kind) if is_kind == "gpu"]
    inside = sorted(_switches(of_net["scale-up"], kind))
    outside = sorted(_switches(of_net["scale-out"], kind) - set(inside))
    number = {v: n for n, v in enumerate([*gpus, *inside, *outside])}
    stands_for = {**{v: v for v in number}, **_owners(of_net["host"], kind)}
    links = []
    for net, latency_s in (("scale-up", DOMAIN_LATENCY_S), ("scale-out", CABLE_LATENCY_S)):
        for tail, head, _, rate_gbps, n in of_net[net]:
            if n and tail in stands_for and head in stands_for:
                ends = f"{number[stands_for[tail]]} {number[stands_for[head]]}"
                links.append(f"{ends} {rate_gbps * n:g}Gbps {1e3 * latency_s:.6f}ms 0")
    per_server = _per_domain(gpus, of_net["scale-up"])
    part = next((g.part for g in e.groups if g.kind == "gpu" and g.part), "GPU")
    head_line = f"{len(number)} {per_server} {len(inside)} {len(outside)} {len(links)} {part}"
    ids = " ".join(str(number[v]) for v in (*inside, *outside))
    return {"": "\n".join([head_line, ids, *links]) + "\n"}


def _switches(bundles: list[Bundle], kind: list[str]) -> set[int]:
    return {v for tail, head, *_ in bundles for v in (tail, head) if kind[v] == "switch"}


def _owners(bundles: list[Bundle], kind: list[str]) -> dict[int, int]:
    """Return the GPU that the cables of each NIC are told to be of."""
    host = nx.Graph([(tail, head) for tail, head, *_ in bundles])
    n_cards: dict[int, int] = {}
    owner = {}
    for nic in sorted(v for v in host if kind[v] == "nic"):
        # Ring by ring from the NIC; the first with a GPU in it decides.
        for ring in nx.bfs_layers(host, nic):
            near = [v for v in ring if kind[v] == "gpu"]
            if near:
                gpu = owner[nic] = min(near, key=lambda v: (n_cards.get(v, 0), v))
                n_cards[gpu] = n_cards.get(gpu, 0) + 1
                break
    return owner


def _per_domain(gpus: list[int], bundles: list[Bundle]) -> int:
    """Return how many GPUs are in each scale-up domain."""
    graph = nx.Graph([(tail, head) for tail, head, *_ in bundles])
    graph.add_nodes_from(gpus)
    wanted = set(gpus)
    sizes = {len(wanted & part) for part in nx.connected_components(graph)} - {0}
    if len(sizes) != 1:
        found = f"domains of {', '.join(map(str, sorted(sizes)))}" if sizes else "no GPUs"
        msg = f"simai: expected GPUs in scale-up domains of one size; there are {found}"
        raise QuestionError(msg)
    return sizes.pop()
