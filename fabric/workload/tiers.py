"""Where the bytes of a job turn: what each group of switches turns, and how full each class of links is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fabric.costing.paced import PacedGroups
from fabric.job.ranks import Links
from fabric.units import seconds_to_send
from fabric.workload.step import TimedExchange

# What is left of a difference of equal bytes.
_NOISE = 1e-9


@dataclass(frozen=True, slots=True)
class LinkUse:
    """What a step puts on a class of links.

    Parameters
    ----------
    link : str
        The rule.
    n_bytes : float
        Of all ranks, both ways.
    share : float
        Of what all its cables could carry both ways in the time of the step, on average.
    busiest : float
        Part of the step that its busiest link is busy, at the rate that transfers get on it.
    """

    link: str
    n_bytes: float
    share: float
    busiest: float


def turns(paced: PacedGroups) -> dict[str, float]:
    """Return the bytes that a rank sends by where they turn back down, or the rule that they cross.

    ::

        turned at leaf = up into leaves - up out of leaves

    so that each byte counts once, where its way is farthest from the ranks. One that a mate hands on counts
    at each of its two turns. Between devices without a switch the rule stands for itself, and a byte counts
    on every link of it.
    """
    links, found = paced.links, dict[str, float]()
    for rule, ((lower, below), (upper, above)) in enumerate(links.ends):
        # Half of the bytes on a rule go up.
        up = float(paced.on_rule[rule]) / 2
        if not up or (lower == upper and below == "switch"):
            continue  # switches side by side pass on what has come up already
        if lower == upper or {below, above} == {"gpu"}:
            found[links.rules[rule]] = found.get(links.rules[rule], 0.0) + 2 * up
            continue
        if above == "switch":
            found[upper] = found.get(upper, 0.0) + up
        if below == "switch":
            found[lower] = found.get(lower, 0.0) - up
    whole = sum(map(abs, found.values()))
    return {name: n for name, n in found.items() if n > _NOISE * whole}


def scale_up_turns(links: Links) -> frozenset[str]:
    """Return the switch groups, and rules without a switch, that are inside scale-up domains."""
    found = set()
    for rule, ((_, _), (upper, above)) in enumerate(links.ends):
        if links.keys[rule][-1] == "scale-up":
            found.add(upper if above == "switch" else links.rules[rule])
    return frozenset(found)


def places(timed: Sequence[TimedExchange]) -> tuple[str, ...]:
    """Return the groups of switches, and rules, at which bytes turn, those nearest to the ranks first."""
    found = {place for one in timed for place in turns(one.paced)}
    if not timed:
        return ()
    links = timed[0].paced.links
    inside = scale_up_turns(links)
    order = [name for rule, (_, (upper, _)) in enumerate(links.ends) for name in (upper, links.rules[rule])]
    return tuple(sorted(found, key=lambda name: (name not in inside, order.index(name))))


def link_uses(
    timed: Sequence[TimedExchange], times: Mapping[str, float], step_s: float
) -> tuple[LinkUse, ...]:
    """Return what a step puts on every class of links that carries anything.

    Parameters
    ----------
    timed : sequence of TimedExchange
    times : mapping of str to float
        Spans in a step, by their kind.
    step_s : float
    """
    if not timed:
        return ()
    links = timed[0].paced.links
    n_rules = len(links.rules)
    n_bytes, busy = np.zeros(n_rules), np.zeros(len(links.rule))
    for one in timed:
        n = times[one.exchange.span] * one.exchange.times
        n_bytes += n * one.paced.on_rule * one.paced.n_ranks
        if len(one.paced.busy_s) == len(busy):
            busy += n * one.paced.busy_s
    capacity = np.bincount(links.rule, links.capacity_gbps, minlength=n_rules)
    peak = np.zeros(n_rules)
    np.maximum.at(peak, links.rule, busy)
    return tuple(
        LinkUse(
            links.rules[rule],
            float(n_bytes[rule]),
            seconds_to_send(float(n_bytes[rule]), float(capacity[rule])) / step_s,
            float(peak[rule]) / step_s,
        )
        for rule in np.flatnonzero(n_bytes > 0).tolist()
    )
