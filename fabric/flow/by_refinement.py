"""Traffic on the classes that colour refinement finds, where no axis says the symmetry or not all of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools
from fabric.errors import QuestionError, setting
from fabric.flow.by_axes import Commodities, unreached
from fabric.flow.program import MAX_VARIABLES, Commodity, ProgramSizeError, capacities
from fabric.graph import Expanded, Paths, forwarding
from fabric.symmetry import REFINE_LIMIT, Quotient, one_view, refined

REFINED_PATTERNS = ("all-to-all", "one-to-all", "all-to-one")
"""Traffic that treats all endpoints alike, but for one root; refinement knows no groups of them."""


@dataclass(frozen=True, eq=False)
class EndpointTraffic:
    """Traffic among some endpoints.

    Parameters
    ----------
    ends : ndarray of bool, shape (n,)
        Endpoints that take part: at least two, all of them up.
    pattern : {"all-to-all", "one-to-all", "all-to-one"}
        For the last two the rate is that of each of the others.
    root : int
        The device of the last two, else -1.
    paths : {"rules", "no-relay", "any"}
    """

    ends: Bools
    pattern: str = "all-to-all"
    root: int = -1
    paths: Paths = "rules"


def refined_program(
    expanded: Expanded, job: EndpointTraffic, *, drop_unreachable: bool = False, limit: int = REFINE_LIMIT
) -> Commodities:
    """Return traffic on refined classes.

    Parameters
    ----------
    expanded : Expanded
        n devices.
    job : EndpointTraffic
    drop_unreachable : bool
        As in `throughput`.
    limit : int
        As in `fabric.symmetry.refine`.

    Raises
    ------
    QuestionError
        If nobody is left.
    LimitError
        If the fabric is too large to be coloured from every endpoint.
    ProgramSizeError
        If the program has more than `MAX_VARIABLES` variables.

    Notes
    -----
    With a root there is one commodity, and the coarsest equitable partition that tells the root and the other
    endpoints apart is enough; see `fabric.symmetry.coarsest`.

    Examples
    --------
    >>> import networkx as nx
    >>> from fabric.flow.program import solve_blocks
    >>> from fabric.graph import expand
    >>> from fabric.graph.exchange import from_networkx
    >>> graph = nx.petersen_graph()
    >>> nx.set_edge_attributes(graph, 1.0, "capacity")
    >>> e = expand(from_networkx(graph))
    >>> work = refined_program(e, EndpointTraffic(e.is_endpoint))
    >>> len(work.blocks), round(solve_blocks(work.capacity, work.blocks).rate_gbps, 6)
    (1, 1.8)
    """
    kept = job.ends.copy()
    cut_off: tuple[tuple[str, float], ...] = ()
    while True:
        left = replace(job, ends=kept)
        work, lost = _all_to_all(expanded, left, limit) if job.root < 0 else _single(expanded, left)
        cut_off += work.cut_off
        if not lost.any() or not drop_unreachable:
            return replace(work, cut_off=cut_off)
        kept = kept & ~lost
        if job.root >= 0 and lost[job.root]:
            msg = f"root {str(expanded.names[job.root])!r} is cut off from most of the others"
            raise QuestionError(msg)
        if kept.sum() < 2:
            what = f"{expanded.names[int(np.flatnonzero(lost)[0])]} and others cannot reach most of the rest"
            msg = f"no majority of the endpoints is left: {what}; choose with {setting('among')}"
            raise QuestionError(msg)


def _all_to_all(expanded: Expanded, job: EndpointTraffic, limit: int) -> tuple[Commodities, Bools]:
    """Return the program, and the devices that are cut off."""
    found = refined(expanded, job.ends, limit=limit)
    base = found.base
    n = float(job.ends.sum())
    blocks, views = [], []
    lost = np.zeros(len(base.size), dtype=np.bool_)
    n_variables = 0
    for number in range(found.n_views):
        n_alike, view, own = found.view(number)
        source = np.arange(len(view.size)) == own
        targets = found.ends_of_base[view.origin] & ~source
        moves = forwarding(view.classes, source, targets, paths=job.paths)
        n_variables += len(moves.tail)
        if n_variables > MAX_VARIABLES:
            msg = (
                f"the program of {found.n_views:,} refined classes of sources has more than "
                f"{MAX_VARIABLES:,} variables"
            )
            raise ProgramSizeError(msg)
        supply = np.zeros(moves.n_states)
        chosen = np.flatnonzero(targets)
        np.add.at(supply, moves.target[chosen], -view.size[chosen] / (n - 1))
        supply[moves.source[own]] += 1.0
        blocks.append(Commodity(n_alike, view, moves, supply, int(view.origin[own])))
        views.append(found.links(number, view))
        for part in unreached(blocks[-1]):
            lost[view.origin[part]] = True
    work = Commodities(base, capacities(base), blocks, n, _named(base, lost), views=tuple(views))
    return work, found.devices(lost)


def _single(expanded: Expanded, job: EndpointTraffic) -> tuple[Commodities, Bools]:
    """Return the program of one commodity, and the devices that are cut off."""
    at_root = np.arange(expanded.n_devices) == job.root
    links = one_view(expanded, job.ends + 2 * at_root, job.root)
    view = links.view
    own, taking = (links.classes(devices) for devices in (at_root, job.ends))
    others = taking & ~own
    is_out = job.pattern == "one-to-all"
    moves = forwarding(view.classes, *((own, others) if is_out else (others, own)), paths=job.paths)
    at, far, sign = (moves.source, moves.target, 1.0) if is_out else (moves.target, moves.source, -1.0)
    supply = np.zeros(moves.n_states)
    supply[far[others]] = -sign * view.size[others]
    supply[at[own]] = sign * view.size[others].sum()
    block = Commodity(1.0, view, moves, supply)
    lost = np.zeros(len(view.size), dtype=np.bool_)
    lost[np.concatenate(unreached(block))] = True
    n = float(job.ends.sum())
    work = Commodities(
        view, capacities(view), [block], n, _named(view, lost), is_averaged=False, views=(links,)
    )
    return work, links.devices(lost)


def _named(base: Quotient, lost: Bools) -> tuple[tuple[str, float], ...]:
    """Return one device of each class, and how many."""
    rows = np.flatnonzero(lost)
    return tuple((str(base.classes.names[i]), float(base.size[i])) for i in rows.tolist())
