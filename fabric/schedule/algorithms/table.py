"""The algorithms of every collective, and why one cannot run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fabric.errors import QuestionError, nearest
from fabric.schedule.algorithms.doubling import bruck, halving_doubling, pat, recursive_doubling
from fabric.schedule.algorithms.exchange import bruck_exchange, direct_exchange, pairwise, pxn, rail_first
from fabric.schedule.algorithms.levels import hierarchical, hierarchical_serial
from fabric.schedule.algorithms.rings import ring
from fabric.schedule.algorithms.rooted import binomial, direct, scatter_all_gather
from fabric.schedule.algorithms.shape import COLLECTIVES, Shape
from fabric.schedule.algorithms.switches import collnet_chain, collnet_direct, nvls, nvls_tree
from fabric.schedule.algorithms.torus import torus
from fabric.schedule.algorithms.trees import tree
from fabric.schedule.tree import Schedule


def _any(collective: str, shape: Shape) -> str:
    return ""


def _even(collective: str, shape: Shape) -> str:
    if shape.is_even:
        return ""
    return (
        f"needs domains of equal size; this job has {min(shape.sizes)} to {max(shape.sizes)} ranks a domain"
    )


def _two_levels(collective: str, shape: Shape) -> str:
    if shape.has_two_levels or not shape.is_even:
        return _even(collective, shape)
    many = f"{shape.n_domains} of {shape.sizes[0]}"
    return f"needs several scale-up domains of several ranks; this job has {many}"


def _relays(collective: str, shape: Shape) -> str:
    if not shape.relays:
        return "needs GPUs that relay; with routing rail-direct, as with NCCL_PXN_DISABLE=1, none does"
    return _two_levels(collective, shape)


def _whole_torus(collective: str, shape: Shape) -> str:
    return "" if shape.torus else "needs ranks that are a whole torus of ring axes"


def _mesh(collective: str, shape: Shape) -> str:
    if not shape.is_mesh:
        return "needs domains in which every two ranks are joined directly"
    return _even(collective, shape)


def _power_of_two(collective: str, shape: Shape) -> str:
    # An all-reduce folds the ranks beyond the power of two; the halves of one have no place for that.
    if collective == "all-reduce" or shape.n & (shape.n - 1) == 0:
        return ""
    return f"needs a power of two of ranks for {collective}; this job has {shape.n}; bruck and pat take any"


def _in_domain(collective: str, shape: Shape) -> str:
    if not shape.reduces_in_domain or max(shape.sizes) == 1:
        return "needs switches of a part that reduces between ranks of a scale-up domain"
    if shape.n_domains > 1 and not (collective == "all-reduce" and shape.reduces_across):
        return "needs one domain, or for all-reduce switches of a part that reduces between domains too"
    return _even(collective, shape)


def _in_domains(collective: str, shape: Shape) -> str:
    if not shape.reduces_in_domain:
        return "needs switches of a part that reduces between ranks of a scale-up domain"
    return _two_levels(collective, shape)


def _across(collective: str, shape: Shape) -> str:
    if not shape.reduces_across:
        return "needs switches of a part that reduces between domains"
    if shape.n_domains == 1:
        return "needs several domains; this job has one"
    return _even(collective, shape)


def _across_two_levels(collective: str, shape: Shape) -> str:
    return _across(collective, shape) or _two_levels(collective, shape)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm.

    Parameters
    ----------
    name : str
        One name serves different collectives; a name and a collective say which it is.
    collectives : tuple of str
    source : str
        Where it is described.
    build : callable
        ``build(collective, shape, size_bytes)`` returns the schedule.
    needs : callable
        ``needs(collective, shape)`` returns what the shape lacks, or "".
    """

    name: str
    collectives: tuple[str, ...]
    source: str
    build: Callable[[str, Shape, float], Schedule]
    needs: Callable[[str, Shape], str] = _any

    def refuses(self, collective: str, shape: Shape) -> str:
        """Return in words why the algorithm cannot run `collective` on `shape`; "" if it can."""
        if collective not in self.collectives:
            return f"does {', '.join(self.collectives)}, not {collective}"
        return self.needs(collective, shape)


_HALVES = ("all-reduce", "all-gather", "reduce-scatter")
_MPICH = "Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005"

# The first of several that take the same time is preferred.
ALGORITHMS = (
    Algorithm("hierarchical", _HALVES, "Cho et al., BlueConnect, SysML 2019", hierarchical, _even),
    Algorithm("ring", (*_HALVES, "broadcast", "reduce"), "Patarasuk, Yuan, JPDC 69(2), 2009", ring),
    Algorithm("tree", ("all-reduce",), "Sanders et al., Parallel Computing 35(12), 2009", tree),
    Algorithm("nvls", _HALVES, "Klenk et al., ISCA 2020", nvls, _in_domain),
    Algorithm("nvls-tree", ("all-reduce",), "NVIDIA NCCL 2.18", nvls_tree, _in_domains),
    Algorithm("collnet-direct", ("all-reduce",), "Graham et al., COMHPC 2016", collnet_direct, _across),
    Algorithm("collnet-chain", ("all-reduce",), "NVIDIA NCCL", collnet_chain, _across_two_levels),
    Algorithm("mesh", _HALVES, "AMD RCCL, rings over a full xGMI mesh", hierarchical, _mesh),
    Algorithm("torus", _HALVES, "Sack, Gropp, ACM TOPC 1(2), 2015", torus, _whole_torus),
    Algorithm("halving-doubling", _HALVES, _MPICH, halving_doubling, _power_of_two),
    Algorithm("recursive-doubling", ("all-reduce", "all-gather"), _MPICH, recursive_doubling, _power_of_two),
    Algorithm("pat", ("all-gather", "reduce-scatter"), "Jeaugey, arXiv 2506.20252, 2025", pat),
    Algorithm("pairwise", ("all-to-all",), _MPICH, pairwise),
    Algorithm("pxn", ("all-to-all",), "NVIDIA NCCL 2.12", pxn, _relays),
    Algorithm("hierarchical", ("all-to-all",), "DeepSeek-AI, DeepEP", rail_first, _two_levels),
    Algorithm("bruck", ("all-gather", "reduce-scatter"), "Bruck et al., IEEE TPDS 8(11), 1997", bruck),
    Algorithm("bruck", ("all-to-all",), "Bruck et al., IEEE TPDS 8(11), 1997", bruck_exchange),
    Algorithm("direct", ("all-to-all",), "NVIDIA nccl-tests", direct_exchange),
    Algorithm("scatter-all-gather", ("broadcast",), _MPICH, scatter_all_gather),
    Algorithm("binomial", ("broadcast", "reduce"), _MPICH, binomial),
    Algorithm("direct", ("gather", "scatter", "send-recv"), "NVIDIA nccl-tests", direct),
    Algorithm(
        "hierarchical-serial",
        _HALVES,
        "Cho et al., BlueConnect, SysML 2019",
        hierarchical_serial,
        _two_levels,
    ),
)


def refusals(collective: str, shape: Shape) -> dict[str, str]:
    """Return for every algorithm that does `collective` why it cannot run on `shape`, or "" if it can.

    Raises
    ------
    QuestionError
        If the collective is unknown or has fewer than two ranks.

    Examples
    --------
    >>> refusals("all-reduce", Shape((4, 4)))["torus"]
    'needs ranks that are a whole torus of ring axes'
    """
    if collective not in COLLECTIVES:
        known = f"known are {', '.join(COLLECTIVES)}; of a mixture of experts also dispatch and combine"
        msg = f"unknown collective {collective!r}; {nearest(collective, COLLECTIVES) or known}"
        raise QuestionError(msg)
    if shape.n < 2:
        msg = f"{collective} needs at least 2 ranks; the job has {shape.n}"
        raise QuestionError(msg)
    return {a.name: a.refuses(collective, shape) for a in ALGORITHMS if collective in a.collectives}


def schedules(collective: str, shape: Shape, size_bytes: float) -> dict[str, Schedule]:
    """Return the schedules of every algorithm that can run `collective` on `shape`, by name.

    Parameters
    ----------
    collective : str
    shape : Shape
    size_bytes : float
        By the convention of nccl-tests: the buffer of one rank for all-reduce, all-to-all, broadcast, reduce
        and send-recv, the whole array for all-gather, reduce-scatter, gather and scatter.

    Returns
    -------
    dict of str to Schedule
        In the order of preference among those that take the same time.

    Raises
    ------
    QuestionError
        If the collective is unknown or has fewer than two ranks.

    Examples
    --------
    >>> list(schedules("all-to-all", Shape((4, 4)), 8.0))
    ['pairwise', 'pxn', 'hierarchical', 'bruck', 'direct']
    """
    refused = refusals(collective, shape)
    return {
        a.name: a.build(collective, shape, size_bytes)
        for a in ALGORITHMS
        if collective in a.collectives and not refused[a.name]
    }
