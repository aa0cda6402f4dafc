"""Key numbers of a system, each counted from its links or solved on them, at any size.

Sums over cables come from the census of the blueprint, so a system of half a million chips costs what a rack
does. Rates are Gb/s in one direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np

from fabric.arrays import Floats
from fabric.blueprint import Blueprint, Census, DeviceGroup, Rule, census
from fabric.blueprint.census import degrees
from fabric.blueprint.selector import range_word
from fabric.bounds.answer import Bound
from fabric.bounds.bound import bound
from fabric.errors import QuestionError, nearest
from fabric.flow import MaxFlow, max_flow
from fabric.flow.throughput import Throughput, throughput
from fabric.graph import Fabric

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WayOut:
    """What devices have into the scale-out network.

    Parameters
    ----------
    total_gbps : float
        Of all devices of a group together [Gb/s].
    is_cabled : bool
        Whether it is the sum of cables; else of the ports that the cards and devices have free for them.
    """

    total_gbps: float
    is_cabled: bool


@dataclass(frozen=True, slots=True)
class Halving:
    """The lower half of an axis against its upper half.

    Parameters
    ----------
    axis : str
    flow : MaxFlow
    """

    axis: str
    flow: MaxFlow


@dataclass(frozen=True, slots=True)
class Numbers:
    """Key numbers of the endpoints of one group.

    Parameters
    ----------
    group : str
    n_devices : int
    scale_up_gbps : (float, float)
        Least and most of one device [Gb/s].
    way_out : WayOut or None
        None where neither a card nor the device has a port.
    bisection : Halving or None
        The least over the halvings of one axis each; None where all have one index.
    all_to_all : Throughput
    all_gather : Bound
    flows : tuple of MaxFlow
        From the first device to its neighbour and to the one half-way on every axis.
    """

    group: str
    n_devices: int
    scale_up_gbps: tuple[float, float]
    way_out: WayOut | None
    bisection: Halving | None
    all_to_all: Throughput
    all_gather: Bound
    flows: tuple[MaxFlow, ...]


@dataclass(frozen=True, eq=False)
class SystemAnswers:
    """A fabric and the answers about it; every question is asked once.

    Parameters
    ----------
    fabric : Fabric
        Declared by axes.
    """

    fabric: Fabric
    _known: dict[tuple[str, ...], Any] = field(init=False, repr=False, default_factory=dict)

    @property
    def blueprint(self) -> Blueprint:
        """The blueprint."""
        return self.fabric.axes_or_refuse("a row of the page")

    @property
    def counts(self) -> Census:
        """The census."""
        return self._once(("census",), lambda: census(self.blueprint))

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The groups of endpoints."""
        return tuple(g.name for g in self.blueprint.groups.values() if g.is_endpoint)

    def flow(self, source: str | Sequence[str], target: str | Sequence[str]) -> MaxFlow:
        """Return the maximum flow from one selection to another."""
        return self._once(("flow", str(source), str(target)), lambda: max_flow(self.fabric, source, target))

    def all_to_all(self, group: str) -> Throughput:
        """Return the throughput of uniform all-to-all among a group."""
        return self._once(("all-to-all", group), lambda: throughput(self.fabric, among=group))

    def all_gather(self, group: str) -> Bound:
        """Return the bound of an all-gather among a group."""
        return self._once(("all-gather", group), lambda: bound(self.fabric, "all-gather", among=group))

    def _once(self, key: tuple[str, ...], ask: Callable[[], T]) -> T:
        if key not in self._known:
            self._known[key] = ask()
        return cast(T, self._known[key])


def rules_of(measured: SystemAnswers, names: Sequence[str] = (), *, net: str = "scale-up") -> list[Rule]:
    """Return rules by name, or by default all of a net.

    Raises
    ------
    QuestionError
        If there is none of a name.
    """
    rules = {r.name: r for r in measured.blueprint.rules}
    for name in names:
        if name not in rules:
            msg = f"no rule {name!r} in {measured.fabric.name}; {nearest(name, rules)}"
            raise QuestionError(msg)
    return [r for r in rules.values() if (r.name in names if names else r.net == net)]


def at_each(measured: SystemAnswers, group: str, rules: Iterable[Rule], *, is_rate: bool) -> Floats:
    """Return what one device has on some rules: cables, or their rate.

    Returns
    -------
    ndarray of float64, shape (k,)
        For each populated class of devices of `group`.
    """
    counts, wanted = measured.counts, {r.name for r in rules}
    totals = np.zeros(counts.grid.n_rows(group))
    for joined in counts.rules:
        rule = joined.rule
        if rule.name in wanted and group in (rule.left.group, rule.right.group):
            sides = degrees(joined, counts.n_rows(rule), present_only=True)
            totals += sides[rule.left.group != group] * (rule.rate_gbps if is_rate else 1.0)
    return totals[~counts.absent[group]]


def at_all(measured: SystemAnswers, group: str, rules: Iterable[Rule], *, is_rate: bool) -> float:
    """Return what all devices of a group have on some rules: ends of cables, or their rate."""
    present = ~measured.counts.absent[group]
    return float(at_each(measured, group, rules, is_rate=is_rate) @ measured.counts.n_devices[group][present])


def way_out(measured: SystemAnswers, group: str) -> WayOut | None:
    """Return what a group has into the scale-out network: by cables, else by ports free for them.

    Notes
    -----
    It counts at the devices themselves and at cards of the same include. Cards in a group named ``dpu`` serve
    storage and the front-end and do not count, nor do cables between the cards; those from device to device,
    of a network without switches, do.
    """
    near = [g.name for g in measured.blueprint.groups.values() if g.name == group or _is_card_of(g, group)]
    rules = [
        r
        for r in rules_of(measured, net="scale-out")
        if (r.left.group in near) != (r.right.group in near) or r.left.group == r.right.group == group
    ]
    cabled = sum(at_all(measured, name, rules, is_rate=True) for name in near)
    if cabled > 0:
        return WayOut(cabled, is_cabled=True)
    free = sum(_free_ports(measured, measured.blueprint.groups[name]) for name in near)
    return WayOut(free, is_cabled=False) if free > 0 else None


def _is_card_of(card: DeviceGroup, group: str) -> bool:
    head, _, name = card.name.rpartition(".")
    return card.kind == "nic" and name != "dpu" and head == group.rpartition(".")[0]


def _free_ports(measured: SystemAnswers, group: DeviceGroup) -> float:
    """Return the rate of the network ports of a group that no cable takes."""
    ports = group.part.ports if group.part else ()
    ports_gbps = sum(p.n_ports * p.rate_gbps for p in ports if p.name == "network")
    cabled = (r for r in measured.blueprint.rules if r.port_class == "network")
    return ports_gbps * measured.counts.present(group.name) - at_all(
        measured, group.name, cabled, is_rate=True
    )


def halving(measured: SystemAnswers, group: str, axis: str) -> Halving | None:
    """Return the flow from the lower half of an axis to its upper half; None where its size is 1.

    The middle index of an odd size is halved along the next axis, and so on; the very last device is of
    neither half.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {x: 3, y: 2}, devices: {gpu: {kind: gpu, axes: [x, y]},"
    >>> text += " leaf: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 1Gb/s}]}"
    >>> halving(SystemAnswers(loads(text)), "gpu", "x").flow.source
    'x0/gpu, x1/y0/gpu'
    """
    if measured.blueprint.axes[axis].size < 2:
        return None
    other_axes = [p for p in measured.blueprint.groups[group].primitives if p != axis]
    lower, upper = _halves(measured, group, [axis, *other_axes], "")
    return Halving(axis, measured.flow(lower, upper))


def _halves(
    measured: SystemAnswers, group: str, axes: list[str], place: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the selectors of the two halves of what is at a place, along the first of some axes."""
    axes = [axis for axis in axes if measured.blueprint.axes[axis].size > 1]
    if not axes:
        return (), ()
    axis, size = axes[0], measured.blueprint.axes[axes[0]].size
    half = size // 2
    # An odd size has a middle index, which is halved along the next axis.
    lower = (f"{place}{range_word(axis, 0, half - 1)}/{group}",)
    upper = (f"{place}{range_word(axis, size - half, size - 1)}/{group}",)
    if size % 2 == 0:
        return lower, upper
    middle = _halves(measured, group, axes[1:], f"{place}{axis}{half}/")
    return lower + middle[0], upper + middle[1]


def bisection(measured: SystemAnswers, group: str) -> Halving | None:
    """Return the least flow over the halvings of one axis; None where all have one index."""
    axes = measured.blueprint.groups[group].primitives
    halvings = [h for h in (halving(measured, group, axis) for axis in axes) if h is not None]
    # The outermost of those that are equal but for the last bits.
    return min(halvings, key=lambda h: float(f"{h.flow.value_gbps:.9g}"), default=None)


def pairs_of(measured: SystemAnswers, group: str) -> tuple[tuple[str, str], ...]:
    """Return the first device with its neighbour, and with the device half-way on every axis.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> pairs_of(SystemAnswers(loads("{fabric: rack, include: gb200-nvl72}")), "gpu")
    (('tray0/gpu0', 'tray0/gpu1'), ('tray0/gpu0', 'tray9/gpu3'))
    """
    placed, axes = measured.blueprint.groups[group], measured.blueprint.axes
    middle = {p: axes[p].size // 2 for p in placed.primitives}
    first = dict.fromkeys(placed.primitives, 0)
    last = next((p for p in reversed(placed.primitives) if middle[p]), "")
    targets = [_name(measured, placed, at) for at in (first | {last: 1} if last else first, middle)]
    source = _name(measured, placed, first)
    return tuple((source, target) for target in dict.fromkeys(targets) if target != source)


def _name(measured: SystemAnswers, group: DeviceGroup, at: Mapping[str, int]) -> str:
    index = [measured.blueprint.flat(axis, at) for axis in group.axes]
    heads = [f"{a}{i}" for a, i in zip(group.axes[:-1], index[:-1], strict=True)]
    return "/".join([*heads, group.name + "".join(map(str, index[-1:]))])


def numbers(measured: SystemAnswers, group: str) -> Numbers:
    """Return the key numbers of the endpoints of a group."""
    rates_gbps = at_each(measured, group, rules_of(measured), is_rate=True)
    return Numbers(
        group,
        measured.counts.present(group),
        (float(rates_gbps.min()), float(rates_gbps.max())),
        way_out(measured, group),
        bisection(measured, group),
        measured.all_to_all(group),
        measured.all_gather(group),
        tuple(measured.flow(*pair) for pair in pairs_of(measured, group)),
    )
