"""What if: a fabric with more of it failed, or with its boxes opened."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np

from fabric.arguments import checked
from fabric.blueprint.checks import check_cables
from fabric.blueprint.failures import Failure, as_failure, failure_texts, read_failure
from fabric.blueprint.model import Selector
from fabric.blueprint.planes import open_chips, with_failed
from fabric.errors import LimitError, Problem, QuestionError, SelectorError
from fabric.graph.expanded import Expanded, failed_between
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
            blueprint = with_failed(blueprint, (failed,), ())
            continue
        try:
            problems = check_cables(view, (failed,))
        except LimitError as error:
            problems = []
            skipped.append(f"failed cables: {error}")
        if problems:
            raise _refusal(problems[0])
        blueprint = with_failed(blueprint, (), (failed,))
    return replace(fabric, blueprint=blueprint, skipped=tuple(skipped))


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


def _refusal(problem: Problem) -> QuestionError:
    got = [f"got {problem.got}"] if problem.got else []
    expected = [f"expected {problem.expected}"] if problem.expected else []
    words = [f"failed: {problem.what}", *got, *expected, *filter(None, [problem.todo])]
    return QuestionError("; ".join(words))


def _fail_in_graph(e: Expanded, form: object) -> Expanded:
    """Return a graph with a device, or some cables between two, failed."""
    fields = {name: getattr(e, name) for name in e.__dataclass_fields__}
    # The name of a node may look like cables, or be a tuple: a device wins.
    failure = Failure(form) if _is_device(e, form) else as_failure(form)
    left = by_name(e, failure.left)
    if failure.right is None:
        return Expanded(**{**fields, "failed": e.failed | left})
    right = by_name(e, failure.right)
    hit = (left[e.tail] & right[e.head]) | (right[e.tail] & left[e.head])
    between = f"{failure.left} and {failure.right}"
    n_cables = int(e.count[hit].sum())
    if not n_cables:
        msg = f"failed: no cable between {between}; name two devices that are joined"
        raise QuestionError(msg)
    if failure.n is not None and failure.n > n_cables:
        fault = f"more failed cables than there are between {between}"
        msg = f"failed: {fault}; got {format_count(failure.n)}; expected at most {format_count(n_cables)}"
        raise QuestionError(msg)
    down = failed_between(e, e.failed_count, hit, failure.n)
    return Expanded(**{**fields, "failed_count": down})


def _is_device(e: Expanded, form: object) -> bool:
    """Return whether `form`, which may be a tuple or a text with a dash, is the name of a device."""
    try:
        by_name(e, form)
    except SelectorError:
        return False
    return True
