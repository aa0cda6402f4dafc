"""The questions that a report asks of a fabric, chosen from its axes, and their answers."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fabric.costing import Cost, cost
from fabric.errors import FabricError
from fabric.flow import MaxFlow, max_flow
from fabric.flow.bottleneck import Bottleneck, bottleneck
from fabric.flow.throughput import Throughput
from fabric.graph import EXPAND_LIMIT, Fabric, fail_by_axes
from fabric.job.question import JobQuestion
from fabric.job.split import split_axes
from fabric.reporting.given import NOTHING, Given, GivenAnswers, answer_given, n_questions
from fabric.reporting.questions import FlowQuestion, questions
from fabric.sizing import DesignOptions, design
from fabric.sizing.bill import Bom
from fabric.sizing.bom import bom
from fabric.sizing.prices import indicative_prices
from fabric.sizing.summary import Summary
from fabric.study.designs import (
    REFERENCE,
    Alternative,
    alternatives,
    departs,
    design_like,
    kept_without,
    options_of,
)
from fabric.study.failures import FailureRow, Failures, failures
from fabric.study.scale import design_knees, scale
from fabric.study.scale_table import Knee, ScaleRow, ScaleTable
from fabric.text.markdown import escape
from fabric.units import parse_bytes

Progress = Callable[[int, int], None]

SIZES = ("1MiB", "4MiB", "16MiB", "64MiB", "256MiB", "1GiB", "4GiB", "16GiB")
LARGEST = 1_000_000
"""Endpoints up to which a design is grown."""
_SAMPLES = 100
"""States that a window is drawn from; `fabtopo failures --window` draws more, in minutes."""
_GROWS = 8
_SAME = 1e-6
REPORTED = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")


@dataclass(frozen=True, slots=True)
class Missing:
    """A question without an answer: its section (flows, throughput, collectives), what it is, and why."""

    section: str
    what: str
    why: str


def _at_reference(costs: Sequence[Cost]) -> Cost:
    """Return the cost at `REFERENCE`."""
    return next(c for c in costs if c.size_bytes == parse_bytes(REFERENCE))


@dataclass(frozen=True, slots=True)
class GroupCost:
    """A collective within groups: what they are, the axes that one spans, its cost for each size."""

    what: str
    over: tuple[str, ...]
    costs: tuple[Cost, ...]

    @property
    def cost(self) -> Cost:
        """The cost at `REFERENCE`."""
        return _at_reference(self.costs)


@dataclass(frozen=True, slots=True)
class JobAnswers:
    """What the endpoints of one group do among themselves.

    Parameters
    ----------
    among : str
        The group; empty where all endpoints are of one.
    costs : mapping of str to tuple of Cost
        By collective, one for each of `SIZES`.
    prices : Bottleneck or None
        The best rate of uniform all-to-all, what binds it, and what more of that is worth.
    groups : tuple of GroupCost
        The all-reduce of all of them, and those along the axes outside and inside a scale-up domain, for
        each of `SIZES`.
    reaches : tuple of GroupCost
        The all-to-all of `REFERENCE` inside of a domain, and of ever more of them up to all.
    """

    among: str
    costs: Mapping[str, tuple[Cost, ...]]
    prices: Bottleneck | None = None
    groups: tuple[GroupCost, ...] = ()
    reaches: tuple[GroupCost, ...] = ()

    @property
    def spread(self) -> Throughput | None:
        """The best rate of uniform all-to-all."""
        return self.prices.throughput if self.prices else None

    def at_reference(self, collective: str) -> Cost | None:
        """Return the cost at `REFERENCE`, if there is one."""
        costs = self.costs.get(collective, ())
        return _at_reference(costs) if costs else None


class SwitchDown(NamedTuple):
    """One switch of a tier down: its group, how many there are, and the part of all-to-all that is left."""

    group: str
    n: int
    kept: float


class Hit(NamedTuple):
    """A failure that a job goes on with, and the all-reduce of `REFERENCE` then, where it costs more."""

    row: FailureRow
    cost: Cost


@dataclass(frozen=True, slots=True)
class Growth:
    """A design at other sizes, and others at its own.

    Parameters
    ----------
    options : DesignOptions
        Of the design that the file is like.
    departs : str
        Where that design has other numbers of switches; empty where it has the same.
    table : ScaleTable
    designs : tuple of Alternative
    knees : tuple of Knee
        Where between those sizes a tier comes, and what then binds all-to-all.
    """

    options: DesignOptions
    departs: str
    table: ScaleTable
    designs: tuple[Alternative, ...]
    knees: tuple[Knee, ...] = ()

    @property
    def limit(self) -> int | None:
        """Endpoints from which on there is no design; None where none was found."""
        return next((knee.gpus for knee in self.knees if knee.after == "-"), None)

    @property
    def built(self) -> list[ScaleRow]:
        """The sizes that can be built."""
        return [row for row in self.table.rows if not row.problem]


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that a report needs solvers for.

    Parameters
    ----------
    flows : tuple of (FlowQuestion, MaxFlow)
    jobs : tuple of JobAnswers
        One for each group of endpoints.
    missing : tuple of Missing
    bill : Bom
        With indicative prices.
    failing : Failures or None
        What every single failure leaves.
    spots : tuple of SwitchDown
        Where that is too much to ask: what one switch of each tier down leaves.
    hits : tuple of Hit
        The worst device and the worst place that a job goes on without.
    growth : Growth or None
        The same racks and switches at other sizes, and other designs beside it.
    given : GivenAnswers
        What the fabric makes of jobs and sources that the report was given.
    """

    flows: tuple[tuple[FlowQuestion, MaxFlow], ...]
    jobs: tuple[JobAnswers, ...]
    missing: tuple[Missing, ...]
    bill: Bom
    failing: Failures | None = None
    spots: tuple[SwitchDown, ...] = ()
    hits: tuple[Hit, ...] = ()
    growth: Growth | None = None
    given: GivenAnswers = GivenAnswers()

    def say_missing(self, section: str) -> str:
        """Say which questions of a section have no answer, and why."""
        left_out = [m for m in self.missing if m.section == section]
        return "\n\n".join(
            f"Missing here: {escape(m.what)}, because {escape(m.why.rstrip('.'))}." for m in left_out
        )


def ask(fabric: Fabric, summary: Summary, progress: Progress, given: Given = NOTHING) -> Answers:
    """Answer all questions of a report; one that the fabric cannot answer is noted, with the reason.

    Parameters
    ----------
    fabric : Fabric
    summary : Summary
    progress : callable
        Given the steps done and all steps, after each.
    given : Given
        What the report was given beside the fabric.

    Returns
    -------
    Answers
    """
    missing: list[Missing] = []
    flows: list[tuple[FlowQuestion, MaxFlow]] = []
    bill = bom(fabric, prices=indicative_prices())
    try:
        flow_questions = questions(fabric)
    except FabricError as error:
        sections = {"flows": "max-flow", "collectives": "collectives"}
        why = str(error)
        return Answers((), (), tuple(Missing(*section, why) for section in sections.items()), bill)
    jobs = _jobs(fabric)
    sizes = _sizes(fabric, summary)
    steps = len(flow_questions) + len(jobs) * (len(REPORTED) + 1) + 1 + len(sizes) + n_questions(given)
    counter = itertools.count()

    def tick() -> None:
        progress(next(counter), steps)

    for question in flow_questions:
        tick()
        try:
            flows.append((question, max_flow(fabric, question.source, question.target)))
        except FabricError as error:
            missing.append(Missing("flows", f"max-flow {question.source} to {question.target}", str(error)))
    answered = tuple(_job(fabric, among, missing, tick) for among in jobs)
    tick()
    failing = _failing(fabric, summary, missing, given.window)
    hits = tuple(_hits(fabric, failing)) if failing and len(answered) == 1 else ()
    growth = _growth(fabric, summary, sizes, missing, tick)
    asked = answer_given(fabric, given, lambda *why: missing.append(Missing(*why)), tick)
    progress(steps, steps)
    spots = () if failing or len(answered) != 1 else tuple(_spots(fabric, summary, answered[0]))
    return Answers(tuple(flows), answered, tuple(missing), bill, failing, spots, hits, growth, asked)


def _failing(fabric: Fabric, summary: Summary, missing: list[Missing], window: str = "") -> Failures | None:
    """Return what every single failure leaves, of fabrics that can be listed."""
    what = "single failures"
    if sum(group.n_devices for group in summary.groups) > EXPAND_LIMIT:
        # Damage to one that is not whole may end at the list of its devices, after a long search.
        why = (
            f"{summary.name} has more than {EXPAND_LIMIT:,} devices; fabtopo failures answers it where it can"
        )
        missing.append(Missing("failures", what, why))
        return None
    if window:
        try:
            return failures(fabric, rates="parts", window=window, samples=_SAMPLES)
        except FabricError as error:
            missing.append(Missing("failures", f"a window of {window}", str(error)))
    try:
        return failures(fabric, rates="parts")
    except FabricError as error:
        missing.append(Missing("failures", what, str(error)))
        return None


def _hits(fabric: Fabric, failing: Failures) -> Iterator[Hit]:
    """Yield the all-reduce with the worst device and the worst place down that a job goes on without."""
    going = [row for row in failing.rows if row.goes_on and row.kept is not None and row.kept < 1 - _SAME]
    for kind in ("place", "device"):
        rows = sorted((row for row in going if row.kind == kind), key=lambda row: row.kept or 0.0)
        # A collective that cannot be costed then has nothing to tell here.
        with contextlib.suppress(FabricError):
            for row in rows[:1]:
                is_all = not any((other.kind, other.of) == (row.kind, row.of) for other in rows[1:])
                costs = [
                    cost(fail_by_axes(fabric, where), "all-reduce", REFERENCE, is_bounded=False)
                    for where in (row.example, *(_middle(fabric, row.example) if is_all else ()))
                ]
                yield Hit(row, max(costs, key=lambda one: (one.status == "cut off", one.time_s)))


def _middle(fabric: Fabric, example: str) -> tuple[str, ...]:
    """Return the same place half way along its first axis, if there is one.

    All-to-all does not tell the two apart. Ranks that are numbered do: in a tree the first domain and the
    last have half the neighbours of those between them.
    """
    axes = fabric.axes_or_refuse("a report").axes
    first, slash, rest = example.partition("/")
    axis = first.rstrip("0123456789")
    half = axes[axis].size // 2 if slash and axis in axes else 0
    return (f"{axis}{half}/{rest}",) if half else ()


def _spots(fabric: Fabric, summary: Summary, job: JobAnswers) -> Iterator[SwitchDown]:
    """Yield what is left with the first switch of each tier down."""
    if job.spread is None or not job.spread.per_endpoint_gbps:
        return
    for tier in summary.tiers:
        kept = None
        # The first switch of a tier may be absent: then there is nothing to tell of it.
        with contextlib.suppress(FabricError):
            kept = kept_without(fabric, tier.name, job.spread.per_endpoint_gbps)
        n = next(group.n_devices for group in summary.groups if group.name == tier.name)
        if kept is not None:
            yield SwitchDown(tier.name, n, kept)


def _sizes(fabric: Fabric, summary: Summary) -> list[int]:
    """Return the sizes at which to ask: one rack or server, ever eight times as many, and the file's own."""
    try:
        unit = design(**options_of(fabric, summary), gpus=1).gpus
    except FabricError:
        return []
    # Of its own size no second one beside it.
    sizes = {summary.n_endpoints, LARGEST} if summary.n_endpoints + unit <= LARGEST else {summary.n_endpoints}
    while unit < LARGEST:
        sizes.add(unit)
        unit *= _GROWS
    return sorted(sizes)


def _growth(
    fabric: Fabric, summary: Summary, sizes: Sequence[int], missing: list[Missing], tick: Callable[[], None]
) -> Growth | None:
    """Return the design that the file is like at several sizes, and others at its own."""
    try:
        options, built = design_like(fabric, summary)
        table = scale(
            sizes, has_knees=False, has_bounds=False, progress=lambda done, total: tick(), **options
        )
        others = alternatives(options, summary.n_endpoints)
        return Growth(options, departs(summary, built), table, others, design_knees(table, **options))
    except FabricError as error:
        missing.append(Missing("growth", "other sizes and designs", str(error)))
        return None


def _jobs(fabric: Fabric) -> list[str]:
    """Return the groups of endpoints with at least two places, or all endpoints as they are."""
    blueprint = fabric.axes_or_refuse("a report")
    groups = [g.name for g in blueprint.groups.values() if g.is_endpoint]
    # One device has nobody of its kind to send to.
    several = [name for name in groups if blueprint.n_devices(name) > 1]
    return several if len(groups) > 1 else [""]


def _job(fabric: Fabric, among: str, missing: list[Missing], tick: Callable[[], None]) -> JobAnswers:
    """Answer what one group of endpoints does; what has no answer is added to `missing`."""
    of_them, axis = f" of {among}" if among else "", among or None
    costs: dict[str, tuple[Cost, ...]] = {}
    for collective in REPORTED:
        tick()
        try:
            costs[collective] = tuple(cost(fabric, collective, size, among=axis) for size in SIZES)
        except FabricError as error:
            missing.append(Missing("collectives", collective + of_them, str(error)))
    tick()
    prices = None
    try:
        prices = bottleneck(fabric, among=axis, drop_unreachable=True)
    except FabricError as error:
        missing.append(Missing("throughput", "all-to-all throughput" + of_them, str(error)))
    groups = tuple(_groups(fabric, among, costs.get("all-reduce", ())))
    reaches = tuple(_reaches(fabric, among, costs.get("all-to-all", ())))
    return JobAnswers(among, costs, prices, groups, reaches)


def _groups(fabric: Fabric, among: str, flat: Sequence[Cost]) -> Iterator[GroupCost]:
    """Yield the all-reduce of all ranks, and within groups outside and inside of a scale-up domain."""
    if not flat or (whole := _at_reference(flat)).status == "cut off":
        return
    yield GroupCost("all ranks", (), tuple(flat))
    if not 1 < whole.n_domains < whole.n_ranks:
        return
    outer, inner = split_axes(fabric, JobQuestion(among=among or None))
    for what, over in (("one rank of each domain", outer), ("the ranks of a domain", inner)):
        if over:
            # Without such a group there is nothing to set beside the whole.
            with contextlib.suppress(FabricError):
                of_group = (cost(fabric, "all-reduce", n, over=over, among=among or None) for n in SIZES)
                yield GroupCost(what, over, tuple(of_group))


def _reaches(fabric: Fabric, among: str, flat: Sequence[Cost]) -> Iterator[GroupCost]:
    """Yield the all-to-all within a domain and within ever more of them, up to all ranks."""
    if not flat or (whole := _at_reference(flat)).status == "cut off":
        return
    if not 1 < whole.n_domains < whole.n_ranks:
        return
    outer, over = split_axes(fabric, JobQuestion(among=among or None))
    axes = fabric.axes_or_refuse("a report").axes
    # A composed axis part by part: the racks of a block before those of all blocks.
    parts = [part for axis in outer for part in (axes[axis].parts or (axis,)) if axes[part].size > 1]
    # Where some are absent groups of several domains are not alike, and as many questions as there are kinds.
    is_whole = whole.n_ranks == math.prod(axes[axis].size for axis in (*outer, *over))
    for k in range(len(parts) if is_whole else 1) if over else ():
        with contextlib.suppress(FabricError):
            asked = (*parts[len(parts) - k :], *over)
            one = cost(fabric, "all-to-all", REFERENCE, over=asked, among=among or None)
            what = "the ranks of a domain" if not k else f"the ranks of {one.n_domains:,} domains"
            yield GroupCost(what, asked, (one,))
    yield GroupCost("all ranks", (), (whole,))
