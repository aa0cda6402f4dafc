"""Uniform all-to-all on the classes that colour refinement finds, where no axis says the symmetry."""

from __future__ import annotations

import numpy as np

from fabric.flow.program import Block, capacities
from fabric.flow.traffic import Commodities, unreached
from fabric.graph import Expanded, Paths, forwarding
from fabric.symmetry import refine

SMALL_PROGRAM = 30_000
"""Flow variables up to which the program on real links is solved at once; it proves more than classes do."""


def is_small(expanded: Expanded) -> bool:
    """Return whether the program on real links is small: a flow on every link for every endpoint."""
    return int(expanded.is_endpoint.sum()) * 2 * expanded.n_bundles <= SMALL_PROGRAM


def refined_program(expanded: Expanded, *, paths: Paths = "rules") -> Commodities | None:
    """Return uniform all-to-all among all endpoints on the refined classes.

    Parameters
    ----------
    expanded : Expanded
    paths : {"rules", "no-relay", "any"}

    Returns
    -------
    Commodities or None
        None where an endpoint cannot be reached, which classes of this kind do not name.

    Raises
    ------
    LimitError
        If the fabric is too large to be coloured from every endpoint.
    """
    base, views = refine(expanded)
    n = float(base.size[base.classes.is_endpoint].sum())
    blocks = []
    for n_alike, view, own in views:
        source = np.arange(len(view.size)) == own
        targets = view.classes.is_endpoint & ~source
        moves = forwarding(view.classes, source, targets, paths=paths)
        supply = np.zeros(moves.n_states)
        chosen = np.flatnonzero(targets)
        np.add.at(supply, moves.target[chosen], -view.size[chosen] / (n - 1))
        supply[moves.source[own]] += 1.0
        block = Block(n_alike, view, moves, supply, int(view.origin[own]))
        if any(len(part) for part in unreached(block)):
            return None
        blocks.append(block)
    return Commodities(base, capacities(base), blocks, n, ())
