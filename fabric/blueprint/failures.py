"""Failures as words: what stands in ``failed:`` of a file, and what a question adds to it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from fabric.blueprint.elements import check_match
from fabric.blueprint.model import Blueprint, MarkedCables, Selector
from fabric.blueprint.planes import ASIC, boxes, names_chips, open_chips
from fabric.blueprint.selector import UnknownNameError, parse_selector
from fabric.errors import QuestionError, SelectorError
from fabric.units import MAX_COUNT

_CABLES = re.compile(r"(?P<left>.+?) - (?P<right>.+?)(?: x (?P<n>[0-9]+))?")
_FORMS = "a selector, (selector, selector), (selector, selector, number of cables), or 'leaf0 - spine1 x 2'"


class Failure(NamedTuple):
    """What has failed, as it was put: a device, or the cables between two.

    Parameters
    ----------
    left : object
        Selector, or the name of a device of a graph.
    right : object
        None where `left` has failed itself.
    n : int or None
        Cables; None for all.
    """

    left: object
    right: object = None
    n: int | None = None


def as_failure(form: object) -> Failure:
    """Return what has failed from any form of it.

    Raises
    ------
    QuestionError
        If it is of no form.

    Examples
    --------
    >>> as_failure("leaf0 - spine1 x 2") == as_failure(("leaf0", "spine1", 2)) == ("leaf0", "spine1", 2)
    True
    """
    if isinstance(form, str):
        match = _CABLES.fullmatch(form.strip())
        if match is None:
            return Failure(form)
        # Python refuses to read numbers of thousands of digits; no count has twenty.
        n = None if match["n"] is None else int(match["n"][:20])
        return _check_count(form, Failure(match["left"].strip(), match["right"].strip(), n))
    if isinstance(form, Sequence) and len(form) in (2, 3):
        return _check_count(form, Failure(*form))
    msg = f"failed: expected {_FORMS}; got {form!r}"
    raise QuestionError(msg)


def _check_count(form: object, failure: Failure) -> Failure:
    n = failure.n
    is_number = isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MAX_COUNT
    if n is not None and not is_number:
        msg = f"failed: {form!r}: expected 1 or more cables; got {n!r}"
        raise QuestionError(msg)
    return failure


def read_failure(blueprint: Blueprint, form: object) -> tuple[Blueprint, Selector | MarkedCables]:
    """Return what has failed, and the form of `blueprint` that it is of: opened where it names chips.

    Raises
    ------
    QuestionError
        If it is of no form.
    SelectorError
        If a selector cannot be read or matches no device.
    """
    failure = as_failure(form)
    texts = [side for side in failure[:2] if side is not None]
    words = [text for text in texts if isinstance(text, str)]
    if len(words) < len(texts):
        msg = f"failed: expected {_FORMS}; got {form!r}"
        raise QuestionError(msg)
    whole = blueprint.whole
    view = open_chips(whole) if names_chips(whole, *words) else whole
    try:
        ends = [parse_selector(text, view.axes, view.groups) for text in words]
    except UnknownNameError as error:
        if error.name == ASIC and not boxes(whole):
            msg = f"{error}; no part of {blueprint.name} is several chips inside"
            raise UnknownNameError(msg, ASIC) from None
        if _is_joined(view, words[0]):
            msg = f"{error}; cables between two selectors: 'leaf0 - spine1', with spaces"
            raise SelectorError(msg) from None
        raise
    for end in ends:
        check_match(view, end)
    if len(ends) == 1:
        return view, ends[0]
    return view, MarkedCables(ends[0], ends[1], failure.n, blueprint.origin)


def _is_joined(view: Blueprint, text: str) -> bool:
    """Return whether `text` would be two selectors if one of its hyphens had spaces around it."""
    for at in (i for i, c in enumerate(text) if c == "-"):
        with contextlib.suppress(SelectorError):
            for side in (text[:at], text[at + 1 :]):
                parse_selector(side, view.axes, view.groups)
            return True
    return False


def failure_texts(blueprint: Blueprint) -> tuple[str, ...]:
    """Return what has failed, each in the form that `as_failure` reads; whole boxes first."""
    failures: dict[str, int | None] = {}
    for form in dict.fromkeys((blueprint.whole, blueprint)):
        counts: dict[str, int | None] = dict.fromkeys(s.text for s in form.failed)
        for cables in form.marked_cables:
            text = f"{cables.left.text} - {cables.right.text}"
            before = counts.get(text, 0)
            # All of the cables, or so many and so many more.
            counts[text] = None if cables.n is None or before is None else before + cables.n
        # What an opened box has of the whole one is told once.
        failures |= {text: n for text, n in counts.items() if text not in failures}
    return tuple(text + (f" x {n}" if n is not None else "") for text, n in failures.items())
