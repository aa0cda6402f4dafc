"""A question about traffic as it was put, and the program that answers it: on classes or on real links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from fabric.arguments import Method
from fabric.arrays import Bools, Ints
from fabric.blueprint.model import Blueprint
from fabric.blueprint.remembered import remembered
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import LimitError, QuestionError
from fabric.flow.by_axes import axes_program
from fabric.flow.by_refinement import REFINED_PATTERNS, EndpointTraffic, refined_program
from fabric.flow.commodities import Commodities, ProgramSizeError
from fabric.flow.owed import Owed
from fabric.flow.traffic import FittedTraffic, Matrix, Traffic, TrafficPattern
from fabric.graph import EXPAND_LIMIT, Expanded, Fabric, Paths, expand, let_forward, select
from fabric.symmetry import REFINE_LIMIT, NoSymmetryError

if TYPE_CHECKING:
    from fabric.flow.by_links import DemandOf
    from fabric.flow.uniform import Uniform

FEW_VARIABLES = 4_000
"""Flow variables up to which a program on axes is solved at once; refinement may find a smaller one."""

PAIRS_A_VARIABLE = 20
"""Endpoints times classes of links that are coloured in less time than one more variable takes."""


@dataclass(frozen=True, eq=False)
class Question:
    """A question as it was put; see `throughput`.

    With `is_holding`, those that take part pass data on whatever their transit, because they hold it. A
    rate of `enough_gbps` need not be known any better: it ends in `EnoughError`. With `is_brief`, one
    question of many, slack is what the solution leaves idle, and the proof draws its links.
    """

    fabric: Fabric
    asked: str | Traffic | Matrix
    among: str | None = None
    over: tuple[str, ...] = ()
    paths: Paths = "rules"
    method: Method = "auto"
    drop_unreachable: bool = False
    limit: int = EXPAND_LIMIT
    is_holding: bool = False
    gap: float | None = None
    enough_gbps: float = np.inf
    is_brief: bool = False

    @property
    def traffic(self) -> Traffic | None:
        """The pattern, or None for a matrix."""
        if isinstance(self.asked, Traffic):
            return self.asked
        return Traffic(cast("TrafficPattern", self.asked), self.over) if isinstance(self.asked, str) else None

    @property
    def name(self) -> str:
        """What the answer calls the traffic."""
        traffic = self.traffic
        if traffic is None:
            return f"a matrix of {len(cast(Matrix, self.asked)):,} demands"
        return traffic.pattern + (f" over {', '.join(traffic.over)}" if traffic.over else "")


def pose(ask: Question) -> tuple[Commodities, str]:
    """Return the question as commodities, and why on classes or on real links.

    Raises
    ------
    QuestionError
        If the question does not fit the fabric, or the method does not fit the question.
    ProgramSizeError
        If no method makes a program that is small enough.
    LimitError
        If the fabric is too large to be expanded, or for the method asked for.
    """
    work, why = _posed(ask)
    owed = owed_of(ask)
    if owed is not None and work.method == "links":
        owed = replace(owed, listed=expand(ask.fabric, limit=ask.limit))
    return replace(work, owed=owed), why


def owed_of(ask: Question) -> Owed | None:
    """Return what the file says of who sends to whom; None where pairs are told one by one."""
    traffic, blueprint = ask.traffic, ask.fabric.blueprint
    if traffic is None or traffic.pattern == "longest-matching":
        return None
    if blueprint is None:
        e = expand(ask.fabric, limit=ask.limit)
        return Owed(traffic, ends=find_endpoints(ask, traffic, e)[0], is_holding=ask.is_holding)
    among = None
    if ask.among is not None:
        among = read_selector(blueprint, ask.among, needs_group=False)
    return Owed(traffic, blueprint, among, is_holding=ask.is_holding)


def _posed(ask: Question) -> tuple[Commodities, str]:
    if ask.method == "links":
        return _by_links(ask), "asked for"
    if ask.method == "auto":
        return _cheapest(ask)
    # A method that was asked for is never replaced: it answers, or says why it cannot.
    refusal, program = (
        (_no_axes(ask), _by_axes) if ask.method == "axes" else (_no_refinement(ask), _by_refinement)
    )
    if refusal:
        msg = f"{ask.name} cannot be answered by {ask.method}: {refusal}"
        raise QuestionError(msg)
    return program(ask), "asked for"


def _cheapest(ask: Question) -> tuple[Commodities, str]:
    """Return the smallest exact program: by axes, by refinement, or on real links."""
    why, work = _no_axes(ask), None
    if not why:
        try:
            work = _by_axes(ask)
        except (NoSymmetryError, ProgramSizeError) as error:
            why = str(error)
    if work is not None and not _is_worth_refining(ask, work):
        return work, "the axes say the symmetry"
    # No axes, or too large on them: real links are left, unless refinement can.
    if _no_refinement(ask):
        return _by_links(ask), why
    # Colouring is worth its cost only up to that of the program that the axes give.
    limit = REFINE_LIMIT if work is None else PAIRS_A_VARIABLE * work.n_moves
    try:
        finer = _by_refinement(ask, limit)
    except LimitError as error:
        if work is None:
            # Real links are more than their classes.
            msg = f"{why}; {error}"
            raise ProgramSizeError(msg) from None
        return work, "the axes say the symmetry"
    if work is None:
        return finer, why
    # Moves are the columns of the program: the smaller one costs less.
    if finer.n_moves < work.n_moves:
        return finer, "refinement finds fewer classes than the axes say"
    return work, "the axes say the symmetry"


def _is_worth_refining(ask: Question, work: Commodities) -> bool:
    """Return whether colouring a fabric costs little beside its program on axes."""
    # There are more links than endpoints.
    is_large = work.n_moves > FEW_VARIABLES and work.n_endpoints**2 <= PAIRS_A_VARIABLE * work.n_moves
    return is_large and not _no_refinement(ask)


def _no_axes(ask: Question) -> str:
    """Return why axes say nothing about a question, or nothing."""
    if ask.traffic is None:
        return "a matrix has no symmetry"
    if ask.fabric.blueprint is None:
        return "a fabric read from a graph has no axes"
    return "a longest matching has no symmetry" if ask.traffic.pattern == "longest-matching" else ""


def _no_refinement(ask: Question) -> str:
    """Return why refinement says nothing about a question, or nothing."""
    if ask.traffic is None:
        return "a matrix tells endpoints apart"
    if ask.traffic.pattern not in REFINED_PATTERNS or ask.traffic.over:
        return "it knows all-to-all, one-to-all and all-to-one, over no axes"
    return ""


def _by_axes(ask: Question) -> Commodities:
    blueprint, traffic = ask.fabric.blueprint, ask.traffic
    drop = ask.drop_unreachable
    return axes_program(
        cast(Blueprint, blueprint),
        cast(Traffic, traffic),
        among=ask.among,
        paths=ask.paths,
        drop_unreachable=drop,
        is_holding=ask.is_holding,
    )


def _by_refinement(ask: Question, limit: int = REFINE_LIMIT) -> Commodities:
    traffic = cast(Traffic, ask.traffic)
    if ask.fabric.blueprint is not None:
        FittedTraffic(ask.fabric.blueprint, traffic, ask.among)  # raises what is wrong with the question
    e = expand(ask.fabric, limit=ask.limit)
    ends, root = find_endpoints(ask, traffic, e)
    e = let_forward(e, ends) if ask.is_holding else e
    job = EndpointTraffic(ends, traffic.pattern, root, ask.paths)
    return refined_program(e, job, drop_unreachable=ask.drop_unreachable, limit=limit)


# What follows is loaded when real links are asked for: it brings scipy, a sixth of a command on classes.


def _by_links(ask: Question) -> Commodities:
    from fabric.flow.by_links import links_program

    if ask.gap is not None:
        msg = f"an interval of {100 * ask.gap:.4g} % is enough"
        raise ProgramSizeError(msg)
    e, demand_of, probe_of = write_out(ask)
    return links_program(
        e,
        demand_of,
        paths=ask.paths,
        drop_unreachable=ask.drop_unreachable,
        probe_of=probe_of,
        lost_of=find_unmatched(ask, e),
    )


def find_unmatched(ask: Question, e: Expanded) -> Callable[[Bools], Ints] | None:
    """Return who is cut off in a longest matching, which pairs only those that reach each other."""
    from fabric.flow.lost import lost_devices

    traffic = ask.traffic
    if traffic is None or traffic.pattern != "longest-matching":
        return None
    ends, _ = find_endpoints(ask, traffic, e)
    return lambda kept: lost_devices(e, ends & kept, paths=ask.paths)


def _by_device(blueprint: Blueprint | None, matrix: Matrix) -> Matrix:
    """Return demands between devices as the file calls them."""
    if blueprint is None or not blueprint.site_names:
        return matrix
    texts = dict.fromkeys(str(end) for pair in matrix for end in pair)
    device = {text: read_selector(blueprint, text).text for text in texts}
    return {(device[str(a)], device[str(b)]): amount for (a, b), amount in matrix.items()}


def write_out(ask: Question) -> tuple[Expanded, DemandOf, DemandOf | None]:
    """Return the expanded fabric, the demands on it, and those that tell who is cut off."""
    from fabric.flow.by_links import matrix_demand, pattern_demand
    from fabric.routing.ecmp import Demands

    traffic, blueprint = ask.traffic, ask.fabric.blueprint
    e = expand(ask.fabric, limit=ask.limit)
    if traffic is None:
        matrix = matrix_demand(e, _by_device(blueprint, cast(Matrix, ask.asked)))

        def given(kept: Bools) -> Demands:
            rows = kept[matrix.source] & kept[matrix.target]
            return Demands(matrix.source[rows], matrix.target[rows], matrix.amount[rows])

        return e, given, None
    asked = None if blueprint is None else FittedTraffic(blueprint, traffic, ask.among)
    if asked is None and (traffic.over or traffic.pattern in ("shift", "halves")):
        msg = (
            f"{traffic.pattern} over axes: a fabric read from a graph has none; give the demands as a matrix"
        )
        raise QuestionError(msg)
    ends, root = find_endpoints(ask, traffic, e)
    # Who holds the data passes it on, whatever the transit of its group.
    e = let_forward(e, ends) if ask.is_holding else e

    def demand_of(kept: Bools) -> Demands | Uniform:
        if root >= 0 and not kept[root]:
            msg = f"root {traffic.root!r} is cut off from most of the others"
            raise QuestionError(msg)
        if traffic.pattern == "longest-matching":
            sides = _longest_matching(e, (ends & kept).tobytes(), ask.paths)
            return Demands(*sides, np.ones(len(sides[0])))
        return pattern_demand(e, ends & kept, asked, root, traffic.pattern)

    if traffic.pattern == "longest-matching":
        return e, demand_of, lambda kept: pattern_demand(e, ends & kept, None)
    if asked is None or asked.shift is None:
        return e, demand_of, None
    # Who is cut off shows among all along the axis, not in one target for each.
    along = FittedTraffic(asked.blueprint, Traffic("all-to-all", traffic.over), ask.among)
    return e, demand_of, lambda kept: pattern_demand(e, ends & kept, along)


@remembered(2)
def _longest_matching(e: Expanded, ends: bytes, paths: Paths) -> tuple[Ints, Ints]:
    """Return `longest_matching` of the endpoints whose byte is set; an interval asks for it again."""
    from fabric.flow.matching import longest_matching

    return longest_matching(e, np.frombuffer(ends, dtype=np.bool_), paths=paths)


def find_endpoints(ask: Question, traffic: Traffic, e: Expanded) -> tuple[Bools, int]:
    """Return which devices are endpoints of a pattern, and its root or -1."""
    ends = e.is_endpoint & ~e.failed
    if ask.among is not None:
        ends &= select(ask.fabric, ask.among, limit=ask.limit)
    root = -1
    if traffic.pattern in ("one-to-all", "all-to-one"):
        roots = np.flatnonzero(select(ask.fabric, traffic.root, limit=ask.limit))
        if len(roots) != 1 or not e.is_endpoint[roots[0]]:
            msg = f"root {traffic.root!r} must select exactly one endpoint; it selects {len(roots):,} devices"
            raise QuestionError(msg)
        # A root that is down can neither send nor receive: no question of majorities.
        root = int(roots[0])
        if e.failed[root]:
            msg = f"{e.names[root]} is down or absent"
            raise QuestionError(msg)
    n = int(ends.sum())
    if n < 2:
        who = f"the job has {n}" if e.is_endpoint.any() else f"no device of {ask.fabric.name} is one"
        msg = f"traffic needs at least 2 endpoints; {who}"
        raise QuestionError(msg)
    return ends, root
