"""Hashed routing: every flow keeps to one path, drawn hop by hop by a hash, as plain ECMP does it.

Where `link_loads` splits a demand over all shortest permitted paths, here each demand is some flows (queue
pairs) and each flow takes one cable at every hop::

                          equal split         hashed: flows a and b meet
    leaf  ===4 cables==>  1/2 1/2 1/2 1/2     -  ab  -  -

Messages choose their cards first (`fabric.routing.messages`): each part of a message, by one card of each
side, is such flows, inside and across.

A draw is uniform among the cables of all shortest next hops, independent from hop to hop and from flow to
flow, and fixed by the seed, the number of the demand and that of its queue pair. Averaged over seeds, loads
are those of the equal split.

Planes that a file lists as an axis are cables like others: the first device with a port in each draws one of
them for the flow, which stays in that plane. Boxes of several chips (``planes`` of their part) are so once
they are opened, see `fabric.graph.open_boxes`; a closed one is one device, over whose chips every flow counts
as spread. `fabric.cost` opens them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats
from fabric.errors import QuestionError
from fabric.routing.balls import SlowestFlow, hashed_factor
from fabric.routing.ecmp import Demands, link_loads
from fabric.routing.hops import cable_firsts, hops, legs_of
from fabric.routing.messages import Messages, message_loads
from fabric.routing.moves import Router, ranges

# Cells of the loads of several draws at once, to bound memory.
_CELLS = 20_000_000
# Times that differ by less are the same.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class HashedOutcome:
    """How hashed flows fare beside an equal split; see `slowest_flow`.

    Parameters
    ----------
    drawn : SlowestFlow
        Over all draws.
    closed_form : SlowestFlow or None
        By `hashed_factor`, where at each device that flows first choose at they are as many, of one size, and
        choose among as many cables, and these bind in every draw.
    n_trials, n_flows : int
        Draws, and flows in each.
    """

    drawn: SlowestFlow
    closed_form: SlowestFlow | None
    n_trials: int
    n_flows: int


def hashed_loads(route: Router | Messages, demands: Demands, *, seed: int, n_queue_pairs: int = 1) -> Floats:
    """Return what hashed flows put on every link, shape (2 * m,).

    Parameters
    ----------
    route : Router or Messages
        From device to device, or by the cards of messages.
    demands : Demands
        Each is one flow for each queue pair, with its share of the amount.
    seed : int
    n_queue_pairs : int
        Flows of each demand.

    Returns
    -------
    ndarray of float64
        As `link_loads` has them; `cable_loads` tells the cables of a link apart.

    Raises
    ------
    QuestionError
        If a source has no permitted path to its target.

    Examples
    --------
    Two switches on four cables, all in one link:

    >>> import numpy as np
    >>> from fabric.graph import expand, loads
    >>> from fabric.routing import router
    >>> e = expand(loads('''
    ... fabric: pair
    ... axes: {half: 2, node: 4}
    ... devices:
    ...   gpu: {kind: gpu, axes: [half, node]}
    ...   leaf: {kind: switch, axes: [half]}
    ... links:
    ...   - {between: [gpu, leaf], rate: 400Gb/s}
    ...   - {between: [leaf, leaf], mesh: half, peer: true, rate: 400Gb/s, count: 4}
    ... '''))
    >>> across = Demands(np.arange(4), np.arange(4, 8), np.ones(4))
    >>> route = router(e, e.is_endpoint)
    >>> hashed_loads(route, across, seed=1)[-2:].tolist()
    [4.0, 0.0]
    >>> cable_loads(route, across, seed=1)[0, -8:].tolist()
    [0.0, 1.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0]
    >>> outcome = slowest_flow(route, across, seed=1, n_trials=1_000)
    >>> round(outcome.drawn.expected, 2), round(outcome.closed_form.expected, 2)
    (0.51, 0.51)
    """
    loads = cable_loads(route, demands, seed=seed, n_queue_pairs=n_queue_pairs)[0]
    # Cables of a link stand side by side.
    link = np.repeat(np.arange(2 * route.expanded.n_bundles), np.diff(cable_firsts(route)))
    return np.bincount(link, loads, minlength=2 * route.expanded.n_bundles).astype(np.float64)


def cable_loads(
    route: Router | Messages, demands: Demands, *, seed: int, n_queue_pairs: int = 1, trials: range = range(1)
) -> Floats:
    """Return what hashed flows put on every cable and direction in each draw, shape (trials, cables).

    Parameters
    ----------
    route : Router or Messages
    demands : Demands
    seed : int
    n_queue_pairs : int
        Flows of each demand.
    trials : range
        Draws, by number; each is independent of the others.
    """
    n_cables = int(cable_firsts(route)[-1])
    legs = legs_of(route, demands)
    amount = np.concatenate([leg.demands.amount for leg in legs])
    loads = np.zeros(len(trials) * n_cables)
    for hop in hops(route, demands, seed=seed, n_queue_pairs=n_queue_pairs, trials=trials):
        # The number of a flow says its draw and its demand; see `Hop.flow`.
        trial, demand = np.divmod(hop.flow // n_queue_pairs, len(amount))
        np.add.at(loads, (trial - trials.start) * n_cables + hop.cable, amount[demand] / n_queue_pairs)
    return loads.reshape(len(trials), n_cables)


def flow_rates(route: Router | Messages, demands: Demands, *, seed: int, n_queue_pairs: int = 1) -> Floats:
    """Return the rate of every flow of the first draw [Gb/s], shape (k, n_queue_pairs).

    Parameters
    ----------
    route : Router or Messages
    demands : Demands
        k of them.
    seed : int
    n_queue_pairs : int

    Notes
    -----
    A cable is shared in proportion to the amounts that cross it, and a flow goes at the least of its shares.
    What stays on its device goes at an infinite rate. Of a message on several cards, the parts that a queue
    pair has on each are one flow, which goes as the last of them.
    """
    n_messages = len(demands.source)
    loads = cable_loads(route, demands, seed=seed, n_queue_pairs=n_queue_pairs)[0]
    message = np.concatenate([leg.message for leg in legs_of(route, demands)])
    # Shared in proportion to amounts, all flows of a cable end together: after its load over its rate.
    time = np.zeros((n_messages, n_queue_pairs))
    for hop in hops(route, demands, seed=seed, n_queue_pairs=n_queue_pairs):
        demand, queue_pair = np.divmod(hop.flow, n_queue_pairs)
        own = loads[hop.cable] / route.expanded.rate_gbps[hop.link // 2]
        np.maximum.at(time, (message[demand], queue_pair), own)
    rate = np.full(time.shape, np.inf)
    np.divide(demands.amount[:, None] / n_queue_pairs, time, out=rate, where=time > 0)
    return rate


def slowest_flow(
    route: Router | Messages, demands: Demands, *, seed: int, n_trials: int = 100, n_queue_pairs: int = 1
) -> HashedOutcome:
    """Return how the slowest hashed flow fares beside an equal split, by drawing often.

    Parameters
    ----------
    route : Router or Messages
    demands : Demands
    seed : int
    n_trials : int
        Draws.
    n_queue_pairs : int
        Flows of each demand.

    Returns
    -------
    HashedOutcome

    Raises
    ------
    QuestionError
        If nothing is sent, or a source has no permitted path to its target.

    Notes
    -----
    The slowest flow crosses the cable that takes longest, as every loaded cable carries some flow. Draws in
    which it is faster than the equal split count as its rate in `SlowestFlow.expected`.

    The closed form knows the first choice alone, such as that of the uplinks of a leaf. Where flows collide
    beyond it, as on the way down from the spines, there is none.
    """
    if n_trials < 1:
        msg = f"the slowest flow needs 1 draw or more, not {n_trials}"
        raise QuestionError(msg)
    expanded = route.expanded
    if isinstance(route, Messages):
        split = message_loads(route, demands)
    else:
        split = link_loads(route, demands)
    capacity = np.repeat(expanded.alive * expanded.rate_gbps, 2)
    # Time of the busiest link under an equal split: what a draw is measured by.
    ideal = np.divide(split, capacity, out=np.zeros_like(split), where=split > 0).max(initial=0.0)
    if ideal == 0:
        msg = "there is no slowest flow where nothing is sent; ask about devices that are apart"
        raise QuestionError(msg)
    first = cable_firsts(route)
    rate = np.repeat(np.repeat(expanded.rate_gbps, 2), np.diff(first))
    # So many draws at once that their loads fit into memory.
    legs = legs_of(route, demands)
    n_parts = np.max([np.bincount(leg.message, minlength=len(demands.source)) for leg in legs], axis=0)
    n_flows = int(n_parts.sum()) * n_queue_pairs
    step = max(1, _CELLS // max(int(first[-1]), len(legs) * n_flows))
    closed, is_first = _closed_form(route, demands, n_queue_pairs, float(ideal))
    chosen = np.flatnonzero(np.repeat(is_first, np.diff(first)))
    times = []
    for trials in (range(n_trials)[i : i + step] for i in range(0, n_trials, step)):
        loads = cable_loads(route, demands, seed=seed, n_queue_pairs=n_queue_pairs, trials=trials)
        times.append((loads / rate).max(axis=1))
        # Some cable beyond the first choice was slower in this draw: the closed form does not tell.
        if closed and (times[-1] > (loads[:, chosen] / rate[chosen]).max(axis=1) * (1 + _SAME)).any():
            closed = None
    slowdown = np.sort(np.concatenate(times)) / ideal
    drawn = SlowestFlow.of(slowdown, np.full(n_trials, 1.0 / n_trials))
    return HashedOutcome(drawn, closed, n_trials, n_flows)


def _closed_form(
    route: Router | Messages, demands: Demands, n_queue_pairs: int, ideal: float
) -> tuple[SlowestFlow | None, Bools]:
    """Return the closed form of the first choice of all flows, if it is alike everywhere and binds.

    Returns
    -------
    SlowestFlow or None
    ndarray of bool, shape (2 * m,)
        Links that the first choice is among.
    """
    is_first = np.zeros(2 * route.expanded.n_bundles, dtype=np.bool_)
    amount = np.concatenate([leg.demands.amount for leg in legs_of(route, demands)])
    # Balls of different sizes have no such form.
    if np.ptp(amount) > 0:
        return None, is_first
    routers: list[Router] = []
    choices = [np.zeros((0, 5))]
    for hop in hops(route, demands, seed=0, n_queue_pairs=n_queue_pairs):
        if not routers or hop.route is not routers[-1]:
            routers.append(hop.route)
        rate = route.expanded.rate_gbps[hop.link // 2]
        leg = np.full(len(rate), len(routers) - 1)
        choices.append(np.column_stack([hop.flow, leg, hop.state, hop.ways, rate])[hop.ways > 1])
    choice = np.concatenate(choices)
    # Later choices are not of so many flows each time.
    _, first = np.unique(choice[:, 0], return_index=True)
    where, n_flows = np.unique(choice[first, 1:3], axis=0, return_counts=True)
    kinds = np.unique(choice[first, 3:], axis=0)
    if len(kinds) != 1 or np.ptp(n_flows):
        return None, is_first
    # All links that the devices of the first choice choose among.
    for number, one in enumerate(routers):
        states = where[where[:, 0] == number, 1].astype(np.int64)
        is_first[one.link[ranges(one.first, states)[0]]] = True
    n, (m, rate) = int(n_flows[0]), kinds[0].tolist()
    # Another link is the busiest of the equal split.
    if not np.isclose(ideal, n * amount[0] / n_queue_pairs / (m * rate)):
        return None, is_first
    return hashed_factor(n, int(m), n_groups=len(n_flows)), is_first
