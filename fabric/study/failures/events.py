"""What can fail: every device and every cable, as kinds of events that are alike, each with its state.

Two events are one state where the same is left: a card whose only cable to its GPU is down carries nothing,
so neither does the cable; a processor that no path meets changes nothing, but takes its GPUs with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Floats
from fabric.blueprint.model import Blueprint, DeviceGroup, Risk, Selector, Term
from fabric.blueprint.selector import parse_selector, range_word, selected_groups
from fabric.graph import Fabric
from fabric.study.failures.network import FailingJob, classes_of, hosted, is_there
from fabric.study.failures.states import Down, State, state_of
from fabric.symmetry import NoSymmetryError, nesting, quotient
from fabric.symmetry.orbits import Orbit, orbits


@dataclass(frozen=True, slots=True)
class Event:
    """Failures that are alike.

    Parameters
    ----------
    kind : {"device", "cable", "chip", "place", "risk"}
    of : str
        Group, rule, axis or shared risk.
    n : int
        How many.
    example : str
        One of them.
    state : State
        What is down of the network when that one fails.
    """

    kind: str
    of: str
    n: int
    example: str
    state: State


def single_events(job: FailingJob) -> tuple[Event, ...]:
    """Return every single failure of a device or a cable, once for all that are alike.

    The numbers of devices, and of cables, sum to those that are up.
    """
    whole = orbits(job.whole)
    if job.fabric is job.whole or job.fabric.blueprint is None:
        network = whole
    else:
        network = orbits(job.fabric)
    series = Series(job.fabric)
    events = [Event(o.kind, o.of, o.n, _text(o), _state(job, series, o)) for o in network]
    known: set[tuple[str, str]] = {(o.kind, o.of) for o in network}
    # What no path meets: nothing is down of the network, whichever of them fails.
    idle = [o for o in whole if (o.kind, o.of) not in known]
    events += [Event(o.kind, o.of, o.n, _text(o), ()) for o in idle]
    order: dict[tuple[str, str], int] = {
        key: at for at, key in enumerate(dict.fromkeys((o.kind, o.of) for o in whole))
    }
    return tuple(sorted(merged(events), key=lambda one: order[one.kind, one.of]))


def merged(events: list[Event]) -> list[Event]:
    """Return events of one name and one state as one."""
    found: dict[tuple[str, str, State], list[Event]] = {}
    for event in events:
        found.setdefault((event.kind, event.of, event.state), []).append(event)
    return [
        Event(kind, of, sum(e.n for e in alike), alike[0].example, state)
        for (kind, of, state), alike in found.items()
    ]


def _text(orbit: Orbit) -> str:
    return " - ".join(map(str, orbit.ends))


def _state(job: FailingJob, series: Series, orbit: Orbit) -> State:
    """Return what is down of the network when one of an orbit fails."""
    if orbit.kind == "device":
        if taken := _taken(job, orbit):
            return tuple(sorted((*taken, Down(str(orbit.ends[0])))))
        return (Down(series.stand_in(orbit)),)
    if name := series.stand_in(orbit):
        return (Down(name),)
    left, right = map(str, orbit.ends)
    return (Down(left, right, orbit.of),)


def state_in(job: FailingJob, orbit: Orbit) -> State:
    """Return what is down when one of an orbit fails, whatever stands in line with it."""
    taken = _taken(job, orbit) if orbit.kind == "device" else ()
    if taken or orbit.kind == "device":
        return tuple(sorted((*taken, Down(str(orbit.ends[0])))))
    left, right = map(str, orbit.ends)
    return (Down(left, right, orbit.of),)


def _taken(job: FailingJob, orbit: Orbit) -> tuple[Down, ...]:
    """Return the endpoints that a host takes with it."""
    blueprint = job.fabric.blueprint
    if blueprint is None or (group := blueprint.groups[orbit.of]).kind != "host":
        return ()
    return tuple(
        Down(_at(blueprint, str(orbit.ends[0]), g.name)) for g in hosted(blueprint, group, job.among)
    )


def _at(blueprint: Blueprint, name: str, group: str) -> str:
    """Return the devices of a group that agree with a device on all of its axes, as a selector."""
    chosen = parse_selector(name, blueprint.axes, blueprint.groups)
    return "/".join([*(range_word(t.axis, t.lo, t.hi) for t in chosen.terms), group])


class Series:
    """What stands in line: a device that passes traffic on has one cable on a side, and fails as that does.

    Parameters
    ----------
    fabric : Fabric
    """

    def __init__(self, fabric: Fabric) -> None:
        e = self._e = classes_of(fabric)
        size: Floats = np.ones(e.n_devices)
        if fabric.blueprint is not None:
            try:
                size = quotient(fabric.blueprint).size
            except NoSymmetryError:
                pass
        # Below and above each device: its one neighbour where it has one cable there, else -1.
        below, above = (np.bincount(end, e.alive, minlength=e.n_devices) for end in (e.head, e.tail))
        is_peer = np.array([rule.is_peer for rule in e.rules], dtype=np.bool_)[e.rule] & (e.alive > 0)
        passes = np.array([g.transit == "pass" for g in e.groups], dtype=np.bool_)[e.group] & ~e.failed
        passes[e.tail[is_peer]] = passes[e.head[is_peer]] = False
        self._below = np.full(e.n_devices, -1, dtype=np.int64)
        self._below[e.head[e.alive > 0]] = e.tail[e.alive > 0]
        self._below[(below != size) | ~passes] = -1
        self._has_one_above = (above == size) & passes

    def stand_in(self, orbit: Orbit) -> str:
        """Return the device that is down where one of an orbit is, or nothing where only a cable is."""
        lower = orbit.places[0]
        if orbit.kind == "device":
            lowest = self._lowest(lower)
            return str(orbit.ends[0] if lowest == lower else self._e.names[lowest])
        upper = orbit.places[1]
        # The upper device has no other way down, or the lower one no other way up.
        if self._below[upper] == lower:
            return str(self._e.names[self._lowest(upper)])
        return str(self._e.names[self._lowest(lower)]) if self._has_one_above[lower] else ""

    def _lowest(self, device: int) -> int:
        """Return the lowest device that is down exactly where this one is."""
        below = int(self._below[device])
        return device if below < 0 or not self._has_one_above[below] else self._lowest(below)


def group_events(job: FailingJob) -> tuple[Event, ...]:
    """Return what fails at once: the shared risks of the file, and what stands together on one of its axes.

    Where they are alike is found as for devices: a device in name only is put on the axes of each.
    """
    blueprint = job.whole.blueprint
    if blueprint is None or job.fabric.blueprint is None:
        return ()
    risks = [("risk", risk) for risk in blueprint.risks]
    named = {risk.name for risk in blueprint.risks}
    risks += [("place", place) for place in _places(blueprint, job) if place.name not in named]
    events = [event for kind, risk in risks for event in _of_risk(job, job.fabric.blueprint, kind, risk)]
    return tuple(merged(events))


def _places(blueprint: Blueprint, job: FailingJob) -> Iterator[Risk]:
    """Yield the axes that several groups stand on, such as racks, trays and planes, with those above each."""
    groups = blueprint.groups.values()
    written = dict.fromkeys(axis for g in groups for axis in g.axes)
    try:
        above = nesting(blueprint).above
    except NoSymmetryError:
        return
    # The last axis of an endpoint is its place on its board, which is none of its own.
    lasts = [g.axes[-1] for g in groups if g.axes and g.name in job.node]
    inside = {p for axis in lasts for p in blueprint.primitives(axis)}
    for axis in written:
        own = blueprint.primitives(axis)
        n = sum(set(own) <= set(g.primitives) for g in groups)
        if set(own) <= inside or blueprint.axes[axis].size < 2 or n < 2:
            continue
        outer = dict.fromkeys(a for p in own for a in above[p] if a not in own)
        yield Risk(axis, (*outer, axis), (), (), blueprint.origin)


def _of_risk(job: FailingJob, network: Blueprint, kind: str, risk: Risk) -> Iterator[Event]:
    name = "".join(c for c in f"{risk.name}-of-all" if c.isalpha() or c == "-")
    while name in network.groups or name in network.axes:
        name += "-x"
    axes = tuple(dict.fromkeys(p for axis in risk.axes for p in network.primitives(axis)))
    phantom = DeviceGroup(name, "switch", None, axes, axes, "turn", is_endpoint=False, origin=risk.origin)
    # With it, the orbits of devices are those of the indices of its axes.
    placed = replace(network, groups={**network.groups, name: phantom})
    for orbit in orbits(Fabric(network.name, placed)):
        if orbit.of == name:
            chosen = parse_selector(str(orbit.ends[0]), placed.axes, placed.groups)
            words = _words(network, risk.axes, {t.axis: t.lo for t in chosen.terms})
            state = state_of(_down(network, risk, chosen.terms))
            yield Event(kind, risk.name, orbit.n, "/".join([*words, "*"]) if words else risk.name, state)


def _words(network: Blueprint, axes: Sequence[str], at: Mapping[str, int]) -> list[str]:
    return [range_word(axis, i, i) for axis in axes for i in (network.flat(axis, at),)]


def _down(network: Blueprint, risk: Risk, terms: Sequence[Term]) -> Iterator[Down]:
    """Yield what is down of a network at one index of the axes of a risk."""
    if not risk.devices and not risk.cables:
        for group in network.groups.values():
            if {t.axis for t in terms} <= set(group.primitives):
                yield Down(_narrowed(network, Selector("", group.name), terms))
        return
    for selector in risk.devices:
        if is_there(network, selector):
            yield Down(_narrowed(network, selector, terms))
    for cables in risk.cables:
        if is_there(network, cables.left) and is_there(network, cables.right):
            left, right = (_narrowed(network, end, terms) for end in (cables.left, cables.right))
            yield Down(left, right, n=cables.n or 0)


def _narrowed(network: Blueprint, selector: Selector, terms: Sequence[Term]) -> str:
    """Return a selector with more terms, as far as its groups have their axes and it does not say them."""
    groups = selected_groups(network, selector) if selector.terms or selector.group else tuple(network.groups)
    shared = set.intersection(*(set(network.groups[g].primitives) for g in groups))
    known = {p for t in selector.terms for p in network.primitives(t.axis)}
    more = [t for t in terms if t.axis in shared - known]
    words = [range_word(t.axis, t.lo, t.hi) for t in (*selector.terms, *more)]
    return "/".join([*words, selector.group or "*"])
