"""Failures and degraded cables as words: what stands in a file, and what a question adds to it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from fabric.blueprint.elements import check_match
from fabric.blueprint.model import Blueprint, MarkedCables, Selector
from fabric.blueprint.planes import ASIC, boxes, names_chips, open_chips
from fabric.blueprint.selector import UnknownNameError
from fabric.blueprint.site_selectors import read_selector
from fabric.blueprint.slowing import EVERY, Slow, SlowCables, read_slow
from fabric.errors import QuestionError, SelectorError
from fabric.units import MAX_COUNT

_CABLES = re.compile(r"(?P<left>.+?) - (?P<right>.+?)(?: x (?P<n>[0-9]+))?")
_DEGRADED_FORMS = (
    "(selector, how fast), (selector, selector, how fast), (selector, selector, number of cables, how fast), "
    "'nic0 at 1/2' or 'leaf0 - spine1 x 2 at 200Gb/s'"
)
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


def as_failure(form: object, word: str = "failed") -> Failure:
    """Return what has failed, or is degraded as `word` says, from any form of it.

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
        return _check_count(form, Failure(match["left"].strip(), match["right"].strip(), n), word)
    if isinstance(form, Sequence) and len(form) in (2, 3):
        return _check_count(form, Failure(*form), word)
    msg = f"failed: expected {_FORMS}; got {form!r}"
    raise QuestionError(msg)


def _check_count(form: object, failure: Failure, word: str) -> Failure:
    n = failure.n
    is_number = isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MAX_COUNT
    if n is not None and not is_number:
        msg = f"{word}: {form!r}: expected 1 or more cables; got {n!r}"
        raise QuestionError(msg)
    return failure


def as_degradation(form: object) -> tuple[Failure, Slow]:
    """Return what is degraded, as if it had failed, and how fast it is, from any form of it.

    Raises
    ------
    QuestionError
        If it is of no form.

    Examples
    --------
    >>> as_degradation("leaf0 - spine1 x 2 at 1/2") == as_degradation(("leaf0", "spine1", 2, "1/2"))
    True
    >>> as_degradation(("nic0", 0.5))[1].part
    0.5
    """
    what: Failure | None = None
    said: object = None
    if isinstance(form, str) and " at " in form:
        text, _, said = form.rpartition(" at ")
        what = as_failure(text, "degraded")
    elif isinstance(form, Sequence) and not isinstance(form, str) and len(form) in (2, 3, 4):
        said = form[-1]
        what = Failure(form[0]) if len(form) == 2 else as_failure(tuple(form[:-1]), "degraded")
    if what is None:
        msg = f"degraded: expected {_DEGRADED_FORMS}; got {form!r}"
        raise QuestionError(msg)
    try:
        return what, read_slow(said)
    except ValueError as error:
        msg = f"degraded: {form!r}: {error}"
        raise QuestionError(msg) from None


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
    view, ends = _read_ends(blueprint, failure, f"failed: expected {_FORMS}; got {form!r}")
    if len(ends) == 1:
        return view, ends[0]
    return view, MarkedCables(ends[0], ends[1], failure.n, blueprint.origin)


def read_degradation(blueprint: Blueprint, form: object) -> tuple[Blueprint, list[MarkedCables]]:
    """Return the marks of what is degraded, and the form of `blueprint` that they are of.

    Raises
    ------
    QuestionError
        If it is of no form, or no slower than it was built.
    SelectorError
        If a selector cannot be read or matches no device.
    """
    what, slow = as_degradation(form)
    view, ends = _read_ends(blueprint, what, f"degraded: expected {_DEGRADED_FORMS}; got {form!r}")
    marks = SlowCables(tuple(ends), what.n, slow, blueprint.origin).marks(view)
    if isinstance(marks, str):
        msg = f"degraded: {marks}"
        raise QuestionError(msg)
    return view, marks


def _read_ends(blueprint: Blueprint, failure: Failure, refusal: str) -> tuple[Blueprint, list[Selector]]:
    """Return the selectors of a failure, and the form of `blueprint` that they are of."""
    texts = [side for side in failure[:2] if side is not None]
    words = [text for text in texts if isinstance(text, str)]
    if len(words) < len(texts):
        raise QuestionError(refusal)
    whole = blueprint.whole
    view = open_chips(whole) if names_chips(whole, *words) else whole
    try:
        ends = [read_selector(view, text) for text in words]
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
    return view, ends


def _is_joined(view: Blueprint, text: str) -> bool:
    """Return whether `text` would be two selectors if one of its hyphens had spaces around it."""
    for at in (i for i, c in enumerate(text) if c == "-"):
        with contextlib.suppress(SelectorError):
            for side in (text[:at], text[at + 1 :]):
                read_selector(view, side)
            return True
    return False


def failure_texts(blueprint: Blueprint) -> tuple[str, ...]:
    """Return what has failed, each in the form that `as_failure` reads; whole boxes first."""
    forms = []
    for form in dict.fromkeys((blueprint.whole, blueprint)):
        devices: dict[tuple[str, str], int | None] = {(s.text, ""): None for s in form.failed}
        forms.append(devices | _counts(form.cables_down))
    return _texts(forms)


def degradation_texts(blueprint: Blueprint) -> tuple[str, ...]:
    """Return what is degraded, each in the form that `as_degradation` reads; whole boxes first."""
    return _texts([_counts(form.cables_slow) for form in dict.fromkeys((blueprint.whole, blueprint))])


def _counts(marks: Sequence[MarkedCables]) -> dict[tuple[str, str], int | None]:
    """Return how many cables are marked, None for all, by which they are and how fast."""
    counts: dict[tuple[str, str], int | None] = {}
    for cables in marks:
        is_device = cables.right == EVERY and bool(cables.part)
        which = cables.left.text if is_device else f"{cables.left.text} - {cables.right.text}"
        before = counts.get((which, cables.said), 0)
        # All of the cables, or so many and so many more.
        counts[which, cables.said] = None if cables.n is None or before is None else before + cables.n
    return counts


def _texts(forms: Sequence[dict[tuple[str, str], int | None]]) -> tuple[str, ...]:
    found: dict[tuple[str, str], int | None] = {}
    for form in forms:
        # What an opened box has of the whole one is told once.
        found |= {key: n for key, n in form.items() if key not in found}
    return tuple(
        which + ("" if n is None else f" x {n}") + (f" at {said}" if said else "")
        for (which, said), n in found.items()
    )
