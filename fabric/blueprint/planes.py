"""Boxes that are several chips inside: one more axis opens them.

Some switches are several chips (ASICs) side by side in one box, with a share of every port each, and no way
from one to another (``planes`` of the part)::

    closed   nic --800-- leaf3          one node, which spreads what comes in as it likes

    opened   nic --200-- asic0/leaf3    four nodes: what went to ASIC 1 stays in the second
             nic --200-- asic1/leaf3    chip of every box on its way
             nic --200-- asic2/leaf3
             nic --200-- asic3/leaf3

The axes say it. Every group of such boxes is given the axis `asic`, and a cable at a box is as many slower
ones. Two boxes then share that axis, so that chip i meets chip i only; a device that is one chip (a NIC)
lacks it, and is joined with all. The axis is printed first, so that names read as chip and box, and counted
last, so that devices keep their order; where a group has no axis of its own its chips are ``spine0-3``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TypeVar

from fabric.blueprint.model import Axis, Blueprint, DeviceGroup, MarkedCables, Rule, Selector, Term
from fabric.blueprint.remembered import remembered
from fabric.blueprint.selector import selected_groups
from fabric.errors import QuestionError

ASIC = "asic"
"""The axis of the chips of a box."""

T = TypeVar("T")
_NAMES_ASIC = re.compile(rf"(?:^|/){ASIC}(?:[0-9*/-]|$)")


def boxes(blueprint: Blueprint) -> dict[str, int]:
    """Return the groups whose devices are several chips inside, and how many.

    An endpoint stays one device: what it sends is not cut by chips.
    """
    n_chips = {g.name: g.part.planes for g in blueprint.groups.values() if g.part and not g.is_endpoint}
    return {name: n for name, n in n_chips.items() if n > 1}


def box_notes(blueprint: Blueprint) -> tuple[str, ...]:
    """Return in a line which boxes are several chips, and where that is seen."""
    n_chips = boxes(blueprint.whole)
    if not n_chips:
        return ()
    several = [f"{blueprint.groups[name].name} ({n} ASICs)" for name, n in n_chips.items()]
    name = next(iter(n_chips))
    return (
        f"boxes of several chips, each with a share of every port: {', '.join(several)}; one node each, "
        f"opened by hashed routing, by open_boxes, and where one chip fails ({ASIC}0/{name})",
    )


def refusal(blueprint: Blueprint) -> str:
    """Return why the boxes of `blueprint` cannot be opened, or nothing."""
    whole = blueprint.whole
    n_chips = boxes(whole)
    if not n_chips:
        return ""
    if ASIC in whole.axes or ASIC in whole.groups:
        clash = "an axis" if ASIC in whole.axes else "a device group"
        return f"boxes of several chips are opened by an axis {ASIC}, but the file has {clash} of that name"
    if len(set(n_chips.values())) > 1:
        several = " and ".join(f"{name} with {n} ASICs" for name, n in n_chips.items())
        return f"boxes of different numbers of chips: {several}; which of them meet is not known"
    return ""


def names_chips(blueprint: Blueprint, *selectors: str) -> bool:
    """Return whether selectors name chips of boxes that `blueprint` has closed and can open."""
    # A cheap look at the words: parsing would need the opened form.
    is_named = any(_NAMES_ASIC.search(text) for text in selectors)
    return is_named and bool(boxes(blueprint)) and not {ASIC} & {*blueprint.axes, *blueprint.groups}


@remembered(16)
def open_chips(blueprint: Blueprint) -> Blueprint:
    """Return `blueprint` with every box of several chips as that many devices.

    Parameters
    ----------
    blueprint : Blueprint

    Returns
    -------
    Blueprint
        Its ``closed`` is `blueprint`; itself where it is opened already, or no box is several chips.

    Raises
    ------
    QuestionError
        If the axis `asic` is taken, if boxes have different numbers of chips, or if some of the cables
        between groups that are not named have failed.

    Notes
    -----
    A cable of a box counts as shared by all its chips alike, one that comes out of a port by breakout too.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 2}, devices: {nic: {part: cx8, axes: [i]}, "
    >>> text += "leaf: {part: q3400, axes: [i]}}, links: [{between: [nic, leaf], rate: 800Gb/s}]}"
    >>> chips = open_chips(loads_blueprint(text))
    >>> chips.n_devices("leaf"), chips.rules[0].rate_gbps
    (8, 200.0)
    """
    n_chips = boxes(blueprint)
    if blueprint.closed is not None or not n_chips:
        return blueprint
    why = refusal(blueprint)
    if why:
        msg = f"{blueprint.name}: {why}"
        raise QuestionError(msg)
    size = next(iter(n_chips.values()))
    return replace(
        blueprint,
        axes={**blueprint.axes, ASIC: Axis(ASIC, size)},
        groups={name: _open_group(g) if name in n_chips else g for name, g in blueprint.groups.items()},
        rules=tuple(_open_rule(rule, n_chips) for rule in blueprint.rules),
        marked_cables=tuple(lane for c in blueprint.marked_cables for lane in _lanes(blueprint, c)),
        closed=blueprint,
    )


def form_of(blueprint: Blueprint, *ends: Selector) -> Blueprint:
    """Return the form of `blueprint` that selectors are of: opened where one is of chips of boxes."""
    whole = blueprint.whole
    return open_chips(whole) if any(_is_chip(whole, end) for end in ends) else whole


def with_marks(
    blueprint: Blueprint, devices: tuple[Selector, ...], cables: tuple[MarkedCables, ...]
) -> Blueprint:
    """Return `blueprint` with more devices failed and cables marked, opened if some are of chips of boxes.

    Raises
    ------
    QuestionError
        If boxes must be opened and cannot be.
    """
    whole = blueprint.whole
    boxed, chips = _part(devices, [_is_chip(whole, s) for s in devices])
    between, lanes = _part(cables, [_is_chip(whole, c.left) or _is_chip(whole, c.right) for c in cables])
    closed = replace(whole, failed=(*whole.failed, *boxed), marked_cables=(*whole.marked_cables, *between))
    if blueprint.closed is None and not chips and not lanes:
        return closed
    # Cables of boxes fail before those of chips: the first so many of them are the same at every chip.
    now, before, after = open_chips(blueprint), open_chips(whole), open_chips(closed)
    return replace(
        after,
        failed=(*after.failed, *now.failed[len(before.failed) :], *chips),
        marked_cables=(*after.marked_cables, *now.marked_cables[len(before.marked_cables) :], *lanes),
    )


def _part(failed: tuple[T, ...], is_chip: list[bool]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Return failures of boxes, and those of chips."""
    boxed, chips = (
        [f for f, chip in zip(failed, is_chip, strict=True) if chip is kind] for kind in (False, True)
    )
    return tuple(boxed), tuple(chips)


def _is_chip(whole: Blueprint, selector: Selector) -> bool:
    return ASIC not in whole.axes and any(t.axis == ASIC for t in selector.terms)


def _open_group(group: DeviceGroup) -> DeviceGroup:
    return replace(group, axes=(ASIC, *group.axes), primitives=(*group.primitives, ASIC))


def _open_rule(rule: Rule, n_chips: dict[str, int]) -> Rule:
    """Return a rule whose cables are shared by the chips at their ends."""
    chips = [n_chips.get(group, 1) for group in rule.groups]
    size = max(chips)
    if size == 1:
        return rule
    each = rule.each
    if each is not None:
        # A device that is one chip has a cable to each chip of the box at the other end.
        left, right = (n * size // n_inside for n, n_inside in zip(each, chips, strict=True))
        each = left, right
    return replace(rule, rate_gbps=rule.rate_gbps / size, each=each)


def _lanes(blueprint: Blueprint, failure: MarkedCables) -> list[MarkedCables]:
    """Return failed cables of a closed blueprint for its opened form.

    Where they are counted, the same number has failed at every chip: those of the same pairs of boxes, as
    devices keep their order.

    Raises
    ------
    QuestionError
        If they are counted over several pairs of groups, so that no one number is that of a chip.
    """
    n_chips = boxes(blueprint)
    if failure.n is None:
        return [failure]
    sides = failure.left, failure.right
    # The groups that either side may mean, and the rules that join them.
    meant = [selected_groups(blueprint, side) for side in sides]
    ways = [(r.left_group, r.right_group) for r in blueprint.rules]
    both = (*ways, *((b, a) for a, b in ways))
    # Either way round it is one rule.
    pairs = {tuple(sorted(pair)): pair for pair in both if pair[0] in meant[0] and pair[1] in meant[1]}
    if not any(group in n_chips for pair in pairs for group in pair):
        return [failure]
    if len(pairs) > 1:
        between = f"{failure.left.text} and {failure.right.text}"
        msg = f"{failure.n} of the cables between {between} are of several rules: name a group at either end"
        raise QuestionError(msg)
    ends = [replace(side, group=name) for side, name in zip(sides, next(iter(pairs.values())), strict=True)]
    size = next(iter(n_chips.values()))
    return [
        replace(failure, left=left, right=right)
        for left, right in (
            tuple(_pin(end, i) if end.group in n_chips else end for end in ends) for i in range(size)
        )
    ]


def _pin(selector: Selector, chip: int) -> Selector:
    return replace(selector, terms=(*selector.terms, Term(ASIC, chip, chip)))
