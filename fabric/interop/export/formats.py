"""The table of formats, and `export`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from fabric.arguments import checked
from fabric.errors import QuestionError, nearest
from fabric.graph import Fabric
from fabric.interop.export import astra_sim, cables, graphs, infragraph, nccl_topo, schedulers
from fabric.results import Result
from fabric.sizing.cable_plan import CablePlan
from fabric.sizing.floor import FloorPlan

Files = dict[str, str]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of another tool.

    Parameters
    ----------
    name : str
    about : str
        Whose format it is.
    loss : str
        What of a fabric it cannot hold.
    from_plan, from_fabric : callable or None
        What writes it, from a cable plan or from the fabric.
    """

    name: str
    about: str
    loss: str
    from_plan: Callable[[CablePlan], Files] | None = None
    from_fabric: Callable[[Fabric], Files] | None = None


_INSIDE = "rates, parts, transit and what is inside boxes"
_NEAR = "all but which nodes are near each other"
_SIDE = "all but which nodes stand side by side"
_AXES = "axes as such: indices stand on the nodes"
_PLANS = (
    Format("p2p-ethernet", "point-to-point list of UFM's cable validation", _INSIDE, cables.p2p_ethernet),
    Format("p2p-infiniband", "the same for InfiniBand", _INSIDE, cables.p2p_infiniband),
    Format("dot", "topology.dot of PTM and NVIDIA Air", _INSIDE, cables.dot),
    Format("netbox", "CSV files that NetBox 4.6 imports", "axes, transit, rates of ports", cables.netbox),
    Format("containerlab", "containerlab topology", "parts, transit", cables.containerlab),
    Format("netlab", "netlab topology", "parts, transit and what is inside boxes", cables.netlab),
    Format("nvidia-air", "simulation of NVIDIA Air", _INSIDE, cables.nvidia_air),
    Format("ibsim", "network of ibsim", _INSIDE, cables.ibsim),
    Format("slurm", "topology.yaml: a tree, blocks, rings, tori", _NEAR, schedulers.slurm_yaml),
    Format("slurm-tree", "topology.conf of topology/tree", _NEAR, schedulers.slurm_tree),
    Format("slurm-block", "topology.conf of topology/block", "all but the domains", schedulers.slurm_block),
    Format("slurm-ring", "topology.conf of topology/ring", _SIDE, schedulers.slurm_ring),
    Format("slurm-torus3d", "topology.yaml of topology/torus3d", _SIDE, schedulers.slurm_torus),
    Format("topograph", "model of Topograph 1.0", _NEAR, schedulers.topograph),
    Format("kueue", "Kueue v1beta2 Topology, and labels of nodes", _NEAR, schedulers.kueue),
)
_GRAPHS = (
    Format("graphml", "GraphML of NetworkX", _AXES, from_fabric=graphs.graphml),
    Format("node-link", "node-link JSON of NetworkX", _AXES, from_fabric=graphs.node_link),
    Format("cytoscape", "JSON of Cytoscape", _AXES, from_fabric=graphs.cytoscape),
    Format("simai", "topology of SimAI", "axes, NICs, hosts, parts", from_fabric=graphs.simai),
)
_BOXES = (
    Format(
        "nccl-topo",
        "NCCL_TOPO_FILE of each host with GPUs",
        "the network, NVLinks between hosts, links between processors; bus ids are made up",
        from_fabric=nccl_topo.nccl_topology,
    ),
    Format(
        "infragraph",
        "InfraGraph 3.1",
        "axes, parts, transit, what is down; parallel cables without ports are one",
        from_fabric=infragraph.infragraph,
    ),
)
_PRODUCTS = (
    Format(
        "astra-sim",
        "network file of ASTRA-sim",
        "parts, cards, hosts; latencies are those of SimAI's examples",
        from_fabric=astra_sim.astra_sim,
    ),
)
FORMATS = {entry.name: entry for entry in (*_PLANS, *_GRAPHS, *_BOXES, *_PRODUCTS)}


@dataclass(frozen=True, slots=True)
class Export(Result):
    """Answer of `export`.

    Parameters
    ----------
    format : str
    loss : str
        What the format cannot hold.
    files : mapping of str to str
        Texts by name; one file has no name.
    """

    format: str
    loss: str
    files: Files

    shown: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        """Return the texts, one after another."""
        return "".join(self.files.values()).rstrip("\n")


@checked
def export(fabric: Fabric, format: str, *, floor: FloorPlan | None = None) -> Export:  # noqa: A002 - the word of the field
    """Return a fabric in the format of another tool.

    Parameters
    ----------
    fabric : Fabric
    format : str
        A name of `FORMATS`.
    floor : FloorPlan, optional
        Where racks stand.

    Returns
    -------
    Export

    Raises
    ------
    QuestionError
        If there is no such format, or the fabric cannot be said in it.
    LimitError
        If the fabric is too large to be listed.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 2}, devices: {node: {kind: host, axes: [i], endpoint: true}, "
    >>> text += "leaf: {kind: switch, axes: []}}, links: [{between: [node, leaf], rate: 400Gb/s}]}"
    >>> print(export(loads(text), "slurm-tree"))
    SwitchName=leaf-tier0 Nodes=node[0-1]
    """
    if format not in FORMATS:
        msg = f"no format {format!r}; {nearest(format, FORMATS) or 'formats are ' + ', '.join(FORMATS)}"
        raise QuestionError(msg)
    entry = FORMATS[format]
    if entry.from_fabric is not None:
        files = entry.from_fabric(fabric)
    elif entry.from_plan is not None:
        files = entry.from_plan(CablePlan(fabric.axes_or_refuse(f"the format {format}"), floor))
    return Export(format, entry.loss, files)
