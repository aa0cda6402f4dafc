"""Cables of a fabric as things that are bought: media by reach, cages filled, splitters and trunks.

How many cables a cage (of copper) or a connector (of optics) takes at either end says what joins them::

    1 : 1    straight     a cable is an item
    1 : k    splitter     an item is one end on this side and k on the other
    k : k    trunk        where k cables join the same two devices: an item is k cables
    j : k    shuffle      else: each end is a trunk of its own into a shuffle panel; no copper does this
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.blueprint.census import Census, RuleCensus, census_on, degrees
from fabric.blueprint.model import DeviceGroup, Rule
from fabric.sizing.fittings import Cage, Fitting, cage, ceil, fittings, is_inside
from fabric.sizing.floor import RackLayout, lengths

REACHES_M = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000, 10_000)
"""Lengths that cables are counted by: each one at the shortest that is long enough [m]."""
# Neither the ceiling of a quotient nor a reach may be pushed up by the last bit.
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Run:
    """Cables of one rule, one medium and one reach.

    Parameters
    ----------
    rule : str
    medium : str
        Id in the catalogue, or a family of transceivers; empty where it is not known.
    is_named : bool
        The file names the medium; else it was chosen by reach.
    is_inside : bool
        The cables come with a server or a rack.
    reach_m : float or None
        Length to order [m]; None where not known or not needed.
    n_cables : int
    """

    rule: str
    medium: str
    is_named: bool
    is_inside: bool
    reach_m: float | None
    n_cables: int


@dataclass(frozen=True, slots=True)
class Plug:
    """What is in the cages of one device group.

    Parameters
    ----------
    group : str
    medium : str
        Transceiver or assembly; a rate and a family where the catalogue has no such transceiver; empty where
        the medium is not known.
    form : str
        One of `fabric.sizing.fittings.FORMS`, or empty.
    rate_gbps : float
        Of one cable [Gb/s per direction].
    n_cages : int
        Cages filled; without cages, cables.
    n_ends : int
        Ends of cables in them.
    rule : str
        Whose cables they are; empty for transceivers, which the rules of a device may share.
    """

    group: str
    medium: str
    form: str
    rate_gbps: float
    n_cages: int
    n_ends: int
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Assembly:
    """Cables to order: copper with its ends, or glass.

    Parameters
    ----------
    rule, medium : str
        Medium is ``fibre`` for glass, empty where not known.
    shape : {"straight", "splitter", "trunk", "shuffle"}
    reach_m : float or None
        The longest of them [m].
    n, n_ends : int
        Items, and the plugs on them.
    """

    rule: str
    medium: str
    shape: str
    reach_m: float | None
    n: int
    n_ends: int


@dataclass(frozen=True, slots=True)
class Cabling:
    """All cables of a fabric.

    Parameters
    ----------
    runs : tuple of Run
        Every cable of the file once.
    plugs : tuple of Plug
    assemblies : tuple of Assembly
    notes : tuple of str
        What cannot be as the file says it.
    """

    runs: tuple[Run, ...]
    plugs: tuple[Plug, ...]
    assemblies: tuple[Assembly, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A medium for a rule: one assembly, or a family with the transceiver of each end."""

    name: str
    is_assembly: bool
    ends: tuple[Fitting | None, Fitting | None]
    reach_m: float
    is_named: bool = False

    def fans(self, cages: tuple[Cage, Cage]) -> tuple[int, int]:
        """Return how many cables each end of an item takes."""
        if self.is_assembly:
            return cages[0].n_cables, cages[1].n_cables
        # A transceiver with several connectors deals its cables out to them.
        n = [e.n_connectors if e and e.form == "transceiver" else 1 for e in self.ends]
        return -(-cages[0].n_cables // n[0]), -(-cages[1].n_cables // n[1])


_UNKNOWN = _Choice("", False, (None, None), np.inf)


def cabling(layout: RackLayout, counts: Census) -> Cabling:
    """Return the cables of a fabric.

    Parameters
    ----------
    layout : RackLayout
        Whose grid tells apart what stands in different places.
    counts : Census
        All rules of the same blueprint, counted on any grid.
    """
    # Boards and backplanes come with servers and racks: no length, nothing to buy.
    outside = census_on(layout.grid, tuple(r for r in layout.grid.blueprint.rules if not is_inside(r)))
    wired = {joined.rule.name: _Wiring(layout, outside, joined) for joined in outside.rules}
    runs: list[Run] = []
    for joined in counts.rules:
        rule = joined.rule
        if rule.name in wired:
            runs += wired[rule.name].runs()
        elif joined.total:
            runs.append(Run(rule.name, rule.medium or "board", bool(rule.medium), True, None, joined.total))
    plugs, notes = _plugs(outside, list(wired.values()))
    assemblies = [a for w in wired.values() for a in w.assemblies()]
    notes += [n for w in wired.values() for n in w.notes()]
    return Cabling(tuple(runs), plugs, tuple(assemblies), tuple(notes))


class _Wiring:
    """One rule with the medium and the reach of each pair of classes that it joins."""

    def __init__(self, layout: RackLayout, census: Census, joined: RuleCensus) -> None:
        rule = joined.rule
        self.rule, self.census, self.joined = rule, census, joined
        groups = layout.grid.blueprint.groups
        self.groups = (rule.left_group, rule.right_group)
        self.cages = (cage(groups[self.groups[0]], rule), cage(groups[self.groups[1]], rule))
        self.length_m = lengths(layout, joined)
        self.choices = (*_choices(rule, self.cages), _UNKNOWN)
        self.choice, self.reach = _choose(self.choices, self.length_m)

    def _parts(self) -> Iterator[tuple[_Choice, RuleCensus]]:
        """Yield the cables that take each choice."""
        joined = self.joined
        for i, choice in enumerate(self.choices):
            present = joined.present & (self.choice == i)
            if joined.n_cables[present].any():
                yield choice, replace(joined, present=present)

    def runs(self) -> Iterator[Run]:
        for choice, part in self._parts():
            n = np.bincount(self.reach[part.present], part.n_cables[part.present], len(REACHES_M) + 1)
            for at in np.flatnonzero(n).tolist():
                yield Run(self.rule.name, choice.name, choice.is_named, False, self._reach(at), int(n[at]))

    def _reach(self, at: int) -> float | None:
        return float(REACHES_M[at]) if at < len(REACHES_M) else None

    def degrees(self, part: RuleCensus) -> tuple[Floats, Floats]:
        """Return the cables at each device of the two groups."""
        return degrees(part, self.census.n_rows(self.rule), present_only=True)

    def _heads(self, part: RuleCensus, fans: tuple[int, int]) -> list[int]:
        """Return how many ends the cables need at the two groups, of which one takes `fans` cables."""
        n_ends = []
        for group, fan, n_cables, holder in zip(
            self.groups, fans, self.degrees(part), self.cages, strict=True
        ):
            n_ends.append(
                int(ceil((holder.count_filled(n_cables, fan) * self.census.n_devices[group]).sum()))
            )
        return n_ends

    def _shape(self, fans: tuple[int, int]) -> str:
        if fans == (1, 1):
            return "straight"
        if 1 in fans and self.groups[0] != self.groups[1]:
            return "splitter"
        # A trunk needs all of its cables between the same two devices.
        counts = (self.rule.count,) if isinstance(self.rule.count, int) else self.rule.count
        if fans[0] == fans[1] and all(n % fans[0] == 0 for n in counts):
            return "trunk"
        return "shuffle"

    def assemblies(self) -> Iterator[Assembly]:
        for choice, part in self._parts():
            n, fans = part.total, choice.fans(self.cages)
            name = choice.name if choice.is_assembly or not choice.name else "fibre"
            reaches = np.unique(self.reach[part.present & (part.n_cables > 0)])
            shape = self._shape(fans)
            heads = self._heads(part, fans)
            if shape == "straight":
                for run in self.runs():
                    if run.medium == choice.name:
                        yield Assembly(run.rule, name, shape, run.reach_m, run.n_cables, 2 * run.n_cables)
                continue
            if shape == "splitter":
                # One thick end fans out to a thin end for each cable.
                n_items = heads[0] if fans[0] > 1 else heads[1]
                n_ends = n_items + n
            elif shape == "trunk":
                n_items, n_ends = n // fans[0], 2 * n // fans[0]
            else:
                # Each device has trunks of its own to the shuffle panel, with an end at either.
                n_items = heads[0] if self.groups[0] == self.groups[1] else sum(heads)
                n_ends = 2 * n_items
            yield Assembly(self.rule.name, name, shape, self._reach(int(reaches[-1])), n_items, n_ends)

    def notes(self) -> Iterator[str]:
        for choice, part in self._parts():
            shape = self._shape(choice.fans(self.cages))
            if choice.is_assembly and shape == "shuffle":
                yield (
                    f"{self.rule.name}: no {choice.name} joins cages of {self.cages[0].n_cables} and "
                    f"{self.cages[1].n_cables} cables that lead to different devices; name an optical medium"
                )
            longest = float(np.nanmax(self.length_m[part.present], initial=0.0))
            if choice is _UNKNOWN:
                why = "no length is known" if not longest else f"nothing reaches {longest:.4g} m"
                yield f"{self.rule.name}: {why} for {part.total:,} cables, so their medium is not known"
            elif longest > choice.reach_m + _SLACK:
                yield (
                    f"{self.rule.name}: up to {longest:.4g} m, but {choice.name} surely reaches only "
                    f"{choice.reach_m:g} m"
                )

    def plug_ends(self) -> Iterator[tuple[tuple[str, str, str, float, str], Cage, Floats]]:
        """Yield what is plugged in (group, medium, form, rate, rule), its cage, and cables at each row."""
        for choice, part in self._parts():
            n_cables = self.degrees(part)
            sides = range(1 if self.groups[0] == self.groups[1] else 2)
            for i in sides:
                name, form = _plug(choice, i, self.cages[i])
                # Assemblies of different rules never share a cage; transceivers do.
                rule = "" if form == "transceiver" else self.rule.name
                yield (self.groups[i], name, form, self.rule.rate_gbps, rule), self.cages[i], n_cables[i]


def _choose(choices: tuple[_Choice, ...], length_m: Floats) -> tuple[Ints, Ints]:
    """Return which choice cables of some lengths take, and the number of their order length."""
    fits = np.array([length_m <= c.reach_m + _SLACK for c in choices])
    is_sure = np.array([c.is_named or c is _UNKNOWN for c in choices])
    needed_m = np.where(np.isnan(length_m), np.inf, length_m)
    # The first medium that is named or long enough; the last one, which is none, always is.
    choice = np.argmax(fits | is_sure[:, None], axis=0)
    # The order length is the next one up; past the last, or unknown, it has none.
    return choice, np.searchsorted(REACHES_M, needed_m - _SLACK)


def media(rule: Rule, groups: tuple[DeviceGroup, DeviceGroup], length_m: Floats) -> tuple[list[str], Floats]:
    """Return the medium and the order length of each cable of a rule, as the bill has them.

    Parameters
    ----------
    rule : Rule
    groups : tuple of DeviceGroup
        Of its two sides.
    length_m : ndarray of float64, shape (n,)
        NaN where not known [m].

    Returns
    -------
    list of str
        Empty where not known.
    ndarray of float64, shape (n,)
        NaN where there is none [m].
    """
    choices = (*_choices(rule, (cage(groups[0], rule), cage(groups[1], rule))), _UNKNOWN)
    choice, reach = _choose(choices, length_m)
    return [choices[i].name for i in choice.tolist()], np.array([*REACHES_M, np.nan])[reach]


def _plug(choice: _Choice, side: int, holder: Cage) -> tuple[str, str]:
    """Return what stands in a cage at one side, and its form."""
    fitting = choice.ends[side]
    if fitting is not None:
        return fitting.medium.id, fitting.form
    if choice is _UNKNOWN:
        return "", ""
    return f"{holder.rate_gbps:g}G {choice.name}", "transceiver"


def _plugs(census: Census, wired: list[_Wiring]) -> tuple[tuple[Plug, ...], list[str]]:
    """Return what all rules together plug in, and which groups have too few cages for that."""
    cables_of: dict[tuple[str, str, str, float, str], tuple[Cage, Floats]] = {}
    for key, holder, n_cables in (p for w in wired for p in w.plug_ends()):
        # Rules that plug the same thing into the same cages share them.
        before = cables_of[key][1] if key in cables_of else 0.0
        cables_of[key] = (holder, before + n_cables)
    plugs: list[Plug] = []
    filled: dict[str, Floats] = {}
    for (group, medium, form, rate_gbps, rule), (holder, n_cables) in cables_of.items():
        cages = holder.count_filled(n_cables, holder.n_cables) if holder.form == "cage" else ceil(n_cables)
        n_devices = census.n_devices[group]
        n_ends = int((n_cables * n_devices).sum() + 0.5)
        # A cage that devices share is filled by all of them together.
        n_cages = int(ceil((cages * n_devices).sum()))
        plugs.append(Plug(group, medium, form, rate_gbps, n_cages, n_ends, rule))
        if holder.form == "cage":
            filled[group] = filled.get(group, 0.0) + cages
    notes = []
    for group, cages in filled.items():
        n = _n_cages(census, group)
        if n is not None and cages.max(initial=0.0) > n:
            notes.append(f"{group}: different media need {cages.max():.0f} cages of a device that has {n}")
    return tuple(plugs), notes


def _n_cages(census: Census, group: str) -> int | None:
    part = census.grid.blueprint.groups[group].part
    caged = [p for p in part.ports if p.ports_per_cage] if part else []
    return sum(p.n_ports // (p.ports_per_cage or 1) for p in caged) or None


def _choices(rule: Rule, cages: tuple[Cage, Cage]) -> tuple[_Choice, ...]:
    """Return the media that can carry a rule, in the order of preference; one if the file names it."""
    named = fittings().get(rule.medium)
    # The file has chosen; nothing else is tried.
    if named is not None and named.form != "fibre":
        if named.form == "assembly":
            return (_Choice(rule.medium, True, (named, named), _reach_m(named), is_named=True),)
        ends = (_sibling(named, cages[0]), _sibling(named, cages[1]))
        reach = min((_reach_m(e) for e in ends if e), default=np.inf)
        return (_Choice(named.family, False, ends, reach, is_named=True),)
    ranked: list[tuple[int, _Choice]] = []
    families = set()
    for fitting in fittings().values():
        if fitting.rank is None:
            continue
        if fitting.form == "assembly":
            if named is None and _carries(fitting, cages):
                choice = _Choice(fitting.medium.id, True, (fitting, fitting), _reach_m(fitting))
                ranked.append((fitting.rank, choice))
        # A family is a choice once, with the transceiver of each end.
        elif fitting.family not in families:
            families.add(fitting.family)
            ends = (_member(fitting.family, cages[0]), _member(fitting.family, cages[1]))
            if ends[0] and ends[1]:
                reach = min(_reach_m(ends[0]), _reach_m(ends[1]))
                ranked.append((fitting.rank, _Choice(fitting.family, False, ends, reach)))
    return tuple(choice for _, choice in sorted(ranked, key=lambda pair: pair[0]))


def _carries(fitting: Fitting, cages: tuple[Cage, Cage]) -> bool:
    """Return whether an assembly fits both cages: as fast as they are, and no shuffle."""
    is_fast = all(c.rate_gbps <= fitting.medium.figures["rate_gbps"] for c in cages)
    return is_fast and all(c.form != "bare" for c in cages) and 1 in (cages[0].n_cables, cages[1].n_cables)


def _member(family: str, of: Cage) -> Fitting | None:
    """Return what a family plugs into a cage."""
    if of.form == "bare":
        return next((f for f in fittings().values() if f.family == family and f.form == "built-in"), None)
    rows = [f for f in fittings().values() if f.family == family and f.form == "transceiver"]
    return next((f for f in rows if f.medium.figures["rate_gbps"] == of.rate_gbps), None)


def _sibling(named: Fitting, of: Cage) -> Fitting | None:
    """Return the transceiver that a file names, or the one of its family that the cage takes."""
    # An optical cable may have another member of the family at its other end.
    is_own = named.form == "transceiver" and named.medium.figures["rate_gbps"] == of.rate_gbps
    return named if is_own or of.form == "generic" else _member(named.family, of)


def _reach_m(fitting: Fitting) -> float:
    """Return how far a medium surely reaches: the lower end of a range [m]."""
    figures = fitting.medium.figures
    return figures.get("reach_min_m", figures.get("reach_m", np.inf))
