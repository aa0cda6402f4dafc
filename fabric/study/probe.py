"""The shortest plan of tests that finds one slow card or cable: halves of the suspects, axis by axis.

A test is an all-to-all of the endpoints beside half of the suspects: each sends to each at once, so that the
slowest card or cable holds back all of them; a pair of endpoints is the smallest::

    suspects      pod 0 1 2 3                    4 x 8 x 4 cards
    test 1        pod 0 1           slow?   the suspect is in one of these, else in pod 2 or 3
    test 2        pod 0             slow?   ...
    then racks of that pod, beside a rack that is known to be sound, and so on

What a test shows is worked out on the wires: with all sound, and with one suspect slow, one of every class
of those that it tests; with all others slow at once it must show the same as sound. So each answer leaves
exactly one half, and no two suspects that end apart have the same answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar, Literal, get_args

import numpy as np

from fabric.arguments import checked
from fabric.blueprint.model import Blueprint, DeviceGroup, MarkedCables, Rule, Selector
from fabric.blueprint.selector import parse_selector, range_word
from fabric.blueprint.slowing import read_slow
from fabric.costing import cost
from fabric.errors import LimitError, QuestionError, nearest
from fabric.graph import Fabric, degrade, unnamed
from fabric.results import DeviceText, Result
from fabric.routing import Progress
from fabric.symmetry import NoSymmetryError, devices_up, lay_ground
from fabric.symmetry.cabling import cables_up
from fabric.symmetry.quotient import marks_of
from fabric.text.columns import columns
from fabric.units import format_rate

Answer = Literal["slow", "sound"]
Box = dict[str, tuple[int, int]]
"""First and last index on primitive axes."""

_SEEN = 0.98
"""A test that is slow must be at this part of its sound rate, or below."""
_SAME = 1e-6
MANY_LISTED = 64
"""Suspects that are tried one by one where axes do not say which are alike."""


@dataclass(frozen=True, slots=True)
class ProbeTest:
    """One test of a plan.

    Parameters
    ----------
    among : str
        Endpoints that take part, as a selector.
    n_endpoints : int
    suspects : str
        Those that it tests.
    sound_gbps, slow_gbps : float
        What each endpoint sends, at most, if none of these is slow, and if one is [Gb/s per direction].
    binding : str
        What binds while all is sound.
    answer : {"slow", "sound"}
        What it has shown; where nothing was said, that which leaves more suspects.
    is_said : bool
        Whether the answer was said.
    """

    among: DeviceText
    n_endpoints: int
    suspects: DeviceText
    sound_gbps: float
    slow_gbps: float
    binding: str
    answer: Answer
    is_said: bool


@dataclass(frozen=True, slots=True)
class Probe(Result):
    """Answer of `probe`.

    Parameters
    ----------
    of : str
        Group or rule of the suspects.
    part : str
        Of its rate that a slow one has.
    n_suspects : int
    tests : tuple of ProbeTest
    found : str
        Which suspects are left.
    n_left : int
    n_fewest : int
        Tests that any plan with two answers a test needs to leave so few.
    untold : tuple of str
        Axes on which no test of endpoints tells suspects apart, and why.
    """

    of: str
    part: str
    n_suspects: int
    tests: tuple[ProbeTest, ...]
    found: DeviceText
    n_left: int
    n_fewest: int
    untold: tuple[DeviceText, ...]

    shown: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        """Return the plan as a table."""
        n = len(self.tests)
        lines = [f"one of {self.n_suspects:,} {self.of} at {self.part}: {n} tests, all-to-all among"]
        rows = [
            [
                f"{number}",
                test.among,
                f"{test.n_endpoints:,}",
                format_rate(test.sound_gbps),
                format_rate(test.slow_gbps),
                test.answer if test.is_said else f"if {test.answer}",
            ]
            for number, test in enumerate(self.tests, 1)
        ]
        head = ["", "endpoints", ">n", ">sound", ">slow", "then"]
        lines += ["  " + line for line in columns(head, rows).splitlines()] if rows else []
        left = "it is" if self.n_left == 1 else f"{self.n_left:,} are left:"
        lines.append(f"  {left} {self.found}")
        lines += [f"  not told apart: {why}" for why in self.untold]
        lines.append(
            f"  no plan of tests with two answers has fewer than {self.n_fewest}; rates are those of wires"
        )
        return "\n".join(lines)


@checked
def probe(
    fabric: Fabric,
    suspects: str = "",
    *,
    part: float | str = 0.5,
    answers: Sequence[str] = (),
    progress: Progress | None = None,
) -> Probe:
    """Return the shortest plan of tests that finds one slow card or cable.

    Parameters
    ----------
    fabric : Fabric
    suspects : str
        A device group, whose cables are all slow at the bad one, or a link rule; the first group of network
        cards by default.
    part : float or str
        Of its rate that the bad one has, such as ``"1/4"``.
    answers : sequence of {"slow", "sound"}
        What the first tests have shown; after them the plan goes on where more suspects are left.
    progress : callable, optional
        Called with the suspects that are told apart so far, in bits, and all.

    Returns
    -------
    Probe

    Raises
    ------
    QuestionError
        If there are no such suspects, or there are more answers than tests.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 16}, devices: {gpu: {kind: gpu, axes: [i]}, nic: {kind: nic, axes: "
    >>> text += "[i]}, leaf: {kind: switch, axes: []}}, links: [{between: [gpu, nic], rate: 400Gb/s}, "
    >>> text += "{between: [nic, leaf], rate: 400Gb/s}]}"
    >>> plan = probe(loads(text), answers=["slow", "sound", "slow", "slow"])
    >>> [test.among for test in plan.tests], plan.found
    (['i0-7/gpu', 'i0-3/gpu', 'i4-5/gpu', 'i3-4/gpu'], 'i4/nic')
    """
    blueprint = fabric.axes_or_refuse("a plan of tests")
    said = [_answer(text) for text in answers]
    plan = _Plan(fabric, blueprint, _suspects(blueprint, suspects), part)
    for axis in plan.told:
        while plan.is_open(axis):
            test = plan.halve(axis, said[len(plan.tests)] if len(plan.tests) < len(said) else None)
            if test is None:
                break
            if progress is not None:
                progress(len(plan.tests), max(len(plan.tests), plan.n_fewest()))
    if len(said) > len(plan.tests):
        msg = f"{len(said)} answers, but the plan has {len(plan.tests)} tests"
        raise QuestionError(msg)
    return plan.result()


def _answer(text: str) -> Answer:
    if text not in get_args(Answer):
        msg = f"answers: slow or sound; got {text!r}"
        raise QuestionError(msg)
    return text  # type: ignore[return-value]


def _suspects(blueprint: Blueprint, name: str) -> DeviceGroup | Rule:
    """Return the group or the rule of that name; the first group of network cards by default."""
    rules = {rule.name: rule for rule in blueprint.rules}
    cards = (g for g in blueprint.groups.values() if g.kind == "nic" and not g.is_endpoint)
    found: DeviceGroup | Rule | None = blueprint.groups.get(name) or rules.get(name)
    if not name:
        found = next(cards, None) or next((r for r in rules.values() if r.net == "scale-out"), None)
    if found is None:
        known = [*blueprint.groups, *rules]
        hint = nearest(name, known) or f"there are {', '.join(known)}"
        msg = f"no device group or link rule {name!r}; {hint}"
        raise QuestionError(msg)
    if isinstance(found, Rule) and found.relation is not None:
        msg = f"{found.name} joins devices of one group: cables between these are told by no plan of halves"
        raise QuestionError(msg)
    if isinstance(found, DeviceGroup) and found.is_endpoint:
        msg = f"{found.name} are endpoints, which take part in every test; name cards, switches or a rule"
        raise QuestionError(msg)
    return found


def _with_next(i: int, n: int) -> tuple[int, int]:
    """Return an index of an axis of n, and one beside it."""
    return (i, i + 1) if i + 1 < n else (i - 1, i)


class _Plan:
    """What is known of the suspects, and the tests that told it."""

    def __init__(
        self, fabric: Fabric, blueprint: Blueprint, of: DeviceGroup | Rule, part: float | str
    ) -> None:
        self._fabric, self._blueprint, self._of, self._part = unnamed(fabric), blueprint, of, part
        try:
            read_slow(part)
        except ValueError as error:
            msg = f"part: {error}"
            raise QuestionError(msg) from None
        self._group = of if isinstance(of, DeviceGroup) else blueprint.groups[of.left_group]
        axes = self._group.primitives
        ends = [g for g in blueprint.groups.values() if g.is_endpoint]
        if not ends:
            msg = f"{blueprint.name} has no endpoints to test between"
            raise QuestionError(msg)
        self._end = max(ends, key=lambda g: len(set(g.primitives) & set(axes)))
        self.told = [p for p in axes if p in self._end.primitives]
        self._box: Box = {p: (0, blueprint.axes[p].size - 1) for p in axes}
        self._untold: dict[str, str] = {
            p: f"{p}: {self._end.name} is not on it" for p in axes if p not in self.told
        }
        if isinstance(of, Rule):
            right = blueprint.groups[of.right_group].primitives
            self._untold |= {p: f"{p}: traffic is spread over it" for p in right if p not in axes}
        self.n_suspects = self._count(self._box)
        self.tests: list[ProbeTest] = []

    def is_open(self, axis: str) -> bool:
        """Return whether suspects of several indices of an axis are left, which a test may tell apart."""
        return axis not in self._untold and self._box[axis][0] < self._box[axis][1]

    def n_fewest(self) -> int:
        """Return the tests with two answers that leave as few suspects as are left."""
        return math.ceil(math.log2(max(self.n_suspects / max(self._count(self._box), 1), 1)) - 1e-9)

    def halve(self, axis: str, said: Answer | None) -> ProbeTest | None:
        """Add the test of half of the suspects that are left, or note that none tells them apart."""
        lo, hi = self._box[axis]
        for half, job in self._jobs(axis, lo, hi):
            rest = (half[1] + 1, hi) if half[0] == lo else (lo, half[0] - 1)
            tested, other = self._box | {axis: half}, self._box | {axis: rest}
            test = self._try(job, tested, other)
            if test is not None:
                more: Answer = "slow" if self._count(tested) >= self._count(other) else "sound"
                test = replace(test, answer=said or more, is_said=said is not None)
                self._box = tested if test.answer == "slow" else other
                self.tests.append(test)
                return test
        self._untold[axis] = f"{axis}: no test shows which of {range_word(axis, lo, hi)} it is"
        return None

    def _jobs(self, axis: str, lo: int, hi: int) -> Iterator[tuple[tuple[int, int], Box]]:
        """Yield halves of the suspects, and endpoints to test them with, the fewest first.

        Where these are too near to each other, one more index of an axis or two goes with them: sound ones.
        """
        sizes = {p: self._blueprint.axes[p].size for p in self._end.primitives}
        base = {p: self._box.get(p, (0, n - 1)) for p, n in sizes.items()}
        mid = (lo + hi) // 2
        known = [p for p in reversed(self.told) if base[p][0] == base[p][1] and sizes[p] > 1]
        for half in ((lo, mid), (mid + 1, hi)):
            job = base | {axis: half}
            for n in range(3):
                for more in combinations(known, n):
                    yield half, job | {p: _with_next(base[p][0], sizes[p]) for p in more}
            # Beside the half that is tested, beyond the other one nothing is known to be sound.
            if half[0] == lo and lo > 0:
                yield half, job | {axis: (lo - 1, half[1])}
            if half[1] == hi and hi + 1 < sizes[axis]:
                yield half, job | {axis: (half[0], hi + 1)}

    def _try(self, job: Box, tested: Box, other: Box) -> ProbeTest | None:
        """Return a test if it is slow for each class of suspects that it tests, and for no other."""
        b = self._blueprint
        among = self._word(job, self._end.name)
        chosen = parse_selector(among, b.axes, b.groups)
        n = devices_up(b, self._end.name, chosen)
        if n < 2 or not self._count(tested) or not self._count(other):
            return None
        sound, binding = self._rate(self._fabric, among)
        slow = 0.0
        for one in self._one_of_each(chosen, tested):
            rate, _ = self._rate(degrade(self._fabric, self._mark(one, is_one=True)), among)
            if not sound or rate > sound * _SEEN:
                return None
            slow = max(slow, rate)
        if not slow:
            return None
        # All of the others at once: if these change nothing, none of them does.
        rate, _ = self._rate(degrade(self._fabric, self._mark(other, is_one=False)), among)
        if rate < sound * (1 - _SAME):
            return None
        return ProbeTest(
            among, n, self._word(tested, self._group.name), sound, slow, binding, "slow", is_said=False
        )

    def _rate(self, fabric: Fabric, among: str) -> tuple[float, str]:
        """Return what each endpoint sends in a test, and what binds; nothing where there is no answer."""
        asked = {"algorithm": "direct", "calibration": "wire", "is_bounded": False}
        try:
            answer = cost(fabric, "all-to-all", "1GiB", among=among, **asked)  # type: ignore[arg-type]
        except (QuestionError, LimitError):
            return 0.0, ""
        return answer.algbw_gbps or 0.0, answer.binding

    def _one_of_each(self, chosen: Selector, tested: Box) -> list[Box]:
        """Return one suspect of each class of those that a test is about."""
        b, name = self._blueprint, self._group.name
        inside = parse_selector(self._word(tested, name), b.axes, b.groups)
        try:
            ground = lay_ground(b, apart=(chosen, inside), in_file=True)
        except NoSymmetryError:
            return self._listed(tested)
        grid = ground.grid
        rows = np.flatnonzero(grid.mask(name, (inside,)) & (ground.device[name] >= 0))
        _, first = np.unique(ground.device[name][rows], return_index=True)
        places = ground.places.in_file(name, rows[first])
        return [{p: (i, i) for p, i in mark} for mark in marks_of(places, len(first))]

    def _listed(self, tested: Box) -> list[Box]:
        """Return every suspect of a few."""
        sizes = [hi - lo + 1 for lo, hi in tested.values()]
        if math.prod(sizes) > MANY_LISTED:
            n = f"{math.prod(sizes):,} suspects, and axes do not say which are alike"
            msg = f"{n}; at most {MANY_LISTED} are tried one by one"
            raise QuestionError(msg)
        at = [np.unravel_index(i, sizes) for i in range(math.prod(sizes))]
        found = [
            {p: (lo + int(i), lo + int(i)) for (p, (lo, _)), i in zip(tested.items(), one, strict=True)}
            for one in at
        ]
        return [one for one in found if self._count(one)]

    def _mark(self, box: Box, *, is_one: bool) -> tuple[object, ...]:
        """Return suspects of a box as what is degraded; of a rule one cable, or all of them."""
        left = self._word(box, self._group.name)
        if isinstance(self._of, DeviceGroup):
            return (left, self._part)
        right = self._blueprint.groups[self._of.right_group]
        if not is_one:
            return (left, right.name, self._part)
        at = {p: box.get(p, (0, 0)) for p in right.primitives}
        return (left, self._word(at, right.name, is_whole=True), 1, self._part)

    def _word(self, box: Box, group: str, *, is_whole: bool = False) -> str:
        """Return a box as a selector of a group, axes on which it is whole left out."""
        sizes = {p: self._blueprint.axes[p].size for p in box}
        own = set(self._blueprint.groups[group].primitives)
        terms = (
            range_word(p, lo, hi)
            for p, (lo, hi) in box.items()
            if p in own and (is_whole or (lo, hi) != (0, sizes[p] - 1) or sizes[p] == 1)
        )
        return "/".join([*terms, group])

    def _count(self, box: Box) -> int:
        """Return how many suspects there are in a box."""
        b = self._blueprint
        inside = parse_selector(self._word(box, self._group.name), b.axes, b.groups)
        n = devices_up(b, self._group.name, inside)
        if isinstance(self._of, DeviceGroup):
            return n
        to = Selector(self._of.right_group, self._of.right_group)
        cut = MarkedCables(inside, to, None, b.origin, rule=self._of.name)
        counts = [
            cables_up(form, self._of) for form in (b, replace(b, marked_cables=(*b.marked_cables, cut)))
        ]
        return counts[0] - counts[1] if counts[0] is not None and counts[1] is not None else n

    def result(self) -> Probe:
        """Return the plan."""
        return Probe(
            self._of.name,
            read_slow(self._part).said,
            self.n_suspects,
            tuple(self.tests),
            self._word(self._box, self._group.name),
            self._count(self._box),
            self.n_fewest(),
            tuple(self._untold.values()),
        )
