"""What is asked of traffic: a pattern, among whom and along which axes, and whether it fits the fabric."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fabric.arguments import check_fields
from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.selector import selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import QuestionError, nearest, setting
from fabric.symmetry import Mark

Matrix = Mapping[tuple[Hashable, Hashable], float]
"""Demands by (source, target) device."""

LONGEST = "longest-matching"
TrafficPattern = Literal["all-to-all", "one-to-all", "all-to-one", "shift", "halves", "longest-matching"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who sends to whom.

    Parameters
    ----------
    pattern : {"all-to-all", "one-to-all", "all-to-one", "shift", "halves", "longest-matching"}
        Every endpoint to all others alike; one endpoint to all others alike, or all to one; every endpoint to
        the one `by` places on along an axis; every endpoint of one half of an axis to all of the other half
        alike; the worst permutation that is known, which takes up most of the network or is along an axis.
    over : tuple of str
        For all-to-all: axes that a group spans; one group for each index of the other axes, all at once. For
        shift and halves: the one axis. Empty for all endpoints.
    root : str
        For one-to-all and all-to-one: selector of the one.
    by : int
        For shift.
    """

    pattern: TrafficPattern = "all-to-all"
    over: tuple[str, ...] = ()
    root: str = ""
    by: int = 1

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        if self.root and self.pattern not in ("one-to-all", "all-to-one"):
            msg = f"root: {self.pattern} has none; leave it out, or ask for one-to-all or all-to-one"
            raise QuestionError(msg)
        if self.by != 1 and self.pattern != "shift":
            msg = f"by: {self.pattern} goes by no number of places; leave it out, or ask for a shift"
            raise QuestionError(msg)


class FittedTraffic:
    """A question that fits the fabric: which groups take part, along which axes, from which root.

    Parameters
    ----------
    blueprint : Blueprint
    traffic : Traffic
    among : str, sequence of str or None
        Selector of those that take part, or several of them; all endpoints if None.

    Raises
    ------
    QuestionError, SelectorError
        If it does not fit.
    """

    def __init__(self, blueprint: Blueprint, traffic: Traffic, among: str | Sequence[str] | None) -> None:
        self.blueprint, self.traffic = blueprint, traffic
        texts = () if among is None else (among,) if isinstance(among, str) else among
        self.chosen = tuple(_selector(blueprint, text) for text in texts)
        self.groups = self._groups()
        self.spans = self._spans(self.groups)
        self.root = self._root()
        self.shift = self._shift()

    def _shift(self) -> tuple[str, int, int] | None:
        if self.traffic.pattern != "shift":
            return None
        (axis,) = self.spans
        size = self.blueprint.axes[axis].size
        # Round the axis: a shift by its size is none.
        by = self.traffic.by % size
        if not by:
            msg = (
                f"a shift by {self.traffic.by} along {axis}, which has {size}, leads every endpoint to itself"
            )
            raise QuestionError(msg)
        return axis, by, size

    def _groups(self) -> tuple[str, ...]:
        groups = tuple(g.name for g in self.blueprint.groups.values() if g.is_endpoint)
        if self.chosen:
            chosen = {name for selector in self.chosen for name in selected_groups(self.blueprint, selector)}
            return tuple(g for g in groups if g in chosen)
        # Which of several groups is meant nobody can guess.
        if len(groups) > 1:
            remedy = f"say among which, such as {setting('among', groups[0])}"
            msg = f"endpoints are of several groups ({', '.join(groups)}); {remedy}"
            raise QuestionError(msg)
        return groups

    def _spans(self, groups: tuple[str, ...]) -> frozenset[str]:
        """Return the primitive axes of `over`."""
        axes = self.blueprint.axes
        for axis in self.traffic.over:
            if axis not in axes:
                msg = f"over: no axis {axis!r}; {nearest(axis, axes) or 'axes are ' + ', '.join(axes)}"
                raise QuestionError(msg)
        # A composed axis spans all primitives that it is made of.
        spans = frozenset(p for a in self.traffic.over for p in self.blueprint.primitives(a))
        for group in groups:
            missing = spans - set(self.blueprint.groups[group].primitives)
            if missing:
                msg = f"over: {group} is not placed on {min(missing)}"
                raise QuestionError(msg)
        if self.traffic.pattern in ("shift", "halves") and len(spans) != 1:
            msg = f"{self.traffic.pattern} needs {setting('over')} with one plain axis"
            raise QuestionError(msg)
        return spans

    def _root(self) -> Mark | None:
        if self.traffic.pattern not in ("one-to-all", "all-to-one"):
            return None
        if not self.traffic.root:
            msg = f"{self.traffic.pattern} needs a root: the selector of one endpoint"
            raise QuestionError(msg)
        if not self.blueprint.groups[self._root_group()].is_endpoint:
            msg = f"root {self.traffic.root!r} is no endpoint"
            raise QuestionError(msg)
        return self.device(self.traffic.root)

    def _root_group(self) -> str:
        return self._meant(_selector(self.blueprint, self.traffic.root))[0]

    def _meant(self, selector: Selector) -> tuple[str, ...]:
        """Return the groups that `selector` means: endpoints where it names no group."""
        groups = selected_groups(self.blueprint, selector)
        ends = tuple(g for g in groups if self.blueprint.groups[g].is_endpoint)
        # A selector without a group means endpoints, wherever there are any.
        return ends if selector.group is None and ends else groups

    def device(self, text: str) -> Mark:
        """Return the one device that a selector means.

        Raises
        ------
        QuestionError
            If it selects another number of devices.
        """
        selector = _selector(self.blueprint, text)
        groups = self._meant(selector)
        index: dict[str, int] = {}
        for term in selector.terms:
            flat = term.lo
            # The last primitive of a composed axis counts fastest.
            for p in reversed(self.blueprint.primitives(term.axis)):
                flat, index[p] = divmod(flat, self.blueprint.axes[p].size)
        # Every axis with one index, and no axis missing.
        is_one = len(groups) == 1 and all(t.lo == t.hi for t in selector.terms)
        if not is_one or set(index) != set(self.blueprint.groups[groups[0]].primitives):
            msg = f"root {text!r} must select exactly one device"
            raise QuestionError(msg)
        return tuple(sorted(index.items()))


def shift_mark(mark: Mark, axis: str, by: int, size: int) -> Mark:
    """Return `mark` some places on along an axis."""
    return tuple((p, (i + by) % size if p == axis else i) for p, i in mark)


def _selector(blueprint: Blueprint, text: str) -> Selector:
    return read_selector(blueprint, text, needs_group=False)
