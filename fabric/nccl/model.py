"""What NCCL's tuner sees of a machine: ranks, nodes, and the channel graphs that its search found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NoReturn

from fabric.errors import QuestionError, nearest
from fabric.nccl.tables import GENERATIONS

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "broadcast", "reduce")
ALGORITHMS = ("tree", "ring", "collnet-direct", "collnet-chain", "nvls", "nvls-tree", "pat")
"""In the order of NCCL, which is the order of preference among equals."""
CPUS = ("intel", "amd", "zhaoxin", "mixed", "arm", "power")
X86 = frozenset({"intel", "amd", "zhaoxin", "mixed"})
PATHS = ("LOC", "NVL", "NVB", "C2C", "PIX", "PXB", "P2C", "PXN", "PHB", "SYS", "NET")
"""Kinds of paths inside a node, best first: the same device, NVLink, NVLink by way of another GPU, the link
of a superchip, one PCIe bridge, several, PCIe and superchip link, NIC of another GPU by NVLink, processor,
the link between processors, the network."""
PATTERNS = ("ring", "balanced-tree", "tree", "nvls", "collnet-direct")


@dataclass(frozen=True, slots=True)
class ChannelGraph:
    """The channels that NCCL's search found for one pattern, as the log line ``Pattern ...`` shows them.

    Parameters
    ----------
    pattern : {"ring", "balanced-tree", "tree", "nvls", "collnet-direct"}
        A balanced tree spreads the traffic of the NIC over two GPUs of the node, a plain tree does not.
    n_channels : int
        At least 1. For ``nvls`` and ``collnet-direct`` the GPUs that head a channel.
    bw_intra_gb_s, bw_inter_gb_s : float
        Rate of one channel inside the node and between nodes [GB/s].
    type_intra, type_inter : str
        Worst kind of path that a channel takes among GPUs, and between GPU and NIC; see `PATHS`.
    latency_us : float
        Latency of the NIC, as the network plugin states it [us].
    is_same_channels : bool
        Every channel visits the GPUs in the same order.

    Raises
    ------
    QuestionError
        If a name is unknown or a figure is out of range.
    """

    pattern: str
    n_channels: int
    bw_intra_gb_s: float
    bw_inter_gb_s: float
    type_intra: str = "NVL"
    type_inter: str = "PIX"
    latency_us: float = 0.0
    is_same_channels: bool = True

    def __post_init__(self) -> None:
        check_known("pattern", self.pattern, PATTERNS)
        check_known("type_intra", self.type_intra, PATHS)
        check_known("type_inter", self.type_inter, PATHS)
        if self.n_channels < 1:
            refuse("n_channels", self.n_channels, "at least 1; leave out a graph that has none")
        for name, low in (("bw_intra_gb_s", 1e-9), ("bw_inter_gb_s", 0.0), ("latency_us", 0.0)):
            value = getattr(self, name)
            if not low <= value < math.inf:
                refuse(name, value, "a finite positive figure" if low else "a finite figure from 0 up")


@dataclass(frozen=True, slots=True)
class Machine:
    """Ranks on equal nodes, as NCCL's tuner sees them; `machine` finds the graphs from hardware facts.

    A *node* is what NCCL counts as one: the ranks of one ring before it leaves by a NIC. With multi-node
    NVLink (an NVL72 rack) that is the whole NVLink domain, not the tray: 144 ranks on two racks are
    ``n_nodes=2``.

    Parameters
    ----------
    generation : {"volta", "ampere", "hopper", "blackwell"}
        Of the oldest GPU.
    n_ranks, n_nodes : int
        GPUs in all, at least 2, and nodes; the nodes hold equally many.
    cpu : {"intel", "amd", "zhaoxin", "mixed", "arm", "power"}
        Vendor of the processors: posting to the network, and LL between nodes, depend on it.
    ring, tree : ChannelGraph
    nvls, collnet_chain, collnet_direct : ChannelGraph, optional
        None where the machine lacks them: NVLS needs NVSwitches that reduce, CollNet a network that does.
    n_channels : int
        Channels that rings and trees run on, more than searched: NCCL doubles them.
    has_nvswitch : bool
    n_collnet_heads : int
        GPUs of a node with a NIC of their own, for all-gather and reduce-scatter over CollNet.

    Raises
    ------
    QuestionError
        If a name is unknown, or the ranks do not fit the nodes.

    Notes
    -----
    All GPUs are of one kind. `NCCL_*` variables and tuner plugins are not set.
    """

    generation: str
    n_ranks: int
    n_nodes: int
    cpu: str
    ring: ChannelGraph
    tree: ChannelGraph
    nvls: ChannelGraph | None = None
    collnet_chain: ChannelGraph | None = None
    collnet_direct: ChannelGraph | None = None
    n_channels: int = 1
    has_nvswitch: bool = True
    n_collnet_heads: int = 0

    def __post_init__(self) -> None:
        check_known("generation", self.generation, GENERATIONS)
        check_known("cpu", self.cpu, CPUS)
        if self.n_ranks < 2:
            refuse("n_ranks", self.n_ranks, "at least 2: one rank sends nothing")
        if self.n_nodes < 1:
            refuse("n_nodes", self.n_nodes, "at least 1")
        if self.n_ranks % self.n_nodes:
            refuse("n_ranks", self.n_ranks, f"a multiple of the {self.n_nodes} nodes")
        if self.n_channels < 1:
            refuse("n_channels", self.n_channels, "at least 1")
        if self.n_nodes > 1 and self.ring.bw_inter_gb_s == 0:
            refuse("ring.bw_inter_gb_s", 0.0, f"a rate above 0 between the {self.n_nodes} nodes")

    @property
    def n_local(self) -> int:
        """Ranks of a node."""
        return self.n_ranks // self.n_nodes

    @property
    def scale(self) -> int:
        """Column of the tables: 0 for one node, 1 for two, 2 for more."""
        return min(self.n_nodes, 3) - 1

    def graph(self, algorithm: str) -> ChannelGraph | None:
        """Return the graph that an algorithm runs on; PAT runs on the tree's."""
        return {
            "tree": self.tree,
            "pat": self.tree,
            "ring": self.ring,
            "nvls": self.nvls,
            "nvls-tree": self.nvls,
            "collnet-chain": self.collnet_chain,
            "collnet-direct": self.collnet_direct,
        }[algorithm]

    def is_since(self, generation: str) -> bool:
        """Tell whether the GPUs are of that generation or a later one."""
        return GENERATIONS.index(self.generation) >= GENERATIONS.index(generation)

    def to_dict(self) -> dict[str, object]:
        """Return the machine with the names of its fields; graphs as mappings, or None."""
        values: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, ChannelGraph):
                value = {f.name: getattr(value, f.name) for f in fields(value)}
            values[field.name] = value
        return values


def check_known(kind: str, name: str, known: Sequence[str]) -> None:
    """Refuse a name that is none of `known`.

    Raises
    ------
    QuestionError
        With the nearest names, or all.
    """
    if name not in known:
        msg = f"unknown {kind} {name!r}; {nearest(name, known) or 'known are ' + ', '.join(known)}"
        raise QuestionError(msg)


def refuse(name: str, got: object, expected: str) -> NoReturn:
    """Refuse a value, with what was expected.

    Raises
    ------
    QuestionError
    """
    msg = f"{name} is {got!r}; expected {expected}"
    raise QuestionError(msg)
