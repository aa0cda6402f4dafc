"""NCCL's formulas: which algorithms may run, their latency, and their bandwidth.

Written from the facts of ``ncclTopoTuneModel`` (NVIDIA/nccl@5067397, src/graph/tuning.cc) and the conditions
of ``updateCollCostTable`` (src/enqueue.cc). Bandwidths in GB/s, latencies in us, as there.
"""

from __future__ import annotations

from fabric.nccl.model import PATHS, ChannelGraph, Machine
from fabric.nccl.tables import PROTOCOLS, tables

_GATHERS = ("all-gather", "reduce-scatter")
RUNS = {
    "all-reduce": ("tree", "ring", "collnet-direct", "collnet-chain", "nvls", "nvls-tree"),
    "all-gather": ("ring", "collnet-direct", "nvls", "pat"),
    "reduce-scatter": ("ring", "collnet-direct", "nvls", "pat"),
    "broadcast": ("ring",),
    "reduce": ("ring",),
}
"""The algorithms that each collective has."""


def is_enabled(machine: Machine, collective: str, algorithm: str, protocol: str) -> bool:
    """Tell whether NCCL considers a row of its table at all, by default.

    Parameters
    ----------
    machine : Machine
    collective, algorithm, protocol : str

    Returns
    -------
    bool
        A row that is considered may still have bandwidth 0.

    Notes
    -----
    PAT runs with one GPU a node only; NVLS on one node, or with CollNet; NVLSTree on several; CollNet up to
    8 GPUs a node; all but ring and tree with the Simple protocol only.
    """
    graph = machine.graph(algorithm)
    if graph is None or algorithm not in RUNS[collective]:
        return False
    if algorithm not in ("ring", "tree") and protocol != "Simple":
        return False
    if protocol == "LL128" and not _allows_ll128(machine, graph):
        return False
    if algorithm.startswith("collnet"):
        return _has_collnet(machine, collective, algorithm)
    if algorithm == "nvls":
        return _has_nvls(machine, collective, graph)
    if algorithm == "nvls-tree":
        return machine.n_nodes > 1 and graph.n_channels > 1
    return algorithm != "pat" or machine.n_nodes == machine.n_ranks


def _allows_ll128(machine: Machine, graph: ChannelGraph) -> bool:
    """Tell whether stores of 128 bytes arrive whole: NVLink inside, and no processor on the way out."""
    farthest = "PXN" if machine.is_since("hopper") else "PXB"
    return _rank(graph.type_inter) <= _rank(farthest) and _rank(graph.type_intra) <= _rank("NVB")


def _rank(path: str) -> int:
    return PATHS.index(path)


def _uses_collnet(machine: Machine) -> bool:
    """Tell whether the communicator uses a reducing network."""
    return machine.collnet_chain is not None and machine.n_nodes >= tables().factors["collnet_nodes"]


def _has_collnet(machine: Machine, collective: str, algorithm: str) -> bool:
    if not _uses_collnet(machine) or machine.n_local > tables().factors["collnet_direct_gpus"]:
        return False
    if algorithm == "collnet-direct" and not machine.has_nvswitch:
        return False
    return collective not in _GATHERS or machine.n_local <= machine.n_collnet_heads


def _has_nvls(machine: Machine, collective: str, graph: ChannelGraph) -> bool:
    if graph.n_channels < 2 or (machine.n_nodes > 1 and not _uses_collnet(machine)):
        return False
    if collective not in _GATHERS:
        return True
    if machine.n_nodes > 1 and machine.n_local > machine.n_collnet_heads:
        return False
    return machine.n_local <= tables().factors["nvls_arity"]


def bandwidth_gb_s(machine: Machine, collective: str, algorithm: str, protocol: str) -> float:
    """Return the algorithm bandwidth of a row.

    Parameters
    ----------
    machine : Machine
    collective, algorithm, protocol : str

    Returns
    -------
    float
        Bytes of the collective over time, latency aside [GB/s]; 0 where NCCL does not consider the row.

    References
    ----------
    NVIDIA/nccl@5067397, src/graph/tuning.cc, ncclTopoTuneModel.
    """
    graph = machine.graph(algorithm)
    if graph is None or not is_enabled(machine, collective, algorithm, protocol):
        return 0.0
    # On two nodes at most NCCL counts with the rate inside a node.
    is_inside = machine.n_nodes <= 2 or algorithm.startswith("collnet")
    rate = graph.n_channels * (graph.bw_intra_gb_s if is_inside else graph.bw_inter_gb_s)
    if algorithm == "ring":
        return _ring(machine, rate, protocol) * machine.n_ranks / n_steps(collective, machine.n_ranks)
    if algorithm == "tree":
        return _tree(machine, graph, rate, protocol) * tables().factors["tree_algbw"]
    if algorithm == "pat":
        return rate * tables().factors["pat"] * _plainness(graph)
    # Of an all-reduce a ring sends every byte 2 (n - 1) / n times; NVLS is stated by the same measure.
    if algorithm.startswith("nvls"):
        rate = graph.n_channels * _nvls_channel(machine, graph, collective, algorithm)
        is_gather = collective in _GATHERS
        return rate if is_gather else rate * machine.n_ranks / n_steps(collective, machine.n_ranks)
    return _collnet(machine, graph, rate, collective, algorithm)


def channels_gb_s(machine: Machine, collective: str, algorithm: str) -> float | None:
    """Return the algorithm bandwidth that channels allow, whatever links carry; None if NCCL has no limit.

    Parameters
    ----------
    machine : Machine
    collective, algorithm : str

    Returns
    -------
    float or None
        With the Simple protocol, which moves most [GB/s].

    Notes
    -----
    On more than two nodes the figure of two: there NCCL's own has in it that every byte passes the cards
    twice, which is a limit of the cards and not of the channels.

    References
    ----------
    NVIDIA/nccl@5067397, src/graph/tuning.cc, perChMaxTreeBws and perChMaxNVLSTreeBws.
    """
    graph = machine.graph(algorithm) if algorithm in ("tree", "nvls-tree") else None
    if graph is None or not is_enabled(machine, collective, algorithm, "Simple"):
        return None
    cap = tables().caps_gb_s[algorithm, machine.generation][min(machine.scale, 1)]
    most = graph.n_channels * cap
    if algorithm == "tree":
        return most * _plainness(graph) * tables().factors["tree_algbw"]
    return most * machine.n_ranks / n_steps(collective, machine.n_ranks)


def _ring(machine: Machine, rate: float, protocol: str) -> float:
    t = tables()
    if protocol == "LL":
        # Inside a node the GPU bounds LL, between nodes the processor does: NCCL keeps both in one table.
        row = machine.generation if machine.n_nodes == 1 else _ll_row(machine)
        return min(t.caps_gb_s["ll-total", row][machine.scale], rate * t.factors["ring_ll"])
    if protocol == "LL128":
        cap = t.caps_gb_s["ring-ll128", machine.generation][machine.scale]
        return min(rate * t.factors["ring_ll128"], machine.ring.n_channels * cap)
    return rate


def _ll_row(machine: Machine) -> str:
    return "ampere" if machine.cpu in ("amd", "mixed") else "volta"


def _tree(machine: Machine, graph: ChannelGraph, rate: float, protocol: str) -> float:
    t = tables()
    scale, n = machine.scale, graph.n_channels
    rate = min(rate * t.factors["tree"], n * t.caps_gb_s["tree", machine.generation][scale])
    if protocol == "LL":
        row = machine.generation if machine.n_nodes == 1 else _ll_row(machine)
        rate = min(rate / t.factors["tree_ll_divisor"], t.caps_gb_s["ll-total", row][scale])
    if protocol == "LL128":
        share = t.factors["tree_ll128_one_node" if machine.n_nodes == 1 else "tree_ll128_nodes"]
        rate = min(rate * share, n * t.caps_gb_s["tree-ll128", machine.generation][scale])
    return rate * _plainness(graph)


def _plainness(graph: ChannelGraph) -> float:
    return tables().factors["tree_plain"] if graph.pattern == "tree" else 1.0


def _nvls_channel(machine: Machine, graph: ChannelGraph, collective: str, algorithm: str) -> float:
    """Return the rate of one channel: what the switches reduce, what the NIC carries, and a measured cap."""
    t = tables()
    n, n_local = graph.n_channels, machine.n_local
    inside = graph.bw_intra_gb_s * t.factors[f"nvls_efficiency_{machine.generation}"] * (n - 1) / n
    # An all-reduce keeps both directions busy at once; the others carry all but their own share.
    inside *= (n_local - 1) / n_local if collective in _GATHERS else 2
    if algorithm == "nvls":
        return min(inside, graph.bw_inter_gb_s)
    both_ways = 2 if machine.n_nodes == 2 else 1
    cap = t.caps_gb_s["nvls-tree", machine.generation][machine.scale]
    return min(inside, graph.bw_inter_gb_s * both_ways, cap)


def _collnet(machine: Machine, graph: ChannelGraph, rate: float, collective: str, algorithm: str) -> float:
    factors = tables().factors
    if collective in _GATHERS:
        return machine.n_local * min(
            graph.bw_intra_gb_s, graph.bw_inter_gb_s * factors["collnet_direct_inter"]
        )
    # Full speed needs a NIC for every GPU; of what is lacking NCCL takes half off.
    if algorithm == "collnet-direct":
        per_nic = machine.n_local / graph.n_channels
        rate /= per_nic - (per_nic - 1) / 2
        rate *= factors["collnet_direct_hopper"] if machine.is_since("hopper") else 1.0
    return rate * factors["tree_algbw"]


def n_steps(collective: str, n_ranks: int) -> int:
    """Return how many steps a ring takes.

    Examples
    --------
    >>> n_steps("all-reduce", 8), n_steps("all-gather", 8), n_steps("broadcast", 8)
    (14, 7, 8)
    """
    if collective == "all-reduce":
        return 2 * (n_ranks - 1)
    return n_ranks - 1 if collective in _GATHERS else n_ranks


def latency_us(machine: Machine, collective: str, algorithm: str, protocol: str) -> float:
    """Return the latency of a row.

    Parameters
    ----------
    machine : Machine
    collective, algorithm, protocol : str

    Returns
    -------
    float
        Time of a collective of no bytes [us]; 0 where NCCL does not consider the row.

    References
    ----------
    NVIDIA/nccl@5067397, src/graph/tuning.cc, ncclTopoTuneModel.
    """
    graph = machine.graph(algorithm)
    if graph is None or not is_enabled(machine, collective, algorithm, protocol):
        return 0.0
    factors = tables().factors
    base = _hardware_us("base", algorithm, protocol)
    intra = _intra_us(machine, graph, algorithm, protocol)
    inter = _inter_us(machine, graph, algorithm, protocol)
    # Chains inside a node, a binary tree over the nodes.
    n_peers = machine.n_local - 1
    depth = machine.n_nodes.bit_length() - 1
    match algorithm:
        case "ring":
            return base + _ring_us(machine, collective, protocol, intra, inter)
        case "tree":
            return base + 2 * (n_peers * intra + depth * inter)
        case "collnet-direct":
            arity = n_peers * factors["collnet_direct_arity_us"]
            return base + 2 * (min(1, n_peers) * intra + arity) + inter
        case "collnet-chain":
            return base + 2 * n_peers * intra + inter
        case "nvls":
            return intra + (inter if machine.n_nodes > 1 else 0.0)
        case "nvls-tree":
            return base + intra + 2 * depth * inter
        case _:
            levels = depth * inter / factors["pat_net_divisor"]
            return base + levels + machine.n_ranks * factors["pat_rank_us"]


def _hardware_us(hardware: str, algorithm: str, protocol: str) -> float:
    return tables().latencies_us[hardware, algorithm][PROTOCOLS.index(protocol)]


def _intra_us(machine: Machine, graph: ChannelGraph, algorithm: str, protocol: str) -> float:
    hardware = "nvlink" if graph.type_intra == "NVL" else "pci"
    if machine.cpu == "power" and (hardware, algorithm, protocol) == ("pci", "tree", "Simple"):
        algorithm = "ring"
    return _hardware_us(hardware, algorithm, protocol)


def _inter_us(machine: Machine, graph: ChannelGraph, algorithm: str, protocol: str) -> float:
    # With one GPU a node nothing hides the network: NCCL then takes the latencies of the tree for all.
    net = _hardware_us("net", "tree" if machine.n_local == 1 else algorithm, protocol)
    return net + graph.latency_us * (2 if protocol == "Simple" else 1)  # Simple also waits for a flush


def _ring_us(machine: Machine, collective: str, protocol: str, intra: float, inter: float) -> float:
    steps = n_steps(collective, machine.n_ranks)
    if collective in ("broadcast", "reduce"):
        # Pipelined: identical channels pay once, others a chunk a step, for which the tree's figures stand.
        like = "tree" if protocol == "Simple" and not machine.ring.is_same_channels else "ring"
        if machine.n_nodes > 1:
            step = _hardware_us("net", like, protocol)
        else:
            step = _intra_us(machine, machine.ring, like, protocol)
        return step if machine.ring.is_same_channels else steps * step
    # Steps that leave a node, once round or twice; the others stay inside.
    n_inter = (2 if collective == "all-reduce" else 1) * (machine.n_nodes - 1)
    if machine.n_nodes > 1:
        factors = tables().factors
        overhead = factors["net_overhead_amd_us" if machine.cpu == "amd" else "net_overhead_us"]
        intra = max(intra, overhead * (factors["net_overhead_simple"] if protocol == "Simple" else 1))
    return (steps - n_inter) * intra + n_inter * inter
