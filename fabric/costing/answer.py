"""Answers about the cost of collectives, and how they print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from fabric.bounds.answer import Bound
from fabric.costing.channels import CHANNELS
from fabric.costing.standing import Support
from fabric.errors import setting
from fabric.results import CutOff, DamageCount, DeviceText, Refused, Result, Slack, say_damage, say_lost
from fabric.text.chart import ChartBar, bars
from fabric.text.columns import columns
from fabric.text.words import fold, join_words
from fabric.units import format_bytes, format_rate, format_rate_gbyte, format_time, gbps_to_gbytes

# Idle parts below this are rounding.
_NOISE = 1e-9


class HashedTime(NamedTuple):
    """A part of all placements of hashed flows, such as ``p99``, and the time that they do not exceed [s]."""

    of: str
    time_s: float


class WireRate(NamedTuple):
    """Rate on the wires, with zero latency, of the algorithm that is chosen: no run by it is faster.

    Its busbw [Gb/s], the algorithm, and what binds.
    """

    busbw_gbps: float
    algorithm: str
    binding: str


@dataclass(frozen=True, slots=True)
class AlgorithmCost:
    """Cost of one algorithm.

    Parameters
    ----------
    algorithm : str
    protocol : str
        Of its copies; empty where the calibration has one only.
    time_s : float
        Launch, latency and transfer together [s].
    latency_s : float
        Launch, and steps times the latency of what a message passes [s].
    transfer_s : float
        Bytes over the rate of the slowest link [s].
    algbw_gbps, busbw_gbps : float
        As nccl-tests defines them [Gb/s].
    wire_gbps : float
        What a cable of the binding class carries on average, busiest direction, or of the busiest class where
        no link binds [Gb/s].
    steps : int
        Messages one after the other on the longest phase chain.
    binding : str
        The rule whose busiest link sets the time, or ``NCCL channels`` where its channels do.
    slack : tuple of Slack
        Idle fraction of the busiest link of every other rule that carries traffic, least first.
    spread : tuple of HashedTime
        Under hashed routing: what half and 99 % of all placements of the flows do not exceed.
    bound_ratio : float
        Time of the bound over this time, at most 1; 0 where no bound is known.
    own_s : float
        Of the time, what a rank copies of its own part of the buffer, out of place [s].
    is_seen : bool
        Whether a library would choose it by its time, for all that was seen; else what it would give is a
        hypothesis.
    doubt : float
        Times that its bytes are held to take longer than links and channels say, where no library was seen to
        choose it: 1 where one was, infinite (and not in its time) where none is taken to.
    most_gbps : float
        Busbw of the same bytes at wire rates and zero latency, which no run exceeds; 0 where it was not
        worked out [Gb/s].
    """

    algorithm: str
    protocol: str
    time_s: float
    latency_s: float
    transfer_s: float
    algbw_gbps: float
    busbw_gbps: float
    wire_gbps: float
    steps: int
    binding: str
    slack: tuple[Slack, ...]
    spread: tuple[HashedTime, ...] = ()
    bound_ratio: float = 0.0
    own_s: float = 0.0
    is_seen: bool = True
    doubt: float = 1.0
    most_gbps: float = 0.0

    @property
    def hoped_gbps(self) -> float:
        """Busbw that links and channels say, without doubt [Gb/s]."""
        if not math.isfinite(self.doubt):
            return self.busbw_gbps
        return self.busbw_gbps * self.time_s / (self.time_s - self.transfer_s * (1 - 1 / self.doubt))

    @property
    def name(self) -> str:
        """Algorithm with its protocol."""
        return f"{self.algorithm} ({self.protocol})" if self.protocol else self.algorithm


@dataclass(frozen=True, slots=True)
class GroupKind:
    """Groups of as many ranks that lie in domains in the same way, where a collective has several kinds.

    Parameters
    ----------
    n_groups : int
    sizes : tuple of int
        Ranks of a group in each of its scale-up domains.
    algorithm : str
        The fastest for them.
    time_s : float
        What it takes where only they run [s].
    binding : str
    """

    n_groups: int
    sizes: tuple[int, ...]
    algorithm: str
    time_s: float
    binding: str

    def __str__(self) -> str:
        """Return the kind in one line."""
        few = len(self.sizes) <= MAX_SIZES
        parts = " + ".join(str(n) for n in self.sizes) if few else f"{len(self.sizes):,} domains"
        of = f"{sum(self.sizes):,} ranks" + (f" ({parts})" if len(self.sizes) > 1 else "")
        took = f"{format_time(self.time_s)} by {self.algorithm}, {self.binding} binds"
        return f"{self.n_groups:,} group{'s' * (self.n_groups > 1)} of {of}: {took}"


MAX_SIZES = 4
"""Parts of a group in domains that are told one by one."""
MAX_KINDS = 8
"""Kinds of groups that are told."""


@dataclass(frozen=True, slots=True)
class Cost(Result):
    """Answer of `cost`.

    Parameters
    ----------
    collective : str
    size_bytes : int
        By the convention of nccl-tests.
    n_ranks, n_domains, n_instances : int
        Ranks of one group, scale-up domains that they lie in, and groups that run at the same time; where
        groups are of several kinds the ranks and domains of those that take longest.
    chosen : AlgorithmCost
    algorithms : tuple of AlgorithmCost
        All that were costed, in the order in which a library would choose them.
    routing : str
    calibration : str
    bound : Bound or None
        What no algorithm can beat, and why not known in `no_bound`.
    method, why : str
        ``axes`` or ``links``, and why not by axes.
    refused : tuple of Refused
        Algorithms that cannot run here, and why.
    about : str
        What the calibration says of itself.
    notes : tuple of str
        What else there is to say, such as the table that the choice was made from.
    is_dropped : bool
        Whether ranks that failures cut off were left out; `cut_off` then says which.
    cut_off : tuple of CutOff
        Ranks without a path to most of the others, where no algorithm has one: the time is then infinite.
    n_failed : int
        Ranks that have failed themselves; they are left out.
    damage : DamageCount or None
        How much is absent or down, and of how many kinds; None if nothing is, or the axes do not say.
    support : Support or None
        What a prediction rests on; None for wire rates, which predict nothing.
    wire : WireRate or None
        Beside a prediction the rate on the wires.
    kinds : tuple of GroupKind
        Where groups are of several kinds, each of them, the slowest first; the answer is of that, beside
        the others on the same links.
    """

    collective: str
    size_bytes: int
    n_ranks: int
    n_domains: int
    chosen: AlgorithmCost
    algorithms: tuple[AlgorithmCost, ...]
    routing: str
    calibration: str = "wire"
    n_instances: int = 1
    bound: Bound | None = None
    no_bound: DeviceText = ""
    method: str = "axes"
    why: DeviceText = ""
    refused: tuple[Refused, ...] = ()
    about: str = ""
    notes: tuple[DeviceText, ...] = ()
    cut_off: tuple[CutOff, ...] = ()
    n_failed: int = 0
    is_dropped: bool = False
    damage: DamageCount | None = None
    support: Support | None = None
    wire: WireRate | None = None
    kinds: tuple[GroupKind, ...] = ()

    shown: ClassVar[tuple[str, ...]] = ("status", "time_s", "algbw_gbps", "busbw_gbps", "binding")

    @property
    def status(self) -> Literal["ok", "cut off"]:
        """``cut off`` where ranks have no path to most of the others, so that nothing can run."""
        return "cut off" if self.cut_off and not self.is_dropped else "ok"

    @property
    def time_s(self) -> float:
        """Time of the chosen algorithm [s]."""
        return self.chosen.time_s

    @property
    def algbw_gbps(self) -> float:
        """Algorithm bandwidth of the chosen algorithm [Gb/s]."""
        return self.chosen.algbw_gbps

    @property
    def busbw_gbps(self) -> float:
        """Bus bandwidth of the chosen algorithm [Gb/s]."""
        return self.chosen.busbw_gbps

    @property
    def binding(self) -> str:
        """The rule that binds the chosen algorithm."""
        return self.chosen.binding

    def table(self) -> list[dict[str, object]]:
        """Return the algorithms that were costed, in the order in which a library would choose them."""
        names = ("algorithm", "protocol", "time_s", "latency_s", "transfer_s", "algbw_gbps", "busbw_gbps")
        columns = (*names, "most_gbps", "wire_gbps", "steps", "binding", "bound_ratio", "is_seen")
        return [{name: getattr(cost, name) for name in columns} for cost in self.algorithms]

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        where = f"in {self.n_domains:,} scale-up domain{'s' if self.n_domains > 1 else ''}"
        # Domains of one rank each: no scale-up network joins the ranks.
        if self.n_domains == self.n_ranks:
            where = "with no scale-up network between them"
        groups = f", {self.n_instances:,} groups at once" if self.n_instances > 1 else ""
        lines = [
            f"{self.collective} of {format_bytes(self.size_bytes)} among {self.n_ranks:,} ranks "
            f"{where}{groups}, {self.routing} routing"
        ]
        remedy = setting("drop_unreachable", True)
        lost = say_lost(self.cut_off, self.n_failed, remedy, is_dropped=self.is_dropped, kind="ranks")
        if self.status == "cut off":
            return "\n".join([f"{lines[0]}: never, for some are cut off from most of the others", *lost])
        if self.kinds:
            lines.append(
                "  groups of several kinds run at once; the answer is of the first, beside the others"
            )
            lines += [f"    {kind}" for kind in self.kinds[:MAX_KINDS]]
            if len(self.kinds) > MAX_KINDS:
                lines.append(f"    and {len(self.kinds) - MAX_KINDS:,} kinds more")
        lines += self._expectation()
        if (best := self.bound) is not None:
            verb = "binds" if len(best.binding) == 1 else "bind"
            lines.append(
                f"  bound: {format_time(best.time_s)}, busbw {format_rate_gbyte(best.busbw_gbps)} "
                f"({best.status}), {join_words(list(best.binding))} {verb}; "
                f"{self.chosen.algorithm} gets {100 * self.chosen.bound_ratio:.3g} % of it"
            )
        elif self.no_bound:
            lines.append(f"  bound: not known ({self.no_bound})")
        rest = _binding_lines(self.algorithms)
        rest += [f"  {name} cannot run: {why}" for name, why in self.refused]
        rest += [*lost, *say_damage(self.damage)]
        rest.append(f"  calibration {self.calibration}: {self.about}")
        rest += [f"  {note}" for note in self.notes]
        return "\n".join([fold(lines), _table(self.algorithms), fold(rest)])

    def picture(self) -> str:
        """Return the busbw of each algorithm, and of the bound."""
        if self.cut_off:
            return ""
        rows = [
            ChartBar(one.name, one.busbw_gbps, format_rate_gbyte(one.busbw_gbps), one is self.chosen)
            for one in self.algorithms
        ]
        if self.bound is not None:
            rows.append(ChartBar("bound", self.bound.busbw_gbps, format_rate_gbyte(self.bound.busbw_gbps)))
        title = f"busbw of {self.collective} of {format_bytes(self.size_bytes)}: {self.chosen.name}"
        return bars(f"{title}, {self.chosen.binding} binding", rows)

    def _expectation(self) -> list[str]:
        """Return what a run will show, how sure that is, and beside it the rate of the wires."""
        if self.support is None:
            return []
        run = self.chosen
        lines = [
            f"  expected: {format_time(run.time_s)}, busbw {format_rate_gbyte(run.busbw_gbps)}, "
            f"by {run.name}; {run.binding} bind{'' if run.binding == CHANNELS else 's'}",
            *(f"  {line}" for line in self.support.lines),
        ]
        if not run.is_seen:
            lines.append("  which algorithm a library chooses here is open: no run of this kind was seen")
        if 1 < run.doubt < math.inf:
            lines.append(
                f"  {run.algorithm} gives {format_rate_gbyte(run.hoped_gbps)} by links and channels; its "
                f"bytes are held to take {run.doubt:g} times as long, since a measured run passed it over"
            )
        if self.wire is not None:
            lines.append(
                f"  wires: busbw {format_rate_gbyte(self.wire.busbw_gbps)} at most by {self.wire.algorithm}, "
                f"{self.wire.binding} binds; no run by it is faster"
            )
        return lines


def _table(costs: Sequence[AlgorithmCost]) -> str:
    """Return what each algorithm would give; busbw in GB/s."""
    is_wire = not any(c.most_gbps for c in costs)
    head = ["  algorithm", ">time", ">GB/s", *[">at most"] * (not is_wire), ">steps", ">latency", "binding"]
    rows = []
    for i, c in enumerate(costs):
        rates = [c.busbw_gbps] if is_wire else [c.busbw_gbps, c.most_gbps]
        rows.append(
            [
                f"{'*' if not i else ' '} {c.name}{'' if c.is_seen else ' ?'}",
                format_time(c.time_s),
                *(f"{gbps_to_gbytes(rate):.4g}" for rate in rates),
                f"{c.steps:,}",
                f"{100 * c.latency_s / c.time_s:.3g} %",
                c.binding,
            ]
        )
    return columns(head, rows)


def _binding_lines(costs: Sequence[AlgorithmCost]) -> list[str]:
    """Return what binds the first algorithm, and which are hypotheses."""
    lines = []
    if not all(c.is_seen for c in costs):
        lines.append("  ? a hypothesis: what it would give, though no library was seen to choose it here")
    cost = costs[0]
    # Nothing is printed as idle that only rounding leaves idle.
    idle = (f"{n} {100 * part if part > _NOISE else 0:.3g} %" for n, part in cost.slack)
    slack = ", ".join(idle) or "no other class carries traffic"
    at = "" if cost.binding == CHANNELS else f" at {format_rate(cost.wire_gbps)} a cable"
    lines.append(f"  binding: {cost.binding}{at}; slack: {slack}")
    if cost.spread:
        lines.append("  hashed flows: " + ", ".join(f"{n} {format_time(t)}" for n, t in cost.spread))
    return lines


def never() -> AlgorithmCost:
    """Return what stands for an algorithm where none has a path."""
    far = float("inf")
    return AlgorithmCost("", "", far, far, far, 0.0, 0.0, 0.0, 0, "", ())
