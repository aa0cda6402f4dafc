"""Proof of a max-flow, read off the file: who sends and receives, where paths may go, what links carry.

A flow and a cut prove nothing where the moves, the two sides or the capacities are not those of the file. So
all that is asked of the program is how much it puts on each link and what it says a link is worth; the
devices of both sides, the paths and the capacities are those that the file has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import ProofError, setting
from fabric.flow.certificate import Verdict
from fabric.flow.classes import class_view
from fabric.flow.commodities import Commodity
from fabric.flow.looked import FileGround, Look, look_at_links
from fabric.flow.owed import Place, is_selected
from fabric.flow.problem import FlowProblem, select_parts
from fabric.graph import Fabric, Paths
from fabric.symmetry import count_named
from fabric.units import format_rate

_PROVEN = 1e-7
"""Relative excess of a cut in the file beyond rounding."""


@dataclass(frozen=True, eq=False)
class Claim:
    """A max-flow to be proven.

    Parameters
    ----------
    problem : FlowProblem
    flow : ndarray of float64, shape (k,)
        On each of its moves [Gb/s].
    price : ndarray of float64
        Of every directed link.
    verdict : Verdict
        What they prove on the moves of the problem.
    """

    problem: FlowProblem
    flow: Floats
    price: Floats
    verdict: Verdict


def prove_on_file(
    fabric: Fabric, sides: tuple[tuple[object, ...], ...], paths: Paths, claim: Claim, *, on_classes: bool
) -> Verdict:
    """Return what is proven of a max-flow, held to the devices and links of the file.

    Parameters
    ----------
    fabric : Fabric
    sides : tuple of tuple
        Selectors, or nodes, of the source and of the target.
    paths : {"rules", "no-relay", "any"}
    claim : Claim
    on_classes : bool
        Whether it is of classes; else of real devices and links.

    Raises
    ------
    ProofError
        If it is less: then this program is wrong.
    """
    if fabric.blueprint is not None and on_classes:
        view, selectors = class_view(fabric.blueprint, *sides)
        ground = FileGround(fabric.blueprint, paths, None, sides=selectors)
        look, (uneven, devices) = ground.look(view, ()), ground.look_at_devices()
        scope = ground.scope + devices
    else:
        uneven, (look, scope) = "", look_at_links(claim.problem.moves.expanded, paths)
    fault = look.fault or uneven or next(_side_faults(fabric, sides, look, claim.problem), "")
    fault = fault or _flow_fault(look, claim)
    upper = claim.verdict.upper_gbps if fault else _cut_gbps(look, claim)
    if not fault and upper > claim.verdict.upper_gbps * (1 + _PROVEN):
        fault = f"a cut of {format_rate(upper)} in the file" if np.isfinite(upper) else "no cut"
    if fault:
        between = " to ".join(", ".join(map(str, parts)) for parts in sides)
        found = f"{format_rate(claim.verdict.lower_gbps)}, is not proven ({fault})"
        todo = f"please report it with the file; {setting('method')} has other ways"
        msg = f"the flow from {between}, {found}: an error of fabtopo, {todo}"
        raise ProofError(msg)
    return replace(claim.verdict, scope=scope)


def _side_faults(
    fabric: Fabric, sides: tuple[tuple[object, ...], ...], look: Look, problem: FlowProblem
) -> Iterator[str]:
    """Yield whether flow starts or ends at other devices than those of the two sides."""
    view, e = look.view, look.reading.e
    for parts, states in zip(sides, (problem.sources, problem.targets), strict=True):
        own = np.zeros(len(view.size), dtype=np.bool_)
        own[problem.moves.device[np.flatnonzero(states)]] = True
        if fabric.blueprint is None:
            meant = select_parts(fabric, parts)
        elif look.reading.blueprint is None:
            meant = _members(fabric.blueprint, parts, e.group.astype(np.int64), e.coordinates)
        else:
            meant = _members(fabric.blueprint, parts, view.classes.group.astype(np.int64), view.places)
        there = (look.of >= 0) & ~e.failed
        if (meant[there] != own[look.of[there]]).any():
            yield "a side with other devices than in the file"
        n = float(view.size[own].sum())
        wanted = count_named(fabric.blueprint, tuple(map(str, parts)))[0] if fabric.blueprint else None
        if wanted is not None and n != wanted:
            yield f"{n:,.0f} devices on a side, {wanted:,} in the file"


def _members(blueprint: Blueprint, parts: tuple[object, ...], group: Ints, places: Place) -> Bools:
    """Return which devices the selectors of a side name: endpoints, where one names no group.

    Parameters
    ----------
    blueprint : Blueprint
    parts : tuple
    group : ndarray of int64, shape (n,)
    places : mapping of str to ndarray of int64, shape (n,)
        Index of each on every primitive axis that its group has.
    """
    found = np.zeros(len(group), dtype=np.bool_)
    for part in parts:
        chosen = read_selector(blueprint, str(part), needs_group=False)
        is_any = chosen.group is not None or chosen.text.endswith("*")
        for number, own in enumerate(blueprint.groups.values()):
            rows = np.flatnonzero(group == number)
            if (is_any or own.is_endpoint) and len(rows):
                at = {p: places[p][rows] for p in own.primitives}
                found[rows] |= is_selected(blueprint, chosen, own.name, at, len(rows))
    return found


def _flow_fault(look: Look, claim: Claim) -> str:
    """Return what is wrong with the flow on the links of the file, or nothing."""
    problem, moves = claim.problem, claim.problem.moves
    out, into = (
        np.bincount(end, claim.flow, minlength=moves.n_states) for end in (problem.tail, problem.head)
    )
    supply = np.where(problem.sources | problem.targets, out - into, 0.0).astype(np.float64)
    if not supply.any():
        return ""
    used = replace(moves, tail=problem.tail, head=problem.head, link=problem.link)
    return look.flow_fault(Commodity(1.0, look.view, used, supply), claim.flow, 1.0)


def _cut_gbps(look: Look, claim: Claim) -> float:
    """Return the flow that the prices allow [Gb/s]: their worth over the least way that the file permits."""
    device = claim.problem.moves.device
    ends = np.zeros(len(look.view.size), dtype=np.bool_)
    ends[device[np.flatnonzero(claim.problem.targets)]] = True
    starts = device[np.flatnonzero(claim.problem.sources)]
    least = float(look.distances(ends, claim.price)[starts].min(initial=np.inf))
    return look.worth(claim.price) / least if least > 0 else np.inf
