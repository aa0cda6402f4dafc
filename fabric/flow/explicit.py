"""The same program on real devices and links, for fabrics whose symmetry no axis says."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from fabric.blueprint.join import Bools, Floats
from fabric.errors import LimitError, QuestionError
from fabric.flow.program import Block, capacities
from fabric.flow.traffic import Commodities
from fabric.graph import Expanded, Paths, forwarding, reachable
from fabric.symmetry import Quotient

MAX_VARIABLES = 400_000
"""Flow variables of an explicit program: some minutes of HiGHS."""

Matrix = Mapping[tuple[Hashable, Hashable], float]


def trivial(expanded: Expanded) -> Quotient:
    """Return `expanded` as a quotient in which every class is one device or one link."""
    n, m = expanded.n_devices, 2 * expanded.n_bundles
    return Quotient(expanded, np.ones(n), ((),) * n, np.arange(m), np.arange(n), np.zeros((0, 1), np.int64))


def all_to_all(
    expanded: Expanded, ends: Bools, *, paths: Paths = "rules", drop_unreachable: bool = False
) -> Commodities:
    """Return uniform all-to-all among `ends`, shape (n,), one commodity a source.

    Raises
    ------
    QuestionError
        If there are fewer than two endpoints.
    LimitError
        If the program has more than `MAX_VARIABLES` variables.
    """
    n = int(ends.sum())
    if n < 2:
        msg = f"all-to-all needs at least 2 endpoints; the job has {n}"
        raise QuestionError(msg)
    demand = {int(s): np.where(ends, 1.0 / (n - 1), 0.0) for s in np.flatnonzero(ends)}
    for s, wanted in demand.items():
        wanted[s] = 0.0
    return _work(expanded, demand, paths, drop_unreachable)


def from_matrix(expanded: Expanded, matrix: Matrix, *, paths: Paths = "rules") -> Commodities:
    """Return an explicit traffic matrix: demand by (source, target), in any unit; the rate is its multiple.

    Raises
    ------
    QuestionError
        If a device is unknown or no endpoint, or a demand is not positive.
    """
    number = {name: i for i, name in enumerate(expanded.names)}
    demand: dict[int, Floats] = {}
    for (source, target), amount in matrix.items():
        for name in (source, target):
            if name not in number:
                msg = f"traffic: no device {name!r} in {expanded.name}"
                raise QuestionError(msg)
        if not amount > 0 or source == target:
            msg = f"traffic: {source!r} -> {target!r}: expected a positive demand between two devices; got {amount}"
            raise QuestionError(msg)
        row = demand.setdefault(number[source], np.zeros(expanded.n_devices))
        row[number[target]] += amount
    if not demand:
        msg = "traffic: an empty matrix"
        raise QuestionError(msg)
    return _work(expanded, demand, paths, drop_unreachable=False)


def _work(expanded: Expanded, demand: dict[int, Floats], paths: Paths, drop_unreachable: bool) -> Commodities:
    view = trivial(expanded)
    lost = np.zeros(expanded.n_devices, dtype=np.bool_)
    blocks = _blocks(view, demand, paths)
    for block in blocks:
        moves = block.moves
        seen = reachable(moves.n_states, moves.tail, moves.head, block.supply > 0)
        ends = block.supply < 0
        if (ends & ~seen).any():
            # A source that reaches fewer than half of its targets is itself cut off.
            few = (ends & seen).sum() * 2 < ends.sum()
            lost[moves.device[block.supply > 0 if few else ends & ~seen]] = True
    if lost.any() and drop_unreachable:
        kept = {s: np.where(lost, 0.0, row) for s, row in demand.items() if not lost[s]}
        scaled = {s: row / row.sum() * demand[s].sum() for s, row in kept.items() if row.sum() > 0}
        blocks = _blocks(view, scaled, paths)
    taking = np.zeros(expanded.n_devices, dtype=np.bool_)
    for s, row in demand.items():
        taking[s] = True
        taking |= row > 0
    if drop_unreachable:
        taking &= ~lost
    cut_off = tuple((str(expanded.names[i]), 1.0) for i in np.flatnonzero(lost).tolist())
    return Commodities(view, capacities(view), blocks, float(taking.sum()), cut_off, is_averaged=False)


def _blocks(view: Quotient, demand: dict[int, Floats], paths: Paths) -> list[Block]:
    expanded = view.classes
    found, n_variables = [], 0
    for s, wanted in demand.items():
        source = np.zeros(expanded.n_devices, dtype=np.bool_)
        source[s] = True
        moves = forwarding(expanded, source, wanted > 0, paths=paths)
        n_variables += len(moves.tail)
        if n_variables > MAX_VARIABLES:
            msg = (
                f"the explicit program of {len(demand):,} sources has more than {MAX_VARIABLES:,} variables; "
                "declare the fabric by its axes, or choose fewer endpoints with among"
            )
            raise LimitError(msg)
        supply = np.zeros(moves.n_states)
        targets = np.flatnonzero((wanted > 0) & (moves.target >= 0))
        supply[moves.target[targets]] -= wanted[targets]
        if moves.source[s] >= 0:
            supply[moves.source[s]] += wanted[targets].sum()
        found.append(Block(1.0, view, moves, supply, s))
    return found
