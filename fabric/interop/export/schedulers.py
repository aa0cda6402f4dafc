"""Formats of schedulers: which nodes are near each other, as trees of switches and as blocks.

Rails, planes and parallel spines are one *tier* to a scheduler: nodes that reach each other through the
scale-out switches up to a tier are under one virtual switch of it.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import yaml

from fabric.errors import QuestionError
from fabric.interop.export.tori import NodeTorus, rings, tori, toruses
from fabric.sizing.cable_plan import CablePlan

Files = dict[str, str]

_INDEX = re.compile(r"(?P<stem>.*?)(?P<index>\d+)", re.ASCII)
# A name of a node is the value of a label too, which is shorter (docs "Labels and Selectors").
_NODE_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?", re.ASCII)
TIER_LABEL = "fabric.topograph.run/tier-{}"
DOMAIN_LABEL = "accelerator.topograph.run/domain"
HOST_LABEL = "kubernetes.io/hostname"
# libyaml writes a document for each node ten times as fast, in the same bytes.
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass
class VirtualSwitch:
    """A virtual switch: what is under it, and the nodes right below it.

    Parameters
    ----------
    name : str
    below : list of VirtualSwitch
    nodes : list of str
        Only of the lowest tier.
    """

    name: str
    below: list[VirtualSwitch] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)

    def walk(self) -> Iterator[VirtualSwitch]:
        """Yield this switch and all below it, upper ones first."""
        yield self
        for tier in self.below:
            yield from tier.walk()


def tiers(plan: CablePlan) -> list[VirtualSwitch]:
    """Return the roots of the tree of virtual switches over the nodes of a plan."""
    nodes = list(plan.nodes())
    level = {node.name: node.level for node in nodes}
    group = {node.name: node.group for node in nodes}
    hosts = [node.name for node in nodes if not node.is_switch]
    reach = nx.utils.UnionFind(level)
    joined: dict[int, list[tuple[str, str]]] = defaultdict(list)
    scale_out = {rule.name for rule in plan.rules if rule.net == "scale-out"}
    for cable in plan.cables():
        if cable.rule in scale_out:
            ends = cable.a.node, cable.z.node
            joined[max(level[end] for end in ends)].append(ends)
    if not joined:
        # Nothing but scale-up networks: nodes of a domain are near each other.
        for near in blocks(plan).values():
            joined[0] += [(near[0], node) for node in near]
    below: dict[str, VirtualSwitch] = {host: VirtualSwitch("", nodes=[host]) for host in hosts}
    n_named: dict[str, int] = defaultdict(int)
    for height in sorted(joined):
        for ends in joined[height]:
            reach.union(*ends)
        parts: dict[str, list[VirtualSwitch]] = defaultdict(list)
        for tier in {id(tier): tier for tier in below.values()}.values():
            parts[reach[_first_node(tier)]].append(tier)
        word = next((group[name] for name in level if level[name] == height), "tier")
        for members in parts.values():
            if len(members) > 1 or not members[0].name:
                merged = _merge(members, f"{word}-tier{n_named[word]}")
                n_named[word] += 1
                below |= dict.fromkeys(_all_nodes(merged), merged)
    for host, tier in below.items():
        if not tier.name:  # a node that no network reaches
            tier.name = f"{group[host]}-tier{n_named[group[host]]}"
            n_named[group[host]] += 1
    return list({id(tier): tier for tier in below.values()}.values())


def _merge(members: list[VirtualSwitch], name: str) -> VirtualSwitch:
    if all(not tier.name for tier in members):
        return VirtualSwitch(name, nodes=[node for tier in members for node in tier.nodes])
    # What comes in at an upper tier alone gets a switch of its own below it.
    below = [t if t.name else VirtualSwitch(f"{name}-{t.nodes[0]}", nodes=t.nodes) for t in members]
    return VirtualSwitch(name, below=below)


def _first_node(tier: VirtualSwitch) -> str:
    while not tier.nodes:
        tier = tier.below[0]
    return tier.nodes[0]


def _all_nodes(tier: VirtualSwitch) -> list[str]:
    return [node for part in tier.walk() for node in part.nodes]


def blocks(plan: CablePlan) -> dict[str, list[str]]:
    """Return the nodes of each scale-up domain."""
    domains: dict[str, list[str]] = defaultdict(list)
    for node, domain in plan.domains().items():
        domains[domain].append(node)
    return dict(domains)


def hostlist(names: Iterable[str]) -> str:
    """Return names as Slurm writes them.

    Examples
    --------
    >>> hostlist(["node0", "node1", "node2", "login", "node07"])
    'node[0-2],login,node07'
    """
    stems: dict[tuple[str, int], list[int]] = {}
    for name in dict.fromkeys(names):
        stem, width, number = _split(name)
        stems.setdefault((stem, width), []).append(number)
    return ",".join(_ranges(stem, width, numbers) for (stem, width), numbers in stems.items())


def hostlist_in_order(names: Iterable[str]) -> str:
    """Return names as Slurm writes them, where their order says something.

    Examples
    --------
    >>> hostlist_in_order(["n2", "n0", "n1", "m1"])
    'n2,n[0-1],m1'
    """
    runs: list[tuple[str, int, list[int]]] = []
    for name in names:
        stem, width, number = _split(name)
        if runs and runs[-1][:2] == (stem, width) and number == runs[-1][2][-1] + 1:
            runs[-1][2].append(number)
        else:
            runs.append((stem, width, [number]))
    return ",".join(itertools.starmap(_ranges, runs))


def _split(name: str) -> tuple[str, int, int]:
    """Return the stem of a name, the width of its number where that begins with a zero, and the number.

    Numbers of one width, or without leading zeros, can stand in one range; a name without has width -1.
    """
    match = _INDEX.fullmatch(name)
    if match is None:
        return name, -1, 0
    digits = match["index"]
    return match["stem"], len(digits) if digits[0] == "0" and len(digits) > 1 else 0, int(digits)


def _ranges(stem: str, width: int, numbers: list[int]) -> str:
    if width < 0:
        return stem
    runs: list[list[int]] = []
    for n in sorted(numbers):
        # A range has numbers of one width: 08-12 is not what n8 and n12 are called.
        if runs and n == runs[-1][1] + 1 and (not width or n < 10**width):
            runs[-1][1] = n
        else:
            runs.append([n, n])
    texts = [f"{a:0{width}d}" if a == b else f"{a:0{width}d}-{b:0{width}d}" for a, b in runs]
    return stem + (texts[0] if len(numbers) == 1 else f"[{','.join(texts)}]")


def slurm_tree(plan: CablePlan) -> Files:
    """Return ``topology.conf`` for the plugin topology/tree."""
    lines = []
    for root in tiers(plan):
        for tier in root.walk():
            under = hostlist(tier.nodes or [part.name for part in tier.below])
            what = f"{'Nodes' if tier.nodes else 'Switches'}={under}"
            lines.append(f"SwitchName={tier.name} {what}")
    return {"": "\n".join(lines) + "\n"}


def slurm_block(plan: CablePlan) -> Files:
    """Return ``topology.conf`` for the plugin topology/block: a block for each scale-up domain."""
    domains = blocks(plan)
    lines = [f"BlockName={name} Nodes={hostlist(nodes)}" for name, nodes in domains.items()]
    return {"": "\n".join([*lines, f"BlockSizes={','.join(map(str, block_sizes(domains)))}"]) + "\n"}


def block_sizes(domains: Mapping[str, list[str]]) -> list[int]:
    """Return the sizes of blocks: that of the smallest domain, and powers of two times it."""
    least = min(map(len, domains.values()), default=1)
    sizes = [least]
    while sizes[-1] * 2 <= least * len(domains):
        sizes.append(sizes[-1] * 2)
    return sizes


def slurm_ring(plan: CablePlan) -> Files:
    """Return ``topology.conf`` for the plugin topology/ring."""
    lines = [f"RingName={ring.name} Nodes={_in_order(ring)}" for ring in rings(tori(plan))]
    return {"": "\n".join(lines) + "\n"}


def slurm_torus(plan: CablePlan) -> Files:
    """Return ``topology.yaml`` with the tori that nodes form, and no more."""
    own = {"toruses": toruses(tori(plan), hostlist_in_order)}
    return {"": _yaml([{"topology": "torus", "cluster_default": True, "torus3d": own}], explicit_start=True)}


def _in_order(torus: NodeTorus) -> str:
    return hostlist_in_order(torus.node[cell] for cell in torus.cells())


def _closed(plan: CablePlan) -> list[dict[str, object]]:
    """Return the rings or else the tori that nodes form, as a topology; none where they form neither."""
    try:
        found = tori(plan)
    except QuestionError:
        return []
    try:
        own = [{"ring": ring.name, "nodes": _in_order(ring)} for ring in rings(found)]
    except QuestionError:
        listed = toruses(found, hostlist_in_order)
        return [{"topology": "torus", "cluster_default": True, "torus3d": {"toruses": listed}}]
    return [{"topology": "ring", "cluster_default": True, "ring": {"rings": own}}]


def slurm_yaml(plan: CablePlan) -> Files:
    """Return ``topology.yaml``: tree, blocks, and rings or tori, the default where there are any."""
    closed = _closed(plan)
    switches = []
    for root in tiers(plan):
        for tier in root.walk():
            under = hostlist(tier.nodes or [part.name for part in tier.below])
            own = {"nodes" if tier.nodes else "children": under}
            switches.append({"switch": tier.name, **own})
    domains = blocks(plan)
    block = {
        "block_sizes": block_sizes(domains),
        "blocks": [{"block": name, "nodes": hostlist(nodes)} for name, nodes in domains.items()],
    }
    topologies = [
        *closed,
        {"topology": "tree", "cluster_default": not closed, "tree": {"switches": switches}},
        {"topology": "scale-up", "cluster_default": False, "block": block},
    ]
    return {"": _yaml(topologies, explicit_start=True)}


def topograph(plan: CablePlan) -> Files:
    """Return a model of Topograph: the tree of switches, and a block for each scale-up domain under one."""
    switches: dict[str, object] = {}
    under: dict[str, str] = {}
    for root in tiers(plan):
        for tier in root.walk():
            if tier.below:
                switches[tier.name] = {"switches": [t.name for t in tier.below]}
            under |= dict.fromkeys(tier.nodes, tier.name)
    listed = [
        {
            "switch": under[nodes[0]],
            "nodes": [hostlist(nodes)],
            "annotations": {"accelerator.topology.test/domain": name},
        }
        for name, nodes in blocks(plan).items()
        if nodes[0] in under
    ]
    return {"": _yaml({"switches": switches, "blocks": listed})}


def kueue(plan: CablePlan) -> Files:
    """Return a Topology of Kueue with a ResourceFlavor, and the labels of its nodes.

    Raises
    ------
    QuestionError
        If a node is called what Kubernetes has for no node.
    """
    roots = tiers(plan)
    odd = next((node for root in roots for node in _all_nodes(root) if not _NODE_NAME.fullmatch(node)), None)
    if odd is not None:
        msg = f"kueue: {odd!r} is no name of a node in Kubernetes: a-z, 0-9, - and ., at most 63; see names:"
        raise QuestionError(msg)
    depth = _depth(roots)
    domain_of = plan.domains()
    labels = [TIER_LABEL.format(n) for n in reversed(range(depth))]
    levels = [{"nodeLabel": label} for label in (*labels, DOMAIN_LABEL, HOST_LABEL)]
    name = re.sub(r"[^a-z0-9-]+", "-", plan.blueprint.name.lower()).strip("-") or "fabric"
    topology: dict[str, object] = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Topology",
        "metadata": {"name": name},
        "spec": {"levels": levels},
    }
    flavor: dict[str, object] = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "ResourceFlavor",
        "metadata": {"name": name},
        "spec": {"nodeLabels": {"nvidia.com/gpu.present": "true"}, "topologyName": name},
    }
    nodes: list[dict[str, object]] = []
    for root in roots:
        for chain in _chains(root, ()):
            for node in chain[-1].nodes:
                # The highest tier has the highest number; a short branch repeats its lowest.
                own = [tier.name for tier in chain] + [chain[-1].name] * (depth - len(chain))
                told = dict(zip(labels, own, strict=True))
                told |= {DOMAIN_LABEL: domain_of.get(node, node), HOST_LABEL: node}
                told["nvidia.com/gpu.present"] = "true"
                nodes.append({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": told}})
    return {"topology.yaml": _documents([topology, flavor]), "nodes.yaml": _documents(nodes)}


def _depth(roots: list[VirtualSwitch]) -> int:
    return max((1 + _depth(root.below) for root in roots), default=0)


def _chains(tier: VirtualSwitch, above: tuple[VirtualSwitch, ...]) -> Iterator[tuple[VirtualSwitch, ...]]:
    if tier.nodes:
        yield (*above, tier)
    for part in tier.below:
        yield from _chains(part, (*above, tier))


def _yaml(data: object, *, explicit_start: bool = False) -> str:
    return yaml.safe_dump(data, sort_keys=False, explicit_start=explicit_start, width=110)


def _documents(items: list[dict[str, object]]) -> str:
    return yaml.dump_all(items, Dumper=_DUMPER, sort_keys=False, width=110)
