"""Traffic on the classes that colour refinement finds, where no axis says the symmetry or not all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools, Floats
from fabric.errors import QuestionError
from fabric.flow.commodities import (
    Asked,
    Commodities,
    Commodity,
    capacities,
    limit_moves,
    name_classes,
    unreached,
    without_cut_off,
)
from fabric.graph import Expanded, Paths
from fabric.symmetry import REFINE_LIMIT, ColourView, Quotient, colour_from_all, one_view

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
    >>> from fabric.flow.program import solve_commodities
    >>> from fabric.graph import expand
    >>> from fabric.graph.exchange import from_networkx
    >>> graph = nx.petersen_graph()
    >>> nx.set_edge_attributes(graph, 1.0, "capacity")
    >>> e = expand(from_networkx(graph))
    >>> work = refined_program(e, EndpointTraffic(e.is_endpoint))
    >>> len(work.commodities), round(solve_commodities(work.capacity, work.commodities).rate_gbps, 6)
    (1, 1.8)
    """
    endpoints = job.ends

    def build(kept: Bools) -> tuple[Commodities, Bools]:
        remaining = replace(job, ends=endpoints & kept)
        # Without a root every source is a commodity; with one there is a single commodity.
        if job.root < 0:
            return _all_to_all(expanded, remaining, limit)
        if not kept[job.root]:
            msg = f"root {str(expanded.names[job.root])!r} is cut off from most of the others"
            raise QuestionError(msg)
        return _single(expanded, remaining)

    return without_cut_off(build, expanded.n_devices, drop_unreachable=drop_unreachable)


def _all_to_all(expanded: Expanded, job: EndpointTraffic, limit: int) -> tuple[Commodities, Bools]:
    """Return the program, and the devices that are cut off."""
    colours = colour_from_all(expanded, job.ends, limit=limit)
    base = colours.base
    n = float(job.ends.sum())
    lost = np.zeros(len(base.size), dtype=np.bool_)
    # Kept for the certificate, which holds every real link to them.
    views: list[ColourView] = []

    def demand(view: Quotient, end: int) -> Floats:
        targets = colours.ends_of_base[view.origin] & (np.arange(len(view.size)) != end)
        return np.where(targets, view.size / (n - 1), 0.0)

    asked = Asked(demand, job.paths, lambda view: view.classes)

    def sources() -> Iterator[Commodity]:
        for number in range(colours.n_views):
            n_alike, view, end = colours.view(number)
            commodity = asked.commodity(view, end, n_alike, int(view.origin[end]))
            views.append(colours.links(number, view))
            # What one source does not reach, none of its class does.
            for part in unreached(commodity):
                lost[view.origin[part]] = True
            yield commodity

    # A lone endpoint has nobody to send to.
    n_sources = colours.n_views if n > 1 else 0
    program = f"the program of {n_sources:,} refined classes of sources"
    commodities = list(limit_moves(sources(), program)) if n_sources else []
    capacity, names = capacities(base), name_classes(base, lost)
    work = Commodities(base, capacity, commodities, n, names, asked=asked, n_sources=n, views=tuple(views))
    return work, colours.devices(lost)


def _single(expanded: Expanded, job: EndpointTraffic) -> tuple[Commodities, Bools]:
    """Return the program of one commodity, and the devices that are cut off."""
    at_root = np.arange(expanded.n_devices) == job.root
    # Three colours to begin with: the root, those that take part, and all others.
    links = one_view(expanded, job.ends + 2 * at_root, job.root)
    view = links.view
    root, taking = (links.classes(devices) for devices in (at_root, job.ends))
    (end,) = np.flatnonzero(root).tolist()
    partners = taking & ~root

    def demand(view: Quotient, _: int) -> Floats:
        return np.where(partners, view.size, 0.0)

    asked = Asked(demand, job.paths, lambda view: view.classes, job.pattern == "one-to-all")
    commodities = [asked.commodity(view, end)] if partners.any() else []
    lost = np.zeros(len(view.size), dtype=np.bool_)
    for commodity in commodities:
        lost[np.concatenate(unreached(commodity))] = True
    n = float(job.ends.sum())
    capacity, names = capacities(view), name_classes(view, lost)
    work = Commodities(
        view, capacity, commodities, n, names, is_averaged=False, asked=asked, n_sources=1.0, views=(links,)
    )
    return work, links.devices(lost)
