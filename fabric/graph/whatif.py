"""What if: a fabric with more of it failed or degraded, or with its boxes opened."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np

from fabric.arguments import checked
from fabric.arrays import Bools
from fabric.blueprint.checks import check_cables
from fabric.blueprint.failures import (
    Failure,
    as_degradation,
    as_failure,
    degradation_texts,
    failure_texts,
    read_degradation,
    read_failure,
)
from fabric.blueprint.model import Blueprint, MarkedCables, Selector
from fabric.blueprint.planes import open_chips, with_marks
from fabric.blueprint.site_selectors import with_names
from fabric.errors import LimitError, Problem, QuestionError, SelectorError
from fabric.graph.expanded import Expanded, failed_between, split_bundles
from fabric.graph.fabric import Fabric, by_name
from fabric.units import format_count


@checked
def fail(fabric: Fabric, *what: object) -> Fabric:
    """Return a copy of a fabric in which more has failed.

    Parameters
    ----------
    fabric : Fabric
    *what : str, or tuple of (str, str) or (str, str, int)
        What stands in ``failed:`` of a file: a selector of devices; two, for all cables between them; two and
        the number of cables. As one text: ``"leaf0 - spine1"``, ``"leaf0 - spine1 x 2"``. For a fabric that
        came from a graph, its nodes instead of selectors.

    Returns
    -------
    Fabric
        Boxes are opened, see `open_boxes`, where a selector names chips of them.

    Raises
    ------
    QuestionError
        If there are no such cables, or fewer.
    SelectorError
        If a selector cannot be read or matches nothing, with the nearest names.

    Examples
    --------
    >>> from fabric.graph import expand, loads
    >>> text = "{fabric: a, axes: {i: 2, s: 3}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: [i]}, spine: {kind: switch, axes: [s]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}, "
    >>> text += "{between: [leaf, spine], rate: 1Gb/s}]}"
    >>> fail(loads(text), "spine0", ("leaf1", "spine2"))
    <Fabric a: 2 gpu, 2 leaf, 3 spine; failed: spine0, leaf1 - spine2>
    >>> fail(loads(text), "spin1")
    Traceback (most recent call last):
        ...
    fabric.blueprint.selector.UnknownNameError: selector 'spin1': no device group 'spin'; did you mean spine?
    """
    if fabric.graph is not None:
        return replace(fabric, graph=reduce(_fail_in_graph, what, fabric.graph))
    blueprint, skipped = fabric.axes_or_refuse("a selector"), list(fabric.skipped)
    for form in what:
        view, failed = read_failure(blueprint, form)
        if isinstance(failed, Selector):
            blueprint = with_marks(blueprint, (failed,), ())
        else:
            skipped += _check("failed", view, (failed,))
            blueprint = with_marks(blueprint, (), (failed,))
    return replace(fabric, blueprint=blueprint, skipped=tuple(skipped))


@checked
def degrade(fabric: Fabric, *what: object) -> Fabric:
    """Return a copy of a fabric in which more cables run below their rate.

    Parameters
    ----------
    fabric : Fabric
    *what : str, or tuple of (str, rate), (str, str, rate) or (str, str, int, rate)
        What stands in ``degraded:`` of a file: a selector of devices, for all of their cables; two, for all
        cables between them; two and the number of cables. How fast they still are comes last: a part of their
        rate, ``0.5``, ``"1/2"`` or ``"50%"``, or a rate, ``"200Gb/s"``. As one text: ``"nic0 at 1/2"``,
        ``"leaf0 - spine1 x 2 at 200Gb/s"``. For a fabric that came from a graph, its nodes instead of
        selectors.

    Returns
    -------
    Fabric
        Of several marks on a cable the slowest counts; as many as are counted are cables that no other count
        has marked. What has failed stays down.

    Raises
    ------
    QuestionError
        If there are no such cables, or fewer, or they are no faster than that.
    SelectorError
        If a selector cannot be read or matches nothing, with the nearest names.

    Examples
    --------
    >>> from fabric.graph import expand, loads
    >>> text = "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: "
    >>> text += "[]}}, links: [{between: [gpu, leaf], rate: 400Gb/s, count: 2}]}"
    >>> slow = degrade(loads(text), ("gpu0", "leaf", 1, "1/2"))
    >>> slow
    <Fabric a: 2 gpu, 1 leaf; degraded: gpu0 - leaf x 1 at 1/2>
    >>> expand(slow).rate_gbps.tolist(), expand(slow).count.tolist()
    ([400.0, 200.0, 400.0], [1, 1, 2])
    """
    if fabric.graph is not None:
        return replace(fabric, graph=reduce(_degrade_in_graph, what, fabric.graph))
    blueprint, skipped = fabric.axes_or_refuse("a selector"), list(fabric.skipped)
    for form in what:
        view, marks = read_degradation(blueprint, form)
        skipped += _check("degraded", view, tuple(marks))
        blueprint = with_marks(blueprint, (), tuple(marks))
    return replace(fabric, blueprint=blueprint, skipped=tuple(skipped))


def _check(word: str, view: Blueprint, marks: tuple[MarkedCables, ...]) -> list[str]:
    """Raise where there are no such cables, or fewer; return what could not be checked."""
    try:
        problems = check_cables(view, marks)
    except LimitError as error:
        return [f"{word} cables: {error}"]
    if problems:
        raise _refusal(word, problems[0])
    return []


def unnamed(fabric: Fabric) -> Fabric:
    """Return a fabric without names of the site, for what the program itself calls by the axes."""
    if fabric.blueprint is None or not fabric.blueprint.site_names:
        return fabric
    return replace(fabric, blueprint=with_names(fabric.blueprint, {}))


def fail_by_axes(fabric: Fabric, *what: object) -> Fabric:
    """Return what `fail` does where the program itself says what: by the axes, whatever the site calls it."""
    failed = fail(unnamed(fabric), *what)
    if fabric.blueprint is None or failed.blueprint is None:
        return failed
    return replace(failed, blueprint=with_names(failed.blueprint, fabric.blueprint.site_names))


@checked
def open_boxes(fabric: Fabric) -> Fabric:
    """Return a copy of a fabric in which each box of several switch chips is as many devices.

    Parameters
    ----------
    fabric : Fabric

    Returns
    -------
    Fabric
        With an axis ``asic`` on the groups of such boxes: ``asic1/leaf3`` is a chip of ``leaf3``. The same
        fabric where there is none, and where it came from a graph, which does not tell.

    Raises
    ------
    QuestionError
        If the file has another axis of that name, or boxes have different numbers of chips.

    Examples
    --------
    >>> from fabric.graph import expand, loads
    >>> text = "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, "
    >>> text += "leaf: {part: q3400, axes: [i]}}, links: [{between: [gpu, leaf], mesh: i, rate: 800Gb/s}], "
    >>> text += "islands: 2}"
    >>> e = expand(open_boxes(loads(text)))
    >>> e.names[2], e.rate_gbps.tolist() == [200.0] * 8
    ('asic0/leaf0', True)
    """
    if fabric.blueprint is None:
        return fabric
    return replace(fabric, blueprint=open_chips(fabric.blueprint))


def failures(fabric: Fabric) -> tuple[str, ...]:
    """Return what has failed, each as a text that `fail` takes; for a graph its devices alone."""
    if fabric.blueprint is not None:
        return failure_texts(fabric.blueprint)
    e = fabric.graph
    return tuple(str(e.names[v]) for v in np.flatnonzero(e.failed).tolist()) if e is not None else ()


def degradations(fabric: Fabric) -> tuple[str, ...]:
    """Return what is degraded, each as a text that `degrade` takes; of a graph nothing is known."""
    return degradation_texts(fabric.blueprint) if fabric.blueprint is not None else ()


def _refusal(word: str, problem: Problem) -> QuestionError:
    got = [f"got {problem.got}"] if problem.got else []
    expected = [f"expected {problem.expected}"] if problem.expected else []
    words = [f"{word}: {problem.what}", *got, *expected, *filter(None, [problem.todo])]
    return QuestionError("; ".join(words))


def _fail_in_graph(e: Expanded, form: object) -> Expanded:
    """Return a graph with a device, or some cables between two, failed."""
    # The name of a node may look like cables, or be a tuple: a device wins.
    failure = Failure(form) if _is_device(e, form) else as_failure(form)
    if failure.right is None:
        return replace(e, failed=e.failed | by_name(e, failure.left))
    hit = _bundles_of(e, failure, "failed")
    return replace(e, failed_count=failed_between(e, e.failed_count, hit, failure.n))


def _degrade_in_graph(e: Expanded, form: object) -> Expanded:
    """Return a graph with the cables of a device, or some between two, at a part of their rate."""
    what, slow = as_degradation(form)
    hit = np.flatnonzero(_bundles_of(e, what, "degraded"))
    part = np.array([slow.of(rate) if rate else 1.0 for rate in e.rate_gbps[hit].tolist()])
    at = hit[part < 1]
    up = (e.count - e.failed_count)[at].astype(np.float64)
    if not len(at) or (what.n is not None and what.n > up.sum()):
        msg = f"degraded: {form!r}: {format_count(int(up.sum()))} cables are up and faster than {slow.said}"
        raise QuestionError(msg)
    # The first of them, as where cables fail.
    n = up if what.n is None else np.clip(what.n - (np.cumsum(up) - up), 0, up)
    rates = e.rate_gbps[at, None] * np.column_stack([np.ones(len(at)), part[part < 1]])
    return split_bundles(e, at, rates, np.column_stack([up - n, n]))


def _bundles_of(e: Expanded, what: Failure, word: str) -> Bools:
    """Return which bundles of a graph are at a device, or between two, and refuse where there are too few."""
    left = by_name(e, what.left)
    right = np.ones(e.n_devices, dtype=np.bool_) if what.right is None else by_name(e, what.right)
    hit = (left[e.tail] & right[e.head]) | (right[e.tail] & left[e.head])
    of = f"at {what.left}" if what.right is None else f"between {what.left} and {what.right}"
    n_cables = int(e.count[hit].sum())
    if not n_cables:
        msg = f"{word}: no cable {of}; name two devices that are joined"
        raise QuestionError(msg)
    if what.n is not None and what.n > n_cables:
        fault = f"more {word} cables than there are {of}"
        msg = f"{word}: {fault}; got {format_count(what.n)}; expected at most {format_count(n_cables)}"
        raise QuestionError(msg)
    return np.asarray(hit, dtype=np.bool_)


def _is_device(e: Expanded, form: object) -> bool:
    """Return whether `form`, which may be a tuple or a text with a dash, is the name of a device."""
    try:
        by_name(e, form)
    except SelectorError:
        return False
    return True
