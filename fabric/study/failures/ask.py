"""The verb `failures`: a list of questions, each answered by itself, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fabric.arguments import checked
from fabric.errors import QuestionError
from fabric.graph import Fabric, Paths
from fabric.study.failures.evaluate import Kept, Outcome, evaluate
from fabric.study.failures.events import Event, single_events
from fabric.study.failures.network import FailingJob, job_of
from fabric.study.failures.states import State
from fabric.study.failures.table import FailureRow, Failures, worst_first

Progress = Callable[[int, int], None]


@checked
def failures(
    fabric: Fabric,
    *,
    among: str | None = None,
    collective: str = "",
    over: Sequence[str] = (),
    paths: Paths = "rules",
    node: Sequence[str] = (),
    progress: Progress | None = None,
) -> Failures:
    """Return what every single failure costs a job, exactly, once for all failures that are alike.

    Parameters
    ----------
    fabric : Fabric
        What has failed in it already stays down.
    among : str, optional
        Selector of the endpoints of the job; left out, all, or the largest of several groups.
    collective : str
        Beside all-to-all, one that `fabric.cost` knows, such as ``"all-reduce"``; with `over` alone an
        all-reduce.
    over : sequence of str
        Axes that a group of the collective spans, such as those of data parallelism.
    paths : {"rules", "no-relay", "any"}
    node : sequence of str
        Axes that say the node of an endpoint, what a restart leaves out; left out, all but the last of the
        endpoint where something else is on its board, else the endpoint alone.
    progress : callable, optional
        Given the states solved and all states.

    Returns
    -------
    Failures
        Numbers of devices and of cables sum to those that are up.

    Raises
    ------
    QuestionError, SelectorError
        If the question does not fit the fabric.
    LimitError
        If it is too large to be answered.

    Examples
    --------
    Two leaves on two planes: one of them down leaves half; a GPU down stops the job.

    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4, plane: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: "
    >>> text += "switch, axes: [plane]}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> for row in failures(loads(text)).rows:
    ...     print(row.name, row.n, row.goes_on, round(row.kept, 4), round(row.total_kept, 4))
    gpu 4 False 1.0 0.75
    leaf 2 True 0.5 0.5
    gpu-leaf cable 8 True 0.5 0.5
    """
    job = job_of(
        fabric,
        among,
        paths=paths,
        collective=collective or ("all-reduce" if over else ""),
        over=over,
        node=node,
    )
    healthy = evaluate(job, (), is_brief=False)
    if healthy.others.n < 2 or healthy.others.rate_gbps <= 0:
        msg = f"nothing is sent while all is up: {healthy.others.why or 'no rate'}"
        raise QuestionError(msg)
    if job.collective and healthy.kept.busbw_gbps is None:
        raise QuestionError(healthy.kept.why)
    events = single_events(job)
    outcomes = solved(job, [event.state for event in events], {(): healthy}, progress)
    rows = [failure_row(event, outcomes[event.state], healthy.others) for event in events]
    asked = f"{job.collective}{' over ' + ', '.join(job.over) if job.over else ''}" if job.collective else ""
    return Failures(
        fabric=fabric.name,
        among=job.among,
        n_endpoints=healthy.others.n,
        rate_gbps=healthy.others.rate_gbps,
        binding=healthy.others.binding,
        collective=asked,
        busbw_gbps=healthy.kept.busbw_gbps,
        node=_say_node(job),
        paths=paths,
        rows=tuple(sorted(rows, key=worst_first)),
        n_states=len(outcomes),
        notes=_notes(job, among),
        certificate=healthy.others.certificate,
    )


def solved(
    job: FailingJob, states: Sequence[State], known: dict[State, Outcome], progress: Progress | None
) -> dict[State, Outcome]:
    """Return the outcome of every state, each solved once; those that are `known` are not."""
    found = dict(known)
    todo = [state for state in dict.fromkeys(states) if state not in found]
    for number, state in enumerate(todo):
        found[state] = evaluate(job, state)
        if progress is not None:
            progress(number + 1, len(todo))
    return found


def failure_row(event: Event, outcome: Outcome, healthy: Kept) -> FailureRow:
    """Return the row of an event."""
    others, after = outcome.others, outcome.kept
    busbw = after.busbw_gbps
    whole = healthy.busbw_gbps
    return FailureRow(
        kind=event.kind,
        of=event.of,
        n=event.n,
        example=event.example,
        goes_on=outcome.goes_on,
        n_down=outcome.n_down,
        cut_off=outcome.cut_off,
        stopped=outcome.stopped,
        n_others=others.n,
        rate_gbps=_solved(others, others.rate_gbps),
        kept=_solved(others, others.rate_gbps / healthy.rate_gbps),
        n_after=after.n,
        rate_after_gbps=_solved(after, after.rate_gbps),
        kept_after=_solved(after, after.rate_gbps / healthy.rate_gbps),
        total_kept=_solved(after, after.total_gbps / healthy.total_gbps),
        busbw_gbps=busbw,
        busbw_kept=busbw / whole if busbw is not None and whole else None,
        binding=others.binding,
        status=others.status,
        certificate=others.certificate,
        certificate_after=after.certificate,
        why=others.why or after.why,
    )


def _solved(kept: Kept, value: float) -> float | None:
    return None if kept.status == "unsolved" else value


def _say_node(job: FailingJob) -> str:
    blueprint = job.whole.blueprint
    if blueprint is None:
        return "each endpoint"
    words = []
    for name, axes in job.node.items():
        is_own = set(axes) == set(blueprint.groups[name].primitives)
        words.append(f"each {name} alone" if is_own else f"{name} by {', '.join(axes) or 'no axis'}")
    return "; ".join(words)


def _notes(job: FailingJob, among: str | None) -> tuple[str, ...]:
    if among is None and job.among is not None:
        return (f"the job is {job.among}, the largest group of endpoints; among names others",)
    return ()
