"""Whose part of a job is over in a state, and which nodes a restart leaves out.

What a restart leaves out is down beside the state. Of this again what has no endpoint left below it carries
nothing, so that a GPU, its card and the cable between them end in one state::

    card down, node of 4 GPUs left out         the node left out
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fabric.arrays import Bools
from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.selector import fitting, parse_selector, range_word, selected_groups
from fabric.errors import QuestionError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.lost import exchanges
from fabric.flow.traffic import Traffic
from fabric.graph import Expanded, Fabric, Paths, expand, reachable, select
from fabric.results import CutOff
from fabric.study.failures.network import FailingJob, ways_out
from fabric.study.failures.states import Down, State, in_state, state_of
from fabric.symmetry import NoSymmetryError, devices_up, lay_ground, quotient


def replicas(job: FailingJob, state: State) -> State:
    """Return a state with all endpoints down that stand where those do that are down, along `over`.

    A group of the collective that has lost one rank has none there in any other group: what restarts are
    groups that are alike, as many replicas of the model as are whole.
    """
    blueprint = job.fabric.blueprint
    if blueprint is None or not job.over:
        return state
    spans = {p for axis in job.over for p in blueprint.primitives(axis)}
    down = [one for one in state if not one.right and _is_of_ends(job, blueprint, one.left)]
    return state_of((*state, *_along(blueprint, job, down, spans)))


def left_by_restart(job: FailingJob, state: State, nodes: Sequence[Down]) -> State:
    """Return what is down where some nodes are left out, without what carries nothing then.

    A way climbs from endpoints, turns once and descends to endpoints, so what it meets has an endpoint below;
    where devices may forward anything all is left as it is.
    """
    blueprint = job.fabric.blueprint
    if blueprint is not None:
        # What is marked twice would be told from what is marked once, and with it all that is joined to it.
        state = tuple(one for one in state if not any(_is_within(blueprint, one, node) for node in nodes))
    rest = state_of((*state, *nodes))
    if blueprint is None or job.paths == "any" or any(g.transit == "all" for g in blueprint.groups.values()):
        return rest
    ends = tuple(one for one in rest if not one.right and _is_of_ends(job, blueprint, one.left))
    others = [one for one in rest if one not in ends and _lower_end(blueprint, one) is not None]
    left = in_state(job.fabric, ends).blueprint
    if not others or left is None:
        return rest
    lower = {one: _lower_end(left, one) for one in others}
    apart = tuple(selector for selector in lower.values() if selector is not None)
    try:
        question = ClassTraffic(left, Traffic(), job.among, job.paths)
        view = quotient(left, apart=(*question.apart, *apart), ties=question.ties)
    except (NoSymmetryError, QuestionError):
        return rest
    below = _above_endpoints(view.classes)
    numbers = {name: number for number, name in enumerate(left.groups)}

    def carries(selector: Selector) -> bool:
        own = np.isin(view.classes.group, [numbers[g] for g in selected_groups(left, selector)])
        return bool((own & below & fitting(left, selector, view.places, len(own))).any())

    idle = {one for one, selector in lower.items() if selector is not None and not carries(selector)}
    return tuple(one for one in rest if one not in idle)


def _is_within(blueprint: Blueprint, one: Down, node: Down) -> bool:
    """Return whether devices that are down are all of a node; not where their ranges do not say."""
    if one.right or node.right:
        return False
    inner, outer = (parse_selector(down.left, blueprint.axes, blueprint.groups) for down in (one, node))
    if outer.group not in (None, inner.group):
        return False
    ranges, wide = _ranges(blueprint, inner), _ranges(blueprint, outer)
    # What is not said of the devices is all; what is not said of the node is not known to hold all.
    is_said = all(len(blueprint.primitives(term.axis)) == 1 or term.lo == term.hi for term in outer.terms)
    return is_said and all(
        axis in ranges and lo <= ranges[axis][0] and ranges[axis][1] <= hi for axis, (lo, hi) in wide.items()
    )


def _ranges(blueprint: Blueprint, chosen: Selector) -> dict[str, tuple[int, int]]:
    """Return the range of each primitive axis in a selector, without what ranges of composed ones say."""
    found = {}
    for term in chosen.terms:
        parts, index = blueprint.primitives(term.axis), term.lo
        if len(parts) == 1:
            found[parts[0]] = term.lo, term.hi
        elif term.lo == term.hi:
            for part in reversed(parts):
                index, i = divmod(index, blueprint.axes[part].size)
                found[part] = i, i
    return found


def _lower_end(blueprint: Blueprint, down: Down) -> Selector | None:
    """Return what is above an endpoint wherever something down has carried anything; None if unknown."""
    rule = next((rule for rule in blueprint.rules if rule.name == down.rule), None)
    if down.right and (rule is None or rule.is_peer):
        return None
    return parse_selector(down.left, blueprint.axes, blueprint.groups)


def _above_endpoints(classes: Expanded) -> Bools:
    """Return which classes are endpoints or above one."""
    up = classes.alive > 0
    is_peer = np.array([rule.is_peer for rule in classes.rules], dtype=np.bool_)[classes.rule]
    tail, head = classes.tail[up], classes.head[up]
    peers = is_peer[up]
    return reachable(
        classes.n_devices,
        np.concatenate([tail, head[peers]]),
        np.concatenate([head, tail[peers]]),
        classes.is_endpoint & ~classes.failed,
    )


def stopped_in(
    job: FailingJob, fabric: Fabric, state: State, cut_off: Sequence[CutOff]
) -> tuple[tuple[CutOff, ...], tuple[Down, ...]]:
    """Return whose part of the job is over, and the nodes of these as what is down beside the state."""
    blueprint = fabric.blueprint
    if blueprint is not None:
        try:
            return _stopped_classes(job, blueprint, state, cut_off)
        except NoSymmetryError:
            pass
    return _stopped_devices(job, fabric, state)


def _stopped_classes(
    job: FailingJob, blueprint: Blueprint, state: State, cut_off: Sequence[CutOff]
) -> tuple[tuple[CutOff, ...], tuple[Down, ...]]:
    down = [one for one in state if not one.right and _is_of_ends(job, blueprint, one.left)]
    try:
        traffic = ClassTraffic(blueprint, Traffic(), job.among, job.paths)
    except QuestionError:  # nobody is left to restart
        return (CutOff(job.among or "every endpoint", 1),), ()
    base = traffic.base
    kept = np.ones(len(base.size), dtype=np.bool_)
    # Leaving some out can cut off others, as in `without_cut_off`.
    while cut_off and (lost := traffic.lost(list(traffic.commodities(kept)))).any():
        kept &= ~lost
    lost = ~kept
    if job.hops_out:
        lost |= traffic.ends & (ways_out(base.classes) > job.hops_out)
    stopped = [CutOff(str(base.classes.names[i]), round(base.size[i])) for i in np.flatnonzero(lost).tolist()]
    nodes = [*_rows(job, blueprint, traffic.apart, lost), *_down_nodes(job, blueprint, down)]
    told = [CutOff(one.left, _n_named(job, one.left)) for one in down]
    return tuple(told + stopped), tuple(dict.fromkeys(nodes))


def _is_of_ends(job: FailingJob, blueprint: Blueprint, text: str) -> bool:
    chosen = parse_selector(text, blueprint.axes, blueprint.groups)
    return bool(set(selected_groups(blueprint, chosen)) & set(job.node))


def _n_named(job: FailingJob, text: str) -> int:
    """Return how many endpoints of the job a selector names that are up while all is up."""
    b = job.fabric.axes_or_refuse("a selector")
    chosen = parse_selector(text, b.axes, b.groups)
    return sum(devices_up(b, g, chosen) for g in job.node if _speaks_of(b, chosen, g))


def _speaks_of(b: Blueprint, chosen: Selector, group: str) -> bool:
    return group in selected_groups(b, chosen)


def _rows(job: FailingJob, blueprint: Blueprint, apart: tuple[Selector, ...], lost: Bools) -> list[Down]:
    """Return the nodes of some classes of endpoints, as selectors of ranges."""
    if not lost.any():
        return []
    ground = lay_ground(blueprint, apart=apart, in_file=True)
    grid, found = ground.grid, []
    for name, axes in job.node.items():
        device = ground.device[name]
        for row in np.flatnonzero((device >= 0) & lost[device]).tolist():
            terms = {}
            for p in axes:
                at = int(grid.digit(name, np.array([row]), p)[0])
                first, n = int(grid.reps[p][at]), int(grid.weights[p][at])
                # All indices of an axis need no word; as a range they may be told apart one by one.
                if n < blueprint.axes[p].size:
                    terms[p] = first, first + n - 1
            found.append(Down(_word(name, terms)))
    return found


def _down_nodes(job: FailingJob, blueprint: Blueprint, down: Sequence[Down]) -> list[Down]:
    """Return the nodes of endpoints that are down themselves."""
    return [
        node for name, axes in job.node.items() for node in _along(blueprint, job, down, set(axes), (name,))
    ]


def _along(
    blueprint: Blueprint, job: FailingJob, down: Sequence[Down], kept: set[str], groups: Sequence[str] = ()
) -> Iterator[Down]:
    """Yield the endpoints that agree with some that are down on the primitive axes that are `kept`."""
    for one in down:
        chosen = parse_selector(one.left, blueprint.axes, blueprint.groups)
        for name in set(selected_groups(blueprint, chosen)) & set(groups or job.node):
            terms = {}
            for term in chosen.terms:
                parts = blueprint.primitives(term.axis)
                if len(parts) == 1 and parts[0] in kept:
                    terms[parts[0]] = term.lo, term.hi
                elif set(parts) <= kept:
                    terms[term.axis] = term.lo, term.hi
                elif term.lo == term.hi:
                    # One index of a composed axis is one of each of its parts.
                    index = term.lo
                    for p in reversed(parts):
                        index, i = divmod(index, blueprint.axes[p].size)
                        if p in kept:
                            terms[p] = i, i
            yield Down(_word(name, terms))


def _word(group: str, terms: dict[str, tuple[int, int]]) -> str:
    return "/".join([*(range_word(axis, lo, hi) for axis, (lo, hi) in terms.items()), group])


def _exchanging(e: Expanded, ends: Bools, paths: Paths) -> Bools:
    """Return endpoints all of which exchange traffic with each other, without those that reach fewest."""
    own = np.flatnonzero(ends)
    seen = exchanges(e, ends, paths=paths)
    kept = np.ones(len(own), dtype=np.bool_)
    while len(own) and not seen[np.ix_(kept, kept)].all():
        n = np.where(kept, (seen & kept).sum(axis=1), len(own) + 1)
        kept[int(n.argmin())] = False
    exchanging = np.zeros(e.n_devices, dtype=np.bool_)
    exchanging[own[kept]] = True
    return exchanging


def _stopped_devices(
    job: FailingJob, fabric: Fabric, state: State
) -> tuple[tuple[CutOff, ...], tuple[Down, ...]]:
    e, before = expand(fabric), expand(job.fabric)
    ends = before.is_endpoint & ~before.failed
    if job.among is not None:
        ends &= select(job.fabric, job.among)
    lost = ends & e.failed
    lost |= ends & ~e.failed & ~_exchanging(e, ends & ~e.failed, job.paths)
    if job.hops_out:
        lost |= ends & (ways_out(e) > job.hops_out)
    stopped = tuple(CutOff(str(e.names[v]), 1) for v in np.flatnonzero(lost).tolist())
    node = np.arange(e.n_devices)
    if fabric.blueprint is not None:
        for number, group in enumerate(e.groups):
            axes = job.node.get(group.name)
            if axes is not None:
                own = np.flatnonzero(e.group == number)
                key = np.column_stack([np.zeros(len(own), np.int64), *(e.coordinates[p][own] for p in axes)])
                first, which = np.unique(key, axis=0, return_index=True, return_inverse=True)[1:]
                node[own] = own[first][which.ravel()]
    gone = ends & np.isin(node, node[lost])
    return stopped, tuple(Down(str(e.names[v])) for v in np.flatnonzero(gone & ~e.failed).tolist())
