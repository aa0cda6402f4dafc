"""Pairs without a program of their own: between less that is down and more, both worth the same.

Whatever is down beside a leaf takes something away: a leaf and a chip are worth no more than the leaf alone.
And no less than the leaf and a chip of *every* rack, which has few kinds of damage and stands for all such
pairs::

    leaf                          87.5 %
    leaf, a chip of its rack      87.5 %  }
    leaf, a chip of another rack  87.5 %  }  not solved: between the other two
    leaf, chip 0 of all racks     87.5 %

Where the two differ, half of what is covered is tried, and so on; what is left is solved as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from fabric.blueprint.model import Blueprint, Term
from fabric.blueprint.selector import parse_selector, range_word
from fabric.flow.certificate import GAP, Verdict
from fabric.study.failures.evaluate import Kept, Outcome
from fabric.study.failures.events import Event
from fabric.study.failures.pairs import Name, PairEvent, pair_events
from fabric.study.failures.solving import StateAnswers, alike
from fabric.study.failures.states import Down, State, state_of
from fabric.symmetry import NoSymmetryError, nesting


def pairs_of(answers: StateAnswers, singles: Sequence[Event]) -> list[PairEvent]:
    """Return every pair of failures, and settle what needs no program of its own.

    Parameters
    ----------
    answers : StateAnswers
        Those of `singles` are known.
    singles : sequence of Event
        In the order of groups and rules.
    """
    names: list[Name] = list(dict.fromkeys((one.kind, one.of) for one in singles))
    worst: dict[Name, tuple[bool, float]] = {}
    for one in singles:
        outcome, name = answers.outcomes[one.state], (one.kind, one.of)
        severity = outcome.goes_on, outcome.others.rate_gbps
        worst[name] = min(severity, worst.get(name, severity))
    # Of a pair the worse is the first: beside it the other often changes nothing.
    by_severity = sorted(singles, key=lambda one: worst[one.kind, one.of])
    pairs = list(pair_events(answers.job, by_severity))
    # Those of one name are met from both ends, where there are several kinds of it.
    # Those of one name are met from both ends, where there are several kinds of it.
    first = alike(answers.job, (pair.state for pair in pairs if pair.first == pair.second))
    pairs = [replace(pair, state=first.get(pair.state, pair.state)) for pair in pairs]
    _Covering(answers, by_severity).settle(pairs)
    return [pair.in_order(names) for pair in pairs]


@dataclass(frozen=True, slots=True)
class _Covered:
    """A pair that is to be covered: its state, and what is down in it beside the base."""

    state: State
    name: Name
    added: Down


class _Covering:
    """What settles pairs.

    Parameters
    ----------
    answers : StateAnswers
    singles : sequence of Event
    """

    def __init__(self, answers: StateAnswers, singles: Sequence[Event]) -> None:
        self._answers, self._job = answers, answers.job
        self._singles: dict[Name, list[Event]] = {}
        for one in singles:
            self._singles.setdefault((one.kind, one.of), []).append(one)

    def settle(self, pairs: Sequence[PairEvent]) -> None:
        """Put the outcomes of pairs that are covered beside those of `StateAnswers`."""
        if self._job.fabric.blueprint is None:
            return
        try:
            nesting(self._job.fabric.blueprint)
        except NoSymmetryError:
            return
        by_base = self._items(pairs)
        kept = self._kept_axes({item.name for items in by_base.values() for item in items})
        groups = [(base, [item for item in items if item.name in kept]) for base, items in by_base.items()]
        # One pair costs no more than what would cover it.
        while groups := [(base, items) for base, items in groups if len(items) > 1]:
            covers = [
                state_of((*base, *(self._wide(item.added, kept[item.name]) for item in items)))
                for base, items in groups
            ]
            found, halves = self._answers.of(covers), []
            for (base, items), cover in zip(groups, covers, strict=True):
                half, outcome = len(items) // 2, _between(found[base], found[cover])
                if outcome is None:
                    halves += [(base, items[:half]), (base, items[half:])]
                else:
                    self._answers.outcomes |= {item.state: outcome for item in items}
            groups = halves

    def _items(self, pairs: Sequence[PairEvent]) -> dict[State, list[_Covered]]:
        """Return by what is down first the pairs that are not known and may be covered."""
        found: dict[State, dict[State, _Covered]] = {}
        for pair in pairs:
            is_one = len(pair.added) == 1 and self._answers.outcomes[pair.base].others.status == "optimal"
            if is_one and pair.state not in self._answers.outcomes:
                item = _Covered(pair.state, pair.second, pair.added[0])
                found.setdefault(pair.base, {}).setdefault(pair.state, item)
        return {base: list(items.values()) for base, items in found.items()}

    def _kept_axes(self, names: set[Name]) -> dict[Name, frozenset[str]]:
        """Return the names that change nothing, and on which axes they have to stay in their place for that.

        The fewest for which nothing changes where it is down on all indices of the other axes.
        """
        outcomes = self._answers.outcomes
        kept: dict[Name, frozenset[str]] = {}
        todo = {
            name
            for name in names
            if all(_between(outcomes[()], outcomes[one.state]) for one in self._singles[name])
        }
        for n in range(max((len(self._axes(name)) for name in todo), default=0)):
            tried = {}
            for name in sorted(todo - set(kept)):
                if n < len(axes := self._axes(name)):
                    own = frozenset(axes[len(axes) - n :])
                    downs = (down for one in self._singles[name] for down in one.state)
                    tried[name] = own, state_of(self._wide(down, own) for down in downs)
            found = self._answers.of(cover for _, cover in tried.values())
            kept |= {name: own for name, (own, cover) in tried.items() if _between(found[()], found[cover])}
        return kept

    def _axes(self, name: Name) -> list[str]:
        """Return the axes of the ends of what has a name, outer ones first."""
        blueprint, (kind, of) = self._blueprint, name
        groups = [of] if kind == "device" else next(list(r.groups) for r in blueprint.rules if r.name == of)
        own = {p for group in groups for p in blueprint.groups[group].primitives}
        return [axis for axis in nesting(blueprint).order if axis in own]

    @cached_property
    def _blueprint(self) -> Blueprint:
        return self._job.fabric.axes_or_refuse("a cover")

    def _wide(self, down: Down, kept: frozenset[str]) -> Down:
        """Return what is down with all that differs from it on the axes that are not kept."""
        left = self._widened(down.left, kept)
        return Down(left, self._widened(down.right, kept), down.rule, 0) if down.right else Down(left)

    def _widened(self, name: str, kept: frozenset[str]) -> str:
        chosen = parse_selector(name, self._blueprint.axes, self._blueprint.groups)
        own = [at for at in _places(self._blueprint, chosen.terms) if at[0] in kept]
        return "/".join([*(range_word(axis, i, i) for axis, i in own), chosen.group or "*"])


def _places(blueprint: Blueprint, terms: Sequence[Term]) -> Iterator[tuple[str, int]]:
    """Yield the index of a device on every primitive axis that its name tells."""
    for term in terms:
        index, places = term.lo, []
        for axis in reversed(blueprint.primitives(term.axis)):
            index, i = divmod(index, blueprint.axes[axis].size)
            places.append((axis, i))
        yield from places[::-1]


def _between(less: Outcome, more: Outcome) -> Outcome | None:
    """Return the outcome of all states between two, the second of which has more down; None if they differ.

    Whoever reaches whom, stays near its card and is up in the second does so in all of them.
    """
    if less.cut_off or more.cut_off or less.n_down != more.n_down:
        return None
    if sum(one.n for one in less.stopped) != sum(one.n for one in more.stopped):
        return None
    others = _pinned(less.others, more.others)
    if others is None or less.restart is None or more.restart is None:
        return None if others is None or less.restart is not more.restart else replace(less, others=others)
    restart = _pinned(less.restart, more.restart)
    return None if restart is None else replace(less, others=others, restart=restart)


def _pinned(less: Kept, more: Kept) -> Kept | None:
    """Return what is kept between two with one rate, or None."""
    proof = Verdict(
        more.certificate.lower_gbps,
        less.certificate.upper_gbps,
        (*less.certificate.faults, *more.certificate.faults),
        more.certificate.scope,
    )
    is_same = less.n == more.n and not less.cut_off and not more.cut_off
    is_met = is_same and {less.status, more.status} == {"optimal"} and proof.gap <= GAP
    return replace(less, certificate=proof) if is_met else None
