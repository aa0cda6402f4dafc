"""From the hardware of a node to the machine that NCCL's tuner sees."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fabric.errors import QuestionError
from fabric.nccl.model import CPUS, ChannelGraph, Machine, check_known, refuse
from fabric.nccl.search import ChannelRoom, Channels, Way, ring_ways, search, tree_ways
from fabric.nccl.tables import tables
from fabric.units import gbps_to_gbytes

NIC_PATHS = ("PIX", "PXB", "P2C", "PHB")
"""Kinds of paths between a GPU and its NIC that the search knows."""


@dataclass(frozen=True, slots=True)
class Node:
    """Hardware of one node, or of one NVLink domain of several trays, as NCCL reads it.

    Parameters
    ----------
    sm : int
        Compute capability of the GPUs, ten times: 80 A100, 90 H100, 100 B200.
    n_gpus : int
        GPUs that take part, 1 or more.
    n_nvlinks : int
        From one GPU to the NVSwitches; 0 only for one GPU.
    cpu : str
        As in `Machine`.
    pcie_generation, pcie_lanes : int
        Between a GPU and its NIC.
    n_nics : int
        Of those GPUs.
    nic_gbps : float
        Rate of one NIC per direction [Gb/s].
    nic_latency_us : float
        As the network plugin states it [us]; NCCL's own InfiniBand and RoCE state 0.
    nic_path : {"PIX", "PXB", "P2C", "PHB"}
        Kind of path between a GPU and its NIC; P2C is by way of a superchip's processor.
    gpus_per_switch : int, optional
        GPUs that reach a NIC by that path; the GPUs for each NIC by default.
    has_nvls : bool
        The NVSwitches reduce, from Hopper on.
    has_collnet : bool
        The network reduces (SHARP) and its plugin is in use, with all-gather and reduce-scatter.

    Raises
    ------
    QuestionError
        If a figure is out of range, or several GPUs have no NVSwitch.
    """

    sm: int
    n_gpus: int
    n_nvlinks: int
    cpu: str = "intel"
    pcie_generation: int = 5
    pcie_lanes: int = 16
    n_nics: int = 0
    nic_gbps: float = 0.0
    nic_latency_us: float = 0.0
    nic_path: str = "PIX"
    gpus_per_switch: int | None = None
    has_nvls: bool = True
    has_collnet: bool = False

    def __post_init__(self) -> None:
        lowest = {"n_gpus": 1, "n_nvlinks": 0, "pcie_lanes": 1, "n_nics": 0}
        for name, low in lowest.items():
            if getattr(self, name) < low:
                refuse(name, getattr(self, name), f"at least {low}")
        for name, rate in (("nic_gbps", self.nic_gbps), ("nic_latency_us", self.nic_latency_us)):
            if not 0 <= rate < math.inf:
                refuse(name, rate, "a finite figure from 0 up")
        if self.n_gpus > 1 and self.n_nvlinks == 0:
            todo = "NVLinks to NVSwitches; for GPUs on PCIe or NVLink bridges give Machine its graphs"
            refuse("n_nvlinks", self.n_nvlinks, todo)
        if self.gpus_per_switch is not None and not 1 <= self.gpus_per_switch <= self.n_gpus:
            refuse("gpus_per_switch", self.gpus_per_switch, f"1 to {self.n_gpus}")
        if self.pcie_generation not in tables().pcie_lane_gb_s:
            refuse("pcie_generation", self.pcie_generation, "one of " + _list(tables().pcie_lane_gb_s))
        check_known("cpu", self.cpu, CPUS)
        check_known("nic_path", self.nic_path, NIC_PATHS)
        if not any(first <= self.sm <= last for first, last, _ in tables().nvlinks):
            spans = ", ".join(f"{first}-{last}" for first, last, _ in tables().nvlinks)
            refuse("sm", self.sm, f"a compute capability of {spans}")

    @property
    def generation(self) -> str:
        """Generation of NCCL's tables."""
        # The newest generation whose compute capability is reached.
        later = ((100, "blackwell"), (90, "hopper"), (80, "ampere"))
        return next((name for sm, name in later if self.sm >= sm), "volta")

    @property
    def nvlink_gb_s(self) -> float:
        """What one GPU sends into the NVSwitches, as NCCL counts it [GB/s].

        Examples
        --------
        >>> round(Node(sm=90, n_gpus=8, n_nvlinks=18).nvlink_gb_s, 6)
        370.8
        """
        return self.n_nvlinks * next(r for first, last, r in tables().nvlinks if first <= self.sm <= last)

    @property
    def pcie_gb_s(self) -> float:
        """Rate between GPU and NIC [GB/s]."""
        return self.pcie_lanes * tables().pcie_lane_gb_s[self.pcie_generation]

    def room(self, *, is_inter: bool) -> ChannelRoom:
        """Return what the node offers to channels that leave it, or stay."""
        # Left out, GPUs share NICs evenly.
        share = self.gpus_per_switch
        if share is None:
            share = max(1, self.n_gpus // self.n_nics) if self.n_nics else 1
        return ChannelRoom(
            generation=self.generation,
            sm=self.sm,
            n_gpus=self.n_gpus,
            n_nics=self.n_nics,
            gpus_per_switch=share,
            nvlink_gb_s=self.nvlink_gb_s,
            pcie_gb_s=self.pcie_gb_s,
            nic_gb_s=gbps_to_gbytes(self.nic_gbps),
            nic_path=self.nic_path,
            is_inter=is_inter,
        )


def machine(node: Node, n_nodes: int = 1) -> Machine:
    """Return what NCCL's tuner sees of equal nodes.

    Parameters
    ----------
    node : Node
    n_nodes : int
        Nodes, or NVLink domains.

    Returns
    -------
    Machine
        With the graphs that NCCL's search finds on a symmetric node.

    Raises
    ------
    QuestionError
        If several nodes have no NIC, there is one rank only, or no rate of the ladder fits.

    References
    ----------
    NVIDIA/nccl@5067397, src/init.cc (initTransportsRank), src/graph/search.cc, src/graph/connect.cc.

    Examples
    --------
    >>> h100 = machine(Node(sm=90, n_gpus=8, n_nvlinks=18))
    >>> h100.ring.n_channels, h100.ring.bw_intra_gb_s
    (12, 30.0)
    """
    if n_nodes < 1 or node.n_gpus * n_nodes < 2:
        refuse("n_nodes", n_nodes, "nodes with at least 2 GPUs in all")
    if n_nodes > 1 and (node.n_nics == 0 or node.nic_gbps == 0):
        refuse("n_nics", node.n_nics, f"at least one NIC with a rate: there are {n_nodes} nodes")
    room = node.room(is_inter=n_nodes > 1)
    factors = tables().factors
    limit = int(factors["max_channels"])
    # Rings first, and half of the limit, as channels are doubled later; trees run on as many.
    ring = search(room, tuple(ring_ways(room)), 1, limit // 2)
    tree = None if ring is None else search(room, tuple(tree_ways(room)), ring.n, ring.n)
    if ring is None or tree is None:
        slowest = room.ladder_gb_s[-1]
        msg = f"no channel fits: NCCL's search stops at {slowest:g} GB/s; faster NICs or NVLinks are needed"
        raise QuestionError(msg)
    chain, direct = _collnet(node, room, ring.n)
    return Machine(
        generation=node.generation,
        n_ranks=node.n_gpus * n_nodes,
        n_nodes=n_nodes,
        cpu=node.cpu,
        ring=_graph(node, room, ring),
        tree=_graph(node, room, tree),
        nvls=_graph(node, room, nvls) if (nvls := _nvls(node, room)) else None,
        collnet_chain=_graph(node, room, chain) if chain else None,
        collnet_direct=_graph(node, room, direct) if direct else None,
        n_channels=_running(node, room, ring, chain),
        has_nvswitch=node.n_nvlinks > 0,
        n_collnet_heads=min(direct.n, node.n_nics, node.n_gpus) if direct else 0,
    )


def _nvls(node: Node, room: ChannelRoom) -> Channels | None:
    if not node.has_nvls or node.sm < 90 or node.n_gpus < 2:
        return None
    most = min(int(tables().factors["nvls_arity"]), node.n_gpus)
    # Inside a node every GPU heads a channel, so that all are read evenly; else every GPU with a NIC.
    path = node.nic_path if room.is_inter else "PIX"
    return search(room, (Way("nvls", path),), 1 if room.is_inter else most, most)


def _collnet(node: Node, room: ChannelRoom, n_channels: int) -> tuple[Channels | None, Channels | None]:
    if not node.has_collnet or not room.is_inter:
        return None, None
    chain = search(room, (Way("tree", node.nic_path),), n_channels, n_channels)
    if chain is None or node.n_gpus < 2:
        return chain, None
    # CollNet direct has a channel for every GPU that heads one.
    most = min(int(tables().factors["collnet_direct_gpus"]), node.n_gpus)
    return chain, search(room, (Way("collnet-direct", node.nic_path),), 1, most)


def _running(node: Node, room: ChannelRoom, ring: Channels, chain: Channels | None) -> int:
    """Return the channels that rings and trees run on: two for each that was searched, or more."""
    factors = tables().factors
    limit = int(factors["max_channels"])
    # NCCL doubles the channels that its search found.
    n = min(limit, 2 * ring.n)
    # NCCL adds half as many where CollNet chains are faster inside a node than between nodes.
    if chain and chain.intra > chain.inter and node.n_gpus > 1:
        n = min(limit, n + n // 2)
    is_fast = ring.intra > factors["boost_from_gb_s"] and n < factors["boost_below"]
    return 2 * n if node.sm >= 90 and room.is_inter and is_fast else n


def _graph(node: Node, room: ChannelRoom, channels: Channels) -> ChannelGraph:
    return ChannelGraph(
        pattern=channels.way.pattern,
        n_channels=channels.n,
        bw_intra_gb_s=channels.intra,
        bw_inter_gb_s=channels.inter,
        type_intra="NVL" if node.n_gpus > 1 else "LOC",
        type_inter=channels.way.type_inter,
        latency_us=node.nic_latency_us if room.is_inter else 0.0,
        # Channels that start at different NICs start at different GPUs.
        is_same_channels=not room.is_inter or node.n_nics == 1 or node.n_gpus == 1,
    )


def _list(names: Iterable[object]) -> str:
    return ", ".join(str(n) for n in names)
